#include "bpe_model.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <functional>
#include <map>
#include <thread>

#include "vocabulary_for_test.h"

namespace tatara::text {
namespace {

using testing::ElementsAre;
using testing::HasSubstr;
using Ids = std::vector<std::int32_t>;

// Merging as it is defined, one pair at a time over one piece.
Ids MergedSlowly(const SmallVocabulary& v, std::string_view piece) {
  std::map<std::string, std::size_t> rank;
  for (std::size_t i = 0; i < v.merges.size(); ++i) rank[v.merges[i]] = i;
  std::vector<std::string> symbols;
  for (const char c : piece) symbols.push_back(InAlphabet(std::string(1, c)));
  for (;;) {
    std::size_t best = v.merges.size(), at = 0;
    for (std::size_t i = 0; i + 1 < symbols.size(); ++i) {
      const auto found = rank.find(symbols[i] + " " + symbols[i + 1]);
      if (found != rank.end() && found->second < best) best = found->second, at = i;
    }
    if (best == v.merges.size()) break;
    symbols[at] += symbols[at + 1];
    symbols.erase(symbols.begin() + static_cast<std::ptrdiff_t>(at) + 1);
  }
  Ids ids;
  for (const std::string& symbol : symbols) ids.push_back(v.Find(symbol));
  return ids;
}

// A vocabulary of a and b whose merges are drawn at random, so that ranks fall in every order.
SmallVocabulary RandomMerges(RandomForTest& random) {
  SmallVocabulary v;
  v.model = "gpt2";
  v.pre = "gpt-2";
  std::vector<std::string> pieces = {"a", "b", "c"};
  for (const std::string& piece : pieces) v.Add(piece);
  for (int i = 0; i < 40; ++i) {
    const auto pick = [&] {
      return pieces[random.Below(static_cast<std::uint32_t>(pieces.size()))];
    };
    const std::string left = pick(), right = pick();
    if (left.size() + right.size() > 12) continue;
    if (std::find(v.merges.begin(), v.merges.end(), left + " " + right) != v.merges.end()) continue;
    v.AddMerge(left, right);
    pieces.push_back(left + right);
  }
  return v;
}

TEST(ByteBpe, MergesByRankThenLeftmostWhateverTheLength) {
  RandomForTest random(11);
  for (int round = 0; round < 60; ++round) {
    const SmallVocabulary v = RandomMerges(random);
    const auto tokenizer = MustMake(v.Build());
    ASSERT_NE(tokenizer, nullptr);
    for (const std::size_t length : {1, 2, 3, 9, 30, 95, 96, 97, 98, 200, 600}) {
      const std::string piece = random.From({"a", "b", "c"}, length);
      EXPECT_EQ(tokenizer->Encode(piece, {}), MergedSlowly(v, piece)) << piece;
    }
  }
}

TEST(ByteBpe, DecodingGivesBackAnyBytes) {
  const auto tokenizer = MustMake(SmallByteLevel().Build());
  ASSERT_NE(tokenizer, nullptr);
  RandomForTest random(5);
  for (int i = 0; i < 2000; ++i) {
    const std::string text = i % 2 == 0 ? random.Bytes(80) : random.Unicode(80);
    EXPECT_EQ(tokenizer->Decode(tokenizer->Encode(text, {})), text);
  }
  const std::string decomposed = "か\u3099 e\u0301 \u2126";
  EXPECT_EQ(tokenizer->Decode(tokenizer->Encode(decomposed, {})), decomposed) << "not normalised";
}

TEST(ByteBpe, WhatWasSeenBeforeChangesNothing) {
  const SmallVocabulary v = SmallByteLevel();
  const auto warm = MustMake(v.Build());
  ASSERT_NE(warm, nullptr);
  RandomForTest random(8);
  for (int i = 0; i < 300; ++i) {
    const std::string text =
        random.From({"the", " ", "a", "aa", "in", "あ", "1", "2", "!", "\n"}, 40);
    EXPECT_EQ(warm->Encode(text, {}), MustMake(v.Build())->Encode(text, {}));
  }
}

TEST(ByteBpe, ManyThreadsGetTheSameIds) {
  const auto tokenizer = MustMake(SmallByteLevel().Build());
  ASSERT_NE(tokenizer, nullptr);
  RandomForTest random(9);
  const std::string text = random.From({"the", " ", "a", "in", "あ", "12", "!", "\n"}, 5000);
  const Ids expected = tokenizer->Encode(text, {});
  std::vector<int> equal(6);
  {
    std::vector<std::jthread> threads;
    for (int& result : equal) {
      threads.emplace_back([&] {
        for (int i = 0; i < 20; ++i) result += tokenizer->Encode(text, {}) == expected;
      });
    }
  }
  EXPECT_THAT(equal, testing::Each(20));
}

TEST(ByteBpe, OneLetterAMillionTimesTakesSeconds) {
  const auto tokenizer = MustMake(SmallByteLevel().Build());
  ASSERT_NE(tokenizer, nullptr);
  const std::size_t n = 1'000'000;
  EXPECT_EQ(tokenizer->Encode(std::string(n, 'a'), {}).size(), n / 4);
  EXPECT_EQ(tokenizer->Encode(std::string(n, ' '), {}).size(), n / 4);
  EXPECT_EQ(tokenizer->Encode(std::string(n, '\xFF'), {}).size(), n);
}

TEST(ByteBpe, ControlTokensComeOnlyWhereAsked) {
  const SmallVocabulary v = SmallByteLevel();
  const auto tokenizer = MustMake(v.Build());
  ASSERT_NE(tokenizer, nullptr);
  const std::string text = "a<|end|>b";
  for (const std::int32_t id : tokenizer->Encode(text, {})) EXPECT_FALSE(tokenizer->IsControl(id));
  EXPECT_THAT(tokenizer->Encode(text, {.parse_special = true}),
              ElementsAre(v.Find("a"), v.Find("<|end|>"), v.Find("b")));
  EXPECT_EQ(tokenizer->Decode(tokenizer->Encode(text, {})), text);
  EXPECT_EQ(tokenizer->Decode(tokenizer->Encode(text, {.parse_special = true})), "ab");
  EXPECT_EQ(tokenizer->Decode(tokenizer->Encode(text, {.parse_special = true}), true), text);
}

TEST(ByteBpe, UserDefinedTokensAreAlwaysTakenLongestFirst) {
  const SmallVocabulary v = SmallByteLevel();
  const auto tokenizer = MustMake(v.Build());
  ASSERT_NE(tokenizer, nullptr);
  EXPECT_THAT(tokenizer->Encode("<tool><x><tool>", {}),
              ElementsAre(v.Find("<tool><x>"), v.Find("<tool>")));
  EXPECT_EQ(tokenizer->Decode(tokenizer->Encode("<tool><x>", {})), "<tool><x>");
}

TEST(ByteBpe, TheStartTokenIsAddedWhereTheModelAsks) {
  SmallVocabulary v = SmallByteLevel();
  Metadata metadata = v.Build();
  const auto start = static_cast<std::int64_t>(v.Find("<|endoftext|>"));
  metadata.Set("tokenizer.ggml.bos_token_id", start);
  const auto silent = MustMake(metadata);
  metadata.Set("tokenizer.ggml.add_bos_token", true);
  const auto asking = MustMake(metadata);
  ASSERT_TRUE(silent && asking);
  EXPECT_EQ(silent->start_id(), start);
  EXPECT_THAT(silent->Encode("a", {}), ElementsAre(v.Find("a")));
  EXPECT_THAT(asking->Encode("a", {}), ElementsAre(start, v.Find("a")));
  EXPECT_THAT(asking->Encode("", {}), ElementsAre(start));
  EXPECT_THAT(asking->Encode("a", {.add_start = false}), ElementsAre(v.Find("a")));
}

TEST(ByteBpe, GenerationEndsAtNamedIdsAndKnownControlTokens) {
  SmallVocabulary v = SmallByteLevel();
  v.Add("</s>");  // a normal token: only text
  v.Add("stop", 3);
  Metadata metadata = v.Build();
  metadata.Set("tokenizer.ggml.eot_token_id", static_cast<std::int64_t>(v.Find("stop")));
  const auto tokenizer = MustMake(metadata);
  ASSERT_NE(tokenizer, nullptr);
  EXPECT_TRUE(tokenizer->EndsGeneration(v.Find("stop")));
  EXPECT_TRUE(tokenizer->EndsGeneration(v.Find("<|end|>")));
  EXPECT_TRUE(tokenizer->EndsGeneration(v.Find("<|endoftext|>")));
  EXPECT_FALSE(tokenizer->EndsGeneration(v.Find("</s>")));
  EXPECT_FALSE(tokenizer->EndsGeneration(v.Find("a")));
  EXPECT_EQ(tokenizer->end_id(), -1);
}

TEST(ByteBpe, AnAnswerOfSeveralMessagesEndsAtTheLast) {
  SmallVocabulary v = SmallByteLevel();
  v.Add("<|return|>", 3);
  v.Add("<|call|>", 3);
  const auto tokenizer = MustMake(v.Build());
  ASSERT_NE(tokenizer, nullptr);
  EXPECT_TRUE(tokenizer->EndsGeneration(v.Find("<|return|>")));
  EXPECT_FALSE(tokenizer->EndsGeneration(v.Find("<|end|>")));
}

TEST(ByteBpe, IdsOutsideTheVocabularyAreNothing) {
  const auto tokenizer = MustMake(SmallByteLevel().Build());
  ASSERT_NE(tokenizer, nullptr);
  for (const std::int32_t id : {-1, tokenizer->vocabulary_size(), INT32_MAX, INT32_MIN}) {
    EXPECT_EQ(tokenizer->TokenBytes(id), "");
    EXPECT_EQ(tokenizer->TokenText(id), "");
    EXPECT_FALSE(tokenizer->IsControl(id));
    EXPECT_FALSE(tokenizer->EndsGeneration(id));
  }
}

// SmolLM's vocabulary lacks some bytes; Hugging Face's tokenizers drop them.
TEST(ByteBpe, BytesWithoutATokenGiveNothingOrTheReplacementCharacter) {
  SmallVocabulary v = SmallByteLevel();
  for (const unsigned char byte : {0x04, 0xFF}) {
    v.tokens[byte] = "unused" + std::to_string(byte);
  }
  const auto tokenizer = MustMake(v.Build());
  ASSERT_NE(tokenizer, nullptr);
  EXPECT_EQ(tokenizer->Decode(tokenizer->Encode("a\x04z", {})), "az");
  EXPECT_EQ(tokenizer->Decode(tokenizer->Encode("a\xFFz\x80", {})), "a\uFFFDz\x80");
}

struct Breakage {
  const char* what;
  std::function<void(SmallVocabulary&)> edit;
  std::function<void(Metadata&)> set;
  const char* expected;  // in the message
};

TEST(ByteBpe, BrokenVocabulariesAreRefusedNamingTheKey) {
  const auto nothing = [](auto&) {};
  const Breakage kCases[] = {
      {"no model", nothing, [](Metadata& m) { m = Metadata("small.gguf"); },
       "'tokenizer.ggml.model'"},
      {"unknown model", nothing,
       [](Metadata& m) { m.Set("tokenizer.ggml.model", std::string("rwkv")); },
       "'tokenizer.ggml.model' is 'rwkv'"},
      {"unknown splits", [](auto& v) { v.pre = "no-such"; }, nothing,
       "'tokenizer.ggml.pre' is 'no-such'"},
      {"tokens of another kind", nothing,
       [](Metadata& m) { m.Set("tokenizer.ggml.tokens", std::string("a")); },
       "'tokenizer.ggml.tokens'"},
      {"no tokens", nothing,
       [](Metadata& m) { m.Set("tokenizer.ggml.tokens", std::vector<std::string>()); },
       "'tokenizer.ggml.tokens'"},
      {"no merges", nothing, [](Metadata& m) { m.Set("tokenizer.ggml.merges", true); },
       "'tokenizer.ggml.merges'"},
      {"a token twice", [](auto& v) { v.Add("<|end|>"); }, nothing, "are the same text '<|end|>'"},
      {"a token too long", [](auto& v) { v.Add(std::string(Vocabulary::kTokenBytesMax + 1, 'x')); },
       nothing, "65537 bytes long, limit 65536"},
      {"types too few", [](auto& v) { v.types.pop_back(); }, nothing,
       "'tokenizer.ggml.token_type' has"},
      {"a type of 7", [](auto& v) { v.types[3] = 7; }, nothing, "entry 3 is 7, expected 1 to 6"},
      {"types of another kind", nothing,
       [](Metadata& m) { m.Set("tokenizer.ggml.token_type", std::string("x")); },
       "'tokenizer.ggml.token_type'"},
      {"a byte that is control", [](auto& v) { v.types[65] = 3; }, nothing,
       "entry 65 is the byte 65"},
      {"a merge of one piece", [](auto& v) { v.merges.push_back("ab"); }, nothing,
       "is 'ab', expected two"},
      {"a merge of nothing", [](auto& v) { v.merges.push_back(""); }, nothing,
       "is '', expected two"},
      {"a merge with an empty side", [](auto& v) { v.merges.push_back("a "); }, nothing,
       "is 'a ', expected"},
      {"a merge of an unknown piece", [](auto& v) { v.merges.push_back("q zzz"); }, nothing,
       "piece 'zzz'"},
      {"a merge into nothing", [](auto& v) { v.merges.push_back("q z"); }, nothing, "piece 'qz'"},
      {"a merge twice", [](auto& v) { v.merges.push_back(v.merges[4]); }, nothing,
       "which was there before"},
      {"a merge into a control token",
       [](auto& v) {
         v.Add("qz", 3);
         v.merges.push_back("q z");
       },
       nothing, "'qz', which is a control token"},
      {"a start outside", nothing,
       [](Metadata& m) { m.Set("tokenizer.ggml.bos_token_id", std::int64_t{100000}); },
       "'tokenizer.ggml.bos_token_id' is 100000"},
      {"a negative end", nothing,
       [](Metadata& m) { m.Set("tokenizer.ggml.eos_token_id", std::int64_t{-1}); },
       "'tokenizer.ggml.eos_token_id' is -1"},
      {"an end of another kind", nothing,
       [](Metadata& m) { m.Set("tokenizer.ggml.eos_token_id", std::string("a")); },
       "'tokenizer.ggml.eos_token_id'"},
      {"a start to add but none", nothing,
       [](Metadata& m) { m.Set("tokenizer.ggml.add_bos_token", true); },
       "'tokenizer.ggml.add_bos_token' is true but 'tokenizer.ggml.bos_token_id' is missing"},
  };
  for (const Breakage& breakage : kCases) {
    SmallVocabulary v = SmallByteLevel();
    breakage.edit(v);
    Metadata metadata = v.Build();
    breakage.set(metadata);
    const auto made = Tokenizer::FromMetadata(metadata);
    ASSERT_FALSE(made.ok()) << breakage.what;
    EXPECT_EQ(made.error().kind(), ErrorKind::kRefused);
    EXPECT_THAT(made.error().text(), HasSubstr("small.gguf: ")) << breakage.what;
    EXPECT_THAT(made.error().text(), HasSubstr(breakage.expected)) << breakage.what;
  }
}

}  // namespace
}  // namespace tatara::text
