// Lineage: each derived thing with the digests of what it came from, as entries of the log, and the
// graph that they make.
//
// An entry is one JSON object: {"lineage": 1, "kind", "name", "created", "program", "contract",
// "command": […], "facts": {…}, "inputs": [{"role", "name", "sha256", "bytes"}, …], "outputs":
// […]}.
//
// Thread safety: LineageGraph is immutable; the sink as Log.
#pragma once

#include <cstdint>
#include <map>
#include <memory>
#include <optional>
#include <set>
#include <string>
#include <string_view>
#include <vector>

#include "tatara/base/clock.h"
#include "tatara/base/error.h"
#include "tatara/base/lineage.h"
#include "tatara/ledger/log.h"

namespace tatara::ledger {

// HOME/ledger, and the name under which its log signs.
std::filesystem::path LedgerFolder(const std::filesystem::path& home);
inline constexpr const char* kLedgerName = "tatara.ledger";

struct LineageRecord {
  std::optional<std::uint64_t> index;  // of the log's entry; nothing: read off a receipt
  std::string created_utc;
  std::string program_version;
  int numerics_contract = 0;
  LineageEvent event;
};

Result<std::string> LineageEntry(const LineageEvent& event, const std::string& created_utc);
// Refused: what is no lineage entry. `path` names the log.
Result<LineageRecord> ParseLineageEntry(std::string_view entry, std::uint64_t index,
                                        const std::string& path);

// Appends to the log of `home`, which is opened with the first record.
class LedgerSink final : public LineageSink {
 public:
  explicit LedgerSink(std::filesystem::path home, const Clock& clock = SystemClock());
  ~LedgerSink() override;
  Result<> Record(const LineageEvent& event) override;

 private:
  struct Opened;
  std::filesystem::path home_;
  const Clock& clock_;
  std::unique_ptr<Opened> opened_;
};

class LineageGraph {
 public:
  // All lineage entries of the log of `home`; other entries are passed over. Empty where there is
  // no log.
  static Result<LineageGraph> Read(const std::filesystem::path& home);
  // The same of a log that lies elsewhere, as another machine has written it: everything is held
  // against its signed checkpoint first.
  static Result<LineageGraph> ReadVerified(const std::filesystem::path& folder, const NoteKey& key);
  explicit LineageGraph(std::vector<LineageRecord> records);

  const std::vector<LineageRecord>& records() const { return records_; }
  // What made the bytes of this digest, the newest of several; null: nothing that is recorded.
  const LineageRecord* MakerOf(std::string_view sha256) const;
  // The digest that people mean: a digest or its first eight digits and more, else the newest
  // output of that name. kNotFound names the nearest name; refused where several digests begin so.
  Result<std::string> Find(std::string_view what) const;
  // Digests of everything that this was made from, however far back, itself first.
  std::vector<std::string> Ancestors(const std::string& sha256) const;
  // Every digest that some record names: what a collection must keep.
  std::set<std::string, std::less<>> Reached() const;

 private:
  std::vector<LineageRecord> records_;
  std::map<std::string, std::size_t, std::less<>> maker_;  // by output digest
};

// The graph above one thing, for people and programs. Texts in the current language.
std::string LineageTree(const LineageGraph& graph, const std::string& sha256);
std::string LineageMermaid(const LineageGraph& graph, const std::string& sha256);
std::string LineageJson(const LineageGraph& graph, const std::string& sha256);
std::string LineagePage(const LineageGraph& graph, const std::string& sha256);  // HTML, no network

}  // namespace tatara::ledger
