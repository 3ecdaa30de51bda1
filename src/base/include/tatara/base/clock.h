// Time comes in from outside, so that tests replace it.
#pragma once

#include <cstdint>
#include <string>

namespace tatara {

class Clock {
 public:
  virtual ~Clock() = default;
  virtual std::int64_t UnixSeconds() const = 0;
  virtual std::int64_t MonotonicNanoseconds() const = 0;
};

const Clock& SystemClock();

// "2026-11-21T09:30:00Z"
std::string FormatUtc(std::int64_t unix_seconds);

}  // namespace tatara
