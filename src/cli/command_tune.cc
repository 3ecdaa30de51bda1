#include "command_tune.h"

#include <fmt/format.h>

#include <algorithm>
#include <utility>

#include "command_train.h"
#include "json_output.h"
#include "lineage_sink.h"
#include "models_access.h"
#include "tatara/base/files.h"
#include "tatara/base/localise.h"
#include "tatara/learn/checkpoint.h"
#include "tatara/learn/held_out.h"
#include "tatara/learn/tuned.h"
#include "terminal.h"

namespace tatara::cli {
namespace {

namespace fs = std::filesystem;

constexpr std::uint64_t kResultBytesMax = 1 << 20;

struct Scores {
  std::vector<learn::HeldOutQuestion> questions;
  learn::HeldOutScore before, after;
};

// What is only needed after the training, missed before it.
Result<std::vector<learn::HeldOutQuestion>> CheckAhead(const learn::Recipe& recipe,
                                                       const TuneOptions& options) {
  if (recipe.base.from.empty()) {
    return Refuse("{0}: nothing to tune; name a model: [model] from", options.train.recipe);
  }
  if (recipe.tune.registers) {
    TATARA_TRY(const auto store, weights::ModelStore::Open());
    TATARA_RETURN_IF_ERROR(store.CheckInstall(recipe.name));
  }
  if (recipe.tune.held_out.empty() || options.no_questions) {
    return std::vector<learn::HeldOutQuestion>{};
  }
  TATARA_TRY(const fs::path path, learn::FindHeldOut(recipe));
  return learn::ReadHeldOut(path);
}

// The base and the tuned model; an adapter is asked beside the one base.
Result<Scores> Ask(const learn::Recipe& recipe, std::vector<learn::HeldOutQuestion> questions,
                   const fs::path& out, int n_threads) {
  Scores scores{.questions = std::move(questions)};
  ProgressLine progress(ProgressLine::Unit::kCount);
  const learn::HeldOutOptions base{
      .tokens_max = recipe.tune.answer_tokens, .progress = &progress, .stop = &StopRequested()};
  generate::EngineOptions options{
      .n_threads = n_threads,
      .context_tokens = std::min(learn::kHeldOutContext, recipe.model.n_ctx)};
  Remark(Tr("asking {0} questions that were not trained on, before and after",
            scores.questions.size()));
  TATARA_TRY(auto engine, generate::Engine::Open(recipe.base.path.string(), options));
  TATARA_TRY(scores.before, learn::ScoreHeldOut(scores.questions, base, *engine));
  progress.Clear();
  if (recipe.adapter.kind != learn::AdapterKind::kNone) {
    TATARA_TRY([[maybe_unused]] const auto facts,
               engine->AddAdapter({.name = recipe.name, .path = out.string()}));
    learn::HeldOutOptions tuned = base;
    tuned.adapter = recipe.name;
    TATARA_TRY(scores.after, learn::ScoreHeldOut(scores.questions, tuned, *engine));
    return scores;
  }
  engine.reset();
  TATARA_TRY(engine, generate::Engine::Open(out.string(), options));
  TATARA_TRY(scores.after, learn::ScoreHeldOut(scores.questions, base, *engine));
  return scores;
}

std::string ScoreText(const learn::Proportion& p) {
  return fmt::format("{} / {} ({:.1f} %, {:.1f} – {:.1f} %)", p.n_right, p.n,
                     100.0 * static_cast<double>(p.n_right) / static_cast<double>(p.n), 100 * p.low,
                     100 * p.high);
}

Json ScoreJson(const learn::Proportion& p) {
  return {{"right", p.n_right}, {"of", p.n}, {"low", p.low}, {"high", p.high}};
}

Result<> WriteAnswers(const fs::path& out, const Scores& scores) {
  std::string lines;
  for (std::size_t i = 0; i < scores.questions.size(); ++i) {
    const auto& before = scores.before.answers[i];
    const auto& after = scores.after.answers[i];
    const Json line = {{"question", scores.questions[i].question},
                       {"keys", scores.questions[i].keys},
                       {"before", {{"answer", before.answer}, {"right", before.right}}},
                       {"after", {{"answer", after.answer}, {"right", after.right}}}};
    lines += line.dump(-1, ' ', false, Json::error_handler_t::replace) + "\n";
  }
  return WriteFileAtomically(out / "held-out.jsonl", lines);
}

// Made of the base, the recipe and the run; came out: what was registered.
void Record(const learn::Recipe& recipe, const TuneOptions& options, const fs::path& out,
            const weights::LocalModel& model) {
  LineageEvent event{.kind = "tune", .name = recipe.name, .command = {}, .facts = {}};
  event.inputs.push_back({"model", recipe.base.from, recipe.base.sha256, 0});
  std::vector<std::pair<std::string, fs::path>> files = {
      {"recipe", options.train.recipe}, {"data", out / "data.json"}, {"run", out / "result.json"}};
  if (const auto steps = learn::ListCheckpoints(out); !steps.empty()) {
    files.emplace_back("weights", learn::CheckpointPath(out, steps.back()) / "weights.safetensors");
  }
  for (const auto& [role, path] : files) {
    auto part = FilePart(role, path.string(), path.string());
    if (part.ok()) event.inputs.push_back(std::move(*part));
  }
  const bool adapter = recipe.adapter.kind != learn::AdapterKind::kNone;
  for (const weights::LocalFile& file : model.files) {
    event.outputs.push_back(
        {adapter ? "adapter" : "model", recipe.name + "/" + file.path, file.sha256, file.n_bytes});
  }
  RecordLineage(std::move(event));
}

// What was asked and answered, so that a changed answer is found.
void RecordAnswers(const learn::Recipe& recipe, const fs::path& out) {
  LineageEvent event{.kind = "held-out", .name = recipe.name + "/held-out.jsonl"};
  auto run = FilePart("run", recipe.name + "/result.json", (out / "result.json").string());
  auto answers = FilePart("answers", event.name, (out / "held-out.jsonl").string());
  if (!run.ok() || !answers.ok()) return;
  event.inputs.push_back(std::move(*run));
  event.outputs.push_back(std::move(*answers));
  RecordLineage(std::move(event));
}

// The training, here or in processes that share it: what `train --json` says, or nothing where
// those were stopped; or the exit status that they failed with.
struct Trained {
  int status = 0;
  Json result;
};
Result<Trained> TrainFirst(const TuneOptions& options, const fs::path& out) {
  if (options.train.n_workers == 1) {
    TATARA_TRY(const auto result, TrainHere(options.train));
    return Trained{0, result ? Json::parse(learn::ResultJson(*result)) : Json()};
  }
  std::error_code ignored;
  if (options.train.resume) fs::remove(out / "result.json", ignored);
  TATARA_TRY(const int status, TrainInWorkers(options.train, WorkersOutput::kLeftOut));
  if (status != 0 || !fs::exists(out / "result.json", ignored)) return Trained{status, {}};
  TATARA_TRY(const std::string text, ReadWholeFile(out / "result.json", kResultBytesMax));
  Json result = Json::parse(text, nullptr, /*allow_exceptions=*/false);
  if (!result.is_object()) return Refuse("{0}: no result of a run", (out / "result.json").string());
  if (!options.train.json) Out(Tr("weights {0}", result.value("digest", "")) + "\n");
  return Trained{0, std::move(result)};
}

// Under its name, and asked what nothing was trained on. Adds what came of it to the report.
Result<> Finish(const learn::Recipe& recipe, std::vector<learn::HeldOutQuestion> questions,
                const TuneOptions& options, const fs::path& out, Json& report) {
  report["out"] = out.string();
  if (recipe.tune.registers) {
    TATARA_TRY(const weights::LocalModel model, learn::RegisterTuned(recipe, out));
    Record(recipe, options, out, model);
    report["model"] = model.name;
    report["sha256"] = model.sha256();
    if (!options.train.json) Out(Tr("chat with it: tatara chat {0}", model.name) + "\n");
  } else if (recipe.adapter.kind != learn::AdapterKind::kNone) {
    TATARA_RETURN_IF_ERROR(learn::WriteAdapterFolder(recipe, out));
  }
  if (questions.empty()) return Ok{};
  std::error_code ignored;
  fs::remove(out / "held-out.jsonl", ignored);  // of other weights
  const auto asked = Ask(recipe, std::move(questions), out, options.train.n_threads);
  if (!asked.ok()) {
    if (asked.error().kind() != ErrorKind::kCancelled) return asked.error();
    Remark(Tr("stopped: what was trained is kept, its held-out questions were not all asked"));
    return Ok{};
  }
  const Scores& scores = *asked;
  TATARA_RETURN_IF_ERROR(WriteAnswers(out, scores));
  RecordAnswers(recipe, out);
  report["before"] = ScoreJson(scores.before.right);
  report["after"] = ScoreJson(scores.after.right);
  if (options.train.json) return Ok{};
  Out(Tr("held-out questions answered right: {0} before, {1} after (95 % interval)",
         ScoreText(scores.before.right), ScoreText(scores.after.right)) +
      "\n");
  return Ok{};
}

}  // namespace

Result<int> Tune(const TuneOptions& options) {
  TATARA_TRY(learn::Recipe recipe,
             learn::ReadRecipe(options.train.recipe, options.train.overrides));
  TATARA_TRY(auto questions, CheckAhead(recipe, options));
  const fs::path out(options.train.out.empty() ? "runs/" + recipe.name : options.train.out);
  TATARA_TRY(Trained trained, TrainFirst(options, out));
  if (trained.status != 0) return trained.status;
  Json report = trained.result.is_object() ? std::move(trained.result)
                                           : Json{{"run", recipe.name}, {"finished", false}};
  if (report.value("finished", false)) {
    TATARA_RETURN_IF_ERROR(learn::ResolveBase(recipe));
    TATARA_RETURN_IF_ERROR(Finish(recipe, std::move(questions), options, out, report));
  }
  if (options.train.json) OutJson(report);
  return 0;
}

}  // namespace tatara::cli
