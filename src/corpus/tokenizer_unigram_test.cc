// Unigram models learned from texts: the reference's pieces, the same bytes for any number of
// threads, the sums of the lattice, what is refused, hostile texts.
#include <fmt/format.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <functional>
#include <map>
#include <set>

#include "tatara/base/philox.h"
#include "tatara/base/sha256.h"
#include "tatara/base/thread_pool.h"
#include "tatara/text/tokenizer.h"
#include "test_support.h"
#include "tokenizer_lattice.h"
#include "tokenizer_seeds.h"
#include "tokenizer_test_support.h"

namespace tatara::corpus {
namespace {

using testing::Contains;
using testing::ElementsAre;
using testing::HasSubstr;

struct UnigramVectorPiece {
  const char* text;
  double score;
};
struct UnigramVector {
  std::vector<const char*> files;
  int vocabulary, piece_characters, sub_iterations;
  double shrinking;
  const char* normal_form;
  int characters;  // 0: all
  bool byte_fallback;
  int tokens;
  const char* digest;  // of all tokens, sorted by their bytes
};
#include "tokenizer_unigram_vectors.inc"

UnigramTraining Sized(int vocabulary) {
  UnigramTraining options;
  options.vocabulary = vocabulary;
  return options;
}

Result<TrainedTokenizer> TrainOnLines(const std::vector<std::filesystem::path>& files,
                                      const UnigramTraining& options) {
  TATARA_TRY(const auto texts, OpenTextFiles({.files = files, .by_line = true}));
  return TrainUnigram(*texts, options);
}

TEST(TrainUnigram, LearnsTheReferencesPiecesAndAlwaysTheSameBytes) {
  TATARA_REQUIRE_DATA(path, "train/tinyshakespeare.txt");
  std::map<std::string, double> wanted;
  for (const UnigramVectorPiece& piece : kUnigramPieces) wanted[piece.text] = piece.score;
  std::string digest;
  for (const int n_threads : {1, 3}) {
    UnigramTraining options = Sized(kUnigramVocabulary);
    options.n_threads = n_threads;
    const auto made = TrainOnLines({path}, options);
    ASSERT_TRUE(made.ok()) << made.error().text();
    const std::vector<std::string> tokens = TokensOf(*made);
    const std::vector<double>& scores = *made->gguf.Floats("tokenizer.ggml.scores");
    EXPECT_EQ(made->n_tokens, kUnigramVocabulary);
    int n_shared = 0, n_near = 0;
    for (std::size_t i = 0; i < tokens.size(); ++i) {
      const auto found = wanted.find(tokens[i]);
      if (found == wanted.end()) continue;
      ++n_shared;
      // There characters that lost their piece get their scores in the order of a hash table.
      const double allowed = tokens[i].size() == 1 ? 6e-3 : 2e-6;
      n_near += std::abs(scores[i] - found->second) <= allowed;
    }
    EXPECT_GE(n_shared, 0.99 * kUnigramVocabulary);
    EXPECT_EQ(n_near, n_shared);
    if (digest.empty()) digest = made->digest;
    EXPECT_EQ(made->digest, digest);
  }
  EXPECT_EQ(digest, "9d22b3029ab5de0cabb782bffd76d696201490e6ab7a71f230129b3e51204a54");
}

// Not one piece more or less, in English and Japanese, for usual settings and others. A limited
// alphabet is compared with pieces that are cut at all other characters before they are counted.
TEST(TrainUnigram, LearnsExactlyTheReferencesPieces) {
  TATARA_REQUIRE_DATA(folder, "train");
  for (const UnigramVector& vector : kUnigramVectors) {
    if (vector.vocabulary > 4000 && !test::RunAll()) continue;
    SCOPED_TRACE(fmt::format("{} of {}", vector.vocabulary, vector.files.back()));
    UnigramTraining options = Sized(vector.vocabulary);
    options.piece_characters_max = vector.piece_characters;
    options.sub_iterations = vector.sub_iterations;
    options.shrinking = vector.shrinking;
    options.normal_form = vector.normal_form;
    options.characters_max = vector.characters;
    options.byte_fallback = vector.byte_fallback;
    options.n_threads = 2;
    std::vector<std::filesystem::path> files;
    for (const char* file : vector.files) files.push_back(folder / file);
    const auto made = TrainOnLines(files, options);
    ASSERT_TRUE(made.ok()) << made.error().text();
    std::vector<std::string> tokens = TokensOf(*made);
    EXPECT_EQ(std::ssize(tokens), vector.tokens);
    std::ranges::sort(tokens);
    std::string all;
    for (const std::string& token : tokens) all += token + '\0';
    EXPECT_EQ(Sha256Hex(all), vector.digest);
  }
}

TEST(TrainUnigram, TokenizerJsonAndKeysGiveTheSameIds) {
  UnigramTraining options = Sized(60);
  options.special = {"<s>", "<unk>", "</s>"};
  options.start = "<s>";
  options.end = "</s>";
  const auto made = Train({"the cat sat on the mat", "the cat ate the rat", "猫が座った"}, options);
  ASSERT_TRUE(made.ok()) << made.error().text();
  Metadata json("tokenizer.json");
  json.Set("tokenizer.huggingface.json", made->tokenizer_json);
  const auto from_json = text::Tokenizer::FromMetadata(json);
  ASSERT_TRUE(from_json.ok()) << from_json.error().text();
  const auto from_keys = text::Tokenizer::FromMetadata(made->gguf);
  ASSERT_TRUE(from_keys.ok()) << from_keys.error().text();
  for (const std::string text : {"the rat sat on the cat", " two  spaces ", "猫x が"}) {
    EXPECT_EQ((*from_json)->Encode(text, {}), (*from_keys)->Encode(text, {})) << text;
  }
  const std::vector<std::int32_t> ids = (*from_json)->Encode("the cat", {});
  EXPECT_EQ(ids[0], 0);
  EXPECT_EQ((*from_keys)->end_id(), 2);
  EXPECT_EQ((*from_json)->Decode(ids), "the cat");
}

// The alphabet holds letters, the mark and a few kana; all else comes back through bytes.
TEST(TrainUnigram, WhatIsOutsideTheAlphabetComesBackThroughBytes) {
  UnigramTraining options = Sized(300);
  options.byte_fallback = true;
  options.normal_form = "nfkc";
  options.characters_max = 8;
  const auto made = Train(
      {"the cat sat on the mat", "the hat at the \uFF4D\uFF41\uFF54", "\u732B\u304C"}, options);
  ASSERT_TRUE(made.ok()) << made.error().text();
  const std::vector<std::string> tokens = TokensOf(*made);
  EXPECT_THAT(tokens, testing::IsSupersetOf({"<unk>", "<0x00>", "<0xFF>", "\u2581", "t", "m"}));
  EXPECT_THAT(tokens, testing::Not(Contains(HasSubstr("\u732B"))));
  EXPECT_EQ(tokens[1], "<0x00>");
  const std::vector<double>& scores = *made->gguf.Floats("tokenizer.ggml.scores");
  EXPECT_LT(scores[1], 6 * scores.back()) << "the package would find a byte's name in texts";
  const auto n_single =
      std::ranges::count_if(tokens.begin() + 257, tokens.end(),
                            [](const auto& t) { return t.size() == 1 || t == "\u2581"; });
  EXPECT_EQ(n_single, 8);
  Metadata json("tokenizer.json");
  json.Set("tokenizer.huggingface.json", made->tokenizer_json);
  const auto from_json = text::Tokenizer::FromMetadata(json);
  ASSERT_TRUE(from_json.ok()) << from_json.error().text();
  const auto from_keys = text::Tokenizer::FromMetadata(made->gguf);
  ASSERT_TRUE(from_keys.ok()) << from_keys.error().text();
  for (const std::string text : {"the cat", "\u732B\u304C the <0x41>", "\u00E9 \x01", "<unk>"}) {
    const std::vector<std::int32_t> ids = (*from_json)->Encode(text, {});
    EXPECT_EQ(ids, (*from_keys)->Encode(text, {})) << text;
    EXPECT_EQ((*from_json)->Decode(ids), text);
    EXPECT_EQ((*from_keys)->Decode(ids), text);
  }
  EXPECT_EQ((*from_json)->Encode("\uFF54\uFF48\uFF45", {}), (*from_json)->Encode("the", {}));
}

// Texts with a byte's name give no second token of that name.
TEST(TrainUnigram, ABytesNameIsOneToken) {
  UnigramTraining options = Sized(300);
  options.byte_fallback = true;
  const auto made = Train({"<0x41> <0x41>a <0x41>b <0x42> x<0x41>", "x<0x41> y<0x41>"}, options);
  ASSERT_TRUE(made.ok()) << made.error().text();
  EXPECT_EQ(std::ranges::count(TokensOf(*made), "<0x41>"), 1);
  options.special = {"<0x41>"};
  const auto refused = Train({"a"}, options);
  ASSERT_FALSE(refused.ok());
  EXPECT_THAT(refused.error().text(), HasSubstr("twice"));
}

TEST(TrainUnigram, EveryCharacterIsAToken) {
  const auto made = Train({"aaaa bbbb aaaa bbbb q", "漢字 aaaa"}, Sized(12));
  ASSERT_TRUE(made.ok()) << made.error().text();
  const std::vector<std::string> tokens = TokensOf(*made);
  for (const char* character : {"a", "b", "q", "漢", "字", "\xE2\x96\x81"}) {
    EXPECT_THAT(tokens, Contains(character));
  }
  EXPECT_EQ(tokens[0], "<unk>");
}

TEST(TrainUnigram, HostileTextsEnd) {
  for (const std::string& text :
       {std::string(300'000, 'a'), std::string(100'000, '\0'), std::string("<unk> <UNK> <unk>"),
        std::string("\xE2\x96\x81\xE2\x96\x81 \xE2\x96\x81"),
        std::string("\uFDFA\u0301\u0323\uFDFA"), std::string("<0x00><0xFF>"), std::string()}) {
    for (const bool every_option : {false, true}) {
      UnigramTraining options = Sized(every_option ? 400 : 100);
      if (every_option) options.normal_form = "nfkd";
      options.byte_fallback = every_option;
      options.characters_max = every_option ? 2 : 0;
      const auto made = Train({text}, options);
      ASSERT_TRUE(made.ok()) << made.error().text();
      EXPECT_GE(made->n_tokens, 1);
    }
  }
}

TEST(TrainUnigram, WhatCannotBeIsRefused) {
  const auto refusal = [](const UnigramTraining& options) {
    const auto made = Train({"a few letters"}, options);
    return made.ok() ? std::string() : made.error().text();
  };
  EXPECT_THAT(refusal(Sized(8)), HasSubstr("single characters and 1 special tokens are 10"));
  UnigramTraining options = Sized(100);
  options.shrinking = 1;
  EXPECT_THAT(refusal(options), HasSubstr("share"));
  options = Sized(100);
  options.characters_max = -1;
  EXPECT_THAT(refusal(options), HasSubstr("an alphabet of -1"));
  options = Sized(100);
  options.normal_form = "NFKC";
  EXPECT_THAT(refusal(options), HasSubstr("'NFKC'"));
  options = Sized(100);
  options.byte_fallback = true;
  EXPECT_THAT(refusal(options), HasSubstr("257 special tokens"));
  options = Sized(100);
  options.unknown = "";
  EXPECT_THAT(refusal(options), HasSubstr("no UTF-8 text"));
}

// Substrings by trying all.
TEST(UnigramSeeds, AreTheSubstringsThatBranch) {
  WordCounts words(1);
  for (const char* word : {"abracadabra", "bra", "cad", "dabra", "aaaa"}) words.Add(word, 3);
  const WordText text = MakeWordText(words);
  ThreadPool pool(2);
  std::vector<std::tuple<std::uint64_t, std::string>> found, expected;
  for (const Seed& seed : FindSeeds(text, 4, 1000, pool)) {
    found.emplace_back(seed.n * seed.length,
                       text.Written(std::span(text.text).subspan(seed.begin, seed.length)));
  }
  std::map<std::string, std::pair<int, std::set<char>>> all;
  for (std::size_t i = 0; i < words.size(); ++i) {
    const std::string word = std::string(words.text(i)) + '\0';
    for (std::size_t at = 0; at < word.size(); ++at) {
      for (std::size_t n = 2; n <= 4 && at + n < word.size(); ++n) {
        auto& [count, next] = all[word.substr(at, n)];
        ++count;
        next.insert(word[at + n]);
      }
    }
  }
  for (const auto& [piece, what] : all) {
    if (what.second.size() > 1) expected.emplace_back(what.first * piece.size(), piece);
  }
  std::ranges::sort(expected, std::greater{});
  EXPECT_EQ(found, expected);
  EXPECT_EQ(FindSeeds(text, 4, 3, pool).size(), 3u);
}

class Lattices : public testing::Test {
 protected:
  // Pieces with random scores over a text of four characters.
  void Make(std::size_t n_text) {
    for (std::size_t i = 0; i < n_text; ++i) text_.push_back(1 + Below(3 * i, 4));
    pieces_.push_back({});
    std::set<std::vector<std::uint32_t>> known;
    for (std::uint32_t i = 0; i < 60 && i + 5 < n_text; ++i) {
      const std::uint32_t length = 1 + Below(3 * i + 1, 5);
      if (!known.insert({text_.begin() + i, text_.begin() + i + length}).second) continue;
      if (length == 1 && text_[i] == 4) continue;  // one character is no piece
      pieces_.push_back({i, length, -1.0 - static_cast<double>(Below(3 * i + 2, 1000)) / 100});
    }
  }
  static std::uint32_t Below(std::uint64_t at, std::uint64_t n) {
    return static_cast<std::uint32_t>(
        RandomBelow({.seed = 5, .purpose = RandomPurpose::kTest, .position = at}, n));
  }
  std::vector<std::uint32_t> text_;
  std::vector<UnigramPiece> pieces_;
};

TEST_F(Lattices, ExpectedCountsAreThoseOfAllWaysToWriteAWord) {
  Make(80);
  const PieceSet set(text_, pieces_, 4);
  const std::span<const std::uint32_t> word = std::span(text_).subspan(3, 9);
  // Every way, one after the other.
  std::vector<double> expected(pieces_.size()), path;
  double all = 0, best = -1e300;
  std::vector<std::uint32_t> ids;
  const std::function<void(std::size_t, double)> go = [&](std::size_t at, double score) {
    if (at == word.size()) {
      all += std::exp(score);
      best = std::max(best, score);
      for (const std::uint32_t id : ids) expected[id] += std::exp(score);
      return;
    }
    const auto step = [&](std::uint32_t length, std::uint32_t id) {
      ids.push_back(id);
      go(at + length, score + set.score(id));
      ids.pop_back();
    };
    if (set.Single(word[at]) < 0) step(1, 0);
    for (std::uint32_t id = 1; id < pieces_.size(); ++id) {
      const auto piece = std::span(text_).subspan(pieces_[id].begin, pieces_[id].length);
      if (at + piece.size() <= word.size() &&
          std::ranges::equal(piece, word.subspan(at, piece.size()))) {
        step(pieces_[id].length, id);
      }
    }
  };
  go(0, 0);
  Lattice lattice;
  std::vector<double> found(pieces_.size());
  lattice.AddExpected(set, word, 2.0, found);
  for (std::size_t id = 0; id < pieces_.size(); ++id) {
    EXPECT_NEAR(found[id], 2 * expected[id] / all, 1e-12);
  }
  lattice.Best(set, word);
  EXPECT_NEAR(lattice.best_score(), best, 1e-9);
}

// Sums of a word far below the smallest double.
TEST_F(Lattices, LongWordsDoNotUnderflow) {
  Make(20'000);
  const PieceSet set(text_, pieces_, 4);
  Lattice lattice;
  std::vector<double> found(pieces_.size());
  lattice.AddExpected(set, text_, 1.0, found);
  double characters = found[0];
  for (std::size_t id = 1; id < pieces_.size(); ++id) {
    ASSERT_TRUE(std::isfinite(found[id]));
    characters += found[id] * pieces_[id].length;
  }
  EXPECT_NEAR(characters, 20'000, 1e-6);
}

}  // namespace
}  // namespace tatara::corpus
