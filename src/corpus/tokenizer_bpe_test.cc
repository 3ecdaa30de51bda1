// Byte pair encoding learned from texts: the reference's merges, the same bytes for any number of
// threads, what is refused, hostile texts.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <fstream>

#include "tatara/base/sha256.h"
#include "tatara/text/tokenizer.h"
#include "test_support.h"
#include "tokenizer_test_support.h"

namespace tatara::corpus {
namespace {

using testing::ElementsAre;
using testing::HasSubstr;
using testing::IsEmpty;

struct PairVector {
  const char* file;
  int vocabulary;
  std::size_t n_merges;
  const char* digest;
  std::vector<std::string> first;
};
#include "tokenizer_pair_vectors.inc"

BpeTraining Sized(int vocabulary) {
  BpeTraining options;
  options.vocabulary = vocabulary;
  return options;
}

TEST(TrainBpe, LearnsTheReferencesMergesFromTheSharedTexts) {
  for (const PairVector& vector : kPairVectors) {
    TATARA_REQUIRE_DATA(path, std::string("train/") + vector.file);
    const auto texts = OpenTextFiles({.files = {path}});
    ASSERT_TRUE(texts.ok()) << texts.error().text();
    BpeTraining options = Sized(vector.vocabulary);
    options.special = {"<|endoftext|>"};
    const auto made = TrainBpe(**texts, options);
    ASSERT_TRUE(made.ok()) << made.error().text();
    const std::vector<std::string> merges = MergesOf(*made);
    std::string lines;
    for (const std::string& merge : merges) lines += merge + "\n";
    EXPECT_EQ(merges.size(), vector.n_merges) << vector.file;
    EXPECT_EQ(Sha256Hex(lines), vector.digest) << vector.file;
    for (std::size_t i = 0; i < vector.first.size(); ++i) EXPECT_EQ(merges[i], vector.first[i]);
  }
}

TEST(TrainBpe, MostFrequentPairFirstThenTheLowerIds) {
  // "ab" 4 times, "cd" and "ef" twice each, "ba" once.
  const auto made = Train({"ab ab ab aba cd cd ef ef"}, Sized(270));
  ASSERT_TRUE(made.ok()) << made.error().text();
  EXPECT_THAT(MergesOf(*made), ElementsAre("a b", "Ġ ab", "c d", "e f", "Ġ cd", "Ġ ef"));
  EXPECT_EQ(made->n_tokens, 256 + 6);
  EXPECT_EQ(made->n_pieces, 8u);
  EXPECT_EQ(made->n_distinct_pieces, 5u);
}

TEST(TrainBpe, RarePairsBecomeNoToken) {
  BpeTraining options = Sized(300);
  options.min_frequency = 3;
  const auto made = Train({"ab ab cd cd cd"}, options);
  EXPECT_THAT(MergesOf(*made), ElementsAre("c d", "Ġ cd"));
}

TEST(TrainBpe, SpecialTokensComeFirstAndNoMergeWritesOne) {
  BpeTraining options = Sized(300);
  options.special = {"<|end|>", "ab"};
  options.end = "<|end|>";
  const auto made = Train({"abab ab abc abc"}, options);
  ASSERT_TRUE(made.ok()) << made.error().text();
  EXPECT_EQ(TokensOf(*made)[0], "<|end|>");
  EXPECT_EQ(TokensOf(*made)[2], "!");
  EXPECT_THAT(MergesOf(*made), testing::Not(testing::Contains("a b")));
  EXPECT_EQ(made->gguf.Int("tokenizer.ggml.eos_token_id").value(), 0);
}

TEST(TrainBpe, TokenizerJsonAndKeysGiveTheSameIds) {
  BpeTraining options = Sized(400);
  options.special = {"<s>"};
  options.start = "<s>";
  for (const char* pre : {"gpt2", "llama3", "qwen2"}) {
    options.pre = pre;
    const auto made = Train({"the cat sat on the mat; 猫が座った。 1234 5678\n\nthe end"}, options);
    ASSERT_TRUE(made.ok()) << made.error().text();
    Metadata json("tokenizer.json");
    json.Set("tokenizer.huggingface.json", made->tokenizer_json);
    const auto from_json = text::Tokenizer::FromMetadata(json);
    ASSERT_TRUE(from_json.ok()) << from_json.error().text();
    const auto from_keys = text::Tokenizer::FromMetadata(made->gguf);
    ASSERT_TRUE(from_keys.ok()) << from_keys.error().text();
    const std::string text = "the dog sat on a mat. 猫\n\n99999 ";
    const std::vector<std::int32_t> ids = (*from_json)->Encode(text, {});
    EXPECT_EQ(ids, (*from_keys)->Encode(text, {}));
    EXPECT_EQ(ids[0], 0);
    EXPECT_EQ((*from_json)->Decode(ids), text);
  }
}

TEST(TrainBpe, NumberOfThreadsAndCutsChangeNothing) {
  TATARA_REQUIRE_DATA(path, "train/wiki_demo.txt");
  const std::string whole = test::ReadFile(path).substr(0, 300'000);
  std::string expected;
  for (const int n_threads : {1, 2, 7}) {
    BpeTraining options = Sized(1000);
    options.n_threads = n_threads;
    std::vector<std::string> texts;  // lines: other texts each time, the same pieces
    for (std::size_t begin = 0; begin < whole.size();) {
      std::size_t end = whole.find("\n", begin + static_cast<std::size_t>(n_threads) * 50'000);
      end = end == whole.npos ? whole.size() : end + 1;
      texts.push_back(whole.substr(begin, end - begin));
      begin = end;
    }
    const auto made = Train(texts, options);
    ASSERT_TRUE(made.ok()) << made.error().text();
    if (expected.empty()) expected = made->tokenizer_json;
    EXPECT_EQ(made->tokenizer_json, expected) << n_threads;
  }
}

TEST(TrainBpe, TenMillionTimesOneLetterTakeSecondsNotHours) {
  const auto made = Train({std::string(10'000'000, 'a')}, Sized(300));
  ASSERT_TRUE(made.ok()) << made.error().text();
  EXPECT_EQ(MergesOf(*made)[0], "a a");
  EXPECT_EQ(MergesOf(*made)[1], "aa aa");
  EXPECT_EQ(made->n_distinct_pieces, 1u);
}

TEST(TrainBpe, OneLongWordCostsWhatItsMergesChange) {
  std::string word;
  std::uint32_t state = 1;
  for (int i = 0; i < 2'000'000; ++i) {
    state = state * 1664525u + 1013904223u;
    word += static_cast<char>('a' + (state >> 24) % 26);
  }
  const auto made = Train({word}, Sized(2000));
  ASSERT_TRUE(made.ok()) << made.error().text();
  EXPECT_EQ(made->n_tokens, 2000);
}

TEST(TrainBpe, NoTextGivesTheBytes) {
  const auto made = Train({}, Sized(300));
  ASSERT_TRUE(made.ok()) << made.error().text();
  EXPECT_EQ(made->n_tokens, 256);
  EXPECT_THAT(MergesOf(*made), IsEmpty());
}

TEST(TrainBpe, WhatCannotBeIsRefused) {
  const auto refusal = [](const BpeTraining& options) {
    const auto made = Train({"a text"}, options);
    return made.ok() ? std::string() : made.error().text();
  };
  EXPECT_THAT(refusal(Sized(255)), HasSubstr("single characters and 0 special tokens are 256"));
  EXPECT_THAT(refusal(Sized(0)), HasSubstr("1 to"));
  BpeTraining options = Sized(300);
  options.special = {"a"};
  EXPECT_THAT(refusal(options), HasSubstr("token of a byte"));
  options.special = {"<x>", "<x>"};
  EXPECT_THAT(refusal(options), HasSubstr("twice"));
  options.special = {"\xff"};
  EXPECT_THAT(refusal(options), HasSubstr("no UTF-8"));
  options.special = {};
  options.end = "</s>";
  EXPECT_THAT(refusal(options), HasSubstr("not among"));
  options.end = "";
  options.pre = "gpt-5";
  EXPECT_THAT(refusal(options),
              AllOf(HasSubstr("'gpt-5' (pre)"), HasSubstr(" gpt-2, "), HasSubstr(" llama3, ")));
  options.pre = "gpt-2";
  options.memory_bytes_max = 1000;
  EXPECT_THAT(refusal(options), HasSubstr("raise the limit"));
  StopFlag stop;
  stop.Set();
  options = Sized(300);
  options.stop = &stop;
  EXPECT_THAT(refusal(options), HasSubstr("stopped"));
}

}  // namespace
}  // namespace tatara::corpus
