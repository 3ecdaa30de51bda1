#include "tatara/ledger/lineage.h"

#include <algorithm>
#include <nlohmann/json.hpp>

#include "tatara/base/files.h"
#include "tatara/base/json_nesting.h"
#include "tatara/base/nearest.h"
#include "tatara/base/version.h"
#include "tatara/ledger/object_store.h"

namespace tatara::ledger {
namespace {

using Json = nlohmann::ordered_json;

constexpr int kLineageVersion = 1;
constexpr std::size_t kPrefixDigitsMin = 8;

Json PartsJson(const std::vector<LineagePart>& parts) {
  Json json = Json::array();
  for (const LineagePart& part : parts) {
    json.push_back(
        {{"role", part.role}, {"name", part.name}, {"sha256", part.sha256}, {"bytes", part.bytes}});
  }
  return json;
}

bool ReadText(const Json& object, const char* key, std::string& to) {
  const auto it = object.find(key);
  if (it == object.end() || !it->is_string()) return false;
  to = it->get<std::string>();
  return true;
}

bool ReadParts(const Json& object, const char* key, std::vector<LineagePart>& to) {
  const auto parts = object.find(key);
  if (parts == object.end() || !parts->is_array()) return false;
  for (const Json& json : *parts) {
    LineagePart part;
    const bool is_part = json.is_object() && ReadText(json, "role", part.role) &&
                         ReadText(json, "name", part.name) &&
                         ReadText(json, "sha256", part.sha256) && IsDigestText(part.sha256) &&
                         json.contains("bytes") && json["bytes"].is_number_unsigned();
    if (!is_part) return false;
    part.bytes = json["bytes"].get<std::uint64_t>();
    to.push_back(std::move(part));
  }
  return true;
}

bool ReadEvent(const Json& json, LineageRecord& record) {
  LineageEvent& event = record.event;
  const bool has_texts = ReadText(json, "kind", event.kind) && ReadText(json, "name", event.name) &&
                         ReadText(json, "created", record.created_utc) &&
                         ReadText(json, "program", record.program_version);
  if (!has_texts || !json.contains("contract") || !json["contract"].is_number_integer()) {
    return false;
  }
  record.numerics_contract = json["contract"].get<int>();
  const auto command = json.find("command"), facts = json.find("facts");
  if (command == json.end() || !command->is_array() || facts == json.end() || !facts->is_object()) {
    return false;
  }
  for (const Json& word : *command) {
    if (!word.is_string()) return false;
    event.command.push_back(word.get<std::string>());
  }
  for (const auto& [name, value] : facts->items()) event.facts.emplace_back(name, value.dump());
  return ReadParts(json, "inputs", event.inputs) && ReadParts(json, "outputs", event.outputs);
}

}  // namespace

std::filesystem::path LedgerFolder(const std::filesystem::path& home) {
  return home / "ledger";
}

Result<std::string> LineageEntry(const LineageEvent& event, const std::string& created_utc) {
  Json facts = Json::object();
  for (const auto& [name, text] : event.facts) {
    Json value = Json::parse(text, nullptr, /*allow_exceptions=*/false);
    if (value.is_discarded()) return Refuse("lineage: the fact '{0}' is not JSON", name);
    facts[name] = std::move(value);
  }
  for (const auto* parts : {&event.inputs, &event.outputs}) {
    for (const LineagePart& part : *parts) {
      if (!IsDigestText(part.sha256)) {
        return Refuse("lineage: '{0}' ({1}) has no SHA-256 digest", part.name, part.role);
      }
    }
  }
  const Json json = {{"lineage", kLineageVersion},
                     {"kind", event.kind},
                     {"name", event.name},
                     {"created", created_utc},
                     {"program", kVersion},
                     {"contract", kNumericsContract},
                     {"command", event.command},
                     {"facts", std::move(facts)},
                     {"inputs", PartsJson(event.inputs)},
                     {"outputs", PartsJson(event.outputs)}};
  return json.dump(-1, ' ', false, Json::error_handler_t::replace);
}

Result<LineageRecord> ParseLineageEntry(std::string_view entry, std::uint64_t index,
                                        const std::string& path) {
  LineageRecord record{.index = index};
  bool is_lineage = !JsonNestsTooDeeply(entry);
  if (is_lineage) {
    const Json json = Json::parse(entry, nullptr, /*allow_exceptions=*/false);
    is_lineage = json.is_object() && json.contains("lineage") &&
                 json["lineage"] == kLineageVersion && ReadEvent(json, record);
  }
  if (!is_lineage) return Refuse("{0}: entry {1} is no record of lineage", path, index);
  return record;
}

struct LedgerSink::Opened {
  SigningKey key;
  std::unique_ptr<Log> log;
};

LedgerSink::LedgerSink(std::filesystem::path home, const Clock& clock)
    : home_(std::move(home)), clock_(clock) {}
LedgerSink::~LedgerSink() = default;

Result<> LedgerSink::Record(const LineageEvent& event) {
  if (!opened_) {
    TATARA_TRY(SigningKey key, SigningKey::LoadOrCreate(home_));
    auto opened = std::make_unique<Opened>(Opened{std::move(key), nullptr});
    TATARA_TRY(opened->log, Log::Open(LedgerFolder(home_), kLedgerName, opened->key));
    opened_ = std::move(opened);
  }
  TATARA_TRY(const std::string entry, LineageEntry(event, FormatUtc(clock_.UnixSeconds())));
  TATARA_TRY([[maybe_unused]] const std::uint64_t index, opened_->log->Append(entry));
  return Ok{};
}

LineageGraph::LineageGraph(std::vector<LineageRecord> records) : records_(std::move(records)) {
  for (std::size_t i = 0; i < records_.size(); ++i) {
    for (const LineagePart& part : records_[i].event.outputs) maker_[part.sha256] = i;
  }
}

Result<LineageGraph> LineageGraph::Read(const std::filesystem::path& home) {
  const std::filesystem::path folder = LedgerFolder(home);
  std::error_code error;
  if (!std::filesystem::exists(folder / "entries", error)) return LineageGraph({});
  TATARA_TRY(const SigningKey key, SigningKey::LoadOrCreate(home));
  TATARA_TRY(const auto log, Log::Open(folder, kLedgerName, key));
  std::vector<LineageRecord> records;
  for (std::uint64_t i = 0; i < log->size(); ++i) {
    TATARA_TRY(const std::string entry, log->Entry(i));
    auto record = ParseLineageEntry(entry, i, folder.string());
    if (record.ok()) records.push_back(std::move(record).value());
  }
  return LineageGraph(std::move(records));
}

Result<LineageGraph> LineageGraph::ReadVerified(const std::filesystem::path& folder,
                                                const NoteKey& key) {
  TATARA_TRY(const std::vector<std::string> entries, ReadLog(folder, key));
  std::vector<LineageRecord> records;
  for (std::size_t i = 0; i < entries.size(); ++i) {
    auto record = ParseLineageEntry(entries[i], i, folder.string());
    if (record.ok()) records.push_back(std::move(record).value());
  }
  return LineageGraph(std::move(records));
}

const LineageRecord* LineageGraph::MakerOf(std::string_view sha256) const {
  const auto it = maker_.find(sha256);
  return it == maker_.end() ? nullptr : &records_[it->second];
}

Result<std::string> LineageGraph::Find(std::string_view what) const {
  const std::set<std::string, std::less<>> digests = Reached();
  const bool is_hex = what.size() >= kPrefixDigitsMin && what.size() <= 64 &&
                      what.find_first_not_of("0123456789abcdef") == std::string_view::npos;
  if (is_hex) {
    const auto first = digests.lower_bound(what);
    if (first != digests.end() && first->starts_with(what)) {
      const auto next = std::next(first);
      if (next == digests.end() || !next->starts_with(what)) return *first;
      return Refuse("'{0}' begins several digests; give more of its digits", what);
    }
  }
  std::vector<std::string_view> names;
  for (auto record = records_.rbegin(); record != records_.rend(); ++record) {
    const std::vector<LineagePart>& outputs = record->event.outputs;
    if (record->event.name == what && !outputs.empty()) return outputs.front().sha256;
    for (const LineagePart& part : outputs) {
      if (part.name == what) return part.sha256;
      names.push_back(part.name);
    }
    names.push_back(record->event.name);
  }
  std::erase(names, std::string_view());
  const std::string nearest = Nearest(what, names);
  if (nearest.empty()) {
    return MakeError(ErrorKind::kNotFound, "'{0}': the ledger has no record of it", what);
  }
  return MakeError(ErrorKind::kNotFound,
                   "'{0}': the ledger has no record of it; the nearest name is '{1}'", what,
                   nearest);
}

std::vector<std::string> LineageGraph::Ancestors(const std::string& sha256) const {
  std::vector<std::string> found = {sha256};
  std::set<std::string, std::less<>> seen = {sha256};
  for (std::size_t i = 0; i < found.size(); ++i) {
    const LineageRecord* maker = MakerOf(found[i]);
    if (maker == nullptr) continue;
    for (const LineagePart& part : maker->event.inputs) {
      if (seen.insert(part.sha256).second) found.push_back(part.sha256);
    }
  }
  return found;
}

std::set<std::string, std::less<>> LineageGraph::Reached() const {
  std::set<std::string, std::less<>> digests;
  for (const LineageRecord& record : records_) {
    for (const LineagePart& part : record.event.inputs) digests.insert(part.sha256);
    for (const LineagePart& part : record.event.outputs) digests.insert(part.sha256);
  }
  return digests;
}

}  // namespace tatara::ledger
