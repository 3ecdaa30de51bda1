// A whole training run in one folder: what `tatara train` does.
//
// OUT holds recipe.json (what the weights depend on), data.json (the data's manifest),
// keys.gguf (the keys that make a checkpoint's weights a model: weights/tensor_store.h opens them),
// metrics.jsonl (a line a step, in order), checkpoints/ (checkpoint.h), samples/ and, at the end,
// result.json. A run that was stopped anywhere, kill -9 included, goes on from its last checkpoint
// with --resume to the bits of an undisturbed one. One process at a time (a lock).
// Thread safety: one call per folder.
#pragma once

#include <cstdint>
#include <filesystem>
#include <optional>
#include <string>

#include "tatara/base/clock.h"
#include "tatara/base/error.h"
#include "tatara/base/progress.h"
#include "tatara/learn/recipe.h"
#include "tatara/learn/trainer.h"

namespace tatara::learn {

// What happens along the way, for whoever watches. Called from the calling thread.
class RunSink : public ProgressSink {
 public:
  // What is prepared before the first step.
  void Report(std::string_view /*what*/, std::uint64_t /*done*/, std::uint64_t /*total*/) override {
  }
  virtual void Prepared() {}  // the data are open
  virtual void Resumed(std::int64_t /*step*/) {}
  // Asked to go on where no checkpoint is: the first step follows.
  virtual void NothingToResume(const std::filesystem::path& /*out*/) {}
  virtual void Step(const StepReport& /*report*/, std::int64_t /*steps*/) {}
  virtual void Validated(std::int64_t /*step*/, double /*loss*/) {}
  // A step that was skipped or made the run go back; `step` is the one it goes on from.
  virtual void Suspect(const StepReport& /*report*/, std::int64_t /*step*/) {}
  virtual void Sampled(std::int64_t /*step*/, const std::string& /*text*/) {}
};

struct RunOptions {
  std::filesystem::path out;
  int n_threads = 1;
  bool resume = false;
  // Ends after a step, with a checkpoint; before the first with kCancelled.
  const StopFlag* stop = nullptr;
  const Clock* clock = nullptr;  // null: the system's
  // Where several processes share the run: the first of them writes the folder, the others return
  // the same digest.
  Workers* workers = nullptr;
};

struct RunResult {
  std::string name;
  std::string digest;  // of the weights (Trainer::Digest)
  std::int64_t steps = 0;
  bool finished = false;
  std::optional<double> training_loss;  // of the last step; nothing before the first
  // Over the whole validation text, where the run is finished and something validates.
  std::optional<double> validation_loss;
  std::int64_t best_step = 0;
  double best_validation_loss = 0;
  std::string recipe_digest, data_digest;
  std::int64_t n_parameters = 0;
  double seconds = 0;         // of this call
  double flops_per_step = 0;  // of the last phase, as the kernels count (numerics/flops.h)
};

// A finished run that is resumed stays as it is.
Result<RunResult> RunTraining(Recipe recipe, const RunOptions& options, RunSink& sink);
// What RunTraining would refuse before its first step. The folder stays as it is; of `workers` only
// count and rank are asked for.
Result<> CheckTraining(Recipe recipe, const RunOptions& options, RunSink& sink);
std::string ResultJson(const RunResult& result);

}  // namespace tatara::learn
