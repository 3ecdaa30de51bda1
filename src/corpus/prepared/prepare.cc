#include "tatara/corpus/prepare.h"

#include <sys/stat.h>

#include <algorithm>
#include <map>
#include <mutex>
#include <numeric>
#include <optional>
#include <system_error>

#include "json_text.h"
#include "prepared/digest_set.h"
#include "prepared/set_files.h"
#include "tatara/base/localise.h"
#include "tatara/base/sha256.h"
#include "tatara/base/thread_pool.h"
#include "tatara/base/utf8.h"

namespace tatara::corpus {
namespace {

namespace fs = std::filesystem;

constexpr int kFormVersion = 1;
constexpr std::size_t kExamplesMax = 5;  // of dropped rows, in the manifest
constexpr std::uint64_t kManifestBytesMax = std::uint64_t{1} << 30;
constexpr int kPlaceRowBits = 40;

Error Stopped(const fs::path& out) {
  return MakeError(ErrorKind::kCancelled, "{0}: stopped; nothing was written", out.string());
}

std::uint64_t KeyOf(const Digest& digest) {
  std::uint64_t key = 0;
  std::memcpy(&key, digest.data(), sizeof key);
  return key;
}

Digest DigestOfRecord(const Record& record) {
  if (const auto* text = std::get_if<std::string>(&record)) return Sha256Of(AsBytes(*text));
  const auto& chat = std::get<Conversation>(record);
  Sha256 digest;
  digest.Update("conversation\n").Update(chat.messages_json);
  digest.Update("\n").Update(chat.variables_json);
  return digest.Finish();
}

Json ReadingJson(const ReadingOptions& reading) {
  return {{"form", static_cast<int>(reading.form)},
          {"unit", static_cast<int>(reading.unit)},
          {"field", reading.field},
          {"question", reading.question},
          {"answer", reading.answer},
          {"sheet", reading.sheet}};
}

// A row on its way to the set.
struct Item {
  std::uint32_t file = 0;
  Row row;
  std::optional<Drop> drop;
  Record record;
  Digest digest{};
  ChatIds ids;
};

// A folder beside the set, which becomes it by a rename.
class PartialFolder {
 public:
  static Result<std::unique_ptr<PartialFolder>> Make(const fs::path& out) {
    std::error_code code;
    const fs::path whole = fs::absolute(out, code).lexically_normal();
    const fs::path named = whole.has_filename() ? whole : whole.parent_path();
    if (fs::exists(fs::symlink_status(named, code))) {
      return Refuse("{0}: is there already; choose another --out, or remove it", out.string());
    }
    std::unique_ptr<PartialFolder> partial(new PartialFolder);
    partial->whole_ = named;
    partial->path_ = named.parent_path() / ("." + named.filename().string() + ".partial");
    fs::create_directories(partial->path_, code);
    if (code) return MakeError(ErrorKind::kIo, "{0}: {1}", out.string(), code.message());
    TATARA_TRY(FileLock lock, FileLock::Acquire(partial->path_ / "lock", 0));
    partial->lock_.emplace(std::move(lock));
    for (const auto& left : fs::directory_iterator(partial->path_, code)) {
      std::error_code ignored;
      if (left.path().filename() != "lock") fs::remove_all(left.path(), ignored);
    }
    return partial;
  }
  ~PartialFolder() {
    std::error_code ignored;
    if (!kept_ && lock_) fs::remove_all(path_, ignored);
  }
  const fs::path& path() const { return path_; }

  Result<> Keep() {
    std::error_code code;
    TATARA_RETURN_IF_ERROR(SyncFolder(path_));
    // A folder does not replace one that has something in it.
    fs::rename(path_, whole_, code);
    if (code) return MakeError(ErrorKind::kIo, "{0}: {1}", whole_.string(), code.message());
    kept_ = true;
    fs::remove(whole_ / "lock", code);
    return SyncFolder(whole_.parent_path());
  }

 private:
  PartialFolder() = default;
  fs::path whole_, path_;
  std::optional<FileLock> lock_;
  bool kept_ = false;
};

class Preparation {
 public:
  Preparation(const PrepareOptions& options, FoundFiles found)
      : options_(options),
        others_(std::move(found.others)),
        pool_(options.n_threads),
        seen_(kDocumentsMax) {
    report_.files = std::move(found.files);
  }

  Result<PrepareReport> Go() {
    TATARA_TRY(partial_, PartialFolder::Make(options_.out));
    TATARA_RETURN_IF_ERROR(OpenWriters());
    n_bytes_total_ = std::accumulate(
        report_.files.begin(), report_.files.end(), std::uint64_t{0},
        [](std::uint64_t sum, const PreparedFile& file) { return sum + file.n_bytes; });
    for (const PreparedFile& other : others_) {
      TATARA_RETURN_IF_ERROR(Dropped(other.shown, 0, {DropReason::kFile}));
    }
    for (std::uint32_t file = 0; file < report_.files.size(); ++file) {
      TATARA_RETURN_IF_ERROR(ReadFile(file));
    }
    TATARA_RETURN_IF_ERROR(Flush());
    return Finish();
  }

 private:
  Result<> OpenWriters();
  Result<> ReadFile(std::uint32_t file);
  Result<> Flush();
  void Read(Item& item) const;
  void Encode(Item& item) const;
  Result<> Write(const Item& item);
  Result<> Dropped(const std::string& file, std::uint64_t row, const Drop& drop);
  Error NoDocument() const;
  Result<PrepareReport> Finish();
  Json Manifest(const TokenStore& store) const;
  void ReportProgress(std::uint64_t n_bytes_of_file) const {
    if (options_.progress == nullptr) return;
    options_.progress->Report(Tr("preparing the data"), n_bytes_done_ + n_bytes_of_file,
                              n_bytes_total_);
  }
  bool IsStopped() const { return options_.stop != nullptr && options_.stop->IsSet(); }

  const PrepareOptions& options_;
  std::vector<PreparedFile> others_;
  ThreadPool pool_;
  DigestSet seen_;
  std::unique_ptr<PartialFolder> partial_;
  std::optional<ChatFormat> chat_;
  std::optional<FileWriter> tokens_, offsets_, counts_, keys_, sources_, places_, dropped_;
  std::vector<Item> batch_;
  std::size_t batch_bytes_ = 0;
  std::uint64_t n_bytes_done_ = 0, n_bytes_total_ = 0;  // of whole files
  std::uint64_t n_bytes_of_rows_ = 0;                   // of this file
  int id_bytes_ = 4;
  std::map<DropReason, std::vector<std::string>> examples_;
  PrepareReport report_;
};

Result<> Preparation::OpenWriters() {
  const fs::path& folder = partial_->path();
  const auto create = [&](std::optional<FileWriter>& writer, const char* name) -> Result<> {
    TATARA_TRY(FileWriter made, FileWriter::Create(folder / name));
    writer.emplace(std::move(made));
    return Ok{};
  };
  TATARA_RETURN_IF_ERROR(create(tokens_, kTokensName));
  TATARA_RETURN_IF_ERROR(create(offsets_, kOffsetsName));
  TATARA_RETURN_IF_ERROR(create(counts_, kCountsName));
  TATARA_RETURN_IF_ERROR(create(keys_, kKeysName));
  TATARA_RETURN_IF_ERROR(create(sources_, kSourcesName));
  TATARA_RETURN_IF_ERROR(create(places_, kPlacesName));
  TATARA_RETURN_IF_ERROR(create(dropped_, kDroppedName));
  TATARA_RETURN_IF_ERROR(offsets_->AppendValue(std::uint64_t{0}));
  TATARA_RETURN_IF_ERROR(
      WriteTokenizerKeys(folder / kTokenizerName, options_.model.tokenizer_keys));
  id_bytes_ = options_.model.tokenizer->vocabulary_size() <= 65536 ? 2 : 4;
  if (!options_.model.chat_template.empty()) {
    auto chat = ChatFormat::Make(*options_.model.tokenizer, options_.model.chat_template,
                                 options_.model.name);
    // Texts do not need it: a template that is not understood is told by the first conversation.
    if (chat.ok()) chat_.emplace(std::move(chat).value());
  }
  return Ok{};
}

Result<> Preparation::ReadFile(std::uint32_t file) {
  const PreparedFile& about = report_.files[file];
  TATARA_TRY(const auto rows, OpenRows(about.path, options_.sources[about.source].reading));
  for (;;) {
    TATARA_TRY(RowReader::Next next, rows->Read());
    if (std::holds_alternative<std::monostate>(next)) break;
    Item item{.file = file};
    if (auto* row = std::get_if<Row>(&next)) {
      item.row = std::move(*row);
    } else {
      auto& [number, drop] = std::get<std::pair<std::uint64_t, Drop>>(next);
      item.row.number = number;
      item.drop = std::move(drop);
    }
    std::size_t n_bytes = item.row.bytes.size();
    for (const auto& [name, value] : item.row.fields) n_bytes += name.size() + value.size();
    n_bytes_of_rows_ += n_bytes;
    batch_bytes_ += sizeof(Item) + n_bytes;
    batch_.push_back(std::move(item));
    if (batch_bytes_ < kBatchBytes) continue;
    TATARA_RETURN_IF_ERROR(Flush());
    // What is packed has more bytes of rows than the file has.
    ReportProgress(std::min(n_bytes_of_rows_, about.n_bytes));
  }
  n_bytes_done_ += about.n_bytes;
  n_bytes_of_rows_ = 0;
  ReportProgress(0);
  return Ok{};
}

// Row to digest of the normalised record, on any thread.
void Preparation::Read(Item& item) const {
  if (item.drop) return;
  const PreparedFile& file = report_.files[item.file];
  auto record = Interpret(item.row, options_.sources[file.source].reading);
  item.row.bytes = {};
  item.row.fields = {};
  if (auto* drop = std::get_if<Drop>(&record)) {
    item.drop = std::move(*drop);
    return;
  }
  item.record = Normalised(std::move(std::get<Record>(record)));
  const auto* text = std::get_if<std::string>(&item.record);
  if (text != nullptr && text->empty()) item.drop = Drop{DropReason::kEmpty};
  item.digest = DigestOfRecord(item.record);
}

void Preparation::Encode(Item& item) const {
  if (item.drop) return;
  const text::Tokenizer& tokenizer = *options_.model.tokenizer;
  if (const auto* text = std::get_if<std::string>(&item.record)) {
    item.ids.ids = tokenizer.Encode(*text, {.add_start = true});
    const std::int32_t end = tokenizer.end_id();
    if (end >= 0 && (item.ids.ids.empty() || item.ids.ids.back() != end)) {
      item.ids.ids.push_back(end);
    }
    item.ids.counts.assign(item.ids.ids.size(), 1);
  } else if (chat_) {
    auto ids = chat_->Encode(std::get<Conversation>(item.record));
    if (ids.ok()) {
      item.ids = std::move(ids).value();
    } else {
      item.drop = Drop{DropReason::kTemplate, ids.error()};
    }
  }
  item.record = {};
  if (!item.drop && item.ids.ids.size() < 2) item.drop = Drop{DropReason::kNoTokens};
}

Result<> Preparation::Flush() {
  if (IsStopped()) return Stopped(options_.out);
  const auto n = static_cast<std::int64_t>(batch_.size());
  const auto item = [&](std::int64_t i) -> Item& { return batch_[static_cast<std::size_t>(i)]; };
  pool_.For(n, [&](std::int64_t i, int) { Read(item(i)); });
  for (Item& one : batch_) {
    if (one.drop) continue;
    if (!chat_ && std::holds_alternative<Conversation>(one.record)) {
      return Refuse(
          "{0}, row {1}: a conversation, which needs the chat template of a model; {2} has none "
          "that is understood",
          report_.files[one.file].shown, one.row.number, options_.model.name);
    }
    switch (seen_.Add(one.digest)) {
      case DigestSet::Outcome::kNew:
        break;
      case DigestSet::Outcome::kSeen:
        one.drop = Drop{DropReason::kDuplicate};
        break;
      case DigestSet::Outcome::kFull:
        return Refuse("more than {0} documents; prepare several sets and mix them", kDocumentsMax);
    }
  }
  pool_.For(n, [&](std::int64_t i, int) { Encode(item(i)); });
  for (const Item& one : batch_) TATARA_RETURN_IF_ERROR(Write(one));
  batch_.clear();
  batch_bytes_ = 0;
  return Ok{};
}

Result<> Preparation::Write(const Item& item) {
  PreparedFile& file = report_.files[item.file];
  ++report_.n_rows;
  ++file.n_rows;
  if (item.drop) return Dropped(file.shown, item.row.number, *item.drop);
  for (const std::int32_t id : item.ids.ids) {
    TATARA_RETURN_IF_ERROR(id_bytes_ == 2 ? tokens_->AppendValue(static_cast<std::uint16_t>(id))
                                          : tokens_->AppendValue(id));
  }
  TATARA_RETURN_IF_ERROR(counts_->Append(std::as_bytes(std::span(item.ids.counts))));
  report_.n_tokens += item.ids.ids.size();
  file.n_tokens += item.ids.ids.size();
  // The first token of a document is predicted by nothing.
  report_.n_counted += static_cast<std::uint64_t>(
      std::count(item.ids.counts.begin() + 1, item.ids.counts.end(), std::uint8_t{1}));
  ++report_.n_documents;
  ++file.n_documents;
  TATARA_RETURN_IF_ERROR(offsets_->AppendValue(report_.n_tokens));
  TATARA_RETURN_IF_ERROR(keys_->AppendValue(KeyOf(item.digest)));
  TATARA_RETURN_IF_ERROR(sources_->AppendValue(file.source));
  return places_->AppendValue(std::uint64_t{item.file} << kPlaceRowBits | item.row.number);
}

Result<> Preparation::Dropped(const std::string& file, std::uint64_t row, const Drop& drop) {
  const auto reason = static_cast<std::size_t>(drop.reason);
  ++report_.drops[reason];
  const auto example = [&](Language language) {
    const std::string found = drop.detail ? " " + drop.detail->text(language) : "";
    return fmt::format("{}:{}{}", file, row, found);
  };
  // The manifest is the same in every language.
  std::vector<std::string>& examples = examples_[drop.reason];
  if (examples.empty()) report_.first_drops[reason] = example(CurrentLanguage());
  if (examples.size() < kExamplesMax) examples.push_back(example(Language::kEnglish));
  Json line = {{"file", file}, {"row", row}, {"reason", DropReasonName(drop.reason)}};
  if (drop.detail) line["detail"] = drop.detail->text();
  return dropped_->Append(AsBytes(DumpJson(line) + "\n"));
}

Json Preparation::Manifest(const TokenStore& store) const {
  Json sources = Json::array();
  for (const PrepareSource& source : options_.sources) {
    sources.push_back({{"name", source.name}, {"reading", ReadingJson(source.reading)}});
  }
  Json files = Json::array();
  for (const PreparedFile& file : report_.files) {
    files.push_back({{"source", file.source},
                     {"path", file.shown},
                     {"bytes", file.n_bytes},
                     {"sha256", file.sha256},
                     {"rows", file.n_rows},
                     {"documents", file.n_documents},
                     {"tokens", file.n_tokens}});
  }
  Json dropped = Json::object(), examples = Json::object();
  for (const auto& [reason, places] : examples_) {
    dropped[DropReasonName(reason)] = report_.drops[static_cast<std::size_t>(reason)];
    examples[DropReasonName(reason)] = places;
  }
  return {{"kind", "prepared"},
          {"version", kFormVersion},
          {"digest", store.digest},
          {"rows", report_.n_rows},
          {"documents", report_.n_documents},
          {"tokens", report_.n_tokens},
          {"counted_tokens", report_.n_counted},
          {"id_bytes", id_bytes_},
          {"has_counts", !store.counts.empty()},
          {"vocabulary", options_.model.tokenizer->vocabulary_size()},
          {"chat_template", options_.model.chat_template.empty()
                                ? Json()
                                : Json(Sha256Hex(options_.model.chat_template))},
          {"normalisation", "lf, nfc, trimmed"},
          {"sources", std::move(sources)},
          {"files", std::move(files)},
          {"dropped", std::move(dropped)},
          {"examples", std::move(examples)}};
}

// Why there is no document: by the reason that most rows were left out for.
Error Preparation::NoDocument() const {
  const auto most = std::ranges::max_element(report_.drops);
  const auto reason = static_cast<std::size_t>(most - report_.drops.begin());
  if (*most == 0) return Refuse("nothing to prepare: no file has a row");
  return Refuse(
      "nothing to prepare: no row is a document; the first of {0} rows left out: {1} ({2})", *most,
      report_.first_drops[reason], Tr(DropReasonText(static_cast<DropReason>(reason))));
}

Result<PrepareReport> Preparation::Finish() {
  if (report_.n_documents == 0) return NoDocument();
  for (auto* writer : {&tokens_, &offsets_, &counts_, &keys_, &sources_, &places_, &dropped_}) {
    TATARA_RETURN_IF_ERROR((*writer)->Finish());
  }
  const fs::path& folder = partial_->path();
  SetShape shape{.n_documents = report_.n_documents,
                 .n_tokens = report_.n_tokens,
                 .id_bytes = id_bytes_,
                 .has_counts = report_.n_counted != report_.n_tokens - report_.n_documents};
  for (const PrepareSource& source : options_.sources) shape.source_names.push_back(source.name);
  if (!shape.has_counts) {
    std::error_code code;
    fs::remove(folder / kCountsName, code);
    if (code) return MakeError(ErrorKind::kIo, "{0}: {1}", folder.string(), code.message());
  }
  TATARA_TRY(const auto store, OpenSetFiles(folder, shape));
  store->digest = DigestOf(*store);
  report_.digest = store->digest;
  report_.manifest = DumpJson(Manifest(*store));
  for (const PreparedFile& file : report_.files) {
    std::error_code code;
    if (fs::file_size(file.path, code) != file.n_bytes || code) {
      return Refuse("{0}: changed while it was read", file.path.string());
    }
  }
  TATARA_RETURN_IF_ERROR(WriteFileAtomically(folder / kManifestName, report_.manifest + "\n"));
  TATARA_RETURN_IF_ERROR(partial_->Keep());
  return std::move(report_);
}

// How the manifest names a file: from the last part of what was asked for on.
std::string Shown(const fs::path& asked, const fs::path& file) {
  fs::path named = asked.lexically_normal();
  if (!named.has_filename()) named = named.parent_path();
  const fs::path inside = file.lexically_normal().lexically_relative(named);
  if (inside.empty() || inside == ".") return named.filename().string();
  return (named.filename() / inside).string();
}

}  // namespace

std::uint64_t PrepareReport::n_dropped() const {
  return std::accumulate(drops.begin(), drops.end(), std::uint64_t{0});
}

Result<FoundFiles> FindFiles(const PrepareOptions& options) {
  FoundFiles found;
  for (std::uint32_t source = 0; source < options.sources.size(); ++source) {
    for (const fs::path& asked : options.sources[source].paths) {
      TATARA_TRY(const std::vector<fs::path> paths, FilesAt(asked));
      std::error_code code;
      const bool folder = fs::is_directory(asked, code);
      for (const fs::path& path : paths) {
        PreparedFile file{.source = source, .path = path, .shown = Shown(asked, path)};
        const bool other = folder && !IsReadableName(path) && !IsParquetName(path);
        (other ? found.others : found.files).push_back(std::move(file));
      }
    }
  }
  if (found.files.size() + found.others.size() > kFilesMax) {
    return Refuse("more than {0} files", kFilesMax);
  }
  // Kinds are checked before anything long begins.
  for (const PreparedFile& file : found.files) {
    if (IsReadableName(file.path)) continue;
    TATARA_TRY(const auto never, OpenRows(file.path, {}));
  }
  ThreadPool pool(options.n_threads);
  std::mutex lock;
  std::map<std::size_t, Error> errors;
  pool.For(static_cast<std::int64_t>(found.files.size()), [&](std::int64_t i, int) {
    PreparedFile& file = found.files[static_cast<std::size_t>(i)];
    const auto go_on = [&](std::uint64_t n) {
      file.n_bytes = n;
      return options.stop == nullptr || !options.stop->IsSet();
    };
    auto sha256 = Sha256OfFile(file.path, go_on);
    if (sha256.ok()) {
      file.sha256 = std::move(sha256).value();
    } else {
      const std::lock_guard held(lock);
      errors.emplace(static_cast<std::size_t>(i), sha256.error());
    }
  });
  if (!errors.empty()) return errors.begin()->second;
  return found;
}

std::string PreparationKey(const PrepareOptions& options, const FoundFiles& found) {
  Json key = {{"version", kFormVersion}, {"template", options.model.chat_template}};
  // The digest of an empty store is that of its tokenizer.
  key["tokenizer"] =
      TokenStoreBuilder().Finish(nullptr, options.model.tokenizer_keys, {}, {})->digest;
  for (const PrepareSource& source : options.sources) {
    key["sources"].push_back({source.name, ReadingJson(source.reading)});
  }
  for (const PreparedFile& file : found.files) {
    key["files"].push_back({file.source, file.shown, file.sha256});
  }
  for (const PreparedFile& file : found.others) key["others"].push_back(file.shown);
  return Sha256Hex(DumpJson(key));
}

Result<PrepareReport> Prepare(const PrepareOptions& options, FoundFiles found) {
  if (found.files.empty()) return Refuse("there is no file to read");
  return Preparation(options, std::move(found)).Go();
}

Result<PrepareReport> Prepare(const PrepareOptions& options) {
  TATARA_TRY(FoundFiles found, FindFiles(options));
  return Prepare(options, std::move(found));
}

Result<std::shared_ptr<const TokenStore>> OpenPrepared(const fs::path& folder) {
  const std::string name = (folder / kManifestName).string();
  TATARA_TRY(std::string text, ReadWholeFile(folder / kManifestName, kManifestBytesMax));
  while (!text.empty() && text.back() == '\n') text.pop_back();
  const auto json = ParseJson(text);
  if (!json || !json->is_object()) return Refuse("{0}: no manifest of a prepared set", name);
  SetShape shape;
  std::string digest;
  try {
    if (json->at("kind") != "prepared" || json->at("version") != kFormVersion) {
      return Refuse("{0}: no manifest of a prepared set", name);
    }
    shape.n_documents = json->at("documents").get<std::uint64_t>();
    shape.n_tokens = json->at("tokens").get<std::uint64_t>();
    shape.id_bytes = json->at("id_bytes").get<int>();
    shape.has_counts = json->at("has_counts").get<bool>();
    digest = json->at("digest").get<std::string>();
    for (const Json& source : json->at("sources")) {
      shape.source_names.push_back(source.at("name").get<std::string>());
    }
  } catch (const nlohmann::json::exception&) {
    return Refuse("{0}: no manifest of a prepared set", name);
  }
  if (shape.id_bytes != 2 && shape.id_bytes != 4) {
    return Refuse("{0}: no manifest of a prepared set", name);
  }
  TATARA_TRY(const auto store, OpenSetFiles(folder, shape));
  store->digest = DigestOf(*store);
  if (store->digest != digest) {
    return Refuse("{0}: the set's digest is {1}, its manifest states {2}", folder.string(),
                  store->digest, Printable(digest));
  }
  store->manifest = std::move(text);
  return std::shared_ptr<const TokenStore>(store);
}

}  // namespace tatara::corpus
