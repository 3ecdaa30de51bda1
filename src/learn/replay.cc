// metrics.jsonl is what happened, line after line; the replay makes the same things happen and
// holds each against its line. A run that went back after a suspect step goes back here too, to a
// copy of the state in memory.
#include "tatara/learn/replay.h"

#include <algorithm>
#include <memory>
#include <optional>
#include <vector>

#include "base_model.h"
#include "tatara/base/localise.h"
#include "tatara/base/thread_pool.h"
#include "tatara/learn/checkpoint.h"
#include "tatara/learn/run_folder.h"
#include "tatara/learn/trainer.h"

namespace tatara::learn {
namespace {

class Replay {
 public:
  Replay(RunFolder run, std::vector<MetricsLine> lines, const ReplayOptions& options)
      : run_(std::move(run)),
        lines_(std::move(lines)),
        options_(options),
        pool_(options.n_threads) {}

  Result<ReplayedRun> Go() {
    TATARA_RETURN_IF_ERROR(ChooseSteps());
    TATARA_RETURN_IF_ERROR(Prepare());
    if (IsEqual()) TATARA_RETURN_IF_ERROR(Start());
    while (IsEqual() && at_ <= last_line_) {
      if (options_.stop != nullptr && options_.stop->IsSet()) {
        return MakeError(ErrorKind::kCancelled, "stopped after step {0}", trainer_->state().step);
      }
      TATARA_RETURN_IF_ERROR(Step());
    }
    report_.weights = trainer_ ? trainer_->Digest() : "";
    report_.ok = IsEqual();
    return report_;
  }

 private:
  bool IsEqual() const { return report_.first_difference.empty(); }
  bool RollsBack() const { return run_.recipe.run.spikes.on_spike == OnSpike::kRollBack; }

  // A step's own line: the others say more of a step that was made.
  static bool IsStep(const MetricsLine& line) {
    return line.metrics.loss.has_value() || !line.event.empty();
  }

  Result<> ChooseSteps() {
    std::int64_t last = 0;
    for (const MetricsLine& line : lines_) {
      if (IsStep(line)) last = std::max(last, line.step);
    }
    report_.first_step = std::max<std::int64_t>(1, options_.first_step);
    report_.last_step = options_.last_step == 0 ? last : options_.last_step;
    if (report_.first_step > report_.last_step || report_.last_step > last) {
      return Refuse("{0}: the run made the steps 1 to {1}; {2} to {3} can not be replayed",
                    run_.path.string(), last, report_.first_step, report_.last_step);
    }
    for (std::size_t i = 0; i < lines_.size(); ++i) {
      if (lines_[i].step <= report_.last_step) last_line_ = i;
    }
    return Ok{};
  }

  Result<> Prepare() {
    Recipe& recipe = run_.recipe;
    if (!options_.data_folder.empty()) recipe.folder = options_.data_folder;
    TATARA_TRY(data_, OpenData(recipe, {.n_threads = options_.n_threads, .stop = options_.stop}));
    info_.recipe_digest = RecipeDigest(recipe);
    info_.data_digest = data_->digest();
    if (info_.recipe_digest != run_.recipe_digest) {
      report_.first_difference =
          Tr("recipe: recipe.json has the digest {0}, source.json's recipe {1}", run_.recipe_digest,
             info_.recipe_digest);
    } else if (data_->manifest() != run_.data_manifest) {
      report_.first_difference =
          Tr("data: data.json is not the manifest of the data that is here, whose digest is {0}",
             info_.data_digest);
    }
    if (!IsEqual()) return Ok{};
    TATARA_TRY(trainer_, Trainer::Make(recipe, *data_, pool_));
    return Ok{};
  }

  // From the last checkpoint before the first step; where the run may go back, from one that it
  // goes back to.
  Result<> Start() {
    std::int64_t step = 0;
    for (const std::int64_t at : run_.checkpoints) {
      const bool is_place = !RollsBack() || at % run_.recipe.run.checkpoint_every == 0;
      if (at < report_.first_step && is_place) step = at;
    }
    if (step > 0) {
      const auto path = CheckpointPath(run_.path, step);
      const auto loaded = LoadCheckpoint(path, info_, *trainer_);
      if (!loaded.ok()) {
        report_.first_difference = loaded.error().text(CurrentLanguage());
      } else if (loaded->step != step ||
                 static_cast<std::size_t>(loaded->metrics_lines) > lines_.size()) {
        report_.first_difference =
            Tr("{0}: the checkpoint says that it is of step {1} and line {2} of the metrics",
               path.string(), loaded->step, loaded->metrics_lines);
      } else {
        at_ = static_cast<std::size_t>(loaded->metrics_lines);
        report_.started_from = step;
        CompareStartingWeights(step);
      }
    }
    if (RollsBack()) back_ = trainer_->state();
    return Ok{};
  }

  // Against the digest that was written with the checkpoint.
  void CompareStartingWeights(std::int64_t step) {
    for (std::size_t i = at_; i > 0 && lines_[i - 1].step == step; --i) {
      if (!lines_[i - 1].metrics.weights.empty()) {
        return CompareWeights(step, lines_[i - 1].metrics.weights);
      }
    }
  }

  Result<> Step() {
    const auto report = trainer_->Step(pool_);
    if (!report.ok()) {
      report_.first_difference = report.error().text(CurrentLanguage());
      return Ok{};
    }
    ++report_.n_steps_run;
    if (options_.progress != nullptr) {
      options_.progress->Report(
          Tr("steps"), static_cast<std::uint64_t>(report->step - report_.started_from),
          static_cast<std::uint64_t>(report_.last_step - report_.started_from));
    }
    CompareStep(*report);
    if (IsEqual() && report->event == StepReport::Event::kRollBack) GoBack();
    while (IsEqual() && at_ < lines_.size() && !IsStep(lines_[at_])) {
      TATARA_RETURN_IF_ERROR(CompareMore(lines_[at_++]));
    }
    if (IsEqual() && report->event == StepReport::Event::kNone) CompareFiles(report->step);
    if (RollsBack() && trainer_->state().step == trainer_->RollBackStep()) {
      back_ = trainer_->state();
    }
    return Ok{};
  }

  // Steps before the first one that was asked for lead there; a difference in one of them would be
  // carried on, so it is told too.
  void CompareStep(const StepReport& report) {
    const bool is_there = at_ < lines_.size() && lines_[at_].step == report.step;
    if (!is_there) {
      report_.first_difference = Tr("step {0}: metrics.jsonl has no line of it", report.step);
      return;
    }
    const MetricsLine& line = lines_[at_++];
    const std::string_view event = report.event == StepReport::Event::kSkipped    ? "skip"
                                   : report.event == StepReport::Event::kRollBack ? "rollback"
                                                                                  : "";
    if (line.event != event) {
      const auto shown = [](std::string_view name) { return name.empty() ? "-" : name; };
      report_.first_difference = Tr("step {0}: {1}: recorded {2}, now {3}", report.step, "event",
                                    shown(line.event), shown(event));
    }
    if (!event.empty()) return;
    Compare(report.step, "loss", line.metrics.loss, report.loss);
    Compare(report.step, "gradient_norm", line.metrics.gradient_norm, report.gradient_norm);
    Compare(report.step, "learning_rate", line.metrics.learning_rate, report.learning_rate);
  }

  // As RollBack in checkpoint.h, from memory.
  void GoBack() {
    const std::int64_t n_sequences = trainer_->state().n_sequences;
    const std::int64_t n_events = trainer_->state().spikes.n_events;
    trainer_->SetState(back_);
    trainer_->state().n_sequences = n_sequences;
    trainer_->state().spikes.n_events = n_events;
  }

  Result<> CompareMore(const MetricsLine& line) {
    if (line.step != trainer_->state().step) {
      report_.first_difference =
          Tr("step {0}: metrics.jsonl has a line of step {1}", trainer_->state().step, line.step);
      return Ok{};
    }
    if (!line.metrics.weights.empty()) CompareWeights(line.step, line.metrics.weights);
    if (IsEqual() && line.metrics.validation_loss && line.step >= report_.first_step) {
      std::vector<SourceLoss> by_source;
      TATARA_TRY(const double loss,
                 trainer_->Validate(run_.recipe.run.validation_sequences, pool_, &by_source));
      Compare(line.step, "validation_loss", line.metrics.validation_loss, loss);
      for (const SourceLoss& one : by_source) {
        const auto recorded = line.metrics.source_losses.find(one.source);
        const bool is_there = recorded != line.metrics.source_losses.end();
        Compare(line.step, one.source, is_there ? std::optional(recorded->second) : std::nullopt,
                one.loss);
      }
    }
    return Ok{};
  }

  void Compare(std::int64_t step, std::string_view what, const std::optional<double>& recorded,
               double now) {
    if (!IsEqual()) return;
    ++report_.n_values;
    if (recorded && *recorded == now) return;
    report_.first_difference =
        recorded ? Tr("step {0}: {1}: recorded {2}, now {3}", step, what, *recorded, now)
                 : Tr("step {0}: {1}: nothing is recorded, now {2}", step, what, now);
  }

  void CompareWeights(std::int64_t step, const std::string& recorded) {
    ++report_.n_digests;
    const std::string now = trainer_->Digest();
    if (now == recorded) return;
    report_.first_difference =
        Tr("step {0}: digest of the weights: recorded {1}, now {2}", step, recorded, now);
  }

  // The checkpoint's files, where the run did not go back behind them later.
  void CompareFiles(std::int64_t step) {
    if (!std::ranges::binary_search(run_.checkpoints, step)) return;
    const bool comes_again =
        std::any_of(lines_.begin() + static_cast<std::ptrdiff_t>(at_), lines_.end(),
                    [&](const MetricsLine& line) { return IsStep(line) && line.step <= step; });
    if (comes_again) return;
    const auto path = CheckpointPath(run_.path, step);
    const auto recorded = ReadCheckpointDigests(path);
    if (!recorded.ok()) {
      report_.first_difference = recorded.error().text(CurrentLanguage());
      return;
    }
    const CheckpointDigests now = DigestsOfCheckpoint(*trainer_);
    report_.n_digests += 2;
    for (const auto& [file, was, is] :
         {std::tuple{"weights.safetensors", recorded->weights, now.weights},
          {"optimizer.safetensors", recorded->optimizer, now.optimizer}}) {
      if (was == is || !IsEqual()) continue;
      report_.first_difference = Tr("{0}: recorded {1}, now {2}", (path / file).string(), was, is);
    }
  }

  RunFolder run_;
  std::vector<MetricsLine> lines_;
  const ReplayOptions& options_;
  ThreadPool pool_;
  std::unique_ptr<corpus::TrainingSet> data_;
  std::unique_ptr<Trainer> trainer_;
  CheckpointInfo info_;
  std::size_t at_ = 0;         // the next line
  std::size_t last_line_ = 0;  // that has to do with last_step
  TrainerState back_;          // where a rollback goes to
  ReplayedRun report_;
};

}  // namespace

Result<ReplayedRun> ReplayRun(const std::filesystem::path& path, const ReplayOptions& options) {
  TATARA_TRY(RunFolder run, ReadRunFolder(path));
  auto lines = ReadMetricsLines(path);
  if (!lines.ok()) {
    return ReplayedRun{.first_difference = lines.error().text(CurrentLanguage())};
  }
  Replay replay(std::move(run), std::move(*lines), options);
  return replay.Go();
}

}  // namespace tatara::learn
