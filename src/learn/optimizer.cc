#include "optimizer.h"

#include "pieces.h"
#include "tatara/numerics/ops.h"
#include "tatara/numerics/training.h"

namespace tatara::learn {
namespace {

std::span<float> PartOf(std::vector<float>& values, std::int64_t at, std::int64_t n) {
  return std::span(values).subspan(static_cast<std::size_t>(at), static_cast<std::size_t>(n));
}

void AdamWParameter(const numerics::AdamWStep& step, const model::Parameter& p,
                    std::span<const float> gradient, TrainerState& state, ThreadPool& pool) {
  ForPieces(p.size(), pool, [&](std::size_t first, std::size_t size) {
    const std::size_t at = static_cast<std::size_t>(p.offset) + first;
    numerics::AdamW(step, gradient.subspan(at, size), std::span(state.weights).subspan(at, size),
                    std::span(state.first_moment).subspan(at, size),
                    std::span(state.second_moment).subspan(at, size));
  });
}

void AddCopy(const OptimizerRecipe& recipe, TrainerState& state, ThreadPool& pool) {
  if (state.copies.size() == static_cast<std::size_t>(recipe.average_count)) {
    state.copies.erase(state.copies.begin());
  }
  state.copies.push_back(state.weights);
  MeanOfCopies(state, pool);
}

}  // namespace

bool TakesMuon(const model::Parameter& p) {
  return p.decays && p.n_rows > 1 && p.n_cols > 1 && p.name.starts_with("blk.");
}

void Optimizer::Update(const OptimizerRecipe& o, const model::Trainable& trainable,
                       const OptimizerStep& step, std::span<const float> gradient,
                       TrainerState& state, ThreadPool& pool) {
  // Muon's rate follows the same schedule from its own height.
  const double part = o.learning_rate > 0 ? step.rate / o.learning_rate : 0;
  for (const model::Parameter& p : trainable.parameters()) {
    const double decay = p.decays ? o.weight_decay : 0;
    const auto scale = static_cast<float>(step.gradient_scale);
    if (o.kind == OptimizerKind::kAdamW || !TakesMuon(p)) {
      AdamWParameter({.step = step.step,
                      .learning_rate = step.rate,
                      .beta1 = o.beta1,
                      .beta2 = o.beta2,
                      .eps = o.eps,
                      .weight_decay = decay,
                      .gradient_scale = scale},
                     p, gradient, state, pool);
      continue;
    }
    // q, k and v are orthogonalised each by itself where they lie in one matrix.
    const std::int64_t n_parts = p.name.ends_with("attn_qkv.weight") ? 3 : 1;
    const std::int64_t size = p.size() / n_parts;
    for (std::int64_t i = 0; i < n_parts; ++i) {
      const std::int64_t at = p.offset + i * size;
      muon_.Update({.n_rows = p.n_rows / n_parts,
                    .n_columns = p.n_cols,
                    .learning_rate = part * o.muon_learning_rate,
                    .momentum = o.muon_momentum,
                    .weight_decay = decay,
                    .gradient_scale = scale},
                   gradient.subspan(static_cast<std::size_t>(at), static_cast<std::size_t>(size)),
                   PartOf(state.weights, at, size), PartOf(state.first_moment, at, size), pool);
    }
  }
}

void MeanOfCopies(TrainerState& state, ThreadPool& pool) {
  if (state.copies.empty()) return;
  ForPieces(static_cast<std::int64_t>(state.average.size()), pool,
            [&](std::size_t first, std::size_t size) {
              const std::span<float> to = std::span(state.average).subspan(first, size);
              std::fill(to.begin(), to.end(), 0.0F);
              for (const std::vector<float>& copy : state.copies) {
                numerics::Add(std::span(copy).subspan(first, size), to);
              }
              numerics::Divide(static_cast<float>(state.copies.size()), to);
            });
}

void UpdateAverage(const OptimizerRecipe& recipe, std::int64_t step, TrainerState& state,
                   ThreadPool& pool) {
  if (recipe.average == Average::kNone) return;
  if (recipe.average == Average::kLawa) {
    if (step % recipe.average_every == 0) {
      AddCopy(recipe, state, pool);
    } else if (state.copies.empty()) {
      state.average = state.weights;
    }
    return;
  }
  const auto pull = static_cast<float>(1.0 - recipe.average_decay);
  ForPieces(static_cast<std::int64_t>(state.average.size()), pool,
            [&](std::size_t first, std::size_t size) {
              for (std::size_t i = first; i < first + size; ++i) {
                state.average[i] += pull * (state.weights[i] - state.average[i]);
              }
            });
}

}  // namespace tatara::learn
