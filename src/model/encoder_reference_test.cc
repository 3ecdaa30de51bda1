// Encoders that the data folder has nothing for, against vectors and class scores that
// tools/make_encoder_vectors.py made from the same weights with Hugging Face's transformers.

#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <string>
#include <vector>

#include "model_test_support.h"
#include "tatara/model/encoder.h"
#include "test_support.h"

namespace tatara::model {
namespace {

#include "reference_encoders.inc"

using test::MemoryStore;

constexpr int kVocab = 40, kEmbd = 32, kFf = 48, kLayers = 2, kContext = 64;
constexpr std::int64_t kSecondSegment = 9;

// The order of the tensors is that of the script: it decides their values.
std::shared_ptr<MemoryStore> CrossEncoder(int n_segments, int n_classes) {
  auto store = std::make_shared<MemoryStore>();
  store->keys().Set("general.architecture", std::string("bert"));
  const auto key = [&](const std::string& name, const Metadata::Value& value) {
    store->keys().Set("bert." + name, value);
  };
  key("context_length", std::uint64_t{kContext});
  key("embedding_length", std::uint64_t{kEmbd});
  key("block_count", std::uint64_t{kLayers});
  key("feed_forward_length", std::uint64_t{kFf});
  key("attention.head_count", std::uint64_t{4});
  key("attention.layer_norm_epsilon", 1e-12);
  key("pooling_type", std::uint64_t{4});
  const auto norm = [&](const std::string& name) {
    store->Add(name + ".weight", 1, kEmbd, 1);
    store->Add(name + ".bias", 1, kEmbd);
  };
  const auto linear = [&](const std::string& name, int n_out, int n_in) {
    store->Add(name + ".weight", n_out, n_in);
    store->Add(name + ".bias", 1, n_out);
  };
  store->Add("token_embd.weight", kVocab, kEmbd);
  store->Add("token_types.weight", n_segments, kEmbd);
  store->Add("position_embd.weight", kContext, kEmbd);
  norm("token_embd_norm");
  for (int i = 0; i < kLayers; ++i) {
    const std::string b = "blk." + std::to_string(i) + ".";
    for (const char* name : {"attn_q", "attn_k", "attn_v", "attn_output"}) {
      linear(b + name, kEmbd, kEmbd);
    }
    norm(b + "attn_output_norm");
    linear(b + "ffn_up", kFf, kEmbd);
    linear(b + "ffn_down", kEmbd, kFf);
    norm(b + "layer_output_norm");
  }
  linear("cls", kEmbd, kEmbd);
  linear("cls.output", n_classes, kEmbd);
  return store;
}

std::vector<std::int32_t> Tokens() {
  std::vector<std::int32_t> tokens;
  for (int i = 0; i < 24; ++i) tokens.push_back(3 + (i * 7 + i * i * 3 + 11) % (kVocab - 3));
  return tokens;
}

// Sequences of 24, 1 and 7 tokens in one batch.
std::vector<EncoderInput> Inputs(std::span<const std::int32_t> tokens) {
  std::vector<EncoderInput> inputs;
  for (const std::size_t n : {24, 1, 7}) {
    inputs.push_back({.tokens = tokens.first(n), .second_segment = kSecondSegment});
  }
  return inputs;
}

// The largest distance over the reference's standard deviation.
double Apart(std::span<const float> got, std::span<const float> want) {
  double mean = 0, variance = 0, worst = 0;
  for (const float v : want) mean += double{v} / static_cast<double>(want.size());
  for (const float v : want) variance += (v - mean) * (v - mean) / static_cast<double>(want.size());
  for (std::size_t i = 0; i < want.size(); ++i) {
    worst = std::max(worst, std::abs(double{got[i]} - double{want[i]}));
  }
  return worst / std::sqrt(variance);
}

std::unique_ptr<Encoder> Load(const std::shared_ptr<MemoryStore>& store, ThreadPool& pool) {
  auto encoder = Encoder::Load(store, {.activations = numerics::Activations::kF32}, pool);
  EXPECT_TRUE(encoder.ok()) << encoder.error().text();
  return encoder.ok() ? std::move(*encoder) : nullptr;
}

void ExpectScores(const std::shared_ptr<MemoryStore>& store, const char* name,
                  std::span<const float> want) {
  ThreadPool pool(1);
  const auto encoder = Load(store, pool);
  ASSERT_NE(encoder, nullptr);
  const auto tokens = Tokens();
  std::vector<float> scores(want.size());
  ASSERT_TRUE(encoder->Classify(Inputs(tokens), pool, scores).ok());
  const double apart = Apart(scores, want);
  EXPECT_LE(apart, 1e-4);
  tatara::test::RecordEvidence({"bert", "tiny vectors", name, apart});
}

TEST(EncoderReference, BertJudgesAPairByItsTwoSegments) {
  ExpectScores(CrossEncoder(2, 2), "bert cross-encoder", kBertScores);
}

TEST(EncoderReference, XlmRJudgesAPair) {
  ExpectScores(CrossEncoder(1, 1), "xlm-r cross-encoder", kXlmRScores);
}

TEST(EncoderReference, XlmREmbeds) {
  ThreadPool pool(1);
  const auto encoder = Load(CrossEncoder(1, 1), pool);
  ASSERT_NE(encoder, nullptr);
  const auto tokens = Tokens();
  std::vector<float> means(std::size(kXlmRMeans));
  ASSERT_TRUE(encoder->Encode(Inputs(tokens), Pooling::kMean, pool, means).ok());
  const double apart = Apart(means, kXlmRMeans);
  EXPECT_LE(apart, 1e-4);
  tatara::test::RecordEvidence({"bert", "tiny vectors", "xlm-r", apart});
}

TEST(EncoderReference, AHeadSaysItsClassesAndNamesThemWhereTheFileDoes) {
  ThreadPool pool(1);
  const auto store = CrossEncoder(2, 2);
  store->keys().Set("bert.classifier.output_labels", std::vector<std::string>{"no", "yes"});
  const auto encoder = Load(store, pool);
  ASSERT_NE(encoder, nullptr);
  EXPECT_EQ(encoder->info().n_classes, 2);
  EXPECT_EQ(encoder->info().class_labels, (std::vector<std::string>{"no", "yes"}));
  EXPECT_EQ(encoder->info().pooling, Pooling::kFirst);
}

TEST(EncoderReference, AnotherPositionScalingThanNoneIsRefused) {
  ThreadPool pool(1);
  const auto store = CrossEncoder(1, 1);
  store->keys().Set("bert.rope.scaling.type", std::string("none"));
  EXPECT_TRUE(Encoder::Load(store, {}, pool).ok());
  store->keys().Set("bert.rope.scaling.type", std::string("yarn"));
  const auto encoder = Encoder::Load(store, {}, pool);
  ASSERT_FALSE(encoder.ok());
  EXPECT_NE(encoder.error().text().find("bert.rope.scaling.type"), std::string::npos);
}

TEST(EncoderReference, ADecoderWithoutAPoolingIsRefusedAsAnEncoder) {
  ThreadPool pool(1);
  const auto encoder = Encoder::Load(test::TinyModel("llama"), {}, pool);
  ASSERT_FALSE(encoder.ok());
  EXPECT_NE(encoder.error().text().find("llama.pooling_type"), std::string::npos);
}

}  // namespace
}  // namespace tatara::model
