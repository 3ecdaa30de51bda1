// documents add | list | remove.
#include <fmt/format.h>

#include <set>

#include "commands.h"
#include "json_output.h"
#include "lineage_sink.h"
#include "tatara/base/clock.h"
#include "tatara/base/files.h"
#include "tatara/base/localise.h"
#include "tatara/ledger/lineage.h"
#include "tatara/ledger/object_store.h"
#include "tatara/search/index.h"
#include "terminal.h"

namespace tatara::cli {
namespace {

namespace fs = std::filesystem;

std::string StatusText(search::FileStatus status) {
  switch (status) {
    case search::FileStatus::kAdded:
      return Tr("added");
    case search::FileStatus::kUpdated:
      return Tr("updated");
    case search::FileStatus::kUnchanged:
      return Tr("unchanged");
    case search::FileStatus::kRemoved:
      return Tr("removed");
    case search::FileStatus::kRefused:
      return Tr("refused");
  }
  return {};
}

void PrintReport(const search::AddReport& report, const std::string& collection, bool json) {
  if (json) {
    Json files = Json::array();
    for (const search::FileReport& file : report.files) {
      Json entry = {{"document", file.document},
                    {"path", file.path},
                    {"status", search::FileStatusName(file.status)},
                    {"chunks", file.n_chunks}};
      if (file.reason) entry["reason"] = file.reason->text(CurrentLanguage());
      files.push_back(std::move(entry));
    }
    OutJson({{"collection", collection},
             {"added", report.added},
             {"updated", report.updated},
             {"unchanged", report.unchanged},
             {"removed", report.removed},
             {"refused", report.refused},
             {"skipped", report.skipped},
             {"files", std::move(files)}});
    return;
  }
  for (const search::FileReport& file : report.files) {
    if (file.status == search::FileStatus::kUnchanged) continue;
    if (file.reason) {
      Out(fmt::format("{}  {}\n", StatusText(file.status), file.reason->text(CurrentLanguage())));
    } else {
      Out(fmt::format("{}  {}\n", StatusText(file.status), file.document));
    }
  }
  Out(Tr("collection '{0}': {1} added, {2} updated, {3} unchanged, {4} removed, {5} refused, {6} "
         "skipped",
         collection, report.added, report.updated, report.unchanged, report.removed, report.refused,
         report.skipped) +
      "\n");
}

constexpr std::size_t kInputsMax = 1000;  // of one record; the manifest names them all

// What a collection answers from after it was changed: a manifest of its documents with their
// digests, kept as an object, made from the manifest before and from what came in.
void RecordIndex(search::Index& index, const search::AddReport& report) {
  if (report.added + report.updated + report.removed == 0) return;
  const auto documents = index.List();
  if (!documents.ok()) return;
  std::set<std::string_view> changed;
  for (const search::FileReport& file : report.files) {
    if (file.status == search::FileStatus::kAdded || file.status == search::FileStatus::kUpdated) {
      changed.insert(file.document);
    }
  }
  LineageEvent event{.kind = "index", .name = "collection/" + index.collection()};
  if (const auto graph = ledger::LineageGraph::Read(TataraHome()); graph.ok()) {
    if (const auto before = graph->Find(event.name); before.ok()) {
      event.inputs.push_back({"index", event.name, *before, 0});
    }
  }
  std::string manifest;
  for (const search::DocumentInfo& d : *documents) {
    const Json line = {{"document", d.document}, {"sha256", d.sha256}, {"chunks", d.n_chunks}};
    manifest += line.dump(-1, ' ', false, Json::error_handler_t::replace) + "\n";
    if (changed.contains(d.document) && event.inputs.size() < kInputsMax) {
      event.inputs.push_back({"document", d.document, d.sha256, d.bytes});
    }
  }
  for (const auto& [name, count] : {std::pair{"added", report.added},
                                    {"updated", report.updated},
                                    {"removed", report.removed}}) {
    event.facts.emplace_back(name, Json(count).dump());
  }
  event.facts.emplace_back("documents", Json(documents->size()).dump());
  const ledger::ObjectStore objects(ledger::LedgerFolder(TataraHome()));
  const auto kept = objects.Put(manifest);
  if (!kept.ok()) {
    return Remark(Tr("not recorded in the ledger: {0}", kept.error().text(CurrentLanguage())));
  }
  event.outputs.push_back({"index", event.name, *kept, manifest.size()});
  RecordLineage(std::move(event));
}

Result<int> Add(search::Index& index, const DocumentsOptions& options) {
  std::vector<fs::path> paths(options.paths.begin(), options.paths.end());
  ProgressLine progress(ProgressLine::Unit::kCount);
  TATARA_TRY(const search::AddReport report, index.Add(paths, &progress, &StopRequested()));
  progress.Clear();
  RecordIndex(index, report);
  PrintReport(report, options.collection, options.json);
  return report.refused == 0 ? 0 : 2;  // refused input, as everywhere
}

Result<int> List(search::Index& index, const DocumentsOptions& options) {
  TATARA_TRY(const auto documents, index.List());
  if (options.json) {
    Json list = Json::array();
    for (const search::DocumentInfo& d : documents) {
      list.push_back({{"document", d.document},
                      {"path", d.path},
                      {"title", d.title},
                      {"encoding", d.encoding},
                      {"sha256", d.sha256},
                      {"bytes", d.bytes},
                      {"chunks", d.n_chunks},
                      {"added", FormatUtc(d.added_unix)}});
    }
    OutJson({{"collection", options.collection}, {"documents", std::move(list)}});
    return 0;
  }
  for (const search::DocumentInfo& d : documents) {
    Out(fmt::format("{}  ({}, {})  {}\n", d.document, d.encoding,
                    FormatBytes(static_cast<double>(d.bytes)), d.title));
  }
  Out(Tr("{0} documents in collection '{1}'", documents.size(), options.collection) + "\n");
  if (documents.empty()) Out(Tr("add some: tatara documents add FOLDER") + "\n");
  return 0;
}

Result<int> Remove(search::Index& index, const DocumentsOptions& options) {
  std::vector<std::string> names = options.paths;
  if (options.all) {
    TATARA_TRY(const auto documents, index.List());
    for (const search::DocumentInfo& d : documents) names.push_back(d.document);
  } else if (names.empty()) {
    return Refuse("documents remove: name documents or folders, or give --all");
  }
  TATARA_TRY(const search::AddReport report, index.Remove(names));
  RecordIndex(index, report);
  PrintReport(report, options.collection, options.json);
  return 0;
}

}  // namespace

Result<int> Documents(const DocumentsOptions& options) {
  TATARA_TRY(const auto index,
             search::Index::Open({.collection = options.collection,
                                  .create = options.action == DocumentsOptions::Action::kAdd}));
  switch (options.action) {
    case DocumentsOptions::Action::kAdd:
      return Add(*index, options);
    case DocumentsOptions::Action::kList:
      return List(*index, options);
    case DocumentsOptions::Action::kRemove:
      return Remove(*index, options);
  }
  return 0;
}

}  // namespace tatara::cli
