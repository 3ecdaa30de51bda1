// Hostile metadata and tensors: whatever a file says, a model is refused or runs. The input is read
// as a list of changes to a tiny model that is otherwise right, since random bytes would rarely be
// a model at all; the container itself has a fuzzer of its own (weights).

#include <algorithm>
#include <array>
#include <cstdint>

#include "fuzz_input.h"
#include "model_test_support.h"

namespace {

using tatara::Metadata;
using tatara::model::test::FuzzInput;
using tatara::model::test::kOddNumbers;
using namespace tatara::model;  // NOLINT: a program of one file

constexpr std::array kFamilies = {"llama", "qwen2", "gemma3", "qwen3moe"};
constexpr std::array kKeys = {
    "block_count",
    "embedding_length",
    "feed_forward_length",
    "attention.head_count",
    "attention.head_count_kv",
    "attention.key_length",
    "attention.value_length",
    "context_length",
    "attention.layer_norm_rms_epsilon",
    "rope.dimension_count",
    "rope.freq_base",
    "rope.freq_base_swa",
    "rope.scaling.type",
    "rope.scaling.factor",
    "rope.scale_linear",
    "rope.scaling.original_context_length",
    "rope.scaling.attn_factor",
    "rope.scaling.yarn_beta_fast",
    "rope.scaling.yarn_beta_slow",
    "attention.sliding_window",
    "attention.sliding_window_pattern",
    "vocab_size",
    "expert_count",
    "expert_used_count",
    "expert_feed_forward_length",
    "expert_gating_func",
    "expert_weights_norm",
    "expert_weights_scale",
    "expert_group_count",
    "expert_group_used_count",
    "rope.scaling.alpha",
    "rope.scaling.low_freq_factor",
    "rope.scaling.high_freq_factor",
    "rope.scaling.yarn_attn_factor",
    "rope.scaling.yarn_log_multiplier",
    "pooling_type",
    "attn_logit_softcapping",
};
constexpr std::array kStrings = {"none",   "linear", "yarn",  "longrope",
                                 "llama3", "",       "llama", "\n\x1b\xff"};

Metadata::Value AnyValue(FuzzInput& in) {
  switch (in.Byte() % 7) {
    case 0:
      return std::uint64_t{in.Byte()};
    case 1:
      return std::uint64_t{in.Byte()} << (in.Byte() % 57);
    case 2:
      return -std::int64_t{in.Byte()};
    case 3:
      return in.Pick(kOddNumbers);
    case 4:
      return std::string(in.Pick(kStrings));
    case 5:
      return (in.Byte() & 1) != 0;
    default: {
      std::vector<std::int64_t> values(in.Byte() % 8);
      for (std::int64_t& v : values) v = in.Byte();
      return values;
    }
  }
}

void Spoil(FuzzInput& in, const std::string& family, test::MemoryStore& store) {
  switch (in.Byte() % 4) {
    case 0:
    case 1:
      store.keys().Set(family + "." + in.Pick(kKeys), AnyValue(in));
      return;
    case 2: {  // another shape, or a tensor of another layer
      if (store.tensors().empty()) return;
      auto it = store.tensors().begin();
      std::advance(it, in.Byte() % static_cast<int>(store.tensors().size()));
      const std::string name(it->first);
      store.Add(name, 1 + in.Byte() % 64, 1 + in.Byte() % 64);
      return;
    }
    default: {
      constexpr std::array kNames = {"output.weight",     "rope_freqs.weight", "blk.0.attn_q.bias",
                                     "blk.1.ffn_up.bias", "token_embd.weight", "blk.9.attn_k.bias"};
      const std::string name = in.Pick(kNames);
      const std::int64_t n_rows = 1 + in.Byte() % 48;
      const std::int64_t n_cols = 1 + in.Byte() % 48;
      store.Set(name, n_rows, n_cols,
                std::vector<float>(static_cast<std::size_t>(n_rows * n_cols),
                                   static_cast<float>(in.Pick(kOddNumbers))));
    }
  }
}

void RunAFewTokens(Model& model, tatara::ThreadPool& pool) {
  if (KvPool::BytesPerPage(model.info().cache, model.cache_type()) > (1U << 26)) return;
  const auto kv = KvPool::Make(model.info().cache, model.cache_type(), 2);
  if (!kv.ok()) return;
  const std::vector<std::int32_t> tokens = {0, model.info().n_vocab - 1, 0}, rows = {0, 2};
  const std::vector<int> pages = {1, 0};
  const SequenceSlice slice{tokens, 62, pages, rows};
  std::vector<float> logits(2 * static_cast<std::size_t>(model.info().n_vocab));
  model.Forward({&slice, 1}, **kv, pool, logits);
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  FuzzInput in(data, std::min<std::size_t>(size, 64));
  tatara::ThreadPool pool(1);
  const std::string family = in.Pick(kFamilies);
  const auto store = test::TinyModel(family, {.n_layers = 1 + in.Byte() % 3,
                                              .n_embd = 8,
                                              .n_heads = 2,
                                              .n_kv_heads = 1,
                                              .head_dim = 4,
                                              .n_ff = 8,
                                              .n_vocab = 8});
  while (!in.empty()) Spoil(in, family, *store);
  const auto activations =
      size % 2 == 0 ? tatara::numerics::Activations::kInt8 : tatara::numerics::Activations::kF32;
  auto model = Model::Load(store, {.activations = activations}, pool);
  if (model.ok()) RunAFewTokens(**model, pool);
  return 0;
}
