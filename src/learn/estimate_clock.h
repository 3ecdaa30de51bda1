// How long a piece of work takes: the median of some rounds. Thread safety: free functions.
#pragma once

#include <algorithm>
#include <chrono>
#include <cstddef>
#include <ctime>
#include <vector>

#include "tatara/base/progress.h"

namespace tatara::learn {

constexpr double kSecondsOfOne = 0.04;  // a kernel is repeated this long
constexpr int kOnTheWall = 2;           // for Now: waiting for a disk counts

inline double WallSeconds() {
  return std::chrono::duration<double>(std::chrono::steady_clock::now().time_since_epoch()).count();
}

// With one thread the process's own time, which others on the machine do not lengthen; else time on
// the wall.
inline double Now(int n_threads) {
  if (n_threads > 1) return WallSeconds();
  timespec time{};
  clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &time);
  return static_cast<double>(time.tv_sec) + static_cast<double>(time.tv_nsec) * 1e-9;
}

// What tests count in place of time: then every piece of work is done once.
using Meter = double (*)();
inline Meter& MeterInstead() {
  static Meter meter = nullptr;
  return meter;
}

// What asks the measuring in progress to stop: no round follows the one that runs.
inline const StopFlag*& MeasuringStop() {
  static const StopFlag* stop = nullptr;
  return stop;
}
inline bool MeasuringStops() {
  return MeasuringStop() != nullptr && MeasuringStop()->IsSet();
}

inline double MiddleOf(std::vector<double> values) {
  const auto middle = values.begin() + static_cast<std::ptrdiff_t>(values.size() / 2);
  std::ranges::nth_element(values, middle);
  return *middle;
}

// After a first round, which pays for memory. Where a round takes seconds, one more has to do.
template <typename F>
double Median(int n_threads, double seconds_max, F body) {
  constexpr std::size_t kRoundsMin = 3, kRoundsMax = 400;
  constexpr double kLongRoundSeconds = 2;
  if (const Meter meter = MeterInstead()) {
    const double before = meter();
    body();
    return meter() - before;
  }
  if (MeasuringStops()) return 0;
  const double begun = WallSeconds();
  body();
  const bool is_long = WallSeconds() - begun > kLongRoundSeconds;
  std::vector<double> rounds;
  const double start = WallSeconds();
  while (rounds.size() < (is_long ? 1 : kRoundsMin) ||
         (rounds.size() < kRoundsMax && WallSeconds() - start < seconds_max)) {
    const double before = Now(n_threads);
    body();
    rounds.push_back(Now(n_threads) - before);
    if (MeasuringStops()) break;
  }
  return MiddleOf(std::move(rounds));
}

inline std::vector<float> MeasuredValues(std::int64_t n) {
  std::vector<float> values(static_cast<std::size_t>(n));
  for (std::size_t i = 0; i < values.size(); ++i) {
    values[i] = static_cast<float>(static_cast<int>((i * 2654435761U >> 24) & 255) - 128) * 1e-3F;
  }
  return values;
}

}  // namespace tatara::learn
