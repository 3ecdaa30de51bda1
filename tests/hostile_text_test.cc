// Time of tokenizing grows with the length of a text, whatever it is: one word without end, one
// letter repeated, digits for the expressions that look ahead over them. Every vocabulary of the
// data, and one vocabulary under every named pre-tokenizer.
//
// A text and one sixteen times as long are compared by processor time, so that a slow or busy
// machine does not count. Merges cost n log n and leave the processor's caches, which came to 60
// times as long; work that grows with the square takes 256 times as long.

#include <gtest/gtest.h>
#include <time.h>

#include <algorithm>
#include <filesystem>
#include <set>
#include <string>
#include <vector>

#include "../src/text/named_splits.h"
#include "tatara/text/tokenizer.h"
#include "tatara/weights/tensor_store.h"
#include "test_support.h"

namespace tatara::test {
namespace {

struct Hostile {
  const char* name;
  std::string unit;  // repeated
};

std::vector<Hostile> HostileTexts() {
  std::string word;  // letters without a pattern that merges could follow
  std::uint32_t state = 1;
  for (int i = 0; i < 65537; ++i) {
    state = state * 1664525 + 1013904223;
    word += static_cast<char>('a' + (state >> 24) % 26);
  }
  return {{"one letter", "a"},
          {"one word", word},
          {"spaces", " "},
          {"line ends", "\n"},
          {"digits", "7"},
          {"punctuation", "!"},
          {"Han", "\xE7\x8C\xAB"},
          {"an accent on nothing", "\xCC\x81"},
          {"no UTF-8", "\xFF"},
          {"half a marker", "<|"},
          {"spaces and lines", " \n"},
          {"letters and digits", "a1"},
          {"capitals", "aA"},
          {"apostrophes", "'s"}};
}

std::string Repeat(const std::string& unit, std::size_t bytes) {
  std::string text;
  while (text.size() < bytes) text += unit;
  return text;
}

double ProcessorSeconds() {
  timespec now;
  clock_gettime(CLOCK_THREAD_CPUTIME_ID, &now);
  return static_cast<double>(now.tv_sec) + 1e-9 * static_cast<double>(now.tv_nsec);
}

double SecondsToEncode(const text::Tokenizer& tokenizer, const std::string& text, int rounds) {
  double best = 1e9;
  for (int i = 0; i < rounds; ++i) {
    const double start = ProcessorSeconds();
    EXPECT_LE(tokenizer.Encode(text, {}).size(), 4 * text.size() + 8);
    best = std::min(best, ProcessorSeconds() - start);
  }
  return best;
}

void ExpectLinear(const text::Tokenizer& tokenizer, const std::string& about) {
  const std::size_t size = RunAll() ? 10'000'000 : 800'000;
  for (const Hostile& hostile : HostileTexts()) {
    const std::string small = Repeat(hostile.unit, size / 16), large = Repeat(hostile.unit, size);
    // What a short text costs at least, so that a ratio of two tiny times says nothing.
    constexpr double kFloor = 0.001;
    const double base = std::max(SecondsToEncode(tokenizer, small, 3), kFloor);
    double taken = SecondsToEncode(tokenizer, large, 1);
    if (taken > 120 * base) taken = SecondsToEncode(tokenizer, large, 2);  // was it the machine?
    EXPECT_LT(taken, 120 * base) << about << ", " << hostile.name << ": " << taken << " s against "
                                 << base << " s";
    EXPECT_LT(taken / static_cast<double>(size), 10e-6) << about << ", " << hostile.name;
  }
}

std::unique_ptr<text::Tokenizer> Make(const Metadata& metadata) {
  auto tokenizer = text::Tokenizer::FromMetadata(metadata);
  EXPECT_TRUE(tokenizer.ok()) << tokenizer.error().text();
  return tokenizer.ok() ? std::move(tokenizer).value() : nullptr;
}

TEST(HostileText, TakesLinearTimeWithEveryVocabulary) {
  TATARA_REQUIRE_DATA(folder, "tokenizer");
  int n_vocabularies = 0;
  for (const auto& entry : std::filesystem::directory_iterator(folder)) {
    if (entry.path().extension() != ".gguf") continue;
    const auto store = weights::OpenTensorStore(entry.path());
    ASSERT_TRUE(store.ok()) << store.error().text();
    const auto tokenizer = Make((*store)->metadata());
    ASSERT_NE(tokenizer, nullptr);
    ExpectLinear(*tokenizer, entry.path().stem().string());
    ++n_vocabularies;
  }
  EXPECT_GE(n_vocabularies, 6);
}

TEST(HostileText, TakesLinearTimeWithEveryNamedPreTokenizer) {
  TATARA_REQUIRE_DATA(file, "tokenizer/ggml-vocab-gpt-2.gguf");
  const auto store = weights::OpenTensorStore(file);
  ASSERT_TRUE(store.ok()) << store.error().text();
  std::set<std::vector<std::string_view>> seen;
  for (const std::string_view name : text::KnownSplitNames()) {
    const auto splits = text::SplitsOfName(name, "test");
    ASSERT_TRUE(splits.ok());
    if (!seen.insert(splits->expressions).second) continue;
    Metadata metadata = (*store)->metadata();
    metadata.Set("tokenizer.ggml.pre", std::string(name));
    const auto tokenizer = Make(metadata);
    ASSERT_NE(tokenizer, nullptr) << name;
    ExpectLinear(*tokenizer, std::string(name));
  }
}

TEST(HostileText, TakesLinearTimeWithUnigramAndWordPiece) {
  constexpr const char* kUnigram =
      R"({"version":"1.0","added_tokens":[],"normalizer":{"type":"NFKC"},)"
      R"("pre_tokenizer":{"type":"Metaspace","replacement":"▁","prepend_scheme":"always"},)"
      R"("decoder":{"type":"Metaspace","replacement":"▁","prepend_scheme":"always"},)"
      R"("model":{"type":"Unigram","unk_id":0,"byte_fallback":false,"vocab":[["<unk>",0],["▁",-2],)"
      R"(["a",-3],["aa",-3.5],["aaaa",-4],["s",-3],["7",-3],["77",-4],["7777",-5],["!",-4]]}})";
  constexpr const char* kWordPiece =
      R"({"version":"1.0","added_tokens":[],"normalizer":{"type":"BertNormalizer","lowercase":true},)"
      R"("pre_tokenizer":{"type":"BertPreTokenizer"},"decoder":{"type":"WordPiece"},)"
      R"("model":{"type":"WordPiece","unk_token":"[UNK]","continuing_subword_prefix":"##",)"
      R"("max_input_chars_per_word":1000,"vocab":{"[UNK]":0,"a":1,"##a":2,"##aa":3,"##aaaa":4,)"
      R"("7":5,"##7":6,"##77":7,"!":8,"s":9,"'":10}}})";
  for (const char* json : {kUnigram, kWordPiece}) {
    Metadata metadata("tokenizer.json");
    metadata.Set("tokenizer.huggingface.json", std::string(json));
    const auto tokenizer = Make(metadata);
    ASSERT_NE(tokenizer, nullptr);
    ExpectLinear(*tokenizer, json == kUnigram ? "unigram" : "WordPiece");
  }
}

}  // namespace
}  // namespace tatara::test
