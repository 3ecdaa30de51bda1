#include "tatara/learn/run_folder.h"

#include <nlohmann/json.hpp>

#include "tatara/base/files.h"
#include "tatara/base/json_nesting.h"
#include "tatara/base/sha256.h"
#include "tatara/learn/checkpoint.h"

namespace tatara::learn {
namespace {

namespace fs = std::filesystem;
using Json = nlohmann::ordered_json;

constexpr std::uint64_t kSourceBytesMax = 4 << 20;
constexpr std::uint64_t kMetricsBytesMax = std::uint64_t{1} << 32;
constexpr int kSourceFormat = 1;

std::string WithoutLineEnd(std::string text) {
  while (text.ends_with('\n')) text.pop_back();
  return text;
}

bool TakeText(const Json& json, const char* key, std::string& to) {
  const auto it = json.find(key);
  if (it == json.end() || !it->is_string()) return false;
  to = it->get<std::string>();
  return true;
}

// A broken number was written where a value was not finite; such a value is not comparable.
void TakeNumber(const Json& json, const char* key, std::optional<double>& to) {
  const auto it = json.find(key);
  if (it != json.end() && it->is_number()) to = it->get<double>();
}

bool TakeLine(const Json& json, MetricsLine& line) {
  if (!json.is_object() || !json.contains("step") || !json["step"].is_number_unsigned()) {
    return false;
  }
  if (json["step"].get<std::uint64_t>() >> 32 != 0) return false;
  line.step = static_cast<std::int64_t>(json["step"].get<std::uint64_t>());
  TakeText(json, "event", line.event);
  StepMetrics& metrics = line.metrics;
  TakeNumber(json, "loss", metrics.loss);
  TakeNumber(json, "gradient_norm", metrics.gradient_norm);
  TakeNumber(json, "learning_rate", metrics.learning_rate);
  TakeNumber(json, "validation_loss", metrics.validation_loss);
  TakeNumber(json, "weight_norm", metrics.weight_norm);
  TakeText(json, "weights", metrics.weights);
  if (const auto sources = json.find("sources"); sources != json.end() && sources->is_object()) {
    for (const auto& [name, value] : sources->items()) {
      if (value.is_number()) metrics.source_losses[name] = value.get<double>();
    }
  }
  return true;
}

void Merge(const StepMetrics& from, StepMetrics& to) {
  if (from.loss) to = {};  // the step was run again
  for (auto value : {&StepMetrics::loss, &StepMetrics::gradient_norm, &StepMetrics::learning_rate,
                     &StepMetrics::validation_loss, &StepMetrics::weight_norm}) {
    if (from.*value) to.*value = from.*value;
  }
  if (!from.weights.empty()) to.weights = from.weights;
  if (!from.source_losses.empty()) to.source_losses = from.source_losses;
}

}  // namespace

std::string RunSourceJson(const Recipe& recipe) {
  std::error_code ignored;
  return Json{{"format", kSourceFormat},
              {"name", recipe.name},
              {"folder", fs::absolute(recipe.folder, ignored).string()},
              {"set", recipe.overrides},
              {"recipe", recipe.text}}
      .dump(-1, ' ', false, Json::error_handler_t::replace);
}

bool IsRunFolder(const fs::path& path) {
  std::error_code ignored;
  return fs::is_regular_file(path / "recipe.json", ignored) &&
         fs::is_regular_file(path / "source.json", ignored);
}

Result<RunFolder> ReadRunFolder(const fs::path& path) {
  RunFolder run{.path = path};
  const fs::path source = path / "source.json";
  TATARA_TRY(const std::string text, ReadWholeFile(source, kSourceBytesMax));
  const Json json =
      JsonNestsTooDeeply(text) ? Json() : Json::parse(text, nullptr, /*allow_exceptions=*/false);
  std::string toml, folder;
  std::vector<std::string> overrides;
  bool is_source = json.is_object() && json.contains("format") && json["format"] == kSourceFormat &&
                   TakeText(json, "recipe", toml) && TakeText(json, "folder", folder) &&
                   json.contains("set") && json["set"].is_array();
  if (is_source) {
    for (const Json& one : json["set"]) {
      if (one.is_string()) overrides.push_back(one.get<std::string>());
    }
    is_source = overrides.size() == json["set"].size();
  }
  if (!is_source) return Refuse("{0}: not the record of a run's recipe", source.string());
  TATARA_TRY(run.recipe, ParseRecipe(toml, source.string(), overrides));
  run.recipe.folder = folder;
  TATARA_TRY(run.canonical_recipe, ReadWholeFile(path / "recipe.json", kSourceBytesMax));
  run.canonical_recipe = WithoutLineEnd(run.canonical_recipe);
  run.recipe_digest = Sha256Hex(run.canonical_recipe);
  TATARA_TRY(run.data_manifest, ReadWholeFile(path / "data.json", kSourceBytesMax * 16));
  run.data_manifest = WithoutLineEnd(run.data_manifest);
  run.checkpoints = ListCheckpoints(path);
  return run;
}

Result<std::vector<MetricsLine>> ReadMetricsLines(const fs::path& run) {
  const fs::path path = run / "metrics.jsonl";
  TATARA_TRY(const std::string text, ReadWholeFile(path, kMetricsBytesMax));
  std::vector<MetricsLine> lines;
  for (std::size_t at = 0, end = 0; (end = text.find('\n', at)) != std::string::npos;
       at = end + 1) {
    const std::string_view line = std::string_view(text).substr(at, end - at);
    MetricsLine& one = lines.emplace_back();
    if (JsonNestsTooDeeply(line) ||
        !TakeLine(Json::parse(line, nullptr, /*allow_exceptions=*/false), one)) {
      return Refuse("{0}:{1}: not a line of metrics", path.string(), lines.size());
    }
  }
  return lines;
}

Result<std::map<std::int64_t, StepMetrics>> ReadMetrics(const fs::path& run) {
  TATARA_TRY(const std::vector<MetricsLine> lines, ReadMetricsLines(run));
  std::map<std::int64_t, StepMetrics> metrics;
  for (const MetricsLine& line : lines) {
    if (line.event.empty()) Merge(line.metrics, metrics[line.step]);
  }
  return metrics;
}

}  // namespace tatara::learn
