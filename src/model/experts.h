// Mixtures of experts: a router gives every row a score for each expert, the best few work on the
// row, and their outputs are added with the router's weights. Sources: Shazeer et al. 2017
// (arXiv:1701.06538); Mixtral, Jiang et al. 2024 (arXiv:2401.04088); DeepSeekMoE, Dai et al. 2024
// (arXiv:2401.06066); selection by a bias and by groups, DeepSeek-V3 (arXiv:2412.19437).
//
// Rows are gathered by expert, so that each expert's matrices are read once a pass for all of its
// rows. Rule 6 of the numerics contract: of equal scores the lower index is taken; outputs are
// added by ascending expert, y = fma(weight, output, y) from +0. So a row's numbers do not depend
// on the other rows.
//
// Shapes: N rows, E n_embd, X experts, U experts used by a row, F inner size of an expert.
//
// Thread safety: as Pass.
#pragma once

#include <cstdint>
#include <span>
#include <string>
#include <vector>

#include "blocks.h"
#include "keys.h"
#include "pass.h"
#include "tensors.h"

namespace tatara::model {

inline constexpr std::int64_t kExpertsMax = 4096;
inline constexpr std::int64_t kExpertGroupsMax = 64;

// What turns a row of the router's outputs (X) into scores.
enum class RouterScore {
  kSoftmax,         // over all experts
  kSigmoid,         // of each
  kSoftmaxOfChosen  // chosen by the outputs themselves, weights are the softmax over the chosen
};

struct RouterConfig {
  int n_experts = 0;
  int n_used = 0;
  RouterScore score = RouterScore::kSoftmax;
  bool renormalise = false;  // the chosen weights are divided by their sum
  float sum_min = 0;         // ... or by this, where the sum is smaller
  float weight_scale = 1;    // multiplies the weights last
  // Only experts of the best groups are chosen from: a group (n_experts / n_groups consecutive
  // experts) is as good as the sum of its `group_best` best.
  int n_groups = 1;
  int n_groups_used = 1;
  int group_best = 2;
  bool required = false;  // a file without experts is refused
};

// "expert_count", "expert_used_count", and where present "expert_group_count" and
// "expert_group_used_count", "expert_weights_norm", "expert_weights_scale", "expert_gating_func" (1
// softmax, 2 sigmoid, 3 softmax over the chosen): over the values of `otherwise`. n_experts is 0
// where the file has none.
Result<RouterConfig> ReadRouterConfig(Keys& keys, const RouterConfig& otherwise);

// act(pool, gate, up) leaves act(gate) * up in gate; SiluMulRows is one.
using GateUpRows = void (*)(ThreadPool& pool, Rows gate, Rows up);
// act(pool, x), in place, for experts without a gate.
using ActivateRows = void (*)(ThreadPool& pool, Rows x);

struct Experts {
  RouterConfig config;
  Linear router;                      // (X, E)
  std::vector<float> selection_bias;  // (X) or empty: added to the scores to choose, not to weigh
  std::vector<float> output_scale;    // (X) or empty: multiplies an expert's weight
  std::vector<Linear> gate;           // X of (F, E); empty for experts without a gate
  std::vector<Linear> up;             // X of (F, E)
  std::vector<Linear> down;           // X of (E, F)
  GateUpRows gate_up = SiluMulRows;
  ActivateRows activate = nullptr;  // where `gate` is empty
};

// "blk.LAYER.ffn_gate_inp", and "ffn_gate_exps", "ffn_up_exps", "ffn_down_exps" of n_ff inner
// values; in older files every expert's matrices stand alone ("blk.LAYER.ffn_gate.EXPERT").
struct ExpertTensors {
  int n_embd = 0;
  int n_ff = 0;
  bool gated = true;
  bool fused_gate_up = false;  // always one "ffn_gate_up_exps" (E, 2F, X), gate first; else where
                               // the file has one
  Bias router_bias = Bias::kNone;
  Bias bias = Bias::kNone;  // of gate, up and down: (F, X), (F, X), (E, X)
};
Result<Experts> LoadExperts(TensorLoader& tensors, int layer, const RouterConfig& config,
                            const ExpertTensors& what);

// y = sum over the chosen experts e, ascending, of weight_e * down_e(act(gate_e x) * up_e x). The
// router reads router_in (N, E), which may be x (N, E); y (N, E) is another matrix.
void RunExperts(Pass& pass, const Experts& w, Rows router_in, Rows x, Rows y);

// An expert that works on every row, beside the chosen ones.
struct SharedExpert {
  GatedFfn ffn;  // (FS, E), (FS, E), (E, FS)
  Linear gate;   // (1, E) or empty: the output is multiplied by sigmoid(gate x)
};
// "blk.LAYER.ffn_gate_shexp", "ffn_up_shexp", "ffn_down_shexp"; with `gated` "ffn_gate_inp_shexp".
Result<SharedExpert> LoadSharedExpert(TensorLoader& tensors, int layer, int n_embd, int n_ff,
                                      bool gated);

// h = experts(h) + shared(h) (N, E), in place; shared may be null.
void MixtureFeedForward(Pass& pass, const Experts& w, const SharedExpert* shared, Rows h);

// One row's choice, exposed for tests: scores (X) are the router's outputs, overwritten; chosen
// (U) become ascending expert numbers with their weights.
void ChooseExperts(const RouterConfig& config, std::span<const float> selection_bias,
                   std::span<float> scores, std::span<float> scratch,
                   std::span<ChosenExpert> chosen);

}  // namespace tatara::model
