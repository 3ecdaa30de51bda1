// verify, replay: whether a thing is as it was recorded, and whether it comes out again.
#include <fmt/format.h>

#include <algorithm>
#include <charconv>
#include <fstream>
#include <map>
#include <set>

#include "commands.h"
#include "json_output.h"
#include "models_access.h"
#include "receipts.h"
#include "run_lineage.h"
#include "run_registry.h"
#include "tatara/base/files.h"
#include "tatara/base/localise.h"
#include "tatara/base/thread_pool.h"
#include "tatara/corpus/prepare.h"
#include "tatara/learn/replay.h"
#include "tatara/learn/run_folder.h"
#include "tatara/ledger/lineage.h"
#include "tatara/ledger/object_store.h"
#include "tatara/ledger/receipt.h"
#include "tatara/ledger/verify_files.h"
#include "tatara/numerics/isa.h"

namespace tatara::cli {
namespace {

namespace fs = std::filesystem;

struct Verdict {
  std::string kind;  // one of KindText's, or a record's own
  std::string name;
  std::optional<std::uint64_t> entry;  // of the log
  ledger::FilesReport files;

  void Say(std::string problem) { files.problems.push_back(std::move(problem)); }
};

// As people are told; programs get the kind itself.
std::string KindText(const std::string& kind) {
  constexpr const char* kKinds[] = {MarkText("run"),    MarkText("checkpoint"), MarkText("file"),
                                    MarkText("object"), MarkText("model"),      MarkText("record"),
                                    MarkText("data"),   MarkText("adapter"),    MarkText("folder")};
  const auto* known = std::ranges::find(kKinds, kind);
  return known == std::end(kKinds) ? kind : Tr(*known);
}

// The newest record that names these bytes: what made them, else what was made of them.
const ledger::LineageRecord* RecordNaming(const ledger::LineageGraph& graph,
                                          const std::string& digest) {
  if (const ledger::LineageRecord* maker = graph.MakerOf(digest)) return maker;
  const auto& records = graph.records();
  const auto found = std::find_if(records.rbegin(), records.rend(), [&](const auto& record) {
    return std::ranges::find(record.event.inputs, digest, &LineagePart::sha256) !=
           record.event.inputs.end();
  });
  return found == records.rend() ? nullptr : &*found;
}

// The log that everything else rests on: this machine's, or one that was handed over.
struct Trusted {
  fs::path folder;
  ledger::NoteKey key;
};

Result<Trusted> LedgerOf(const VerifyOptions& options) {
  if (!options.ledger.empty()) {
    TATARA_TRY(ledger::NoteKey key, ledger::ParseNoteKey(options.key));
    return Trusted{options.ledger, std::move(key)};
  }
  TATARA_TRY(const ledger::SigningKey key, ledger::SigningKey::LoadOrCreate(TataraHome()));
  return Trusted{ledger::LedgerFolder(TataraHome()), {ledger::kLedgerName, key.public_key()}};
}

// Its entries, their tree and the signature of its root.
void VerifyLogOf(const Trusted& trusted, Verdict& verdict) {
  std::error_code ignored;
  if (!fs::exists(trusted.folder / "checkpoint", ignored)) {
    return verdict.Say(
        Tr("{0}: there is no ledger; nothing was recorded here", trusted.folder.string()));
  }
  const ledger::LogReport log = ledger::VerifyLog(trusted.folder, trusted.key, "");
  if (!log.ok) verdict.Say(log.first_difference);
}

// The newest record of this folder's training; else of a run of that name.
const ledger::LineageRecord* RecordOfRun(const ledger::LineageGraph& graph, const fs::path& folder,
                                         const std::string& name) {
  std::error_code ignored;
  const std::string place = Json(fs::weakly_canonical(folder, ignored).string())
                                .dump(-1, ' ', false, Json::error_handler_t::replace);
  const ledger::LineageRecord* named = nullptr;
  const auto& records = graph.records();
  for (auto record = records.rbegin(); record != records.rend(); ++record) {
    if (record->event.kind != "train" && record->event.kind != "tune") continue;
    for (const auto& [fact, value] : record->event.facts) {
      if (fact == "folder" && value == place) return &*record;
    }
    if (named == nullptr && record->event.name == name) named = &*record;
  }
  return named;
}

// Files of the run below `inside`, which is the run itself, a checkpoint's folder or one file.
Result<Verdict> VerifyRun(const ledger::LineageGraph& graph, const fs::path& folder,
                          const fs::path& inside) {
  const auto run = learn::ReadRunFolder(folder);
  std::error_code ignored;
  const std::string folder_name = fs::weakly_canonical(folder, ignored).filename().string();
  Verdict verdict{.kind = inside.empty() ? "run" : "checkpoint",
                  .name = run.ok() ? run->recipe.name : folder_name};
  const ledger::LineageRecord* record = RecordOfRun(graph, folder, verdict.name);
  if (record == nullptr) {
    verdict.Say(Tr("{0}: the ledger has no record of this run", folder.string()));
    return verdict;
  }
  verdict.entry = record->index;
  const std::string& name = record->event.name;
  const std::string below = inside.empty() ? "" : inside.generic_string() + "/";
  const auto is_below = [&](const std::string& relative) {
    return relative == inside.generic_string() || relative.starts_with(below);
  };
  std::vector<ledger::PlacedPart> files;
  std::set<std::string> known;
  for (const LineagePart& part : record->event.outputs) {
    if (!part.name.starts_with(name + "/")) continue;
    const std::string relative = part.name.substr(name.size() + 1);
    known.insert(relative);
    if (is_below(relative)) files.push_back({part, folder / relative});
  }
  verdict.files = ledger::VerifyFiles(files);
  TATARA_TRY(const std::vector<fs::path> there, RunFiles(folder));
  for (const fs::path& file : there) {
    const std::string relative = file.generic_string();
    if (known.contains(relative) || !is_below(relative)) continue;
    const auto digest = Sha256OfFile(folder / file);
    if (!digest.ok() || graph.MakerOf(*digest) == nullptr) {
      verdict.Say(Tr("{0}: is there, but not recorded", (folder / file).string()));
    }
  }
  if (files.empty() && verdict.files.problems.empty()) {
    verdict.Say(Tr("{0}: the ledger has no record of it", (folder / inside).string()));
  }
  return verdict;
}

// The run that a path lies in; empty where it lies in none.
fs::path RunAround(const fs::path& path) {
  std::error_code ignored;
  for (fs::path at = fs::absolute(path, ignored).lexically_normal(); at.has_relative_path();
       at = at.parent_path()) {
    if (learn::IsRunFolder(at)) return at;
  }
  return {};
}

// A set of training data: all of it is checked against its digest, and that against the ledger.
Result<Verdict> VerifyPrepared(const ledger::LineageGraph& graph, const fs::path& folder) {
  Verdict verdict{.kind = "data", .name = folder.string()};
  const auto set = corpus::OpenPrepared(folder);
  if (!set.ok()) {
    verdict.Say(set.error().text(CurrentLanguage()));
    return verdict;
  }
  TATARA_TRY(const std::vector<fs::path> files, RunFiles(folder));
  std::error_code ignored;
  for (const fs::path& file : files) verdict.files.bytes += fs::file_size(folder / file, ignored);
  verdict.files.n_files = files.size();
  const ledger::LineageRecord* maker = graph.MakerOf((*set)->digest);
  if (maker != nullptr) {
    verdict.entry = maker->index;
  } else {
    verdict.Say(Tr("{0}: the ledger has no record of it", folder.string()));
  }
  return verdict;
}

// The record that made most of these files, by name and digest; among several the one of this name,
// then the newest.
const ledger::LineageRecord* RecordOfFiles(const ledger::LineageGraph& graph,
                                           const std::string& name,
                                           const std::map<std::string, std::string>& digests) {
  const ledger::LineageRecord* best = nullptr;
  std::pair<std::ptrdiff_t, bool> best_fit{0, false};
  for (const ledger::LineageRecord& record : graph.records()) {
    const auto n = std::ranges::count_if(record.event.outputs, [&](const LineagePart& part) {
      const auto file = digests.find(fs::path(part.name).filename().string());
      return file != digests.end() && file->second == part.sha256;
    });
    const std::pair<std::ptrdiff_t, bool> fit{n, record.event.name == name};
    if (n == 0 || fit < best_fit) continue;
    best = &record;
    best_fit = fit;
  }
  return best;
}

// A model's or an adapter's folder, as it was exported, tuned or pulled: what is recorded is there,
// and what is there is recorded. What the store keeps for itself is not.
Result<Verdict> VerifyFolder(const ledger::LineageGraph& graph, const fs::path& folder,
                             std::string kind) {
  Verdict verdict{.kind = std::move(kind), .name = folder.string()};
  TATARA_TRY(const std::vector<fs::path> files, RunFiles(folder));
  std::map<std::string, std::string> digests;
  for (const fs::path& file : files) {
    if (file == "record.json") continue;
    TATARA_TRY(digests[file.generic_string()], Sha256OfFile(folder / file));
  }
  const ledger::LineageRecord* record = RecordOfFiles(graph, folder.string(), digests);
  if (record == nullptr) {
    verdict.Say(Tr("{0}: the ledger has no record of it", folder.string()));
    return verdict;
  }
  verdict.entry = record->index;
  std::vector<ledger::PlacedPart> parts;
  for (const LineagePart& part : record->event.outputs) {
    const std::string name = fs::path(part.name).filename().string();
    // A pull records a model's first file by the model's name.
    if (part.name == record->event.name && !digests.contains(name)) continue;
    parts.push_back({part, folder / name});
  }
  verdict.files = ledger::VerifyFiles(parts);
  const auto reached = graph.Reached();
  for (const auto& [name, digest] : digests) {
    if (reached.contains(digest) ||
        std::ranges::any_of(parts, [&](const auto& part) { return part.path == folder / name; })) {
      continue;
    }
    verdict.Say(Tr("{0}: is there, but not recorded", (folder / name).string()));
  }
  return verdict;
}

// Of a tuned model: the adapter that is kept, and the model that it stands on.
Result<Verdict> VerifyTuned(const ledger::LineageGraph& graph,
                            const weights::ResolvedModel& model) {
  TATARA_TRY(Verdict verdict, VerifyFolder(graph, model.adapter, "adapter"));
  verdict.name = model.name;
  std::error_code ignored;
  if (!fs::is_regular_file(model.path, ignored)) {
    TATARA_TRY(const auto store, weights::ModelStore::Open());
    TATARA_TRY(const std::string found, store.DigestOf(model));
    if (found != model.base_sha256) {
      verdict.Say(Tr("{0} was made from a model with SHA-256 {1}; {2} has {3}", model.name,
                     model.base_sha256, model.path.string(), found));
    }
    return verdict;
  }
  ledger::FilesReport base = ledger::VerifyFiles(
      std::vector<ledger::PlacedPart>{{{.sha256 = model.base_sha256}, model.path}});
  verdict.files.n_files += base.n_files;
  verdict.files.bytes += base.bytes;
  for (std::string& problem : base.problems) verdict.Say(std::move(problem));
  return verdict;
}

// The model of that name, where a run of that name was found: what is chatted with is a copy.
Result<> AddRegistered(const ledger::LineageGraph& graph, const std::string& name,
                       Verdict& verdict) {
  const auto model = ResolveModel(name);
  if (!model.ok() || model->adapter.empty() || learn::IsRunFolder(model->adapter)) return Ok{};
  TATARA_TRY(Verdict tuned, VerifyTuned(graph, *model));
  verdict.files.n_files += tuned.files.n_files;
  verdict.files.bytes += tuned.files.bytes;
  for (std::string& problem : tuned.files.problems) verdict.Say(std::move(problem));
  return Ok{};
}

Result<Verdict> VerifyNamed(const ledger::LineageGraph& graph, const std::string& what) {
  TATARA_TRY(const std::string digest, graph.Find(what));
  Verdict verdict{.kind = "record", .name = what};
  const ledger::LineageRecord* maker = graph.MakerOf(digest);
  if (maker != nullptr) {
    verdict.entry = maker->index;
    verdict.kind = maker->event.kind;
    verdict.name = maker->event.name;
  } else if (const ledger::LineageRecord* record = RecordNaming(graph, digest)) {
    verdict.entry = record->index;
  }
  const ledger::ObjectStore objects(ledger::LedgerFolder(TataraHome()));
  if (objects.Has(digest)) {
    verdict.kind = "object";
    const auto right = objects.Verify(digest);
    if (!right.ok()) verdict.Say(right.error().text(CurrentLanguage()));
    ++verdict.files.n_files;
    return verdict;
  }
  const auto model = ResolveModel(what);
  if (model.ok() && !model->adapter.empty()) return VerifyTuned(graph, *model);
  if (model.ok()) {
    verdict.kind = "model";
    verdict.files =
        ledger::VerifyFiles(std::vector<ledger::PlacedPart>{{{.sha256 = digest}, model->path}});
  } else {
    Remark(Tr("'{0}': its bytes are not where this program keeps things; give their file", what));
  }
  return verdict;
}

// As a receipt has, one that was changed too.
bool HasPayload(const fs::path& path) {
  std::error_code error;
  if (fs::file_size(path, error) > ledger::kReceiptBytesMax || error) return false;
  std::ifstream file(path, std::ios::binary);
  std::string start(1024, '\0');
  file.read(start.data(), static_cast<std::streamsize>(start.size()));
  return start.find("payload") != std::string::npos ||
         start.find("application/vnd.tatara") != std::string::npos;
}

// Nothing: it is to be checked as a receipt.
Result<std::optional<Verdict>> VerifyFileNamed(const ledger::LineageGraph& graph,
                                               const std::string& what) {
  const fs::path run = RunAround(what);
  std::error_code ignored;
  if (!run.empty()) {
    TATARA_TRY(Verdict verdict,
               VerifyRun(graph, run,
                         fs::absolute(what, ignored).lexically_normal().lexically_relative(run)));
    verdict.kind = "file";
    return std::optional(verdict);
  }
  TATARA_TRY(const std::string digest, Sha256OfFile(what));
  Verdict verdict{.kind = "file", .name = what};
  const ledger::LineageRecord* record = RecordNaming(graph, digest);
  if (record == nullptr) {
    const bool may_be_receipt = HasPayload(what) || fs::path(what).extension() == ".json";
    if (may_be_receipt) return std::optional<Verdict>();
    verdict.Say(Tr("{0}: the ledger has no record of a file of SHA-256 {1}", what, digest));
    return std::optional(verdict);
  }
  verdict.entry = record->index;
  verdict.files.n_files = 1;
  verdict.files.bytes = fs::file_size(what, ignored);
  return std::optional(verdict);
}

int Print(const Verdict& verdict, bool json) {
  const auto& problems = verdict.files.problems;
  if (json) {
    OutJson({{"ok", problems.empty()},
             {"first_difference", problems.empty() ? Json() : Json(problems.front())},
             {"kind", verdict.kind},
             {"name", verdict.name},
             {"entry", verdict.entry ? Json(*verdict.entry) : Json()},
             {"files", verdict.files.n_files},
             {"bytes", verdict.files.bytes},
             {"problems", problems}});
    return problems.empty() ? 0 : 1;
  }
  for (const std::string& problem : problems) Out(problem + "\n");
  if (!problems.empty()) return 1;
  Out(Tr("{0}: as recorded ({1}, {2} files, {3}); log entry {4} is under the signed root",
         verdict.name, KindText(verdict.kind), verdict.files.n_files,
         FormatBytes(static_cast<double>(verdict.files.bytes)),
         verdict.entry ? std::to_string(*verdict.entry) : "-") +
      "\n");
  return 0;
}

// "a..b", "a.." and "..b" and "a"; 0 where an end is open.
Result<std::pair<std::int64_t, std::int64_t>> ParseSteps(const std::string& text) {
  if (text.empty()) return std::pair<std::int64_t, std::int64_t>{};
  const auto number = [](std::string_view digits, std::int64_t& to) {
    const auto [end, error] = std::from_chars(digits.data(), digits.data() + digits.size(), to);
    return error == std::errc() && end == digits.data() + digits.size() && to > 0;
  };
  const std::size_t dots = text.find("..");
  const std::string first = text.substr(0, dots);
  const std::string last = dots == std::string::npos ? first : text.substr(dots + 2);
  std::pair<std::int64_t, std::int64_t> steps;
  const bool is_right = (!first.empty() || !last.empty()) &&
                        (first.empty() || number(first, steps.first)) &&
                        (last.empty() || number(last, steps.second)) &&
                        (steps.second == 0 || steps.first <= steps.second);
  if (!is_right) return Refuse("--steps {0}: two steps, as in 40..60, are expected", text);
  return steps;
}

Result<int> ReplayTraining(const ReplayOptions& options, const fs::path& run) {
  TATARA_TRY(const auto steps, ParseSteps(options.steps));
  ProgressLine progress(ProgressLine::Unit::kCount);
  TATARA_TRY(
      const learn::ReplayedRun report,
      learn::ReplayRun(run, {.first_step = steps.first,
                             .last_step = steps.second,
                             .n_threads = options.n_threads == 0 ? ThreadPool::HardwareThreads()
                                                                 : options.n_threads,
                             .data_folder = options.data,
                             .progress = &progress,
                             .stop = &StopRequested()}));
  progress.Clear();
  const auto isa = numerics::IsaName(numerics::ActiveIsa());
  if (options.json) {
    OutJson({{"ok", report.ok},
             {"first_difference",
              report.first_difference.empty() ? Json() : Json(report.first_difference)},
             {"kind", "train"},
             {"run", run.string()},
             {"started_from", report.started_from},
             {"first_step", report.first_step},
             {"last_step", report.last_step},
             {"steps_run", report.n_steps_run},
             {"values", report.n_values},
             {"digests", report.n_digests},
             {"weights", report.weights},
             {"isa", isa}});
  } else if (report.ok) {
    Out(Tr("equal: steps {0} to {1}, {2} values and {3} digests, bit for bit (from step {4}, "
           "instruction set {5})",
           report.first_step, report.last_step, report.n_values, report.n_digests,
           report.started_from, isa) +
        "\n");
  } else {
    Out(Tr("different: {0}", report.first_difference) + "\n");
  }
  return report.ok ? 0 : 1;
}

}  // namespace

Result<int> Verify(const VerifyOptions& options) {
  TATARA_TRY(const Trusted trusted, LedgerOf(options));
  TATARA_TRY(const ledger::LineageGraph graph,
             options.ledger.empty()
                 ? ledger::LineageGraph::Read(TataraHome())
                 : ledger::LineageGraph::ReadVerified(trusted.folder, trusted.key));
  std::error_code ignored;
  Verdict verdict;
  if (fs::is_regular_file(options.file, ignored)) {
    TATARA_TRY(const auto found, VerifyFileNamed(graph, options.file));
    if (!found) return VerifyReceiptFile(options);
    verdict = *found;
  } else if (fs::is_directory(options.file, ignored) && !learn::IsRunFolder(options.file)) {
    const fs::path run = RunAround(options.file);
    const fs::path inside =
        fs::absolute(options.file, ignored).lexically_normal().lexically_relative(run);
    if (!run.empty()) {
      TATARA_TRY(verdict,
                 VerifyRun(graph, run, inside.filename().empty() ? inside.parent_path() : inside));
    } else if (fs::exists(fs::path(options.file) / "manifest.json", ignored)) {
      TATARA_TRY(verdict, VerifyPrepared(graph, options.file));
    } else {
      TATARA_TRY(verdict, VerifyFolder(graph, options.file, "folder"));
    }
  } else if (const fs::path run = RunNamed(options.file); !run.empty()) {
    TATARA_TRY(verdict, VerifyRun(graph, run, {}));
    if (run != fs::path(options.file)) {
      TATARA_RETURN_IF_ERROR(AddRegistered(graph, options.file, verdict));
    }
  } else {
    TATARA_TRY(verdict, VerifyNamed(graph, options.file));
  }
  VerifyLogOf(trusted, verdict);
  return Print(verdict, options.json);
}

Result<int> Replay(const ReplayOptions& options) {
  std::error_code ignored;
  if (fs::is_regular_file(options.file, ignored)) {
    if (!options.steps.empty()) {
      return Refuse("--steps: {0} is a receipt, no run", options.file);
    }
    if (!HasPayload(options.file)) {
      return Refuse("{0}: neither a receipt nor a run", options.file);
    }
    return ReplayReceiptFile(options);
  }
  TATARA_TRY(const fs::path run, FindRun(options.file));
  return ReplayTraining(options, run);
}

}  // namespace tatara::cli
