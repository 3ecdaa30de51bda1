// Keys and tensors of mixtures of experts.

#include <utility>

#include "decoder.h"
#include "experts.h"

namespace tatara::model {
namespace {

Result<> ReadScoreKeys(Keys& keys, RouterConfig& c) {
  const auto known = static_cast<std::int64_t>(c.score) + 1;
  TATARA_TRY(const std::int64_t score, keys.IntOr("expert_gating_func", known, {0, 3}));
  if (score != 0) c.score = static_cast<RouterScore>(score - 1);  // 0: not said
  TATARA_TRY(const bool norm, keys.BoolOr("expert_weights_norm", c.renormalise));
  c.renormalise = norm;
  TATARA_TRY(const double scale,
             keys.FloatOr("expert_weights_scale", double{c.weight_scale}, {0, 1e6}));
  // Files of models without a scale carry 0 for it.
  c.weight_scale = scale == 0 ? 1.0F : static_cast<float>(scale);
  return Ok{};
}

Result<> ReadGroups(Keys& keys, RouterConfig& c) {
  TATARA_TRY(c.n_groups, keys.IntOr("expert_group_count", c.n_groups, {0, kExpertGroupsMax}));
  TATARA_TRY(c.n_groups_used,
             keys.IntOr("expert_group_used_count", c.n_groups_used, {0, kExpertGroupsMax}));
  if (c.n_groups <= 1) {
    c.n_groups = c.n_groups_used = 1;
    return Ok{};
  }
  const bool fits = c.n_experts % c.n_groups == 0 && c.n_groups_used >= 1 &&
                    c.n_groups_used <= c.n_groups &&
                    c.n_used <= c.n_experts / c.n_groups * c.n_groups_used;
  if (!fits) {
    return Refuse(
        "{0}: {1} of {2} experts cannot be chosen from {3} of {4} groups of equal size (key '{5}')",
        keys.origin(), c.n_used, c.n_experts, c.n_groups_used, c.n_groups,
        keys.FullName("expert_group_count"));
  }
  return Ok{};
}

// One tensor of all experts, or one for each.
Result<std::vector<Linear>> LoadOfExperts(TensorLoader& tensors, int layer, std::string_view name,
                                          const TensorLoader::ExpertRows& rows, Bias bias) {
  const std::string block = BlockName(layer, name);
  if (tensors.Has(block + "_exps.weight") || !tensors.Has(block + ".0.weight")) {
    return tensors.LoadExperts(block + "_exps", rows, bias);
  }
  std::vector<Linear> linears;
  for (std::int64_t e = 0; e < rows.n_experts; ++e) {
    TATARA_TRY(Linear linear,
               tensors.LoadExpert(block + "." + std::to_string(e), rows.n_out, rows.n_in, bias));
    linears.push_back(std::move(linear));
  }
  return linears;
}

}  // namespace

Result<RouterConfig> ReadRouterConfig(Keys& keys, const RouterConfig& otherwise) {
  RouterConfig c = otherwise;
  if (c.required) {
    TATARA_TRY(c.n_experts, keys.Int("expert_count", {1, kExpertsMax}));
  } else {
    TATARA_TRY(c.n_experts, keys.IntOr("expert_count", 0, {0, kExpertsMax}));
  }
  if (c.n_experts == 0) {
    TATARA_RETURN_IF_ERROR(keys.OnlyInt("expert_used_count", 0));
    return c;
  }
  TATARA_TRY(c.n_used, keys.Int("expert_used_count", {1, c.n_experts}));
  TATARA_RETURN_IF_ERROR(ReadScoreKeys(keys, c));
  TATARA_RETURN_IF_ERROR(ReadGroups(keys, c));
  return c;
}

Result<Experts> LoadExperts(TensorLoader& tensors, int layer, const RouterConfig& config,
                            const ExpertTensors& what) {
  const ExpertTensors& t = what;
  const std::int64_t n = config.n_experts;
  Experts w;
  w.config = config;
  TATARA_TRY(w.router,
             tensors.LoadLinear(BlockName(layer, "ffn_gate_inp"), n, t.n_embd, t.router_bias));
  const std::string fused = BlockName(layer, "ffn_gate_up_exps");
  if (t.fused_gate_up || (t.gated && tensors.Has(fused + ".weight"))) {
    TATARA_TRY(w.gate, tensors.LoadExperts(fused, {n, t.n_embd, 2 * t.n_ff, 0, t.n_ff}, t.bias));
    TATARA_TRY(w.up, tensors.LoadExperts(fused, {n, t.n_embd, 2 * t.n_ff, t.n_ff, t.n_ff}, t.bias));
  } else {
    const TensorLoader::ExpertRows rows{n, t.n_embd, t.n_ff, 0, t.n_ff};
    if (t.gated) {
      TATARA_TRY(w.gate, LoadOfExperts(tensors, layer, "ffn_gate", rows, t.bias));
    }
    TATARA_TRY(w.up, LoadOfExperts(tensors, layer, "ffn_up", rows, t.bias));
  }
  TATARA_TRY(w.down,
             LoadOfExperts(tensors, layer, "ffn_down", {n, t.n_ff, t.n_embd, 0, t.n_embd}, t.bias));
  return w;
}

Result<SharedExpert> LoadSharedExpert(TensorLoader& tensors, int layer, int n_embd, int n_ff,
                                      bool gated) {
  SharedExpert w;
  TATARA_TRY(w.ffn.gate, tensors.LoadLinear(BlockName(layer, "ffn_gate_shexp"), n_ff, n_embd));
  TATARA_TRY(w.ffn.up, tensors.LoadLinear(BlockName(layer, "ffn_up_shexp"), n_ff, n_embd));
  TATARA_TRY(w.ffn.down, tensors.LoadLinear(BlockName(layer, "ffn_down_shexp"), n_embd, n_ff));
  if (gated) {
    TATARA_TRY(w.gate, tensors.LoadLinear(BlockName(layer, "ffn_gate_inp_shexp"), 1, n_embd));
  }
  return w;
}

}  // namespace tatara::model
