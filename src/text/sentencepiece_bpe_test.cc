#include "sentencepiece_bpe_tokenizer.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <functional>
#include <limits>

#include "vocabulary_for_test.h"

namespace tatara::text {
namespace {

using testing::ElementsAre;
using testing::HasSubstr;
using Ids = std::vector<std::int32_t>;

std::vector<std::string> Characters(std::string_view text) {
  std::vector<std::string> characters;
  while (!text.empty()) {
    const Utf8Sequence sequence = ReadUtf8(text);
    const std::size_t length = sequence.valid ? sequence.length : 1;
    characters.emplace_back(text.substr(0, length));
    text.remove_prefix(length);
  }
  return characters;
}

// Merging as it is defined, over the whole text: never cut into stretches.
Ids MergedSlowly(const SmallVocabulary& v, std::string_view text) {
  const auto normal = [&](const std::string& piece) {
    const std::int32_t id = v.Find(piece);
    return id >= 0 && v.types[static_cast<std::size_t>(id)] == 1 ? id : -1;
  };
  std::vector<std::string> symbols = Characters(text);
  for (std::string& symbol : symbols) symbol = symbol == " " ? "▁" : symbol;
  for (;;) {
    double best = -std::numeric_limits<double>::infinity();
    std::size_t at = symbols.size();
    for (std::size_t i = 0; i + 1 < symbols.size(); ++i) {
      const std::int32_t id = normal(symbols[i] + symbols[i + 1]);
      if (id >= 0 && v.scores[static_cast<std::size_t>(id)] > best) {
        best = v.scores[static_cast<std::size_t>(id)];
        at = i;
      }
    }
    if (at == symbols.size()) break;
    symbols[at] += symbols[at + 1];
    symbols.erase(symbols.begin() + static_cast<std::ptrdiff_t>(at) + 1);
  }
  Ids ids;
  for (const std::string& symbol : symbols) {
    if (const std::int32_t id = normal(symbol); id >= 0) {
      ids.push_back(id);
    } else {
      for (const char c : symbol) ids.push_back(3 + static_cast<unsigned char>(c));
    }
  }
  return ids;
}

TEST(SentencePieceBpe, MergesByScoreThenLeftmostWhateverTheLength) {
  RandomForTest random(21);
  for (int round = 0; round < 60; ++round) {
    SmallVocabulary v = SmallSentencePiece();
    // Scores with ties, in no order; pieces that cross from letters to spaces and back.
    for (const char* piece : {"a▁", "b▁a", "ba▁", "▁▁", "語▁", "▁日", "aab", "abab", "h▁", "▁h"}) {
      if (random.Below(2) == 0) v.Add(piece, 1);
    }
    for (double& score : v.scores) score = -static_cast<double>(random.Below(8));
    Metadata metadata = v.Build();
    metadata.Set("tokenizer.ggml.add_space_prefix", false);
    for (std::int64_t& type : v.types)
      type = type == 4 ? 5 : type;  // no user-defined tokens in this test
    metadata.Set("tokenizer.ggml.token_type", v.types);
    const auto tokenizer = MustMake(metadata);
    ASSERT_NE(tokenizer, nullptr);
    for (const std::size_t length : {1, 2, 3, 9, 30, 96, 97, 300}) {
      const std::string text =
          random.From({"a", "b", " ", "日", "本", "語", "h", "x", "\xFF", "é"}, length);
      EXPECT_EQ(tokenizer->Encode(text, {}), MergedSlowly(v, text)) << text;
    }
  }
}

TEST(SentencePieceBpe, ASpaceComesBeforeTextAndIsTakenAway) {
  const SmallVocabulary v = SmallSentencePiece();
  const auto tokenizer = MustMake(v.Build());
  ASSERT_NE(tokenizer, nullptr);
  EXPECT_THAT(tokenizer->Encode("the the", {}), ElementsAre(v.Find("▁the"), v.Find("▁the")));
  EXPECT_EQ(tokenizer->Decode(tokenizer->Encode("the the", {})), "the the");
  EXPECT_EQ(tokenizer->TokenBytes(v.Find("▁the")), " the");
  EXPECT_THAT(tokenizer->Encode("", {}), ElementsAre());
  // After a special token too.
  EXPECT_THAT(tokenizer->Encode("<s>the", {.parse_special = true}), ElementsAre(1, v.Find("▁the")));
}

TEST(SentencePieceBpe, NoSpaceIsAddedWhereTheFileSaysSo) {
  const SmallVocabulary v = SmallSentencePiece();
  Metadata metadata = v.Build();
  metadata.Set("tokenizer.ggml.add_space_prefix", false);
  const auto tokenizer = MustMake(metadata);
  ASSERT_NE(tokenizer, nullptr);
  EXPECT_THAT(tokenizer->Encode("the", {}), ElementsAre(v.Find("t"), v.Find("he")));
  EXPECT_EQ(tokenizer->Decode(std::vector<std::int32_t>{v.Find("▁the")}), " the");
}

TEST(SentencePieceBpe, CharactersInNoTokenFallToTheirBytes) {
  const SmallVocabulary v = SmallSentencePiece();
  Metadata metadata = v.Build();
  metadata.Set("tokenizer.ggml.add_space_prefix", false);
  const auto tokenizer = MustMake(metadata);
  ASSERT_NE(tokenizer, nullptr);
  EXPECT_THAT(tokenizer->Encode("本é\xFF", {}),
              ElementsAre(v.Find("本"), v.Find("<0xC3>"), v.Find("<0xA9>"), v.Find("<0xFF>")));
  RandomForTest random(4);
  for (int i = 0; i < 1000; ++i) {
    std::string text = i % 2 == 0 ? random.Bytes(60) : random.Unicode(60);
    if (text.find("▁") != std::string::npos) continue;
    EXPECT_EQ(tokenizer->Decode(tokenizer->Encode(text, {})), text);
  }
}

TEST(SentencePieceBpe, WithoutByteTokensTheUnknownTokenStandsIn) {
  SmallVocabulary v = SmallSentencePiece();
  for (std::int64_t& type : v.types) type = type == 6 ? 5 : type;
  Metadata metadata = v.Build();
  metadata.Set("tokenizer.ggml.add_space_prefix", false);
  EXPECT_THAT(MustMake(metadata)->Encode("aéb", {}), ElementsAre(v.Find("a"), v.Find("b")));
  metadata.Set("tokenizer.ggml.unknown_token_id", std::int64_t{0});
  EXPECT_THAT(MustMake(metadata)->Encode("aéb", {}), ElementsAre(v.Find("a"), 0, v.Find("b")));
}

TEST(SentencePieceBpe, RunsOfSpacesAndLineEndsAreTakenBeforeMerging) {
  const SmallVocabulary v = SmallSentencePiece();
  Metadata metadata = v.Build();
  metadata.Set("tokenizer.ggml.add_space_prefix", false);
  const auto tokenizer = MustMake(metadata);
  ASSERT_NE(tokenizer, nullptr);
  EXPECT_THAT(tokenizer->Encode("a  the\n\n", {}),
              ElementsAre(v.Find("a"), v.Find("  "), v.Find("t"), v.Find("he"), v.Find("\n\n")));
  // U+2581 is a space to SentencePiece.
  EXPECT_EQ(tokenizer->Encode("a ▁the▁in", {}), tokenizer->Encode("a  the in", {}));
}

TEST(SentencePieceBpe, ControlAndByteTokensNeverComeFromText) {
  SmallVocabulary v = SmallSentencePiece();
  for (const char* piece :
       {"<", "s", ">", "<s", "/", "</", "</s", "0", "x", "<0", "<0x", "<0x0", "<0x0A"}) {
    v.Add(piece, 1, 5);
  }
  const auto tokenizer = MustMake(v.Build());
  ASSERT_NE(tokenizer, nullptr);
  for (const std::int32_t id : tokenizer->Encode("<s></s><0x0A><unk>", {.add_start = false})) {
    EXPECT_NE(v.types[static_cast<std::size_t>(id)], 3);
    EXPECT_NE(id, v.Find("<0x0A>"));
  }
  EXPECT_THAT(tokenizer->Encode("<s></s><unk>", {.parse_special = true}), ElementsAre(1, 2, 0));
}

TEST(SentencePieceBpe, TheStartTokenIsAddedUnlessTheFileSaysNo) {
  SmallVocabulary v = SmallSentencePiece();
  Metadata metadata = v.Build();
  EXPECT_EQ(MustMake(metadata)->Encode("", {}), Ids{}) << "no start token known";
  metadata.Set("tokenizer.ggml.bos_token_id", std::int64_t{1});
  EXPECT_EQ(MustMake(metadata)->Encode("", {}), Ids{1});
  const auto asking = MustMake(metadata);
  EXPECT_EQ(asking->Encode("<s>", {.parse_special = true}), Ids{1}) << "a template wrote it";
  EXPECT_EQ(asking->Encode("<s><s>", {.parse_special = true}), (Ids{1, 1}));
  EXPECT_EQ(asking->Encode("<s>", {.add_start = false, .parse_special = true}), Ids{1});
  EXPECT_GT(asking->Encode("<s>", {}).size(), 2u);
  metadata.Set("tokenizer.ggml.add_bos_token", false);
  EXPECT_EQ(MustMake(metadata)->Encode("", {}), Ids{});
}

TEST(SentencePieceBpe, OneLetterAMillionTimesTakesSeconds) {
  const auto tokenizer = MustMake(SmallSentencePiece().Build());
  ASSERT_NE(tokenizer, nullptr);
  EXPECT_GT(tokenizer->Encode(std::string(1'000'000, 'a'), {}).size(), 249'000u);
  EXPECT_EQ(tokenizer->Encode(std::string(1'000'000, '\xFF'), {}).size(), 1'000'001u);
}

TEST(SentencePieceBpe, BrokenVocabulariesAreRefusedNamingTheKey) {
  const auto nothing = [](auto&) {};
  const struct {
    const char* what;
    std::function<void(SmallVocabulary&)> edit;
    std::function<void(Metadata&)> set;
    const char* expected;
  } kCases[] = {
      {"no scores", nothing, [](Metadata& m) { m.Set("tokenizer.ggml.scores", true); },
       "'tokenizer.ggml.scores' is missing or not a list of numbers"},
      {"scores too few", [](auto& v) { v.scores.pop_back(); }, nothing,
       "'tokenizer.ggml.scores' has"},
      {"a score that is no number",
       [](auto& v) { v.scores[7] = std::numeric_limits<double>::quiet_NaN(); }, nothing,
       "entry 7 is nan, expected a finite number"},
      {"an infinite score", [](auto& v) { v.scores[7] = -std::numeric_limits<double>::infinity(); },
       nothing, "entry 7 is -inf"},
      {"types of another kind", nothing,
       [](Metadata& m) { m.Set("tokenizer.ggml.token_type", true); },
       "'tokenizer.ggml.token_type'"},
      {"a byte token with another text", [](auto& v) { v.types.back() = 6; }, nothing,
       "is a byte token but reads"},
      {"a character map", nothing,
       [](Metadata& m) { m.Set("tokenizer.ggml.precompiled_charsmap", std::string("x")); },
       "'tokenizer.ggml.precompiled_charsmap' is present"},
      {"a prefix of another kind", nothing,
       [](Metadata& m) { m.Set("tokenizer.ggml.add_space_prefix", std::string("x")); },
       "'tokenizer.ggml.add_space_prefix'"},
      {"a token twice", [](auto& v) { v.Add("▁the"); }, nothing, "are the same text"},
  };
  for (const auto& breakage : kCases) {
    SmallVocabulary v = SmallSentencePiece();
    breakage.edit(v);
    Metadata metadata = v.Build();
    breakage.set(metadata);
    const auto made = Tokenizer::FromMetadata(metadata);
    ASSERT_FALSE(made.ok()) << breakage.what;
    EXPECT_THAT(made.error().text(), HasSubstr("small.gguf: ")) << breakage.what;
    EXPECT_THAT(made.error().text(), HasSubstr(breakage.expected)) << breakage.what;
  }
  // Without types no token is known to be a byte.
  const Metadata whole = SmallSentencePiece().Build();
  Metadata metadata("small.gguf");
  for (const auto& [key, value] : whole.values()) {
    if (key != "tokenizer.ggml.token_type") metadata.Set(key, value);
  }
  EXPECT_FALSE(Tokenizer::FromMetadata(metadata).ok());
}

}  // namespace
}  // namespace tatara::text
