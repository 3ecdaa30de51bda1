// What a file says about rotary positions.

#include "decoder.h"
#include "tatara/base/utf8.h"
#include "tatara/numerics/functions.h"

namespace tatara::model {
namespace {

constexpr FloatRange kFactorRange{1.0, 65536.0};

// YaRN's weight of a context stretched by `factor` (arXiv:2309.00071, 3.4), with `multiplier` for
// 1 where a model's authors chose so.
double Mscale(double factor, double multiplier) {
  return 1 + 0.1 * multiplier * numerics::LogF64(factor);
}

Result<> NeedOriginalContext(const Keys& keys, const RopeConfig& rope, std::string_view type) {
  if (rope.original_context >= 1) return Ok{};
  return Refuse("{0}: the position scaling '{1}' needs the key '{2}'", keys.origin(), type,
                keys.FullName("rope.scaling.original_context_length"));
}

Result<> ReadYarn(Keys& keys, double attn_factor, RopeConfig& rope) {
  rope.scaling = RopeScaling::kYarn;
  TATARA_TRY(rope.beta_fast, keys.FloatOr("rope.scaling.yarn_beta_fast", 32, {1e-3, 1e6}));
  TATARA_TRY(rope.beta_slow, keys.FloatOr("rope.scaling.yarn_beta_slow", 1, {1e-3, 1e6}));
  TATARA_RETURN_IF_ERROR(keys.OnlyFloat("rope.scaling.yarn_ext_factor", 1));
  // Of folders only: GGUF has no key for what config.json calls "truncate".
  TATARA_TRY(rope.whole_pairs, keys.BoolOr("rope.scaling.yarn_truncate", true));
  // Models that scale their scores by the square of this weight leave it out of cosines and sines.
  TATARA_TRY(const double log_multiplier,
             keys.FloatOr("rope.scaling.yarn_log_multiplier", 0, {0, 100}));
  // Converters write the published "attention_factor" here, which stands for the whole weight.
  TATARA_TRY(
      const double whole,
      keys.FloatOr("rope.scaling.yarn_attn_factor",
                   Mscale(rope.factor, 1) / Mscale(rope.factor, log_multiplier), {1e-3, 1e3}));
  rope.magnitude = attn_factor * whole;
  return NeedOriginalContext(keys, rope, "yarn");
}

Result<> ReadLlama3(Keys& keys, RopeConfig& rope) {
  rope.scaling = RopeScaling::kLlama3;
  TATARA_TRY(rope.low_freq_factor, keys.FloatOr("rope.scaling.low_freq_factor", 1, {1e-3, 1e6}));
  TATARA_TRY(rope.high_freq_factor, keys.FloatOr("rope.scaling.high_freq_factor", 4, {1e-3, 1e6}));
  if (rope.high_freq_factor <= rope.low_freq_factor) {
    return Refuse("{0}: the key '{1}' is {2}, but '{3}' is {4}; it must be larger", keys.origin(),
                  keys.FullName("rope.scaling.high_freq_factor"), rope.high_freq_factor,
                  keys.FullName("rope.scaling.low_freq_factor"), rope.low_freq_factor);
  }
  return NeedOriginalContext(keys, rope, "llama3");
}

// A base enlarged for long contexts by alpha (NTK-aware): base * alpha^(n_rot / (n_rot - 2)).
Result<> ReadBase(Keys& keys, RopeConfig& rope) {
  TATARA_TRY(rope.base, keys.FloatOr("rope.freq_base", 10000.0, kRopeBaseRange));
  TATARA_TRY(const double alpha, keys.FloatOr("rope.scaling.alpha", 0, {0, 1e9}));
  if (alpha > 0 && rope.n_rot > 2) {
    rope.base *= numerics::PowF64(alpha, rope.n_rot / (rope.n_rot - 2.0));
  }
  return Ok{};
}

}  // namespace

Result<RopeConfig> ReadRopeConfig(Keys& keys, int head_dim, RopeAccepts accepts) {
  RopeConfig rope;
  TATARA_TRY(rope.n_rot, keys.IntOr("rope.dimension_count", head_dim, {2, head_dim}));
  if (rope.n_rot % 2 != 0) {
    return Refuse("{0}: the key '{1}' is {2}; rotary positions turn pairs, so it must be even",
                  keys.origin(), keys.FullName("rope.dimension_count"), rope.n_rot);
  }
  TATARA_RETURN_IF_ERROR(ReadBase(keys, rope));

  // A factor without a type has always meant linear interpolation.
  TATARA_TRY(const std::string type, keys.StringOr("rope.scaling.type", "linear"));
  TATARA_TRY(rope.factor, keys.FloatOr("rope.scaling.factor", 1.0, kFactorRange));
  TATARA_TRY(const double scale_linear, keys.FloatOr("rope.scale_linear", 1.0, kFactorRange));
  TATARA_TRY(rope.original_context,
             keys.FloatOr("rope.scaling.original_context_length", 0, {0, 1e9}));
  TATARA_TRY(const double attn_factor, keys.FloatOr("rope.scaling.attn_factor", 1.0, {1e-3, 1e3}));
  keys.Informational("rope.scaling.finetuned");
  if (type == "none") {
    rope.factor = 1;
  } else if (type == "linear" && scale_linear != 1) {
    rope.factor = scale_linear;  // the key's older name
  }
  const bool scaled = rope.factor != 1;
  if (scaled && type == "linear" && accepts.linear) {
    rope.scaling = RopeScaling::kLinear;
  } else if (scaled && type == "yarn" && accepts.yarn) {
    TATARA_RETURN_IF_ERROR(ReadYarn(keys, attn_factor, rope));
    return rope;
  } else if (scaled && type == "llama3" && accepts.llama3) {
    TATARA_RETURN_IF_ERROR(ReadLlama3(keys, rope));
  } else if (type == "longrope" && accepts.longrope) {
    rope.factor = 1;  // the divisors are in tensors
  } else if (scaled || (type != "none" && type != "linear" && type != "yarn")) {
    return Refuse(
        "{0}: the key '{1}' asks for the position scaling '{2}' (factor {3}), which '{4}' models "
        "do not compute here",
        keys.origin(), keys.FullName("rope.scaling.type"), Printable(type), rope.factor,
        keys.architecture());
  }
  if (accepts.longrope) {
    rope.magnitude = attn_factor;
  } else if (attn_factor != 1) {
    return Refuse("{0}: the key '{1}' is {2}, but only YaRN and longrope scaling use it here",
                  keys.origin(), keys.FullName("rope.scaling.attn_factor"), attn_factor);
  }
  return rope;
}

Result<std::vector<bool>> ReadWindowLayers(Keys& keys, int n_layers, int window, int period) {
  const auto count = static_cast<std::size_t>(n_layers);
  TATARA_TRY(const std::vector<std::int64_t> pattern,
             keys.IntsOrNone("attention.sliding_window_pattern", count, {0, kLayersMax}));
  const bool by_layer = pattern.size() > 1;
  if (by_layer && pattern.size() != count) {
    return Refuse("{0}: the key '{1}' has {2} values for {3} layers", keys.origin(),
                  keys.FullName("attention.sliding_window_pattern"), pattern.size(), count);
  }
  const std::int64_t p = pattern.size() == 1 ? pattern[0] : period;
  std::vector<bool> windowed;
  for (std::size_t i = 0; i < count; ++i) {
    const auto layer = static_cast<std::int64_t>(i);
    const bool marked = by_layer ? pattern[i] != 0 : p == 0 || layer % p < p - 1;
    windowed.push_back(window > 0 && marked);
  }
  return windowed;
}

}  // namespace tatara::model
