#include "tatara/learn/run.h"

#include <fmt/format.h>

#include <charconv>
#include <fstream>
#include <limits>
#include <optional>

#include "tatara/base/files.h"
#include "tatara/learn/checkpoint.h"
#include "training_data.h"

namespace tatara::learn {
namespace {

namespace fs = std::filesystem;

constexpr std::uint64_t kMetricsBytesMax = std::uint64_t{1} << 32;

// The step of a line of metrics; -1 where there is none.
std::int64_t StepOfLine(std::string_view line) {
  constexpr std::string_view kStart = "{\"step\":";
  if (!line.starts_with(kStart)) return -1;
  std::int64_t step = -1;
  std::from_chars(line.data() + kStart.size(), line.data() + line.size(), step);
  return step;
}

// Lines appended in order; a crash can leave lines after the last checkpoint, and half a line.
class Metrics {
 public:
  static Result<Metrics> Open(const fs::path& path, std::int64_t last_step) {
    std::string kept;
    std::error_code ignored;
    if (last_step > 0 && fs::exists(path, ignored)) {
      TATARA_TRY(const std::string text, ReadWholeFile(path, kMetricsBytesMax));
      for (std::size_t at = 0, end = 0; (end = text.find('\n', at)) != std::string::npos;
           at = end + 1) {
        const std::string_view line = std::string_view(text).substr(at, end + 1 - at);
        const std::int64_t step = StepOfLine(line);
        if (step >= 0 && step <= last_step) kept += line;
      }
    }
    TATARA_RETURN_IF_ERROR(WriteFileAtomically(path, kept));
    return Metrics(path);
  }
  Result<> Write(const std::string& line) {
    file_ << line << "\n";
    file_.flush();
    if (!file_) return MakeError(ErrorKind::kIo, "{0}: the metrics can not be written", name_);
    return Ok{};
  }

 private:
  explicit Metrics(const fs::path& path) : name_(path.string()), file_(path, std::ios::app) {}
  std::string name_;
  std::ofstream file_;
};

// One call of RunTraining.
class Run {
 public:
  Run(const Recipe& recipe, const RunOptions& options, RunSink& sink)
      : recipe_(recipe),
        options_(options),
        sink_(sink),
        clock_(options.clock == nullptr ? SystemClock() : *options.clock),
        pool_(options.n_threads),
        started_(clock_.MonotonicNanoseconds()) {}

  Result<RunResult> Go() {
    TATARA_RETURN_IF_ERROR(Prepare());
    const std::int64_t steps = recipe_.training.steps;
    while (trainer_->state().step < steps) {
      if (options_.stop != nullptr && options_.stop->IsSet()) break;
      TATARA_RETURN_IF_ERROR(Step());
    }
    return Finish();
  }

 private:
  Result<> Prepare();
  Result<> Resume();
  Result<> Step();
  Result<> Validate();
  Result<> Sample();
  Result<> Checkpoint();
  Result<RunResult> Finish();
  double Seconds() const {
    return static_cast<double>(clock_.MonotonicNanoseconds() - started_) * 1e-9;
  }

  Recipe recipe_;
  const RunOptions& options_;
  RunSink& sink_;
  const Clock& clock_;
  ThreadPool pool_;
  std::int64_t started_;
  std::unique_ptr<corpus::TrainingSet> data_;
  std::optional<FileLock> lock_;
  std::unique_ptr<Trainer> trainer_;
  std::optional<Metrics> metrics_;
  CheckpointInfo info_;
  double training_loss_ = 0;
};

Result<> Run::Prepare() {
  TATARA_TRY(data_, OpenTrainingSet(recipe_));
  if (recipe_.model.n_vocab == 0) recipe_.model.n_vocab = data_->n_vocab();
  std::error_code code;
  fs::create_directories(options_.out / "checkpoints", code);
  if (code) {
    return MakeError(ErrorKind::kIo, "{0}: {1}", options_.out.string(), code.message());
  }
  TATARA_TRY(FileLock lock, FileLock::Acquire(options_.out / "lock", 0));
  lock_.emplace(std::move(lock));
  if (!options_.resume && fs::exists(options_.out / "recipe.json", code)) {
    return Refuse("{0}: there is a run already; go on with it by --resume, or choose another --out",
                  options_.out.string());
  }
  TATARA_TRY(trainer_, Trainer::Make(recipe_, *data_, pool_));
  info_.recipe_digest = RecipeDigest(recipe_);
  info_.data_digest = data_->digest();
  TATARA_RETURN_IF_ERROR(Resume());
  TATARA_RETURN_IF_ERROR(
      WriteFileAtomically(options_.out / "recipe.json", CanonicalRecipe(recipe_) + "\n"));
  TATARA_RETURN_IF_ERROR(WriteFileAtomically(options_.out / "data.json", data_->manifest() + "\n"));
  TATARA_TRY(Metrics metrics,
             Metrics::Open(options_.out / "metrics.jsonl", trainer_->state().step));
  metrics_.emplace(std::move(metrics));
  return Ok{};
}

Result<> Run::Resume() {
  if (!options_.resume) return Ok{};
  const std::vector<std::int64_t> steps = ListCheckpoints(options_.out);
  if (steps.empty()) return Ok{};
  TATARA_TRY(info_, LoadCheckpoint(CheckpointPath(options_.out, steps.back()), info_, *trainer_));
  sink_.Resumed(info_.step);
  return Ok{};
}

Result<> Run::Step() {
  TATARA_TRY(const StepReport report, trainer_->Step(pool_));
  training_loss_ = report.loss;
  sink_.Step(report, recipe_.training.steps);
  TATARA_RETURN_IF_ERROR(metrics_->Write(fmt::format(
      "{{\"step\":{},\"loss\":{},\"gradient_norm\":{},\"learning_rate\":{},\"tokens\":{},"
      "\"seconds\":{:.3f}}}",
      report.step, report.loss, report.gradient_norm, report.learning_rate,
      report.step * recipe_.training.batch * recipe_.training.context, Seconds())));
  const std::int64_t before = info_.best_step;
  if (report.step % recipe_.run.validate_every == 0) TATARA_RETURN_IF_ERROR(Validate());
  if (report.step % recipe_.run.sample_every == 0) TATARA_RETURN_IF_ERROR(Sample());
  if (report.step % recipe_.run.checkpoint_every == 0 || info_.best_step != before) {
    TATARA_RETURN_IF_ERROR(Checkpoint());
  }
  return Ok{};
}

Result<> Run::Validate() {
  const std::int64_t step = trainer_->state().step;
  if (data_->n_validation(recipe_.training.context) == 0) return Ok{};
  TATARA_TRY(const double loss, trainer_->Validate(recipe_.run.validation_sequences, pool_));
  sink_.Validated(step, loss);
  if (info_.best_step == 0 || loss < info_.best_loss) {
    info_.best_step = step;
    info_.best_loss = loss;
  }
  return metrics_->Write(fmt::format("{{\"step\":{},\"validation_loss\":{}}}", step, loss));
}

Result<> Run::Sample() {
  const std::int64_t step = trainer_->state().step;
  if (recipe_.run.sample_tokens == 0) return Ok{};
  const std::string text = data_->Decode(trainer_->Sample({}, recipe_.run.sample_tokens, pool_));
  sink_.Sampled(step, text);
  std::error_code code;
  fs::create_directories(options_.out / "samples", code);
  return WriteFileAtomically(options_.out / "samples" / fmt::format("step-{:08}.txt", step), text);
}

Result<> Run::Checkpoint() {
  info_.step = trainer_->state().step;
  TATARA_RETURN_IF_ERROR(SaveCheckpoint(options_.out, info_, *trainer_));
  return RemoveOldCheckpoints(options_.out, recipe_.run.checkpoints_kept, info_.best_step);
}

Result<RunResult> Run::Finish() {
  TATARA_RETURN_IF_ERROR(Checkpoint());
  const auto n_tokens = static_cast<double>(recipe_.training.batch) * recipe_.training.context;
  RunResult result{.name = recipe_.name,
                   .digest = trainer_->Digest(),
                   .steps = trainer_->state().step,
                   .finished = trainer_->state().step >= recipe_.training.steps,
                   .training_loss = training_loss_,
                   .best_step = info_.best_step,
                   .best_validation_loss = info_.best_loss,
                   .recipe_digest = info_.recipe_digest,
                   .data_digest = info_.data_digest,
                   .n_parameters = trainer_->trainable().n_parameters()};
  result.flops_per_step =
      n_tokens * trainer_->trainable().FlopsPerToken((recipe_.training.context + 1) / 2.0);
  if (result.finished) {
    TATARA_TRY(result.validation_loss,
               trainer_->Validate(std::numeric_limits<std::int64_t>::max(), pool_));
  }
  result.seconds = Seconds();
  if (result.finished) {
    TATARA_RETURN_IF_ERROR(
        WriteFileAtomically(options_.out / "result.json", ResultJson(result) + "\n"));
  }
  return result;
}

std::string Escaped(std::string_view text) {
  std::string out;
  for (const char c : text) {
    if (c == '"' || c == '\\') out += '\\';
    if (static_cast<unsigned char>(c) < 0x20) {
      out += fmt::format("\\u{:04x}", static_cast<int>(c));
    } else {
      out += c;
    }
  }
  return out;
}

}  // namespace

Result<RunResult> RunTraining(Recipe recipe, const RunOptions& options, RunSink& sink) {
  Run run(recipe, options, sink);
  return run.Go();
}

std::string ResultJson(const RunResult& r) {
  return fmt::format(
      "{{\"run\":\"{}\",\"digest\":\"{}\",\"steps\":{},\"validation_loss\":{},\"finished\":{},"
      "\"training_loss\":{},\"best_step\":{},\"best_validation_loss\":{},\"recipe\":\"{}\","
      "\"data\":\"{}\",\"parameters\":{},\"flops_per_step\":{},\"seconds\":{:.3f}}}",
      Escaped(r.name), r.digest, r.steps, r.validation_loss, r.finished, r.training_loss,
      r.best_step, r.best_validation_loss, r.recipe_digest, r.data_digest, r.n_parameters,
      r.flops_per_step, r.seconds);
}

}  // namespace tatara::learn
