#include <cmath>

#include "huggingface/family.h"
#include "tatara/base/utf8.h"
#include "tatara/numerics/functions.h"

namespace tatara::weights {
namespace {

constexpr Rename kEnds[] = {
    {"embed_tokens.weight", "token_embd.weight"},
    {"norm.weight", "output_norm.weight"},
    {"lm_head.weight", "output.weight", Change::kDropTied},
    {"layers.#.self_attn.rotary_emb.inv_freq", "", Change::kDrop},
    {"rotary_emb.inv_freq", "", Change::kDrop},
};
constexpr Rename kSameAttention[] = {
    {"layers.#.self_attn.q_proj.weight", "blk.#.attn_q.weight"},
    {"layers.#.self_attn.q_proj.bias", "blk.#.attn_q.bias"},
    {"layers.#.self_attn.k_proj.weight", "blk.#.attn_k.weight"},
    {"layers.#.self_attn.k_proj.bias", "blk.#.attn_k.bias"},
    {"layers.#.self_attn.v_proj.weight", "blk.#.attn_v.weight"},
    {"layers.#.self_attn.v_proj.bias", "blk.#.attn_v.bias"},
    {"layers.#.self_attn.o_proj.weight", "blk.#.attn_output.weight"},
    {"layers.#.self_attn.o_proj.bias", "blk.#.attn_output.bias"},
};
constexpr Rename kTurnedAttention[] = {
    {"layers.#.self_attn.q_proj.weight", "blk.#.attn_q.weight", Change::kPairs},
    {"layers.#.self_attn.q_proj.bias", "blk.#.attn_q.bias", Change::kPairs},
    {"layers.#.self_attn.k_proj.weight", "blk.#.attn_k.weight", Change::kKeyPairs},
    {"layers.#.self_attn.k_proj.bias", "blk.#.attn_k.bias", Change::kKeyPairs},
    {"layers.#.self_attn.v_proj.weight", "blk.#.attn_v.weight"},
    {"layers.#.self_attn.v_proj.bias", "blk.#.attn_v.bias"},
    {"layers.#.self_attn.o_proj.weight", "blk.#.attn_output.weight"},
    {"layers.#.self_attn.o_proj.bias", "blk.#.attn_output.bias"},
};
constexpr Rename kFfn[] = {
    {"layers.#.mlp.gate_proj.weight", "blk.#.ffn_gate.weight"},
    {"layers.#.mlp.gate_proj.bias", "blk.#.ffn_gate.bias"},
    {"layers.#.mlp.up_proj.weight", "blk.#.ffn_up.weight"},
    {"layers.#.mlp.up_proj.bias", "blk.#.ffn_up.bias"},
    {"layers.#.mlp.down_proj.weight", "blk.#.ffn_down.weight"},
    {"layers.#.mlp.down_proj.bias", "blk.#.ffn_down.bias"},
};
constexpr Rename kNorms[] = {
    {"layers.#.input_layernorm.weight", "blk.#.attn_norm.weight"},
    {"layers.#.post_attention_layernorm.weight", "blk.#.ffn_norm.weight"},
};
constexpr Rename kNormsOfHeads[] = {
    {"layers.#.self_attn.q_norm.weight", "blk.#.attn_q_norm.weight"},
    {"layers.#.self_attn.k_norm.weight", "blk.#.attn_k_norm.weight"},
};
constexpr Rename kAhead[] = {
    {"layers.#.eh_proj.weight", "blk.#.nextn.eh_proj.weight"},
    {"layers.#.enorm.weight", "blk.#.nextn.enorm.weight"},
    {"layers.#.hnorm.weight", "blk.#.nextn.hnorm.weight"},
    {"layers.#.embed_tokens.weight", "blk.#.nextn.embed_tokens.weight"},
    {"layers.#.shared_head.head.weight", "blk.#.nextn.shared_head_head.weight"},
    {"layers.#.shared_head.norm.weight", "blk.#.nextn.shared_head_norm.weight"},
};

// Bounds so that no product of sizes overflows; what is sensible the architecture says.
constexpr std::int64_t kSizeMax = 1 << 24;

// Phi-3's and others' long contexts: a divisor for each pair, one set for short texts, one for
// long. How much cosines and sines grow is stated, or follows from the ratio of the contexts
// (arXiv:2402.13753 and the published configurations).
Result<> WriteLongRope(KeyWriter& keys, const Config& rope, std::int64_t n_pairs) {
  TATARA_TRY(const std::int64_t context, SizeOf(keys.config, "max_position_embeddings"));
  const Config& holder = rope.Has("original_max_position_embeddings") ? rope : keys.config;
  TATARA_TRY(const std::int64_t original,
             SizeOf(holder, "original_max_position_embeddings", context));
  for (const char* length : {"long", "short"}) {
    TATARA_TRY(const auto factors, rope.FloatsOrNone(std::string(length) + "_factor"));
    if (static_cast<std::int64_t>(factors.size()) != n_pairs) {
      return Refuse("{0}: the key '{1}' has {2} values, expected {3}", keys.config.origin(),
                    std::string(length) + "_factor", factors.size(), n_pairs);
    }
    MadeTensor& made = keys.made.emplace_back();
    made.name = fmt::format("rope_factors_{}.weight", length);
    for (const double factor : factors) made.values.push_back(static_cast<float>(factor));
  }
  const double scale = static_cast<double>(context) / static_cast<double>(original);
  double magnitude = 1;
  if (scale > 1) {
    magnitude =
        std::sqrt(1 + numerics::LogF64(scale) / numerics::LogF64(static_cast<double>(original)));
  }
  TATARA_TRY(magnitude, rope.FloatOr("attention_factor", magnitude));
  keys.SetInt("rope.scaling.original_context_length", original);
  keys.Set("rope.scaling.attn_factor", magnitude);
  return Ok{};
}

// Two multipliers of YaRN's weight, whose ratio multiplies cosines and sines (transformers,
// modeling_rope_utils.py, _compute_yarn_parameters).
Result<> WriteMscale(KeyWriter& keys, const Config& rope) {
  if (rope.Has("attention_factor")) return Ok{};
  TATARA_TRY(const double above, rope.FloatOr("mscale", 0));
  TATARA_TRY(const double below, rope.FloatOr("mscale_all_dim", 0));
  TATARA_TRY(const double factor, rope.FloatOr("factor", 1));
  if (above == 0 || below == 0 || !(factor > 1)) return Ok{};
  const double log = 0.1 * numerics::LogF64(factor);
  keys.Set("rope.scaling.yarn_attn_factor", (1 + above * log) / (1 + below * log));
  return Ok{};
}

Result<> WriteYarn(KeyWriter& keys, const Config& rope) {
  keys.Set("rope.scaling.type", "yarn");
  for (const auto& [from, to] : {std::pair{"factor", "rope.scaling.factor"},
                                 {"beta_fast", "rope.scaling.yarn_beta_fast"},
                                 {"beta_slow", "rope.scaling.yarn_beta_slow"},
                                 {"attention_factor", "rope.scaling.yarn_attn_factor"}}) {
    if (!rope.Has(from)) continue;
    TATARA_TRY(const double value, rope.Float(from));
    keys.Set(to, value);
  }
  TATARA_RETURN_IF_ERROR(WriteMscale(keys, rope));
  // Whether the pairs where the ramp begins and ends are whole ones.
  TATARA_TRY(const bool whole, rope.BoolOr("truncate", true));
  if (!whole) keys.Set("rope.scaling.yarn_truncate", false);
  TATARA_TRY(
      const std::int64_t original,
      SizeOf(rope.Has("original_max_position_embeddings") ? rope : keys.config,
             rope.Has("original_max_position_embeddings") ? "original_max_position_embeddings"
                                                          : "max_position_embeddings"));
  keys.SetInt("rope.scaling.original_context_length", original);
  return Ok{};
}

Result<> WriteLlama3(KeyWriter& keys, const Config& rope) {
  keys.Set("rope.scaling.type", "llama3");
  TATARA_TRY(const double factor, rope.Float("factor"));
  TATARA_TRY(const double low, rope.Float("low_freq_factor"));
  TATARA_TRY(const double high, rope.Float("high_freq_factor"));
  TATARA_TRY(const std::int64_t original, SizeOf(rope, "original_max_position_embeddings"));
  keys.Set("rope.scaling.factor", factor);
  keys.Set("rope.scaling.low_freq_factor", low);
  keys.Set("rope.scaling.high_freq_factor", high);
  keys.SetInt("rope.scaling.original_context_length", original);
  return Ok{};
}

}  // namespace

const std::span<const Rename> kDecoderEnds = kEnds;
const std::span<const Rename> kAttention = kSameAttention;
const std::span<const Rename> kPairsAttention = kTurnedAttention;
const std::span<const Rename> kGatedFfn = kFfn;
const std::span<const Rename> kTwoNorms = kNorms;
const std::span<const Rename> kHeadNorms = kNormsOfHeads;
const std::span<const Rename> kLayersAhead = kAhead;

Result<std::int64_t> SizeOf(const Config& config, std::string_view key, std::int64_t otherwise) {
  TATARA_TRY(const std::int64_t value,
             otherwise > 0 ? config.IntOr(key, otherwise) : config.Int(key));
  if (value < 1 || value > kSizeMax) {
    return Refuse("{0}: the key '{1}' is {2}; 1 to {3} are accepted", config.origin(), key, value,
                  kSizeMax);
  }
  return value;
}

Result<> KeyWriter::CopyInt(std::string_view from, std::string_view to) {
  if (!config.Has(from)) return Ok{};
  return NeedInt(from, to);
}

Result<> KeyWriter::NeedInt(std::string_view from, std::string_view to) {
  TATARA_TRY(const std::int64_t value, config.Int(from));
  Set(to, value);
  return Ok{};
}

Result<> KeyWriter::CopyFloat(std::string_view from, std::string_view to) {
  if (!config.Has(from)) return Ok{};
  TATARA_TRY(const double value, config.Float(from));
  Set(to, value);
  return Ok{};
}

Result<> KeyWriter::OnlyBool(std::string_view key, bool value) const {
  TATARA_TRY(const bool found, config.BoolOr(key, value));
  if (found == value) return Ok{};
  return Refuse("{0}: the key '{1}' is {2}, which asks for something that is not computed here",
                config.origin(), key, found);
}

Result<> KeyWriter::OnlyNumber(std::string_view key, double value) const {
  TATARA_TRY(const double found, config.FloatOr(key, value));
  if (found == value) return Ok{};
  return Refuse("{0}: the key '{1}' is {2}, which asks for something that is not computed here",
                config.origin(), key, found);
}

Result<> KeyWriter::OnlyString(std::string_view key,
                               std::initializer_list<std::string_view> values) const {
  TATARA_TRY(const std::string found, config.StringOr(key, *values.begin()));
  for (const std::string_view value : values) {
    if (found == value) return Ok{};
  }
  return Refuse("{0}: the key '{1}' is {2}, which asks for something that is not computed here",
                config.origin(), key, "'" + Printable(found) + "'");
}

Result<> WriteDecoderKeys(KeyWriter& keys) {
  const Config& c = keys.config;
  FamilySizes& s = keys.sizes;
  TATARA_TRY(s.n_embd, SizeOf(c, "hidden_size"));
  TATARA_TRY(s.n_layers, SizeOf(c, "num_hidden_layers"));
  TATARA_TRY(s.n_heads, SizeOf(c, "num_attention_heads"));
  TATARA_TRY(s.n_kv_heads, SizeOf(c, "num_key_value_heads", s.n_heads));
  if (!c.Has("head_dim") && s.n_embd % s.n_heads != 0) {
    return Refuse("{0}: embeddings of {1} cannot be cut into {2} heads", c.origin(), s.n_embd,
                  s.n_heads);
  }
  TATARA_TRY(s.head_dim, SizeOf(c, "head_dim", std::max<std::int64_t>(1, s.n_embd / s.n_heads)));
  keys.SetInt("embedding_length", s.n_embd);
  keys.SetInt("block_count", s.n_layers);
  keys.SetInt("attention.head_count", s.n_heads);
  keys.SetInt("attention.head_count_kv", s.n_kv_heads);
  keys.SetInt("attention.key_length", s.head_dim);
  keys.SetInt("attention.value_length", s.head_dim);
  if (!keys.all_experts || c.Has("intermediate_size")) {
    TATARA_RETURN_IF_ERROR(keys.NeedInt("intermediate_size", "feed_forward_length"));
  }
  TATARA_RETURN_IF_ERROR(keys.NeedInt("max_position_embeddings", "context_length"));
  return keys.CopyInt("vocab_size", "vocab_size");
}

Config RopeOf(const Config& config) {
  Config rope = config.Object("rope_parameters");
  if (rope.Keys().empty()) rope = config.Object("rope_scaling");
  return rope.Has("full_attention") ? rope.Object("full_attention") : rope;
}

Result<> WriteRopeKeys(KeyWriter& keys) {
  const Config& c = keys.config;
  const Config rope = RopeOf(c);
  TATARA_TRY(const double partial,
             rope.Has("partial_rotary_factor")
                 ? rope.Float("partial_rotary_factor")
                 : c.FloatOr("partial_rotary_factor", keys.partial_rotary_otherwise));
  const auto n_rot = static_cast<std::int64_t>(static_cast<double>(keys.sizes.head_dim) * partial);
  if (!(partial > 0 && partial <= 1) || n_rot < 2) {
    return Refuse("{0}: the key '{1}' is {2}, which asks for something that is not computed here",
                  c.origin(), "partial_rotary_factor", partial);
  }
  keys.SetInt("rope.dimension_count", n_rot);
  TATARA_TRY(const double base,
             rope.Has("rope_theta") ? rope.Float("rope_theta") : c.FloatOr("rope_theta", 10000));
  keys.Set("rope.freq_base", base);
  TATARA_TRY(const std::string older, rope.StringOr("type", "default"));
  TATARA_TRY(const std::string type, rope.StringOr("rope_type", older));
  if (type == "default" || type == "mrope") return Ok{};
  if (type == "llama3") return WriteLlama3(keys, rope);
  if (type == "yarn") return WriteYarn(keys, rope);
  if (type == "longrope" || type == "su") return WriteLongRope(keys, rope, n_rot / 2);
  if (type == "linear") {
    TATARA_TRY(const double factor, rope.Float("factor"));
    keys.Set("rope.scaling.type", "linear");
    keys.Set("rope.scaling.factor", factor);
    return Ok{};
  }
  return Refuse("{0}: the key '{1}' is {2}, which asks for something that is not computed here",
                c.origin(), "rope_type", "'" + Printable(type) + "'");
}

Result<> WriteNormKey(KeyWriter& keys, std::string_view from, std::string_view to) {
  TATARA_TRY(const double eps, keys.config.Float(from));
  keys.Set(to, eps);
  return Ok{};
}

Result<> WriteUsualKeys(KeyWriter& keys) {
  // Embedding models made of decoders, some of which see what follows a token too.
  TATARA_RETURN_IF_ERROR(keys.OnlyBool("is_causal", true));
  TATARA_RETURN_IF_ERROR(WriteDecoderKeys(keys));
  TATARA_RETURN_IF_ERROR(WriteNormKey(keys));
  return WriteRopeKeys(keys);
}

Result<> OnlyFullEvery(const Config& config, std::int64_t period) {
  TATARA_TRY(const auto kinds, config.StringsOrNone("layer_types"));
  for (std::size_t i = 0; i < kinds.size(); ++i) {
    if ((kinds[i] == "full_attention") != ((static_cast<std::int64_t>(i) + 1) % period == 0)) {
      return Refuse("{0}: the key '{1}' is {2}, which asks for something that is not computed here",
                    config.origin(), "layer_types", "'" + Printable(kinds[i]) + "'");
    }
  }
  return Ok{};
}

Result<> WriteLayersAhead(KeyWriter& keys) {
  constexpr std::int64_t kAheadMax = 64;
  const Config& c = keys.config;
  const char* key = c.Has("num_mtp_layers") ? "num_mtp_layers" : "num_nextn_predict_layers";
  TATARA_TRY(const std::int64_t ahead, c.IntOr(key, 0));
  if (ahead < 0 || ahead > kAheadMax) {
    return Refuse("{0}: the key '{1}' is {2}; 1 to {3} are accepted", c.origin(), key, ahead,
                  kAheadMax);
  }
  keys.SetInt("nextn_predict_layers", ahead);
  keys.SetInt("block_count", keys.sizes.n_layers + ahead);
  return Ok{};
}

Result<std::int64_t> WindowOf(const Config& config) {
  TATARA_TRY(const bool used, config.BoolOr("use_sliding_window", true));
  if (!used) return std::int64_t{0};
  return config.IntOr("sliding_window", 0);
}

}  // namespace tatara::weights
