// lineage, ledger: what things were made of, and the log that says so.
#include <fmt/format.h>

#include <filesystem>

#include "commands.h"
#include "json_output.h"
#include "receipt_lineage.h"
#include "tatara/base/files.h"
#include "tatara/base/localise.h"
#include "tatara/base/utf8.h"
#include "tatara/learn/checkpoint.h"
#include "tatara/learn/run_folder.h"
#include "tatara/ledger/lineage.h"
#include "tatara/ledger/object_store.h"
#include "terminal.h"

namespace tatara::cli {
namespace {

constexpr std::uint64_t kObjectBytesMax = std::uint64_t{1} << 30;

// What the user names: a file's bytes, the last weights of a run's folder, else a name or digest
// that the ledger knows.
Result<std::string> DigestNamed(const ledger::LineageGraph& graph, const std::string& what) {
  std::error_code error;
  if (learn::IsRunFolder(what)) {
    const auto steps = learn::ListCheckpoints(what);
    if (!steps.empty()) {
      TATARA_TRY(const auto digests,
                 learn::ReadCheckpointDigests(learn::CheckpointPath(what, steps.back())));
      return digests.weights;
    }
  }
  if (!std::filesystem::is_regular_file(what, error)) return graph.Find(what);
  TATARA_TRY(std::string digest, Sha256OfFile(what));
  if (graph.Reached().contains(digest)) return digest;
  return MakeError(ErrorKind::kNotFound, "{0}: the ledger has no record of a file of SHA-256 {1}",
                   what, digest);
}

Result<ledger::NoteKey> KeyToCheckWith(const std::string& given) {
  if (!given.empty()) return ledger::ParseNoteKey(given);
  TATARA_TRY(const ledger::SigningKey key, ledger::SigningKey::LoadOrCreate(TataraHome()));
  return ledger::NoteKey{ledger::kLedgerName, key.public_key()};
}

Result<int> VerifyLedger(const LedgerOptions& options) {
  TATARA_TRY(const ledger::NoteKey key, KeyToCheckWith(options.key));
  std::string earlier;
  if (!options.earlier.empty()) {
    TATARA_TRY(earlier, ReadWholeFile(options.earlier, ledger::kNoteBytesMax));
  }
  const auto folder = ledger::LedgerFolder(TataraHome());
  const ledger::LogReport report = ledger::VerifyLog(folder, key, earlier);
  if (options.json) {
    OutJson({{"ok", report.ok},
             {"entries", report.size},
             {"first_difference",
              report.first_difference.empty() ? Json() : Json(report.first_difference)}});
  } else if (report.ok) {
    Out(Tr("{0}: {1} entries, as they were written and signed", folder.string(), report.size) +
        "\n");
  } else {
    Out(report.first_difference + "\n");
  }
  return report.ok ? 0 : 1;
}

// The note as it is signed: a text, a blank line, signatures.
Result<int> PrintCheckpoint(const LedgerOptions& options) {
  const auto path = ledger::LedgerFolder(TataraHome()) / "checkpoint";
  TATARA_TRY(const std::string note, ReadWholeFile(path, ledger::kNoteBytesMax));
  if (options.json) {
    OutJson({{"checkpoint", note}});
  } else {
    Out(note);
  }
  return 0;
}

Result<int> PrintKey(const LedgerOptions& options) {
  TATARA_TRY(const ledger::NoteKey key, KeyToCheckWith({}));
  if (options.json) {
    OutJson({{"key", ledger::NoteKeyText(key)}});
  } else {
    Out(ledger::NoteKeyText(key) + "\n");
  }
  return 0;
}

Result<int> Collect(const LedgerOptions& options) {
  TATARA_TRY(const ledger::LineageGraph graph, ledger::LineageGraph::Read(TataraHome()));
  const ledger::ObjectStore objects(ledger::LedgerFolder(TataraHome()));
  TATARA_TRY(const auto collected, objects.Collect(graph.Reached(), {.dry_run = options.dry_run}));
  if (options.json) {
    OutJson({{"objects", collected.n_objects},
             {"bytes", collected.bytes},
             {"dry_run", options.dry_run}});
    return 0;
  }
  const std::string bytes = FormatBytes(static_cast<double>(collected.bytes));
  Out((options.dry_run ? Tr("{0} objects that no record names, {1}, would be removed",
                            collected.n_objects, bytes)
                       : Tr("{0} objects that no record names, {1}, were removed",
                            collected.n_objects, bytes)) +
      "\n");
  return 0;
}

Result<int> PrintObject(const LedgerOptions& options) {
  const ledger::ObjectStore objects(ledger::LedgerFolder(TataraHome()));
  TATARA_TRY(const std::string bytes, objects.Get(options.object, kObjectBytesMax));
  if (options.json) {
    OutJson({{"sha256", options.object},
             {"bytes", bytes.size()},
             {"text", IsValidUtf8(bytes) ? Json(bytes) : Json()}});
  } else {
    Out(bytes);
  }
  return 0;
}

Result<int> PrintLog(const LedgerOptions& options) {
  TATARA_TRY(const ledger::LineageGraph graph, ledger::LineageGraph::Read(TataraHome()));
  Json entries = Json::array();
  for (const ledger::LineageRecord& record : graph.records()) {
    const LineageEvent& event = record.event;
    if (options.json) {
      entries.push_back({{"entry", *record.index},
                         {"created", record.created_utc},
                         {"kind", event.kind},
                         {"name", event.name},
                         {"outputs", event.outputs.size()},
                         {"command", event.command}});
    } else {
      Out(fmt::format("{:>5}  {}  {:<12} {}\n", *record.index, record.created_utc, event.kind,
                      event.name));
    }
  }
  if (options.json) OutJson(entries);
  return 0;
}

// With the receipt that `what` may be.
Result<ledger::LineageGraph> GraphAround(const std::string& what) {
  TATARA_TRY(ledger::LineageGraph graph, ledger::LineageGraph::Read(TataraHome()));
  std::error_code error;
  if (!std::filesystem::is_regular_file(what, error) || !LooksLikeReceipt(what)) return graph;
  TATARA_TRY(ledger::LineageRecord receipt, RecordOfReceipt(what));
  std::vector<ledger::LineageRecord> records = graph.records();
  records.push_back(std::move(receipt));
  return ledger::LineageGraph(std::move(records));
}

}  // namespace

Result<int> Lineage(const LineageOptions& options) {
  TATARA_TRY(const ledger::LineageGraph graph, GraphAround(options.what));
  TATARA_TRY(const std::string digest, DigestNamed(graph, options.what));
  if (!options.page.empty()) {
    TATARA_RETURN_IF_ERROR(WriteFileAtomically(options.page, ledger::LineagePage(graph, digest)));
  }
  if (options.json) {
    Out(ledger::LineageJson(graph, digest) + "\n");
  } else if (options.mermaid) {
    Out(ledger::LineageMermaid(graph, digest));
  } else if (options.page.empty()) {
    Out(ledger::LineageTree(graph, digest));
  } else {
    Out(Tr("{0}: written", options.page) + "\n");
  }
  return 0;
}

Result<int> Ledger(const LedgerOptions& options) {
  switch (options.action) {
    case LedgerOptions::Action::kLog:
      return PrintLog(options);
    case LedgerOptions::Action::kVerify:
      return VerifyLedger(options);
    case LedgerOptions::Action::kCheckpoint:
      return PrintCheckpoint(options);
    case LedgerOptions::Action::kCollect:
      return Collect(options);
    case LedgerOptions::Action::kObject:
      return PrintObject(options);
    case LedgerOptions::Action::kKey:
      return PrintKey(options);
  }
  return 0;
}

}  // namespace tatara::cli
