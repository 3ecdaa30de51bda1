// Rotary positions: how frequencies are scaled for long contexts, and a table of cosines and sines.
// Sources: Su et al. 2021 (arXiv:2104.09864); linear interpolation, Chen et al. 2023
// (arXiv:2306.15595); YaRN, Peng et al. 2023 (arXiv:2309.00071). Everything is computed in our own
// f64 functions and rounded once (rule 7 of the numerics contract). Llama 3's scaling: its report,
// arXiv:2407.21783, and published code; NTK-aware bases: bloc97 2023, as a fixed alpha; longrope,
// Ding et al. 2024 (arXiv:2402.13753), comes as divisors. Thread safety: Reserve by one thread
// while nobody reads; reading from any thread.
#pragma once

#include <cstdint>
#include <span>
#include <vector>

#include "tatara/numerics/ops.h"

namespace tatara::model {

enum class RopeScaling { kNone, kLinear, kYarn, kLlama3 };

struct RopeConfig {
  int n_rot = 0;  // rotated values of a head, even
  double base = 10000;
  RopeScaling scaling = RopeScaling::kNone;
  double factor = 1;            // the context is stretched by this
  double original_context = 0;  // positions before stretching; YaRN, Llama 3, longrope
  double beta_fast = 32;        // YaRN: pairs that turn more often than this keep their frequency,
  double beta_slow = 1;         // pairs that turn less often are stretched in full
  bool whole_pairs = true;      // YaRN: the pairs where stretching begins and ends are rounded
  double low_freq_factor = 1;   // Llama 3: pairs whose wave is longer than original_context / low
  double high_freq_factor = 4;  // are stretched in full, those shorter than ... / high not at all
  double magnitude = 1;         // multiplies cosines and sines
};

class RotaryTable {
 public:
  RotaryTable() = default;
  // factors: empty, or n_rot / 2 divisors of the frequencies (Llama 3's rope_freqs).
  RotaryTable(const RopeConfig& config, numerics::RopeLayout layout,
              std::span<const float> factors);

  numerics::RopeLayout layout() const { return layout_; }
  // Makes positions 0 .. n_positions - 1 readable. The table grows by large steps.
  void Reserve(std::int64_t n_positions);
  // n_rot / 2 values each.
  std::span<const float> Cosines(std::int64_t position) const { return Row(cosines_, position); }
  std::span<const float> Sines(std::int64_t position) const { return Row(sines_, position); }

 private:
  std::span<const float> Row(const std::vector<float>& table, std::int64_t position) const {
    const std::size_t n = inverse_frequencies_.size();
    return {table.data() + static_cast<std::size_t>(position) * n, n};
  }

  numerics::RopeLayout layout_ = numerics::RopeLayout::kHalves;
  std::vector<double> inverse_frequencies_;
  float magnitude_ = 1;  // of cosines and sines
  std::int64_t n_positions_ = 0;
  std::vector<float> cosines_, sines_;  // (n_positions, n_rot / 2)
};

}  // namespace tatara::model
