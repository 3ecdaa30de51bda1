#include "command_train.h"

#include <fmt/format.h>

#include <chrono>
#include <optional>

#include "commands.h"
#include "run_lineage.h"
#include "run_registry.h"
#include "tatara/base/localise.h"
#include "tatara/base/thread_pool.h"
#include "tatara/learn/run.h"
#include "terminal.h"

namespace tatara::cli {
namespace {

// Remarks on standard error: a line every few seconds, every validation, samples.
class Watcher final : public learn::RunSink {
 public:
  struct Place {
    bool first = true;  // of the processes that share the run
    std::string name;
    std::filesystem::path out;
  };
  Watcher(bool quiet, Place place) : quiet_(quiet), place_(std::move(place)) {}
  std::int64_t resumed_from() const { return resumed_from_; }
  void Report(std::string_view what, std::uint64_t done, std::uint64_t total) override {
    if (place_.first) progress_.Report(what, done, total);
  }
  void Prepared() override { progress_.Clear(); }
  void Resumed(std::int64_t step) override {
    resumed_from_ = step;
    if (place_.first) Remark(Tr("goes on from step {0}", step));
  }
  void NothingToResume(const std::filesystem::path& out) override {
    if (place_.first)
      Remark(Tr("{0}: no checkpoint to go on from; a new run begins", out.string()));
  }
  void Step(const learn::StepReport& report, std::int64_t steps) override {
    if (!place_.first) return;
    if (n_done_ == 0) Register();  // the folder is this run's now
    const auto now = Clock::now();
    if (n_done_++ == 0) {  // the first also pays for memory
      began_ = printed_ = now;
      return;
    }
    const double a_step = Seconds(now - began_) / static_cast<double>(n_done_ - 1);
    if (Seconds(now - printed_) < kPauseSeconds && report.step != steps) return;
    printed_ = now;
    Remark(Tr("step {0} / {1}  loss {2}  {3} ms a step  {4} left", report.step, steps,
              fmt::format("{:.4f}", report.loss), fmt::format("{:.1f}", a_step * 1e3),
              FormatDuration(a_step * static_cast<double>(steps - report.step))));
  }
  void Validated(std::int64_t step, double loss) override {
    Remark(Tr("step {0}: validation loss {1}", step, fmt::format("{:.4f}", loss)));
  }
  void Suspect(const learn::StepReport& report, std::int64_t step) override {
    if (!place_.first) return;
    Remark(Tr("step {0}: {1} is {2}, suspect ('{3}'); goes on from step {4} with other data",
              report.step, report.spike.what, fmt::format("{:.4g}", report.spike.value),
              report.spike.parameter, step));
  }
  void Sampled(std::int64_t step, const std::string& text) override {
    if (quiet_) return;
    Remark(Tr("a sample after step {0}:", step) + "\n" + text);
  }

 private:
  using Clock = std::chrono::steady_clock;
  static constexpr double kPauseSeconds = 5;
  static double Seconds(Clock::duration d) { return std::chrono::duration<double>(d).count(); }
  void Register() {
    const auto registered = RegisterRun(place_.name, place_.out);
    if (!registered.ok()) Remark(registered.error().text(CurrentLanguage()));
  }
  bool quiet_;
  Place place_;
  ProgressLine progress_{ProgressLine::Unit::kShare};
  std::int64_t resumed_from_ = 0;
  std::int64_t n_done_ = 0;
  Clock::time_point began_{}, printed_{};
};

void Tell(const learn::RunResult& result) {
  const auto shown = [](double loss) { return fmt::format("{:.4f}", loss); };
  const std::string seconds = FormatDuration(result.seconds);
  std::string line;
  if (!result.validation_loss) {  // stopped, or nothing validates
    line = Tr("{0}: {1} steps, training loss {2}, {3}", result.name, result.steps,
              result.training_loss ? shown(*result.training_loss) : "-", seconds);
  } else if (result.best_step == 0) {
    line = Tr("{0}: {1} steps, validation loss {2}, {3}", result.name, result.steps,
              shown(*result.validation_loss), seconds);
  } else {
    line = Tr("{0}: {1} steps, validation loss {2} (best {3} at step {4}), {5}", result.name,
              result.steps, shown(*result.validation_loss), shown(result.best_validation_loss),
              result.best_step, seconds);
  }
  Out(line + "\n");
  Out(Tr("weights {0}", result.digest) + "\n");
}

std::filesystem::path OutOf(const TrainOptions& options, const learn::Recipe& recipe) {
  return options.out.empty() ? "runs/" + recipe.name : options.out;
}

int ThreadsOf(const TrainOptions& options) {
  return options.n_threads == 0 ? ThreadPool::HardwareThreads() : options.n_threads;
}

// Processes that are not there yet.
class PlannedWorkers final : public learn::Workers {
 public:
  explicit PlannedWorkers(int count) : count_(count) {}
  int count() const override { return count_; }
  int rank() const override { return 0; }
  Result<> Exchange(int, std::span<const std::byte>, std::span<std::byte>) override { return Ok{}; }

 private:
  int count_;
};

}  // namespace

Result<int> TrainInWorkers(const TrainOptions& options, WorkersOutput output) {
  TATARA_RETURN_IF_ERROR(CheckWorkersProgram());
  TATARA_TRY(const learn::Recipe recipe, learn::ReadRecipe(options.recipe, options.overrides));
  PlannedWorkers planned(options.n_workers);
  const learn::RunOptions checked{.out = OutOf(options, recipe),
                                  .n_threads = ThreadsOf(options),
                                  .resume = options.resume,
                                  .stop = &StopRequested(),
                                  .workers = &planned};
  Watcher watcher(options.json, {true, recipe.name, checked.out});
  TATARA_RETURN_IF_ERROR(learn::CheckTraining(recipe, checked, watcher));
  if (StopRequested().IsSet()) return Interrupted();
  return RunWorkers(options, output);
}

Result<std::optional<learn::RunResult>> TrainHere(const TrainOptions& options) {
  TATARA_TRY(const learn::Recipe recipe, learn::ReadRecipe(options.recipe, options.overrides));
  const std::filesystem::path out = OutOf(options, recipe);
  learn::Workers* const workers = SharedWorkers();
  const bool first = workers == nullptr || workers->rank() == 0;
  Watcher watcher(options.json, {first, recipe.name, out});
  const int n_threads = ThreadsOf(options);
  TATARA_TRY(const learn::RunResult result, learn::RunTraining(recipe,
                                                               {.out = out,
                                                                .n_threads = n_threads,
                                                                .resume = options.resume,
                                                                .stop = &StopRequested(),
                                                                .workers = workers},
                                                               watcher));
  if (!first) return std::optional<learn::RunResult>();
  RecordTraining({.folder = out,
                  .n_threads = n_threads,
                  .n_workers = workers == nullptr ? 1 : workers->count(),
                  .resumed_from = watcher.resumed_from()},
                 result);
  if (!result.finished) Remark(Tr("stopped after step {0}; go on with --resume", result.steps));
  if (!options.json) Tell(result);
  return std::optional(result);
}

Result<int> Train(const TrainOptions& options) {
  if (options.n_workers > 1 && SharedWorkers() == nullptr) {
    return TrainInWorkers(options, WorkersOutput::kShown);
  }
  TATARA_TRY(const auto result, TrainHere(options));
  if (result) Out(learn::ResultJson(*result) + "\n");
  return 0;
}

}  // namespace tatara::cli
