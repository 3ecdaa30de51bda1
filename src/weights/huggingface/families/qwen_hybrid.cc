// Qwen3-Next and Qwen3.5 (text): layers of a gated delta net and of gated attention. Norms but the
// delta net's are published as their difference from 1. GGUF has Qwen3.5's value heads in another
// order: head h reads key head h mod n there, and key head h / ratio as published.
#include "huggingface/families/list.h"
#include "tatara/base/utf8.h"

namespace tatara::weights {
namespace {

constexpr Rename kNorms[] = {
    {"norm.weight", "output_norm.weight", Change::kPlusOne},
    {"layers.#.input_layernorm.weight", "blk.#.attn_norm.weight", Change::kPlusOne},
    {"layers.#.post_attention_layernorm.weight", "blk.#.post_attention_norm.weight",
     Change::kPlusOne},
    {"layers.#.self_attn.q_norm.weight", "blk.#.attn_q_norm.weight", Change::kPlusOne},
    {"layers.#.self_attn.k_norm.weight", "blk.#.attn_k_norm.weight", Change::kPlusOne},
    {"layers.#.linear_attn.norm.weight", "blk.#.ssm_norm.weight"},
};
constexpr Rename kNextDelta[] = {
    {"layers.#.linear_attn.in_proj_qkvz.weight", "blk.#.attn_qkv.weight", Change::kQueriesToGates,
     "blk.#.attn_gate.weight"},
    {"layers.#.linear_attn.in_proj_qkvz.weight", "blk.#.ssm_in.weight"},  // of older GGUF files
    {"layers.#.linear_attn.in_proj_ba.weight", "blk.#.ssm_ba.weight"},
    {"layers.#.linear_attn.conv1d.weight", "blk.#.ssm_conv1d.weight", Change::kSqueeze},
    {"layers.#.linear_attn.dt_bias", "blk.#.ssm_dt.bias"},
    {"layers.#.linear_attn.A_log", "blk.#.ssm_a", Change::kNegativeExp},
    {"layers.#.linear_attn.out_proj.weight", "blk.#.ssm_out.weight"},
};
constexpr Rename kDelta35[] = {
    {"layers.#.linear_attn.in_proj_qkv.weight", "blk.#.attn_qkv.weight",
     Change::kAfterKeysValueHeads},
    {"layers.#.linear_attn.in_proj_z.weight", "blk.#.attn_gate.weight", Change::kValueHeads},
    {"layers.#.linear_attn.in_proj_b.weight", "blk.#.ssm_beta.weight", Change::kValueHeads},
    {"layers.#.linear_attn.in_proj_a.weight", "blk.#.ssm_alpha.weight", Change::kValueHeads},
    {"layers.#.linear_attn.conv1d.weight", "blk.#.ssm_conv1d.weight",
     Change::kSqueezeAfterKeysValueHeads},
    {"layers.#.linear_attn.dt_bias", "blk.#.ssm_dt.bias", Change::kValueHeads},
    {"layers.#.linear_attn.A_log", "blk.#.ssm_a", Change::kValueHeadsNegativeExp},
    {"layers.#.linear_attn.out_proj.weight", "blk.#.ssm_out.weight", Change::kValueHeadColumns},
};
constexpr Rename kRouted[] = {
    {"layers.#.mlp.gate.weight", "blk.#.ffn_gate_inp.weight"},
    {"layers.#.mlp.shared_expert.gate_proj.weight", "blk.#.ffn_gate_shexp.weight"},
    {"layers.#.mlp.shared_expert.up_proj.weight", "blk.#.ffn_up_shexp.weight"},
    {"layers.#.mlp.shared_expert.down_proj.weight", "blk.#.ffn_down_shexp.weight"},
    {"layers.#.mlp.shared_expert_gate.weight", "blk.#.ffn_gate_inp_shexp.weight", Change::kOneRow},
};
// One by one, as Qwen3-Next was published, and joined, as the mixtures of Qwen3.5 were; both are
// read of both.
constexpr Rename kOneByOne[] = {
    {"layers.#.mlp.experts.*.gate_proj.weight", "blk.#.ffn_gate_exps.weight"},
    {"layers.#.mlp.experts.*.up_proj.weight", "blk.#.ffn_up_exps.weight"},
    {"layers.#.mlp.experts.*.down_proj.weight", "blk.#.ffn_down_exps.weight"},
};
constexpr Rename kJoined[] = {
    {"layers.#.mlp.experts.gate_up_proj", "blk.#.ffn_gate_exps.weight", Change::kHalves,
     "blk.#.ffn_up_exps.weight"},
    {"layers.#.mlp.experts.down_proj", "blk.#.ffn_down_exps.weight"},
};
// First match counts, so the norms stand before the common ends.
const std::span<const Rename> kNext[] = {kNorms,  kDecoderEnds, kAttention, kNextDelta,
                                         kRouted, kOneByOne,    kJoined};
const std::span<const Rename> kDense35[] = {kNorms, kDecoderEnds, kAttention, kDelta35, kGatedFfn};
const std::span<const Rename> kMixture35[] = {kNorms,  kDecoderEnds, kAttention, kDelta35,
                                              kRouted, kJoined,      kOneByOne};

// Which layers have attention: every n-th, or those that "layer_types" names.
Result<> WriteLayerKinds(KeyWriter& keys) {
  constexpr std::int64_t kInterval = 4;
  TATARA_TRY(const auto kinds, keys.config.StringsOrNone("layer_types"));
  if (kinds.empty()) {
    TATARA_TRY(const std::int64_t interval,
               SizeOf(keys.config, "full_attention_interval", kInterval));
    keys.SetInt("full_attention_interval", interval);
    return Ok{};
  }
  std::vector<bool> recurrent;
  for (const std::string& kind : kinds) {
    if (kind != "linear_attention" && kind != "full_attention") {
      return Refuse("{0}: the key '{1}' is {2}, which asks for something that is not computed here",
                    keys.config.origin(), "layer_types", "'" + Printable(kind) + "'");
    }
    recurrent.push_back(kind == "linear_attention");
  }
  std::size_t interval = 1;
  while (interval < recurrent.size() && recurrent[interval - 1]) ++interval;
  bool regular = static_cast<std::int64_t>(recurrent.size()) == keys.sizes.n_layers;
  for (std::size_t i = 0; i < recurrent.size(); ++i) {
    regular &= recurrent[i] == ((i + 1) % interval != 0);
  }
  if (regular) {
    keys.SetInt("full_attention_interval", static_cast<std::int64_t>(interval));
  } else {
    keys.Set("attention.recurrent_layers", recurrent);
  }
  return Ok{};
}

Result<> WriteDelta(KeyWriter& keys) {
  const Config& c = keys.config;
  FamilySizes& s = keys.sizes;
  TATARA_TRY(s.n_state_heads, SizeOf(c, "linear_num_key_heads"));
  TATARA_TRY(s.n_value_heads, SizeOf(c, "linear_num_value_heads"));
  TATARA_TRY(s.state_dim, SizeOf(c, "linear_key_head_dim"));
  TATARA_RETURN_IF_ERROR(
      keys.OnlyNumber("linear_value_head_dim", static_cast<double>(s.state_dim)));
  keys.SetInt("ssm.state_size", s.state_dim);
  keys.SetInt("ssm.group_count", s.n_state_heads);
  keys.SetInt("ssm.time_step_rank", s.n_value_heads);
  keys.SetInt("ssm.inner_size", s.n_value_heads * s.state_dim);
  return keys.NeedInt("linear_conv_kernel_dim", "ssm.conv_kernel");
}

Result<> Hybrid(KeyWriter& keys) {
  keys.partial_rotary_otherwise = 0.25;
  TATARA_RETURN_IF_ERROR(keys.OnlyString("hidden_act", {"silu"}));
  TATARA_RETURN_IF_ERROR(keys.OnlyBool("attention_bias", false));
  TATARA_RETURN_IF_ERROR(keys.OnlyBool("attn_output_gate", true));
  TATARA_RETURN_IF_ERROR(WriteUsualKeys(keys));
  TATARA_RETURN_IF_ERROR(WriteDelta(keys));
  return WriteLayerKinds(keys);
}

Result<> Mixture(KeyWriter& keys) {
  keys.all_experts = true;
  TATARA_RETURN_IF_ERROR(Hybrid(keys));
  TATARA_RETURN_IF_ERROR(keys.OnlyNumber("decoder_sparse_step", 1));
  TATARA_RETURN_IF_ERROR(keys.OnlyBool("norm_topk_prob", true));
  TATARA_TRY(const auto dense, keys.config.IntsOrNone("mlp_only_layers"));
  if (!dense.empty()) {
    return Refuse("{0}: the key '{1}' is {2}, which asks for something that is not computed here",
                  keys.config.origin(), "mlp_only_layers", dense.front());
  }
  for (const auto& [from, to] :
       {std::pair{"num_experts", "expert_count"},
        {"num_experts_per_tok", "expert_used_count"},
        {"moe_intermediate_size", "expert_feed_forward_length"},
        {"shared_expert_intermediate_size", "expert_shared_feed_forward_length"}}) {
    TATARA_RETURN_IF_ERROR(keys.NeedInt(from, to));
  }
  return Ok{};
}

// Text has one position on all axes of the sections, so that they turn nothing differently.
Result<> WriteSections(KeyWriter& keys) {
  TATARA_TRY(auto sections, RopeOf(keys.config).IntsOrNone("mrope_section"));
  if (sections.empty() || sections.size() > 4) return Ok{};
  sections.resize(4);
  keys.Set("rope.dimension_sections", sections);
  return Ok{};
}

Result<> Dense35(KeyWriter& keys) {
  TATARA_RETURN_IF_ERROR(Hybrid(keys));
  return WriteSections(keys);
}

Result<> Mixture35(KeyWriter& keys) {
  TATARA_RETURN_IF_ERROR(Mixture(keys));
  return WriteSections(keys);
}

constexpr std::string_view kNextNames[] = {"Qwen3NextForCausalLM", "Qwen3NextModel"};
constexpr std::string_view kDense35Names[] = {"Qwen3_5ForCausalLM", "Qwen3_5TextModel",
                                              "Qwen3_5ForConditionalGeneration"};
constexpr std::string_view kMixture35Names[] = {"Qwen3_5MoeForCausalLM", "Qwen3_5MoeTextModel",
                                                "Qwen3_5MoeForConditionalGeneration"};

}  // namespace

const Family kQwen3NextFamily = {kNextNames, "qwen3next", kNext, Mixture};
const Family kQwen35Family = {kDense35Names, "qwen35", kDense35, Dense35};
const Family kQwen35MoeFamily = {kMixture35Names, "qwen35moe", kMixture35, Mixture35};

}  // namespace tatara::weights
