// One step of a recipe's optimiser on all parameters, and the averages of weights. Thread safety:
// one caller.
#pragma once

#include <span>
#include <string_view>

#include "muon.h"
#include "tatara/learn/recipe.h"
#include "tatara/learn/trainer.h"
#include "tatara/model/trainable.h"

namespace tatara::learn {

// Matrices inside layers; embeddings, positions and the head take AdamW, as vectors do.
bool TakesMuon(const model::Parameter& parameter);
// q, k and v are orthogonalised each by itself where they lie in one matrix.
int MuonParts(const model::Parameter& parameter);
// Of one update, as numerics/flops.h counts them: products alone, so none of AdamW's.
double OptimizerFlops(const OptimizerRecipe& recipe, const model::Trainable& trainable);

// `step` counts from 1; `rate` is that of the schedule.
struct OptimizerStep {
  std::int64_t step = 1;
  double rate = 0;
  // Each gradient is divided and rounded first, then scaled. For AdamW; Muon takes means.
  float gradient_divisor = 1;
  double gradient_scale = 1;
  // By which moments are rounded where they are stored as bf16: the run's seed and the steps done.
  std::uint64_t seed = 0;
  std::uint32_t run_step = 0;
};

// Moments of zeros: a first one of every parameter, a second one where AdamW moves it.
void MakeMoments(const OptimizerRecipe& recipe, const model::Trainable& trainable,
                 TrainerState& state);
double MomentBytes(const OptimizerRecipe& recipe, const model::Trainable& trainable);

class Optimizer {
 public:
  void Update(const OptimizerRecipe& recipe, const model::Trainable& trainable,
              const OptimizerStep& step, std::span<const float> gradient, TrainerState& state,
              ThreadPool& pool);

 private:
  void UpdateByMuon(const OptimizerRecipe& recipe, const model::Trainable& trainable,
                    std::size_t parameter, const OptimizerStep& step,
                    std::span<const float> gradient, TrainerState& state, ThreadPool& pool);

  Muon muon_;
  std::vector<float> momentum_;  // of one matrix, where it is stored as bf16
};

// After a step's update. EMA: average = average + float(1 - decay) * (w - average), each operation
// rounded, from the starting weights on. LAWA (arXiv:2209.14981): the mean of the last
// `average_count` copies, one taken every `average_every` steps: their sum, oldest first, then one
// division; before the first copy the weights themselves.
void UpdateAverage(const OptimizerRecipe& recipe, std::int64_t step, TrainerState& state,
                   ThreadPool& pool);

void MeanOfCopies(TrainerState& state, ThreadPool& pool);

}  // namespace tatara::learn
