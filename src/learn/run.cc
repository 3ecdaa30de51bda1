#include "tatara/learn/run.h"

#include <fmt/format.h>

#include <cmath>
#include <fstream>
#include <limits>
#include <optional>

#include "base_model.h"
#include "model_keys.h"
#include "optimizer.h"
#include "tatara/base/files.h"
#include "tatara/learn/checkpoint.h"
#include "tatara/learn/run_folder.h"
#include "tatara/model/training_flops.h"
#include "tatara/weights/gguf_file.h"

namespace tatara::learn {
namespace {

namespace fs = std::filesystem;

constexpr std::uint64_t kMetricsBytesMax = std::uint64_t{1} << 32;

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

// Lines appended in order; a crash can leave lines after the last checkpoint, and half a line.
class Metrics {
 public:
  // Goes on after the first n_lines.
  static Result<Metrics> Open(const fs::path& path, std::int64_t n_lines) {
    std::string kept;
    std::error_code ignored;
    if (n_lines > 0 && fs::exists(path, ignored)) {
      TATARA_TRY(kept, ReadWholeFile(path, kMetricsBytesMax));
      std::size_t at = 0;
      for (std::int64_t i = 0; i < n_lines && at != std::string::npos; ++i) {
        at = kept.find('\n', at);
        if (at != std::string::npos) ++at;
      }
      if (at == std::string::npos) {
        return Refuse("{0}: shorter than the checkpoint says ({1} lines)", path.string(), n_lines);
      }
      kept.resize(at);
    }
    TATARA_RETURN_IF_ERROR(WriteFileAtomically(path, kept));
    return Metrics(path, n_lines);
  }
  std::int64_t n_lines() const { return n_lines_; }
  Result<> Write(const std::string& line) {
    ++n_lines_;
    file_ << line << "\n";
    file_.flush();
    if (!file_) return MakeError(ErrorKind::kIo, "{0}: the metrics can not be written", name_);
    return Ok{};
  }

 private:
  Metrics(const fs::path& path, std::int64_t n_lines)
      : n_lines_(n_lines), name_(path.string()), file_(path, std::ios::app) {}
  std::int64_t n_lines_;
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

  Result<> Check() {
    TATARA_RETURN_IF_ERROR(Open());
    std::error_code ignored;
    if (fs::exists(options_.out / "lock", ignored)) {
      TATARA_TRY([[maybe_unused]] const FileLock lock, FileLock::Acquire(options_.out / "lock", 0));
    }
    return Load();
  }

  Result<RunResult> Go() {
    TATARA_RETURN_IF_ERROR(Prepare());
    const std::int64_t steps = recipe_.training.steps;
    while (trainer_->state().step < steps) {
      TATARA_TRY(const bool stops, Stops());
      if (stops) break;
      TATARA_RETURN_IF_ERROR(Step());
    }
    return Finish();
  }

 private:
  // Whether one of the processes was asked to stop.
  Result<bool> Stops() {
    std::byte stops{options_.stop != nullptr && options_.stop->IsSet()};
    Workers* const workers = options_.workers;
    for (int bit = 1; workers != nullptr && bit < workers->count(); bit *= 2) {
      std::byte theirs{};
      TATARA_RETURN_IF_ERROR(
          workers->Exchange(workers->rank() ^ bit, std::span(&stops, 1), std::span(&theirs, 1)));
      stops |= theirs;
    }
    return stops != std::byte{};
  }
  Result<> Open();
  Result<> CheckIsNew() const;
  Result<> TakeFolder();
  Result<> Prepare();
  Result<> Load();
  Result<> Resume();
  Result<> Step();
  Result<> BeginPhase();
  Result<> Suspect(const StepReport& report);
  Result<> Write(const std::string& line);
  // Whether this process writes the folder.
  bool IsFirst() const { return options_.workers == nullptr || options_.workers->rank() == 0; }
  Result<> Validate();
  Result<> Sample();
  Result<> Witness();
  Result<> Checkpoint();
  KeptCheckpoints Kept() const;
  // What makes weights of that shape a model, or an adapter.
  Metadata KeysOf(const model::Trainable& trainable) const {
    const bool adapter = recipe_.adapter.kind != AdapterKind::kNone;
    return adapter ? AdapterKeys(recipe_) : ModelKeys(recipe_.name, trainable, *data_);
  }
  Result<> CheckBytes() const;
  Result<std::optional<double>> TrainingLoss() const;
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
  std::optional<double> training_loss_;
};

Result<> Run::CheckIsNew() const {
  std::error_code ignored;
  if (!IsFirst() || options_.resume || !fs::exists(options_.out / "recipe.json", ignored)) {
    return Ok{};
  }
  return Refuse("{0}: there is a run already; go on with it by --resume, or choose another --out",
                options_.out.string());
}

Result<> Run::TakeFolder() {
  std::error_code code;
  fs::create_directories(options_.out / "checkpoints", code);
  if (code) {
    return MakeError(ErrorKind::kIo, "{0}: {1}", options_.out.string(), code.message());
  }
  if (!IsFirst()) return Ok{};
  TATARA_TRY(FileLock lock, FileLock::Acquire(options_.out / "lock", 0));
  lock_.emplace(std::move(lock));
  return CheckIsNew();
}

// What is refused is refused before there is a folder of it.
Result<> Run::Open() {
  TATARA_RETURN_IF_ERROR(CheckIsNew());
  TATARA_TRY(data_, OpenData(recipe_, {.n_threads = options_.n_threads,
                                       .progress = &sink_,
                                       .stop = options_.stop}));
  sink_.Prepared();
  TATARA_TRY(trainer_, Trainer::Make(recipe_, *data_, pool_, options_.workers));
  info_.recipe_digest = RecipeDigest(recipe_);
  info_.data_digest = data_->digest();
  return CheckBytes();
}

Result<> Run::Prepare() {
  TATARA_RETURN_IF_ERROR(Open());
  TATARA_RETURN_IF_ERROR(TakeFolder());
  TATARA_RETURN_IF_ERROR(Resume());
  if (!IsFirst()) return Ok{};
  TATARA_RETURN_IF_ERROR(
      WriteFileAtomically(options_.out / "source.json", RunSourceJson(recipe_) + "\n"));
  TATARA_RETURN_IF_ERROR(
      WriteFileAtomically(options_.out / "recipe.json", CanonicalRecipe(recipe_) + "\n"));
  TATARA_RETURN_IF_ERROR(WriteFileAtomically(options_.out / "data.json", data_->manifest() + "\n"));
  TATARA_RETURN_IF_ERROR(
      weights::WriteGgufKeys(options_.out / "keys.gguf", KeysOf(trainer_->last_trainable())));
  TATARA_TRY(Metrics metrics, Metrics::Open(options_.out / "metrics.jsonl", info_.metrics_lines));
  metrics_.emplace(std::move(metrics));
  return Ok{};
}

// The last checkpoint, where there is one to go on from.
Result<> Run::Load() {
  if (!options_.resume) return Ok{};
  const std::vector<std::int64_t> steps = ListCheckpoints(options_.out);
  if (steps.empty()) return Ok{};
  TATARA_TRY(info_, LoadCheckpoint(CheckpointPath(options_.out, steps.back()), info_, *trainer_));
  return Ok{};
}

Result<> Run::Resume() {
  TATARA_RETURN_IF_ERROR(Load());
  if (info_.step > 0) {
    sink_.Resumed(info_.step);
  } else if (options_.resume) {
    sink_.NothingToResume(options_.out);
  }
  return Ok{};
}

// A number as JSON has it; what is not finite as a text.
std::string Number(double value) {
  return std::isfinite(value) ? fmt::format("{}", value) : fmt::format("\"{}\"", value);
}

Result<> Run::Suspect(const StepReport& report) {
  const std::int64_t before = trainer_->state().step;
  std::string action = "skip";
  if (report.event == StepReport::Event::kRollBack) {
    TATARA_TRY(info_, RollBack(options_.out, info_, *trainer_, pool_));
    if (IsFirst()) {
      TATARA_RETURN_IF_ERROR(RemoveCheckpointsAfter(options_.out, trainer_->state().step));
    }
    action = "rollback";
  }
  sink_.Suspect(report, trainer_->state().step);
  return Write(fmt::format(
      "{{\"step\":{},\"event\":\"{}\",\"what\":\"{}\",\"value\":{},\"limit\":{},"
      "\"parameter\":\"{}\",\"from_step\":{},\"sequences\":{}}}",
      report.step, action, report.spike.what, Number(report.spike.value), report.spike.limit,
      report.spike.parameter, before, trainer_->state().n_sequences));
}

// The first step of a phase: losses of other contexts are no match for those before.
Result<> Run::BeginPhase() {
  info_.best_step = 0;
  info_.best_loss = 0;
  const Recipe& phase = trainer_->recipe();
  return Write(fmt::format(R"({{"step":{},"phase":"{}","context":{},"layers":{}}})",
                           trainer_->first_step() + 1, Escaped(phase.name), phase.training.context,
                           phase.model.n_layers));
}

Result<> Run::Step() {
  TATARA_TRY(const StepReport report, trainer_->Step(pool_));
  if (report.event != StepReport::Event::kNone) return Suspect(report);
  training_loss_ = report.loss;
  sink_.Step(report, recipe_.training.steps);
  TATARA_RETURN_IF_ERROR(Write(fmt::format(
      "{{\"step\":{},\"loss\":{},\"gradient_norm\":{},\"learning_rate\":{},\"tokens\":{},"
      "\"seconds\":{:.3f}}}",
      report.step, report.loss, report.gradient_norm, report.learning_rate, report.n_tokens,
      Seconds())));
  if (!recipe_.phases.empty() && report.step == trainer_->first_step() + 1) {
    TATARA_RETURN_IF_ERROR(BeginPhase());
  }
  const std::int64_t before = info_.best_step;
  if (report.step % recipe_.run.validate_every == 0) TATARA_RETURN_IF_ERROR(Validate());
  if (report.step % recipe_.run.sample_every == 0) TATARA_RETURN_IF_ERROR(Sample());
  const bool keeps = report.step % recipe_.run.checkpoint_every == 0 || info_.best_step != before ||
                     trainer_->IsPhaseEnd();
  const std::int64_t every = recipe_.run.digest_every;
  if (keeps || (every > 0 && report.step % every == 0)) TATARA_RETURN_IF_ERROR(Witness());
  if (keeps) TATARA_RETURN_IF_ERROR(Checkpoint());
  return Ok{};
}

Result<> Run::Validate() {
  const std::int64_t step = trainer_->state().step;
  if (!IsFirst() || data_->n_validation(trainer_->recipe().training.context) == 0) return Ok{};
  std::vector<SourceLoss> by_source;
  TATARA_TRY(const double loss,
             trainer_->Validate(recipe_.run.validation_sequences, pool_, &by_source));
  sink_.Validated(step, loss);
  if (info_.best_step == 0 || loss < info_.best_loss) {
    info_.best_step = step;
    info_.best_loss = loss;
  }
  std::string sources;
  for (const SourceLoss& one : by_source) {
    sources += fmt::format("{}\"{}\":{}", sources.empty() ? ",\"sources\":{" : ",",
                           Escaped(one.source), one.loss);
  }
  if (!sources.empty()) sources += "}";
  return Write(fmt::format("{{\"step\":{},\"validation_loss\":{}{}}}", step, loss, sources));
}

Result<> Run::Sample() {
  const std::int64_t step = trainer_->state().step;
  if (!IsFirst() || recipe_.run.sample_tokens == 0) return Ok{};
  const std::string text = data_->Decode(trainer_->Sample({}, recipe_.run.sample_tokens, pool_));
  sink_.Sampled(step, text);
  std::error_code code;
  fs::create_directories(options_.out / "samples", code);
  return WriteFileAtomically(options_.out / "samples" / fmt::format("step-{:08}.txt", step), text);
}

// What a replay compares, and what stays of checkpoints that are removed again.
Result<> Run::Witness() {
  if (!IsFirst()) return Ok{};
  return Write(fmt::format("{{\"step\":{},\"weights\":\"{}\",\"weight_norm\":{}}}",
                           trainer_->state().step, trainer_->Digest(), trainer_->WeightNorm()));
}

Result<> Run::Write(const std::string& line) {
  return IsFirst() ? metrics_->Write(line) : Ok{};
}

// The best, and what a rollback would go to.
KeptCheckpoints Run::Kept() const {
  const RunRecipe& r = recipe_.run;
  KeptCheckpoints kept{.n_kept = r.checkpoints_kept, .besides = {info_.best_step}};
  if (r.spikes.on_spike == OnSpike::kRollBack) {
    kept.besides.push_back(trainer_->RollBackStep());
  }
  kept.bytes_max = r.checkpoint_bytes_max;
  return kept;
}

// The last one, the next one while it is written, and those that stay for a reason.
Result<> Run::CheckBytes() const {
  const std::uint64_t max = recipe_.run.checkpoint_bytes_max;
  const double growth = static_cast<double>(trainer_->n_parameters_max()) /
                        static_cast<double>(trainer_->trainable().n_parameters());
  const auto bytes = static_cast<std::uint64_t>(
      std::ceil(static_cast<double>(CheckpointBytes(*trainer_)) * growth));
  const std::uint64_t needed = (2 + Kept().besides.size()) * bytes;
  if (max == 0 || needed <= max) return Ok{};
  return Refuse("run.checkpoint_bytes_max is {0}; this run's checkpoints need at least {1}", max,
                needed);
}

Result<> Run::Checkpoint() {
  if (!IsFirst()) return Ok{};
  info_.step = trainer_->state().step;
  info_.metrics_lines = metrics_->n_lines();
  KeptCheckpoints kept = Kept();
  kept.bytes_next = CheckpointBytes(*trainer_);
  if (kept.bytes_max > 0) TATARA_RETURN_IF_ERROR(RemoveOldCheckpoints(options_.out, kept));
  const Metadata keys = KeysOf(trainer_->trainable());
  TATARA_RETURN_IF_ERROR(
      SaveCheckpoint(options_.out, info_, *trainer_, recipe_.phases.empty() ? nullptr : &keys));
  kept.bytes_next = 0;
  return RemoveOldCheckpoints(options_.out, kept);
}

// Of the last step, which an earlier call may have made.
Result<std::optional<double>> Run::TrainingLoss() const {
  if (training_loss_ || !IsFirst()) return training_loss_;
  TATARA_TRY(const auto metrics, ReadMetrics(options_.out));
  const auto last = metrics.find(trainer_->state().step);
  return last == metrics.end() ? std::nullopt : last->second.loss;
}

Result<RunResult> Run::Finish() {
  TATARA_RETURN_IF_ERROR(Checkpoint());
  const Recipe& last = trainer_->recipe();
  RunResult result{.name = recipe_.name,
                   .digest = trainer_->Digest(),
                   .steps = trainer_->state().step,
                   .finished = trainer_->state().step >= recipe_.training.steps,
                   .best_step = info_.best_step,
                   .best_validation_loss = info_.best_loss,
                   .recipe_digest = info_.recipe_digest,
                   .data_digest = info_.data_digest,
                   .n_parameters = trainer_->trainable().n_parameters()};
  TATARA_TRY(result.training_loss, TrainingLoss());
  result.flops_per_step =
      model::TrainingFlops(trainer_->trainable(),
                           {.n_sequences = last.training.batch,
                            .n_tokens = last.training.context,
                            .recompute = recipe_.run.recompute,
                            .attention_drops = last.training.attention_dropout > 0}) +
      OptimizerFlops(last.optimizer, trainer_->trainable());
  if (result.finished && IsFirst() && data_->n_validation(last.training.context) > 0) {
    TATARA_TRY(result.validation_loss,
               trainer_->Validate(std::numeric_limits<std::int64_t>::max(), pool_));
  }
  result.seconds = Seconds();
  const fs::path path = options_.out / "result.json";
  std::error_code ignored;
  const bool stays = !training_loss_ && fs::exists(path, ignored);
  if (result.finished && IsFirst() && !stays) {
    TATARA_RETURN_IF_ERROR(WriteFileAtomically(path, ResultJson(result) + "\n"));
  }
  return result;
}

}  // namespace

Result<RunResult> RunTraining(Recipe recipe, const RunOptions& options, RunSink& sink) {
  Run run(recipe, options, sink);
  return run.Go();
}

Result<> CheckTraining(Recipe recipe, const RunOptions& options, RunSink& sink) {
  Run run(recipe, options, sink);
  return run.Check();
}

std::string ResultJson(const RunResult& r) {
  const auto loss = [](const std::optional<double>& value) {
    return value ? fmt::format("{}", *value) : std::string("null");
  };
  const std::optional<double> best =
      r.best_step > 0 ? std::optional(r.best_validation_loss) : std::nullopt;
  return fmt::format(
      "{{\"run\":\"{}\",\"digest\":\"{}\",\"steps\":{},\"validation_loss\":{},\"finished\":{},"
      "\"training_loss\":{},\"best_step\":{},\"best_validation_loss\":{},\"recipe\":\"{}\","
      "\"data\":\"{}\",\"parameters\":{},\"flops_per_step\":{},\"seconds\":{:.3f}}}",
      Escaped(r.name), r.digest, r.steps, loss(r.validation_loss), r.finished,
      loss(r.training_loss), r.best_step, loss(best), r.recipe_digest, r.data_digest,
      r.n_parameters, r.flops_per_step, r.seconds);
}

}  // namespace tatara::learn
