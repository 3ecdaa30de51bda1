// What makes a step suspect: a loss or gradient that is not finite, or, where the recipe asks for
// it, a loss or a gradient's norm far above those before. Found from the step's numbers and those
// kept in the checkpoint alone, so a run that was stopped or is replayed finds the same.
// Thread safety: values, free functions.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

namespace tatara::learn {

// [run] on_spike. Skip: no update, on to the next sequences. Roll back: to the last checkpoint of
// run.checkpoint_every, then on with the sequences after the suspect ones.
enum class OnSpike { kStop, kSkip, kRollBack };

struct SpikeRecipe {
  OnSpike on_spike = OnSpike::kStop;
  // How many deviations above the mean of the last `window` steps is too much; 0: only what is not
  // finite. Nothing is suspect before `window` steps were seen.
  double sigma = 0;
  int window = 64;
  int events_max = 10;  // then the run stops
};

struct Spike {
  std::string what;  // "loss" or "gradient_norm"
  double value = 0;
  double limit = 0;       // what it is above; 0 where it is not finite
  std::string parameter;  // where it comes from, as far as the numbers tell
};

// Of steps that were not suspect, oldest first, at most `window`.
struct SpikeHistory {
  std::vector<double> losses, norms;
  std::int64_t n_events = 0;  // so far in this run
};

// Mean and deviation by serial sums in f64, in two passes; a deviation counts as at least a
// hundredth of the mean, so that a very even stretch makes nothing suspect.
std::optional<Spike> FindSpike(const SpikeRecipe& recipe, const SpikeHistory& history, double loss,
                               double norm);
void Remember(const SpikeRecipe& recipe, double loss, double norm, SpikeHistory& history);

}  // namespace tatara::learn
