#include "passes.h"

#include <algorithm>
#include <bit>

#include "base_model.h"

namespace tatara::learn {
namespace {

constexpr double kLogitsMax = 1 << 22;         // that ActivationBytes counts
constexpr std::int64_t kRowsMax = 1024;        // of a pass over whole shards
constexpr double kBytesMin = double{1 << 28};  // what may be taken anyway

std::int64_t SequencesOf(const Recipe& recipe, int n_shards) {
  const TrainingRecipe& t = recipe.training;
  return (std::int64_t{t.batch} * n_shards + t.virtual_shards - 1) / t.virtual_shards;
}

PassPlan Plan(const Recipe& recipe, const model::Trainable& trainable, int n_shards, int at_once) {
  PassPlan plan{.shards = at_once};
  plan.sequences = SequencesOf(recipe, std::max(1, at_once));
  if (recipe.run.micro_batch > 0) {
    plan.sequences = std::min<std::int64_t>(plan.sequences, recipe.run.micro_batch);
  }
  const double rows = static_cast<double>(plan.sequences) * recipe.training.context;
  plan.activation_bytes = trainable.ActivationBytes(rows, OptionsOf(recipe));
  if (at_once > 0) {
    // The logits of all rows are kept, and where they are capped so are those before; some rows'
    // are in the activations already.
    const model::TrainableShape& s = trainable.shape();
    const double n_kept = std::max(0.0, rows - std::max(8.0, kLogitsMax / s.n_vocab));
    plan.activation_bytes += 4 * n_kept * s.n_vocab * (s.logit_cap == 0 ? 1 : 2);
  }
  plan.gradients = std::countr_zero(static_cast<unsigned>(n_shards / std::max(1, at_once))) + 1;
  plan.gradient_values =
      static_cast<double>(at_once > 0 ? trainable.n_values() : trainable.n_gradient_values());
  return plan;
}

}  // namespace

PassPlan PlanPasses(const Recipe& recipe, const model::Trainable& trainable, int n_shards) {
  PassPlan best = Plan(recipe, trainable, n_shards, 0);
  for (int at_once = 1; at_once <= n_shards; at_once *= 2) {
    const std::int64_t sequences = SequencesOf(recipe, at_once);
    if (recipe.run.micro_batch > 0 && sequences > recipe.run.micro_batch) break;
    if (sequences * recipe.training.context > kRowsMax) break;
    const PassPlan plan = Plan(recipe, trainable, n_shards, at_once);
    if (plan.bytes() > std::max(kBytesMin, best.bytes())) break;
    best = plan;
  }
  return best;
}

}  // namespace tatara::learn
