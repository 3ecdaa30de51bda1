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
  TATARA_TRY(c.n_ff, keys.Int("feed_forward_length", {1, kFfMax}));
  TATARA_TRY(c.n_heads, keys.Int("attention.head_count", {1, kHeadsMax}));
  TATARA_TRY(c.n_kv_heads, keys.IntOr("attention.head_count_kv", c.n_heads, {1, kHeadsMax}));
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
  TATARA_TRY(const double eps, keys.Float(accepts.norm_epsilon, {1e-12, 1.0}));
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
  } else {
    TATARA_RETURN_IF_ERROR(keys.OnlyInt("pooling_type", 0));
  }
  if (!accepts.soft_caps) {
    TATARA_RETURN_IF_ERROR(keys.OnlyFloat("attn_logit_softcapping", 0));
    TATARA_RETURN_IF_ERROR(keys.OnlyFloat("final_logit_softcapping", 0));
  }
  return c;
}

Result<RopeConfig> ReadRopeConfig(Keys& keys, int head_dim, RopeAccepts accepts) {
  RopeConfig rope;
  TATARA_TRY(rope.n_rot, keys.IntOr("rope.dimension_count", head_dim, {2, head_dim}));
  if (rope.n_rot % 2 != 0) {
    return Refuse("{0}: the key '{1}' is {2}; rotary positions turn pairs, so it must be even",
                  keys.origin(), keys.FullName("rope.dimension_count"), rope.n_rot);
  }
  TATARA_TRY(rope.base, keys.FloatOr("rope.freq_base", 10000.0, kRopeBaseRange));

  // A factor without a type has always meant linear interpolation.
  TATARA_TRY(const std::string type, keys.StringOr("rope.scaling.type", "linear"));
  const FloatRange factor_range{1.0, 65536.0};
  TATARA_TRY(rope.factor, keys.FloatOr("rope.scaling.factor", 1.0, factor_range));
  TATARA_TRY(const double scale_linear, keys.FloatOr("rope.scale_linear", 1.0, factor_range));
  TATARA_TRY(rope.original_context,
             keys.FloatOr("rope.scaling.original_context_length", 0, {0, 1e9}));
  TATARA_TRY(rope.attn_factor, keys.FloatOr("rope.scaling.attn_factor", 1.0, {1e-3, 1e3}));
  keys.Informational("rope.scaling.finetuned");
  if (type == "none") {
    rope.factor = 1;
  } else if (type == "linear" && scale_linear != 1) {
    rope.factor = scale_linear;  // the key's older name
  }
  if (rope.factor != 1 && type == "linear" && accepts.linear) {
    rope.scaling = RopeScaling::kLinear;
  } else if (rope.factor != 1 && type == "yarn" && accepts.yarn) {
    rope.scaling = RopeScaling::kYarn;
    TATARA_TRY(rope.beta_fast, keys.FloatOr("rope.scaling.yarn_beta_fast", 32, {1e-3, 1e6}));
    TATARA_TRY(rope.beta_slow, keys.FloatOr("rope.scaling.yarn_beta_slow", 1, {1e-3, 1e6}));
    TATARA_RETURN_IF_ERROR(keys.OnlyFloat("rope.scaling.yarn_ext_factor", 1));
    if (rope.original_context < 1) {
      return Refuse("{0}: YaRN needs the key '{1}'", keys.origin(),
                    keys.FullName("rope.scaling.original_context_length"));
    }
  } else if (rope.factor != 1 || (type != "none" && type != "linear" && type != "yarn")) {
    return Refuse(
        "{0}: the key '{1}' asks for the position scaling '{2}' (factor {3}), which '{4}' models "
        "do not compute here",
        keys.origin(), keys.FullName("rope.scaling.type"), Printable(type), rope.factor,
        keys.architecture());
  }
  if (rope.scaling != RopeScaling::kYarn && rope.attn_factor != 1) {
    return Refuse("{0}: the key '{1}' is {2}, but only YaRN scaling uses it here", keys.origin(),
                  keys.FullName("rope.scaling.attn_factor"), rope.attn_factor);
  }
  return rope;
}

Decoder::Decoder(const LoadContext& context, DecoderConfig config)
    : config_(std::move(config)), store_(context.store) {
  activations_ = context.options.activations;
}

Result<> Decoder::LoadEnds(TensorLoader& tensors) {
  TATARA_TRY(embedding_, tensors.LoadEmbedding("token_embd.weight", config_.n_embd, kVocabMax));
  if (config_.n_vocab_key != 0 && config_.n_vocab_key != embedding_.table.n_rows()) {
    return Refuse("{0}: the key '{1}' is {2}, but the embedding has {3} rows",
                  store_->path().string(), "vocab_size", config_.n_vocab_key,
                  embedding_.table.n_rows());
  }
  TATARA_TRY(output_norm_, tensors.LoadVector("output_norm.weight", config_.n_embd));
  const std::string head = tensors.Has("output.weight") ? "output" : "token_embd";
  TATARA_TRY(head_, tensors.LoadLinear(head, embedding_.table.n_rows(), config_.n_embd));
  return Ok{};
}

Result<> Decoder::FinishLoading(const TensorLoader& tensors, std::string_view architecture) {
  TATARA_RETURN_IF_ERROR(tensors.Finish());
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

void Decoder::Logits(Pass& pass, Rows x, std::span<float> logits) {
  if (states_wanted_) {
    const Rows states{logits.data(), x.n_rows, config_.n_embd};
    TATARA_CHECK(static_cast<std::int64_t>(logits.size()) == states.size());
    NormRows(pass.pool(), x, output_norm_, config_.norm_eps, states);
    return;
  }
  const Rows out{logits.data(), x.n_rows, info_.n_vocab};
  TATARA_CHECK(x.n_rows == pass.n_wanted() &&
               static_cast<std::int64_t>(logits.size()) == out.size());
  NormRows(pass.pool(), x, output_norm_, config_.norm_eps, x);
  pass.Project(x, {{&head_, out}});
}

}  // namespace tatara::model
