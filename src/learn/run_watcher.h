// For tests: keeps what a run says and stops it after a number of steps.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "tatara/learn/run.h"

namespace tatara::learn {

// Stops after `stop_after` steps of its life; 0: never.
class RunWatcher final : public RunSink {
 public:
  explicit RunWatcher(int stop_after = 0) : left_(stop_after) {}
  void Resumed(std::int64_t step) override { resumed = step; }
  void Step(const StepReport& report, std::int64_t) override {
    losses.push_back(report.loss);
    if (left_ > 0 && --left_ == 0) stop.Set();
  }
  void Validated(std::int64_t, double loss) override { validated.push_back(loss); }
  void Sampled(std::int64_t, const std::string& text) override { sample = text; }

  StopFlag stop;
  std::int64_t resumed = 0;
  std::vector<double> losses, validated;
  std::string sample;

 private:
  int left_;
};

}  // namespace tatara::learn
