#include "tatara/learn/replay.h"

#include <algorithm>
#include <map>
#include <memory>
#include <optional>

#include "tatara/base/localise.h"
#include "tatara/base/thread_pool.h"
#include "tatara/learn/checkpoint.h"
#include "tatara/learn/run_folder.h"
#include "tatara/learn/trainer.h"
#include "training_data.h"

namespace tatara::learn {
namespace {

using Metrics = std::map<std::int64_t, StepMetrics>;

class Replay {
 public:
  Replay(RunFolder run, Metrics metrics, const ReplayOptions& options)
      : run_(std::move(run)),
        metrics_(std::move(metrics)),
        options_(options),
        pool_(options.n_threads) {}

  Result<ReplayedRun> Go() {
    TATARA_RETURN_IF_ERROR(ChooseSteps());
    TATARA_RETURN_IF_ERROR(Prepare());
    if (IsEqual()) TATARA_RETURN_IF_ERROR(Start());
    while (IsEqual() && trainer_->state().step < report_.last_step) {
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

  Result<> ChooseSteps() {
    std::int64_t last = 0;
    for (const auto& [step, metrics] : metrics_) {
      if (metrics.loss) last = step;
    }
    report_.first_step = std::max<std::int64_t>(1, options_.first_step);
    report_.last_step = options_.last_step == 0 ? last : options_.last_step;
    if (report_.first_step > report_.last_step || report_.last_step > last) {
      return Refuse("{0}: the run made the steps 1 to {1}; {2} to {3} can not be replayed",
                    run_.path.string(), last, report_.first_step, report_.last_step);
    }
    return Ok{};
  }

  Result<> Prepare() {
    Recipe& recipe = run_.recipe;
    if (!options_.data_folder.empty()) recipe.folder = options_.data_folder;
    TATARA_TRY(data_, OpenTrainingSet(recipe));
    if (recipe.model.n_vocab == 0) recipe.model.n_vocab = data_->n_vocab();
    info_.recipe_digest = RecipeDigest(recipe);
    info_.data_digest = data_->digest();
    if (info_.recipe_digest != run_.recipe_digest) {
      report_.first_difference =
          Tr("recipe: recipe.json has the digest {0}, source.json's recipe {1}", run_.recipe_digest,
             info_.recipe_digest);
    } else if (data_->manifest() != run_.data_manifest) {
      report_.first_difference =
          Tr("data: data.json is not the manifest of the data that is here, "
             "whose digest is {0}",
             info_.data_digest);
    }
    if (!IsEqual()) return Ok{};
    TATARA_TRY(trainer_, Trainer::Make(recipe, *data_, pool_));
    return Ok{};
  }

  // From the last checkpoint before the first step.
  Result<> Start() {
    const auto& steps = run_.checkpoints;
    const auto after = std::ranges::lower_bound(steps, report_.first_step);
    if (after == steps.begin()) return Ok{};
    const auto path = CheckpointPath(run_.path, *std::prev(after));
    const auto loaded = LoadCheckpoint(path, info_, *trainer_);
    if (!loaded.ok()) {
      report_.first_difference = loaded.error().text(CurrentLanguage());
      return Ok{};
    }
    report_.started_from = loaded->step;
    if (loaded->step != *std::prev(after)) {
      report_.first_difference =
          Tr("{0}: the checkpoint says that it is of step {1}", path.string(), loaded->step);
      return Ok{};
    }
    CompareWeights(loaded->step);
    return Ok{};
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
    // Steps before the first one that was asked for lead there; a difference in one of them would
    // be carried on, so it is told too.
    const auto recorded = metrics_.find(report->step);
    if (recorded == metrics_.end()) {
      report_.first_difference = Tr("step {0}: metrics.jsonl has no line of it", report->step);
      return Ok{};
    }
    const StepMetrics& metrics = recorded->second;
    Compare(report->step, "loss", metrics.loss, report->loss);
    Compare(report->step, "gradient_norm", metrics.gradient_norm, report->gradient_norm);
    Compare(report->step, "learning_rate", metrics.learning_rate, report->learning_rate);
    CompareWeights(report->step);
    if (IsEqual()) CompareFiles(report->step);
    if (IsEqual() && metrics.validation_loss && report->step >= report_.first_step) {
      TATARA_TRY(const double loss,
                 trainer_->Validate(run_.recipe.run.validation_sequences, pool_));
      Compare(report->step, "validation_loss", metrics.validation_loss, loss);
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

  void CompareWeights(std::int64_t step) {
    const auto recorded = metrics_.find(step);
    if (!IsEqual() || recorded == metrics_.end() || recorded->second.weights.empty()) return;
    ++report_.n_digests;
    const std::string now = trainer_->Digest();
    if (now == recorded->second.weights) return;
    report_.first_difference = Tr("step {0}: digest of the weights: recorded {1}, now {2}", step,
                                  recorded->second.weights, now);
  }

  void CompareFiles(std::int64_t step) {
    if (!std::ranges::binary_search(run_.checkpoints, step)) return;
    const auto path = CheckpointPath(run_.path, step);
    const auto recorded = ReadCheckpointDigests(path);
    if (!recorded.ok()) {
      report_.first_difference = recorded.error().text(CurrentLanguage());
      return;
    }
    const CheckpointDigests now = DigestsOfCheckpoint(*trainer_);
    report_.n_digests += 2;
    if (recorded->weights != now.weights) {
      report_.first_difference =
          Tr("{0}: recorded {1}, now {2}", (path / "weights.safetensors").string(),
             recorded->weights, now.weights);
    } else if (recorded->optimizer != now.optimizer) {
      report_.first_difference =
          Tr("{0}: recorded {1}, now {2}", (path / "optimizer.safetensors").string(),
             recorded->optimizer, now.optimizer);
    }
  }

  RunFolder run_;
  Metrics metrics_;
  const ReplayOptions& options_;
  ThreadPool pool_;
  std::unique_ptr<corpus::TrainingSet> data_;
  std::unique_ptr<Trainer> trainer_;
  CheckpointInfo info_;
  ReplayedRun report_;
};

}  // namespace

Result<ReplayedRun> ReplayRun(const std::filesystem::path& path, const ReplayOptions& options) {
  TATARA_TRY(RunFolder run, ReadRunFolder(path));
  auto metrics = ReadMetrics(path);
  if (!metrics.ok()) {
    return ReplayedRun{.first_difference = metrics.error().text(CurrentLanguage())};
  }
  Replay replay(std::move(run), std::move(*metrics), options);
  return replay.Go();
}

}  // namespace tatara::learn
