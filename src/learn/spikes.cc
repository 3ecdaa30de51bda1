#include "tatara/learn/spikes.h"

#include <algorithm>
#include <cmath>

namespace tatara::learn {
namespace {

constexpr double kDeviationLeast = 0.01;  // of the mean

double LimitOf(const SpikeRecipe& recipe, const std::vector<double>& values) {
  const auto n = static_cast<double>(values.size());
  double sum = 0, squares = 0;
  for (const double v : values) sum += v;
  const double mean = sum / n;
  for (const double v : values) squares += (v - mean) * (v - mean);
  const double deviation = std::max(std::sqrt(squares / n), kDeviationLeast * std::fabs(mean));
  return mean + recipe.sigma * deviation;
}

void Append(const SpikeRecipe& recipe, double value, std::vector<double>& values) {
  if (values.size() == static_cast<std::size_t>(recipe.window)) values.erase(values.begin());
  values.push_back(value);
}

}  // namespace

std::optional<Spike> FindSpike(const SpikeRecipe& recipe, const SpikeHistory& history, double loss,
                               double norm) {
  if (!std::isfinite(loss)) return Spike{"loss", loss, 0, ""};
  if (!std::isfinite(norm)) return Spike{"gradient_norm", norm, 0, ""};
  if (recipe.sigma == 0 || history.losses.size() < static_cast<std::size_t>(recipe.window)) {
    return std::nullopt;
  }
  const double loss_limit = LimitOf(recipe, history.losses);
  if (loss > loss_limit) return Spike{"loss", loss, loss_limit, ""};
  const double norm_limit = LimitOf(recipe, history.norms);
  if (norm > norm_limit) return Spike{"gradient_norm", norm, norm_limit, ""};
  return std::nullopt;
}

void Remember(const SpikeRecipe& recipe, double loss, double norm, SpikeHistory& history) {
  if (recipe.sigma == 0) return;
  Append(recipe, loss, history.losses);
  Append(recipe, norm, history.norms);
}

}  // namespace tatara::learn
