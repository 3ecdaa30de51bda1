#include "tatara/base/clock.h"

#include <chrono>
#include <ctime>

namespace tatara {
namespace {

class RealClock final : public Clock {
 public:
  std::int64_t UnixSeconds() const override {
    return static_cast<std::int64_t>(std::time(nullptr));
  }
  std::int64_t MonotonicNanoseconds() const override {
    const auto now = std::chrono::steady_clock::now().time_since_epoch();
    return std::chrono::duration_cast<std::chrono::nanoseconds>(now).count();
  }
};

}  // namespace

const Clock& SystemClock() {
  static const RealClock clock;
  return clock;
}

std::string FormatUtc(std::int64_t unix_seconds) {
  const std::time_t time = static_cast<std::time_t>(unix_seconds);
  std::tm parts;
  gmtime_r(&time, &parts);
  char text[32];
  std::strftime(text, sizeof text, "%Y-%m-%dT%H:%M:%SZ", &parts);
  return text;
}

}  // namespace tatara
