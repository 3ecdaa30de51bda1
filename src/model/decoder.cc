#include "decoder.h"

#include <utility>

#include "tatara/base/check.h"

namespace tatara::model {
namespace {

constexpr IntRange kSize{1, kEmbdMax};

}  // namespace

std::string BlockName(int layer, std::string_view name) {
  return "blk." + std::to_string(layer) + "." + std::string(name);
}

Result<DecoderConfig> ReadDecoderConfig(Keys& keys, DecoderAccepts accepts) {
  DecoderConfig c;
  TATARA_TRY(c.n_layers, keys.Int("block_count", {1, kLayersMax}));
  TATARA_TRY(c.n_embd, keys.Int("embedding_length", kSize));
  if (!accepts.all_experts || keys.Has("feed_forward_length")) {
    TATARA_TRY(c.n_ff, keys.IntOfLayers("feed_forward_length", c.n_layers, {1, kFfMax}));
  }
  TATARA_TRY(c.n_heads, keys.IntOfLayers("attention.head_count", c.n_layers, {1, kHeadsMax}));
  c.n_kv_heads = c.n_heads;
  if (keys.Has("attention.head_count_kv")) {
    TATARA_TRY(c.n_kv_heads,
               keys.IntOfLayers("attention.head_count_kv", c.n_layers, {1, kHeadsMax}));
  }
  if (c.n_heads % c.n_kv_heads != 0) {
    return Refuse("{0}: {1} heads cannot share {2} key heads evenly (key '{3}')", keys.origin(),
                  c.n_heads, c.n_kv_heads, keys.FullName("attention.head_count_kv"));
  }
  if (!keys.Has("attention.key_length") && c.n_embd % c.n_heads != 0) {
    return Refuse("{0}: embeddings of {1} cannot be cut into {2} heads (key '{3}')", keys.origin(),
                  c.n_embd, c.n_heads, keys.FullName("attention.head_count"));
  }
  const IntRange head_range{1, kHeadDimMax};
  TATARA_TRY(c.head_dim, keys.IntOr("attention.key_length", c.n_embd / c.n_heads, head_range));
  TATARA_TRY(c.value_dim, keys.IntOr("attention.value_length", c.n_embd / c.n_heads, head_range));
  if (c.head_dim < 1 || c.head_dim > kHeadDimMax || c.value_dim < 1 || c.value_dim > kHeadDimMax) {
    return Refuse("{0}: heads of {1} and {2} values; 1 to {3} are accepted", keys.origin(),
                  c.head_dim, c.value_dim, kHeadDimMax);
  }
  TATARA_TRY(c.n_ctx, keys.Int("context_length", {1, kContextMax}));
  c.layer_norm = accepts.layer_norm;
  TATARA_TRY(const double eps, keys.Float(accepts.layer_norm ? "attention.layer_norm_epsilon"
                                                             : "attention.layer_norm_rms_epsilon",
                                          {1e-12, 1.0}));
  c.norm_eps = static_cast<float>(eps);
  TATARA_TRY(c.n_vocab_key, keys.IntOr("vocab_size", 0, {0, kVocabMax}));
  keys.Informational("tensor_data_layout");  // where a converter found the weights
  TATARA_RETURN_IF_ERROR(keys.OnlyBool("attention.causal", true));
  if (!accepts.experts) {
    TATARA_RETURN_IF_ERROR(keys.OnlyInt("expert_count", 0));
    TATARA_RETURN_IF_ERROR(keys.OnlyInt("expert_used_count", 0));
  }
  if (accepts.pooling) {
    keys.Informational("pooling_type");
    for (const char* key : {"classifier.output_labels", "embedding.max_tokens",
                            "embedding.matryoshka_dimensions", "embedding.matryoshka_least"}) {
      keys.Informational(key);
    }
  } else {
    TATARA_RETURN_IF_ERROR(keys.OnlyInt("pooling_type", 0));
  }
  if (!accepts.soft_caps) {
    TATARA_RETURN_IF_ERROR(keys.OnlyFloat("attn_logit_softcapping", 0));
    TATARA_RETURN_IF_ERROR(keys.OnlyFloat("final_logit_softcapping", 0));
  }
  return c;
}

Decoder::Decoder(const LoadContext& context, DecoderConfig config)
    : config_(std::move(config)), store_(context.store) {
  activations_ = context.options.activations;
  merges_adapter_ = context.options.merge.adapter != nullptr;
}

Result<> Decoder::LoadEnds(TensorLoader& tensors) {
  TATARA_TRY(embedding_, tensors.LoadEmbedding("token_embd.weight", config_.n_embd, kVocabMax));
  if (config_.n_vocab_key != 0 && config_.n_vocab_key != embedding_.table.n_rows()) {
    return Refuse("{0}: the key '{1}' is {2}, but the embedding has {3} rows",
                  store_->path().string(), "vocab_size", config_.n_vocab_key,
                  embedding_.table.n_rows());
  }
  TATARA_TRY(output_norm_, tensors.LoadVector("output_norm.weight", config_.n_embd));
  if (config_.layer_norm && tensors.Has("output_norm.bias")) {
    TATARA_TRY(output_norm_bias_, tensors.LoadVector("output_norm.bias", config_.n_embd));
  }
  const std::string head = tensors.Has("output.weight") ? "output" : "token_embd";
  TATARA_TRY(head_,
             tensors.LoadLinearAs("output", head, embedding_.table.n_rows(), config_.n_embd));
  return Ok{};
}

Result<> Decoder::FinishLoading(const TensorLoader& tensors, std::string_view architecture) {
  TATARA_RETURN_IF_ERROR(tensors.Finish());
  linears_ = tensors.places();
  info_.merged = merges_adapter_;
  info_.architecture = architecture;
  info_.n_layers = config_.n_layers;
  info_.n_embd = config_.n_embd;
  info_.n_vocab = static_cast<int>(embedding_.table.n_rows());
  info_.n_ctx = config_.n_ctx;
  info_.n_parameters = tensors.n_parameters();
  info_.weight_bytes = tensors.packed_bytes();
  info_.cache.assign(static_cast<std::size_t>(config_.n_layers),
                     {config_.n_kv_heads, config_.head_dim, config_.value_dim});
  return Ok{};
}

DecoderRows Decoder::MakeRows(std::int64_t n_tokens) {
  const DecoderConfig& c = config_;
  return {.x = rows_.x.Make(n_tokens, c.n_embd),
          .h = rows_.h.Make(n_tokens, c.n_embd),
          .q = rows_.q.Make(n_tokens, c.n_heads * c.head_dim),
          .k = rows_.k.Make(n_tokens, c.n_kv_heads * c.head_dim),
          .v = rows_.v.Make(n_tokens, c.n_kv_heads * c.value_dim),
          .a = rows_.a.Make(n_tokens, c.n_heads * c.value_dim)};
}

Result<RotaryTable> Decoder::LoadRope(TensorLoader& tensors, numerics::RopeLayout layout) const {
  const int n_pairs = config_.rope.n_rot / 2;
  std::vector<float> factors;
  if (tensors.Has("rope_freqs.weight")) {
    TATARA_TRY(factors, tensors.LoadRopeFactors("rope_freqs.weight", n_pairs));
  } else if (tensors.Has("rope_factors_long.weight") || tensors.Has("rope_factors_short.weight")) {
    TATARA_TRY(std::vector<float> longer,
               tensors.LoadRopeFactors("rope_factors_long.weight", n_pairs));
    TATARA_TRY(factors, tensors.LoadRopeFactors("rope_factors_short.weight", n_pairs));
    // One of the two for the whole model, so that a position's keys never change.
    const double original = config_.rope.original_context;
    if (original > 0 && static_cast<double>(config_.n_ctx) > original) {
      factors = std::move(longer);
    }
  }
  return RotaryTable(config_.rope, layout, factors);
}

numerics::AttentionShape Decoder::AttentionOf(float scale, int window) const {
  return {.n_heads = config_.n_heads,
          .n_kv_heads = config_.n_kv_heads,
          .head_dim = config_.head_dim,
          .value_dim = config_.value_dim,
          .scale = scale,
          .window = window,
          .cache = cache_type()};
}

void Decoder::KeepStates(const std::vector<bool>& layer_is_recurrent, std::int64_t n_state) {
  for (std::size_t i = 0; i < info_.cache.size(); ++i) {
    if (layer_is_recurrent[i]) info_.cache[i] = {.n_state = n_state};
  }
  info_.page_tokens = PageTokensFor(info_.cache, cache_type());
}

void Decoder::ForwardStates(std::span<const SequenceSlice> slices, KvPool& kv, ThreadPool& pool,
                            std::span<float> states) {
  states_wanted_ = true;
  Forward(slices, kv, pool, states);
  states_wanted_ = false;
}

void Decoder::LastNorm(Pass& pass, Rows x, Rows y) const {
  if (config_.layer_norm) {
    LayerNormRows(pass.pool(), x, output_norm_, output_norm_bias_, config_.norm_eps, y);
  } else {
    NormRows(pass.pool(), x, output_norm_, config_.norm_eps, y);
  }
}

void Decoder::Logits(Pass& pass, Rows x, std::span<float> logits) {
  TATARA_CHECK(x.n_rows == pass.n_wanted());
  if (states_wanted_) {
    const Rows states{logits.data(), x.n_rows, config_.n_embd};
    TATARA_CHECK(static_cast<std::int64_t>(logits.size()) == states.size());
    LastNorm(pass, x, states);
    return;
  }
  const Rows out{logits.data(), x.n_rows, info_.n_vocab};
  TATARA_CHECK(static_cast<std::int64_t>(logits.size()) == out.size());
  LastNorm(pass, x, x);
  pass.Project(x, {{&head_, out}});
  if (config_.logit_scale != 1) ScaleRows(pass.pool(), config_.logit_scale, out);
  if (config_.logit_cap != 0) SoftCapRows(pass.pool(), config_.logit_cap, out);
}

}  // namespace tatara::model
