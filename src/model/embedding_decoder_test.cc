// Decoders whose states are pooled: the states are those that the head reads, and a text longer
// than a pass has the bits that one pass over it would give.

#include <gtest/gtest.h>

#include <cmath>

#include "model_test_support.h"
#include "tatara/model/encoder.h"

namespace tatara::model {
namespace {

using numerics::Activations;
using test::SameBits;
using test::TinyModel;

std::vector<std::int32_t> SomeTokens(int n) {
  std::vector<std::int32_t> tokens;
  for (int i = 0; i < n; ++i) tokens.push_back((i * 7 + i * i * 3) % 40);
  return tokens;
}

std::vector<std::int32_t> AllRows(std::size_t n) {
  std::vector<std::int32_t> rows(n);
  for (std::size_t i = 0; i < n; ++i) rows[i] = static_cast<std::int32_t>(i);
  return rows;
}

// Logits or states of all positions in one pass.
std::vector<float> OnePass(Model& model, const std::vector<std::int32_t>& tokens, bool states) {
  ThreadPool pool(1);
  const int n_pages = static_cast<int>(tokens.size() / 64 + 1);
  auto kv = KvPool::Make(model.info().cache, model.cache_type(), n_pages);
  EXPECT_TRUE(kv.ok());
  std::vector<int> pages;
  for (int i = 0; i < n_pages; ++i) pages.push_back(i);
  const auto rows = AllRows(tokens.size());
  const SequenceSlice slice{.tokens = tokens, .position = 0, .pages = pages, .logit_rows = rows};
  const int width = states ? model.info().n_embd : model.info().n_vocab;
  std::vector<float> out(tokens.size() * static_cast<std::size_t>(width));
  if (states) {
    model.ForwardStates({&slice, 1}, **kv, pool, out);
  } else {
    model.Forward({&slice, 1}, **kv, pool, out);
  }
  return out;
}

TEST(EmbeddingDecoder, StatesAreWhatTheHeadReads) {
  for (const char* architecture : {"llama", "qwen2"}) {  // qwen3: tests/encoder_golden_test.cc
    const auto store = TinyModel(architecture);
    ThreadPool pool(2);
    const LoadOptions exact{.activations = Activations::kF32};
    const auto plain = Model::Load(store, exact, pool);
    ASSERT_TRUE(plain.ok()) << plain.error().text();
    const auto tokens = SomeTokens(70);
    const auto logits = OnePass(**plain, tokens, /*states=*/false);
    const auto* embedding = store->Find("token_embd.weight");
    std::vector<float> head(static_cast<std::size_t>(embedding->n_rows() * embedding->n_cols()));
    numerics::Dequantize(embedding->dtype, embedding->data, head);

    store->keys().Set(std::string(architecture) + ".pooling_type", std::uint64_t{3});
    const auto encoder = Encoder::Load(store, exact, pool);
    ASSERT_TRUE(encoder.ok()) << encoder.error().text();
    EXPECT_EQ((*encoder)->info().pooling, Pooling::kLast);
    const auto n_embd = static_cast<std::size_t>((*encoder)->info().n_embd);
    std::vector<float> states(tokens.size() * n_embd);
    const EncoderInput input{.tokens = tokens};
    ASSERT_TRUE((*encoder)->Encode({&input, 1}, Pooling::kNone, pool, states).ok());
    const std::size_t n_vocab = head.size() / n_embd;
    for (std::size_t i = 0; i < logits.size(); ++i) {
      double sum = 0;
      for (std::size_t d = 0; d < n_embd; ++d) {
        sum += double{states[i / n_vocab * n_embd + d]} * head[i % n_vocab * n_embd + d];
      }
      ASSERT_NEAR(sum, logits[i], 1e-4) << architecture << " logit " << i;
    }
  }
}

TEST(EmbeddingDecoder, ATextLongerThanAPassHasTheBitsOfOnePass) {
  for (const auto activations : {Activations::kF32, Activations::kInt8}) {
    const auto store = TinyModel("qwen2");
    store->keys().Set("qwen2.context_length", std::uint64_t{4096});
    store->keys().Set("qwen2.pooling_type", std::uint64_t{3});
    ThreadPool pool(2);
    const auto model = Model::Load(store, {.activations = activations}, pool);
    const auto encoder = Encoder::Load(store, {.activations = activations}, pool);
    ASSERT_TRUE(model.ok() && encoder.ok());
    const auto n_embd = static_cast<std::size_t>((*encoder)->info().n_embd);
    const auto states_of = [&](const std::vector<std::int32_t>& tokens) {
      std::vector<float> states(tokens.size() * n_embd);
      const EncoderInput input{.tokens = tokens};
      EXPECT_TRUE((*encoder)->Encode({&input, 1}, Pooling::kNone, pool, states).ok());
      return states;
    };
    const auto longer = SomeTokens(2500), shorter = SomeTokens(90);
    const auto before = states_of(shorter);
    EXPECT_TRUE(SameBits(states_of(longer), OnePass(**model, longer, /*states=*/true)));
    EXPECT_TRUE(SameBits(states_of(shorter), before)) << "after its memory was given back";
  }
}

}  // namespace
}  // namespace tatara::model
