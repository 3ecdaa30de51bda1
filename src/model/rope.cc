#include "rope.h"

#include <algorithm>
#include <cmath>

#include "tatara/numerics/functions.h"

namespace tatara::model {
namespace {

constexpr double kTwoPi = 6.283185307179586;
constexpr std::int64_t kPositionsPerStep = 512;

// The pair whose wave fits `turns` times into the original context (arXiv:2309.00071, 3.2), as a
// real number.
double PairThatTurns(const RopeConfig& c, double turns) {
  return c.n_rot * numerics::LogF64(c.original_context / (turns * kTwoPi)) /
         (2 * numerics::LogF64(c.base));
}

// YaRN: a linear ramp over the pairs from "keep the frequency" to "divide it by the factor".
void ScaleByParts(const RopeConfig& c, std::span<double> inverse_frequencies) {
  double first = PairThatTurns(c, c.beta_fast), last = PairThatTurns(c, c.beta_slow);
  if (c.whole_pairs) {
    first = std::floor(first);
    last = -std::floor(-last);
  }
  first = std::max(0.0, first);
  last = std::min(c.n_rot - 1.0, last);
  for (std::size_t i = 0; i < inverse_frequencies.size(); ++i) {
    const double way = (static_cast<double>(i) - first) / std::max(0.001, last - first);
    const double stretched = std::clamp(way, 0.0, 1.0);
    inverse_frequencies[i] =
        inverse_frequencies[i] / c.factor * stretched + inverse_frequencies[i] * (1 - stretched);
  }
}

// Llama 3: frequencies are divided by the factor, kept, or between the two, by their wavelength.
void ScaleByWavelength(const RopeConfig& c, std::span<double> inverse_frequencies) {
  for (double& frequency : inverse_frequencies) {
    const double turns = c.original_context * frequency / kTwoPi;  // in the original context
    const double kept = std::clamp(
        (turns - c.low_freq_factor) / (c.high_freq_factor - c.low_freq_factor), 0.0, 1.0);
    frequency = (1 - kept) * frequency / c.factor + kept * frequency;
  }
}

}  // namespace

RotaryTable::RotaryTable(const RopeConfig& config, numerics::RopeLayout layout,
                         std::span<const float> factors)
    : layout_(layout), inverse_frequencies_(static_cast<std::size_t>(config.n_rot / 2)) {
  const double linear = config.scaling == RopeScaling::kLinear ? config.factor : 1.0;
  numerics::RopeInverseFrequencies(config.base, config.n_rot, factors, linear,
                                   inverse_frequencies_);
  if (config.scaling == RopeScaling::kYarn) ScaleByParts(config, inverse_frequencies_);
  if (config.scaling == RopeScaling::kLlama3) ScaleByWavelength(config, inverse_frequencies_);
  magnitude_ = static_cast<float>(config.magnitude);
}

void RotaryTable::Reserve(std::int64_t n_positions) {
  if (n_positions <= n_positions_) return;
  const std::int64_t target =
      (n_positions + kPositionsPerStep - 1) / kPositionsPerStep * kPositionsPerStep;
  const std::size_t n = inverse_frequencies_.size();
  cosines_.resize(static_cast<std::size_t>(target) * n);
  sines_.resize(static_cast<std::size_t>(target) * n);
  for (std::int64_t position = n_positions_; position < target; ++position) {
    const std::size_t start = static_cast<std::size_t>(position) * n;
    const std::span<float> cosines(cosines_.data() + start, n);
    const std::span<float> sines(sines_.data() + start, n);
    numerics::RopeTable(position, inverse_frequencies_, cosines, sines);
    if (magnitude_ != 1.0F) {
      numerics::Scale(magnitude_, cosines);
      numerics::Scale(magnitude_, sines);
    }
  }
  n_positions_ = target;
}

}  // namespace tatara::model
