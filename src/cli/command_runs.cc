// runs list: the training runs that were made on this machine.
#include <fmt/format.h>

#include "commands.h"
#include "json_output.h"
#include "run_registry.h"
#include "tatara/base/files.h"
#include "tatara/base/localise.h"
#include "tatara/learn/checkpoint.h"
#include "tatara/learn/run_folder.h"

namespace tatara::cli {
namespace {

// What a run's folder says of how far it is.
struct RunState {
  bool there = false, finished = false;
  std::int64_t steps = 0, steps_planned = 0;
  std::optional<double> loss, validation_loss;
  std::string digest;
};

RunState StateOf(const RegisteredRun& run) {
  RunState state;
  const auto folder = learn::ReadRunFolder(run.folder);
  if (!folder.ok()) return state;
  state.there = true;
  state.steps_planned = folder->recipe.training.steps;
  if (const auto metrics = learn::ReadMetrics(run.folder); metrics.ok()) {
    for (const auto& [step, of_step] : *metrics) {
      if (of_step.loss) state.steps = step, state.loss = of_step.loss;
      if (of_step.validation_loss) state.validation_loss = of_step.validation_loss;
    }
  }
  constexpr std::uint64_t kResultBytesMax = 1 << 20;
  const auto text = ReadWholeFile(run.folder / "result.json", kResultBytesMax);
  if (!text.ok()) return state;
  const Json result = Json::parse(*text, nullptr, /*allow_exceptions=*/false);
  if (!result.is_object() || !result.contains("digest")) return state;
  state.finished = result.value("finished", Json()) == true;
  if (result["digest"].is_string()) state.digest = result["digest"].get<std::string>();
  if (result.contains("validation_loss") && result["validation_loss"].is_number()) {
    state.validation_loss = result["validation_loss"].get<double>();
  }
  return state;
}

Json Number(const std::optional<double>& value) {
  return value ? Json(*value) : Json();
}

std::string Status(const RunState& state) {
  if (!state.there) return Tr("the folder is gone");
  return state.finished ? Tr("finished") : Tr("not finished");
}

}  // namespace

Result<int> Runs(const RunsOptions& options) {
  TATARA_TRY(const auto runs, RegisteredRuns());
  Json list = Json::array();
  for (const RegisteredRun& run : runs) {
    const RunState state = StateOf(run);
    if (options.json) {
      list.push_back({{"name", run.name},
                      {"folder", run.folder.string()},
                      {"started", run.started_utc},
                      {"there", state.there},
                      {"finished", state.finished},
                      {"steps", state.steps},
                      {"steps_planned", state.steps_planned},
                      {"loss", Number(state.loss)},
                      {"validation_loss", Number(state.validation_loss)},
                      {"digest", state.digest.empty() ? Json() : Json(state.digest)}});
      continue;
    }
    Out(fmt::format("{:<24} {}  {:>6} / {:<6}  {:>8}  {}  {}\n", run.name, run.started_utc,
                    state.steps, state.steps_planned,
                    state.validation_loss ? fmt::format("{:.4f}", *state.validation_loss) : "-",
                    Status(state), run.folder.string()));
  }
  if (options.json) OutJson(list);
  if (!options.json && runs.empty()) {
    Out(Tr("no run yet; make one: tatara train recipes/shakespeare-char.toml") + "\n");
  }
  return 0;
}

}  // namespace tatara::cli
