#include "optimizer.h"

#include <algorithm>
#include <array>

#include "pieces.h"
#include "tatara/numerics/bf16_storage.h"
#include "tatara/numerics/ops.h"
#include "tatara/numerics/training.h"

namespace tatara::learn {
namespace {

template <typename T>
std::span<T> PartOf(std::vector<T>& values, std::int64_t at, std::int64_t n) {
  return std::span(values).subspan(static_cast<std::size_t>(at), static_cast<std::size_t>(n));
}

// Moments as bf16 are rounded by the value's place among the weights.
numerics::DrawnRounding RoundingAt(const OptimizerStep& step, std::size_t place) {
  return {.seed = step.seed, .step = step.run_step, .first_place = place};
}

void AdamWParameter(const numerics::AdamWStep& adamw, const OptimizerStep& step,
                    const model::Parameter& p, std::size_t parameter,
                    std::span<const float> gradient, TrainerState& state, ThreadPool& pool) {
  Moments& m = state.first_moment;
  Moments& v = state.second_moment;
  const auto at_m = static_cast<std::size_t>(m.offsets[parameter]);
  const auto at_v = static_cast<std::size_t>(v.offsets[parameter]);
  const auto update = [&](std::size_t first, std::span<const float> g) {
    const std::size_t at = static_cast<std::size_t>(p.offset) + first;
    const std::span<float> w = std::span(state.weights).subspan(at, g.size());
    if (m.narrow.empty()) {
      numerics::AdamW(adamw, g, w, std::span(m.wide).subspan(at_m + first, g.size()),
                      std::span(v.wide).subspan(at_v + first, g.size()));
    } else {
      numerics::AdamW(adamw, RoundingAt(step, at), g, w,
                      std::span(m.narrow).subspan(at_m + first, g.size()),
                      std::span(v.narrow).subspan(at_v + first, g.size()));
    }
  };
  ForPieces(p.size(), pool, [&](std::size_t first, std::size_t size) {
    const std::span<const float> sums =
        gradient.subspan(static_cast<std::size_t>(p.offset) + first, size);
    constexpr std::size_t kInCache = 1 << 14;
    std::array<float, kInCache> mean;
    for (std::size_t i = 0; i < size; i += kInCache) {
      const std::span<const float> piece = sums.subspan(i, std::min(kInCache, size - i));
      const std::span<float> to = std::span(mean).first(piece.size());
      std::ranges::copy(piece, to.begin());
      numerics::Divide(step.gradient_divisor, to);
      update(first + i, to);
    }
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

int MuonParts(const model::Parameter& p) {
  return p.name.ends_with("attn_qkv.weight") ? 3 : 1;
}

double OptimizerFlops(const OptimizerRecipe& recipe, const model::Trainable& trainable) {
  if (recipe.kind != OptimizerKind::kMuon) return 0;
  double flops = 0;
  for (const model::Parameter& p : trainable.parameters()) {
    const int n_parts = MuonParts(p);
    if (TakesMuon(p)) flops += n_parts * MuonFlops(p.n_rows / n_parts, p.n_cols);
  }
  return flops;
}

void MakeMoments(const OptimizerRecipe& o, const model::Trainable& trainable, TrainerState& state) {
  const std::vector<model::Parameter>& parameters = trainable.parameters();
  state.first_moment = Moments(o.moments, parameters, [](const auto&) { return true; });
  state.second_moment = Moments(o.moments, parameters, [&](const model::Parameter& p) {
    return o.kind == OptimizerKind::kAdamW || !TakesMuon(p);
  });
}

double MomentBytes(const OptimizerRecipe& o, const model::Trainable& trainable) {
  double n = 0;
  for (const model::Parameter& p : trainable.parameters()) {
    const bool has_second = o.kind == OptimizerKind::kAdamW || !TakesMuon(p);
    n += (has_second ? 2.0 : 1.0) * static_cast<double>(p.size());
  }
  return n * (o.moments == model::Storage::kBF16 ? 2.0 : 4.0);
}

void Optimizer::Update(const OptimizerRecipe& o, const model::Trainable& trainable,
                       const OptimizerStep& step, std::span<const float> gradient,
                       TrainerState& state, ThreadPool& pool) {
  for (std::size_t i = 0; i < trainable.parameters().size(); ++i) {
    const model::Parameter& p = trainable.parameters()[i];
    if (o.kind == OptimizerKind::kMuon && TakesMuon(p)) {
      UpdateByMuon(o, trainable, i, step, gradient, state, pool);
      continue;
    }
    AdamWParameter({.step = step.step,
                    .learning_rate = step.rate,
                    .beta1 = o.beta1,
                    .beta2 = o.beta2,
                    .eps = o.eps,
                    .weight_decay = p.decays ? o.weight_decay : 0,
                    .gradient_scale = static_cast<float>(step.gradient_scale)},
                   step, p, i, gradient, state, pool);
  }
}

// Muon's rate follows the same schedule from its own height.
void Optimizer::UpdateByMuon(const OptimizerRecipe& o, const model::Trainable& trainable,
                             std::size_t parameter, const OptimizerStep& step,
                             std::span<const float> gradient, TrainerState& state,
                             ThreadPool& pool) {
  const model::Parameter& p = trainable.parameters()[parameter];
  Moments& m = state.first_moment;
  const std::int64_t n_parts = MuonParts(p);
  const std::int64_t size = p.size() / n_parts;
  const MuonStep muon{.n_rows = p.n_rows / n_parts,
                      .n_columns = p.n_cols,
                      .learning_rate = o.learning_rate > 0
                                           ? step.rate / o.learning_rate * o.muon_learning_rate
                                           : 0.0,
                      .momentum = o.muon_momentum,
                      .weight_decay = p.decays ? o.weight_decay : 0,
                      .gradient_scale = static_cast<float>(step.gradient_scale)};
  for (std::int64_t i = 0; i < n_parts; ++i) {
    const std::int64_t at = p.offset + i * size, at_m = m.offsets[parameter] + i * size;
    const std::span<const float> g =
        gradient.subspan(static_cast<std::size_t>(at), static_cast<std::size_t>(size));
    const std::span<float> w = PartOf(state.weights, at, size);
    if (m.narrow.empty()) {
      muon_.Update(muon, g, w, PartOf(m.wide, at_m, size), pool);
      continue;
    }
    const std::span<std::uint16_t> stored = PartOf(m.narrow, at_m, size);
    momentum_.resize(stored.size());
    const std::span<float> momentum(momentum_);
    ForPieces(size, pool, [&](std::size_t first, std::size_t n) {
      numerics::LoadBF16(stored.subspan(first, n), momentum.subspan(first, n));
    });
    muon_.Update(muon, g, w, momentum, pool);
    ForPieces(size, pool, [&](std::size_t first, std::size_t n) {
      numerics::StoreBF16(RoundingAt(step, static_cast<std::size_t>(at) + first),
                          numerics::DrawnHalf::kFirst, momentum.subspan(first, n),
                          stored.subspan(first, n));
    });
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
