// checkpoints RUN: how a run went, from its metrics and its checkpoints, for people and programs.
#include <fmt/format.h>

#include <algorithm>
#include <limits>

#include "commands.h"
#include "json_output.h"
#include "run_registry.h"
#include "svg_chart.h"
#include "tatara/base/files.h"
#include "tatara/base/html.h"
#include "tatara/base/json_nesting.h"
#include "tatara/base/localise.h"
#include "tatara/base/thread_pool.h"
#include "tatara/base/utf8.h"
#include "tatara/learn/probe.h"
#include "tatara/learn/run_folder.h"
#include "terminal.h"

namespace tatara::cli {
namespace {

namespace fs = std::filesystem;
using Metrics = std::map<std::int64_t, learn::StepMetrics>;

constexpr std::uint64_t kSampleBytesMax = 1 << 20;
constexpr std::size_t kPartsMax = 8;      // lines of a chart that can still be told apart
constexpr std::size_t kDigitsShown = 12;  // of a digest that stands elsewhere whole

struct View {
  learn::RunFolder run;
  Metrics metrics;
  std::vector<learn::ProbedCheckpoint> checkpoints;
  std::vector<std::string> probes;
  std::vector<std::pair<std::string, std::string>> samples;  // file's name, text
};

std::vector<std::pair<std::string, std::string>> SamplesOf(const fs::path& run) {
  std::map<std::string, std::string> samples;
  std::error_code error;
  for (fs::directory_iterator it(run / "samples", error), end; !error && it != end;
       it.increment(error)) {
    auto text = ReadWholeFile(it->path(), kSampleBytesMax);
    if (text.ok()) samples[it->path().stem().string()] = std::move(*text);
  }
  return {samples.begin(), samples.end()};
}

ChartSeries SeriesOf(const Metrics& metrics, std::string name,
                     std::optional<double> learn::StepMetrics::* value, bool dots = false) {
  ChartSeries series{.name = std::move(name), .dots = dots};
  for (const auto& [step, of_step] : metrics) {
    if (const auto& y = of_step.*value) series.points.emplace_back(static_cast<double>(step), *y);
  }
  return series;
}

std::vector<ChartSeries> SourceSeries(const Metrics& metrics) {
  std::map<std::string, ChartSeries> by_name;
  for (const auto& [step, of_step] : metrics) {
    for (const auto& [name, loss] : of_step.source_losses) {
      ChartSeries& series = by_name[name];
      series.name = name;
      series.dots = true;
      series.points.emplace_back(static_cast<double>(step), loss);
    }
  }
  std::vector<ChartSeries> all;
  for (auto& [name, series] : by_name) all.push_back(std::move(series));
  return all;
}

// Of the embedding, the first blocks, the last ones and the rest: as many as can be told apart.
std::vector<ChartSeries> PartSeries(const std::vector<learn::ProbedCheckpoint>& checkpoints) {
  std::vector<ChartSeries> series;
  if (checkpoints.empty()) return series;
  const std::size_t n_parts = checkpoints.front().part_norms.size();
  const std::size_t n_shown = std::min(n_parts, kPartsMax);
  for (std::size_t i = 0; i < n_shown; ++i) {
    const std::size_t part = n_shown < 2 ? 0 : i * (n_parts - 1) / (n_shown - 1);
    ChartSeries& one = series.emplace_back();
    one.name = checkpoints.front().part_norms[part].first;
    one.dots = true;
    for (const learn::ProbedCheckpoint& checkpoint : checkpoints) {
      one.points.emplace_back(static_cast<double>(checkpoint.step),
                              checkpoint.part_norms[part].second);
    }
  }
  return series;
}

class Page {
 public:
  explicit Page(const View& view) : view_(view) {}

  std::string Html() {
    const std::string title = Tr("Checkpoints of {0}", view_.run.recipe.name);
    Heading();
    const std::string step = Tr("step");
    AddChart(
        {Tr("Loss"),
         step,
         {SeriesOf(view_.metrics, Tr("training"), &learn::StepMetrics::loss),
          SeriesOf(view_.metrics, Tr("validation"), &learn::StepMetrics::validation_loss, true)}});
    AddChart({Tr("Validation loss by source"), step, SourceSeries(view_.metrics)});
    AddChart({Tr("Gradient norm"),
              step,
              {SeriesOf(view_.metrics, Tr("gradient norm"), &learn::StepMetrics::gradient_norm)}});
    AddChart({Tr("Learning rate"),
              step,
              {SeriesOf(view_.metrics, Tr("learning rate"), &learn::StepMetrics::learning_rate)}});
    AddChart(
        {Tr("Norm of all weights"),
         step,
         {SeriesOf(view_.metrics, Tr("weight norm"), &learn::StepMetrics::weight_norm, true)}});
    AddChart({Tr("Norms of parts of the weights"), step, PartSeries(view_.checkpoints)});
    Table();
    Probes();
    Samples();
    return fmt::format(
        "<!doctype html><html lang=\"{0}\"><head><meta charset=\"utf-8\"><meta name=\"viewport\" "
        "content=\"width=device-width\"><title>{1}</title><style>{2}{3}</style></head><body>"
        "<h1>{1}</h1>{4}</body></html>\n",
        CurrentLanguage() == Language::kJapanese ? "ja" : "en", EscapeHtml(title), kStyle,
        kChartStyle, html_);
  }

 private:
  static constexpr std::string_view kStyle =
      "body{font:16px/1.6 system-ui,'Noto Sans JP','Hiragino Sans','Yu Gothic UI',sans-serif;"
      "max-width:60rem;margin:2rem auto;padding:0 1rem;color:#1b1f24;background:#fff}"
      "h1{line-height:1.3}h2{margin:2rem 0 .4rem;font-size:1.2rem}"
      "code,pre{font:13px/1.5 ui-monospace,monospace;overflow-wrap:anywhere}"
      "summary{cursor:pointer;color:#57606a}"
      "pre{white-space:pre-wrap;background:#f3f5f7;padding:.6rem "
      ".8rem;border-radius:6px;margin:.3rem 0}"
      ".scroll{overflow-x:auto}table{border-collapse:collapse;font-size:14px}"
      "th,td{padding:.25rem .8rem .25rem 0;text-align:right;border-bottom:1px solid #d5dae1}"
      "th:last-child,td:last-child{text-align:left}dl{display:grid;"
      "grid-template-columns:max-content 1fr;gap:.1rem 1rem}dt{color:#57606a}dd{margin:0}"
      "@media(prefers-color-scheme:dark){body{background:#14171a;color:#e6e8ea}"
      "pre{background:#1e2327}th,td{border-color:#3a4048}dt{color:#9aa4af}}";

  void Row(const std::string& name, const std::string& value) {
    html_ +=
        fmt::format("<dt>{}</dt><dd><code>{}</code></dd>", EscapeHtml(name), EscapeHtml(value));
  }

  void Heading() {
    const learn::Recipe& recipe = view_.run.recipe;
    html_ += "<dl>";
    Row(Tr("Folder"), view_.run.path.string());
    Row(Tr("Recipe"), view_.run.recipe_digest);
    for (const std::string& change : recipe.overrides) Row("--set", change);
    const std::int64_t done = view_.metrics.empty() ? 0 : view_.metrics.rbegin()->first;
    Row(Tr("Steps"), Tr("{0} of {1}", done, recipe.training.steps));
    const auto better = [](const auto& a, const auto& b) {
      constexpr double kNone = std::numeric_limits<double>::infinity();
      return a.second.validation_loss.value_or(kNone) < b.second.validation_loss.value_or(kNone);
    };
    const auto best = std::ranges::min_element(view_.metrics, better);
    if (best != view_.metrics.end() && best->second.validation_loss) {
      Row(Tr("Best validation loss"),
          Tr("{0} at step {1}", fmt::format("{:.4f}", *best->second.validation_loss), best->first));
    }
    Row(Tr("Checkpoints kept"), std::to_string(view_.checkpoints.size()));
    const Json manifest =
        JsonNestsTooDeeply(view_.run.data_manifest)
            ? Json()
            : Json::parse(view_.run.data_manifest, nullptr, /*allow_exceptions=*/false);
    if (manifest.contains("digest") && manifest["digest"].is_string()) {
      Row(Tr("Data"), manifest["digest"].get<std::string>());
    }
    DataFiles(manifest);
    html_ += "</dl>";
    html_ +=
        fmt::format("<details><summary>{}</summary><pre>{}</pre></details>",
                    EscapeHtml(Tr("The data's manifest")),
                    EscapeHtml(manifest.is_object()
                                   ? manifest.dump(1, ' ', false, Json::error_handler_t::replace)
                                   : view_.run.data_manifest));
  }

  // Wherever the manifest names a file by its digest.
  void DataFiles(const Json& json) {
    if (json.is_array() || json.is_object()) {
      for (const Json& one : json) DataFiles(one);
    }
    if (!json.is_object() || !json.contains("sha256") || !json["sha256"].is_string()) return;
    std::string name;
    for (const char* key : {"path", "file", "text", "name"}) {
      if (name.empty() && json.contains(key) && json[key].is_string()) name = json[key];
    }
    if (name.empty()) return;
    std::string text = name;
    if (json.contains("bytes") && json["bytes"].is_number()) {
      text += ", " + FormatBytes(json["bytes"].get<double>());
    }
    Row("", text + ", " + json["sha256"].get<std::string>().substr(0, kDigitsShown));
  }

  void AddChart(const Chart& chart) {
    const std::string svg = SvgChart(chart);
    if (!svg.empty()) html_ += "<h2>" + EscapeHtml(chart.title) + "</h2>" + svg;
  }

  void Table() {
    html_ += fmt::format(
        "<h2>{}</h2><div class=\"scroll\"><table><thead><tr><th>{}</th><th>{}</th><th>{}</th>"
        "<th>{}</th><th>{}</th></tr></thead><tbody>",
        EscapeHtml(Tr("Checkpoints kept")), Tr("step"), Tr("training loss"), Tr("validation loss"),
        Tr("weight norm"), Tr("SHA-256 of the weights"));
    for (const learn::ProbedCheckpoint& checkpoint : view_.checkpoints) {
      const auto found = view_.metrics.find(checkpoint.step);
      const learn::StepMetrics metrics =
          found == view_.metrics.end() ? learn::StepMetrics{} : found->second;
      const auto number = [](const std::optional<double>& value) {
        return value ? fmt::format("{:.4f}", *value) : std::string("–");
      };
      html_ += fmt::format(
          "<tr><td>{}</td><td>{}</td><td>{}</td><td>{:.4f}</td><td><code>{}</code></td></tr>",
          checkpoint.step, number(metrics.loss), number(metrics.validation_loss),
          checkpoint.weight_norm, checkpoint.weights_sha256);
    }
    html_ += "</tbody></table></div>";
  }

  void Probes() {
    for (std::size_t i = 0; i < view_.probes.size(); ++i) {
      html_ += fmt::format("<h2>{}</h2>", EscapeHtml(Tr("Probe: {0}", view_.probes[i])));
      for (const learn::ProbedCheckpoint& checkpoint : view_.checkpoints) {
        html_ += fmt::format("<p>{}</p><pre>{}</pre>", EscapeHtml(Tr("step {0}", checkpoint.step)),
                             EscapeHtml(view_.probes[i] + checkpoint.texts[i]));
      }
    }
  }

  void Samples() {
    if (view_.samples.empty()) return;
    html_ += "<h2>" + EscapeHtml(Tr("Samples along the way")) + "</h2>";
    for (const auto& [name, text] : view_.samples) {
      html_ += fmt::format("<p>{}</p><pre>{}</pre>", EscapeHtml(name), EscapeHtml(text));
    }
  }

  const View& view_;
  std::string html_;
};

Json Optional(const std::optional<double>& value) {
  return value ? Json(*value) : Json();
}

void PrintJson(const View& view, const std::string& page) {
  Json checkpoints = Json::array();
  for (const learn::ProbedCheckpoint& checkpoint : view.checkpoints) {
    const auto found = view.metrics.find(checkpoint.step);
    const learn::StepMetrics metrics =
        found == view.metrics.end() ? learn::StepMetrics{} : found->second;
    Json parts = Json::object(), probes = Json::array();
    for (const auto& [name, norm] : checkpoint.part_norms) parts[name] = norm;
    for (std::size_t i = 0; i < checkpoint.texts.size(); ++i) {
      probes.push_back({{"prompt", view.probes[i]}, {"text", checkpoint.texts[i]}});
    }
    checkpoints.push_back({{"step", checkpoint.step},
                           {"weights_sha256", checkpoint.weights_sha256},
                           {"weight_norm", checkpoint.weight_norm},
                           {"loss", Optional(metrics.loss)},
                           {"validation_loss", Optional(metrics.validation_loss)},
                           {"norms", std::move(parts)},
                           {"probes", std::move(probes)}});
  }
  OutJson({{"run", view.run.recipe.name},
           {"folder", view.run.path.string()},
           {"recipe", view.run.recipe_digest},
           {"page", page.empty() ? Json() : Json(page)},
           {"checkpoints", std::move(checkpoints)}});
}

void PrintText(const View& view) {
  for (const learn::ProbedCheckpoint& checkpoint : view.checkpoints) {
    const auto found = view.metrics.find(checkpoint.step);
    const learn::StepMetrics metrics =
        found == view.metrics.end() ? learn::StepMetrics{} : found->second;
    Out(Tr("step {0}: loss {1}, validation loss {2}, weight norm {3}, weights {4}", checkpoint.step,
           metrics.loss ? fmt::format("{:.4f}", *metrics.loss) : "-",
           metrics.validation_loss ? fmt::format("{:.4f}", *metrics.validation_loss) : "-",
           fmt::format("{:.4f}", checkpoint.weight_norm), checkpoint.weights_sha256.substr(0, 12)) +
        "\n");
    for (std::size_t i = 0; i < checkpoint.texts.size(); ++i) {
      Out("  " + ReplaceInvalidUtf8(view.probes[i] + checkpoint.texts[i]) + "\n");
    }
  }
}

}  // namespace

Result<int> Checkpoints(const CheckpointsOptions& options) {
  TATARA_TRY(const fs::path run, FindRun(options.run));
  View view{.probes = options.probes};
  TATARA_TRY(view.run, learn::ReadRunFolder(run));
  TATARA_TRY(view.metrics, learn::ReadMetrics(run));
  TATARA_TRY(view.checkpoints,
             learn::ProbeCheckpoints(
                 run, {.prompts = options.probes,
                       .n_tokens = options.probe_tokens,
                       .n_threads = options.n_threads == 0 ? ThreadPool::HardwareThreads()
                                                           : options.n_threads,
                       .stop = &StopRequested()}));
  view.samples = SamplesOf(run);
  if (!options.page.empty()) {
    TATARA_RETURN_IF_ERROR(WriteFileAtomically(options.page, Page(view).Html()));
  }
  if (options.json) {
    PrintJson(view, options.page);
  } else {
    PrintText(view);
    if (!options.page.empty()) Out(Tr("{0}: written", options.page) + "\n");
  }
  return 0;
}

}  // namespace tatara::cli
