#include "record.h"

#include <sys/stat.h>

#include <nlohmann/json.hpp>

#include "model_name.h"
#include "source_spec.h"

namespace tatara::weights {
namespace fs = std::filesystem;
namespace {

using nlohmann::json;

constexpr std::uint64_t kRecordBytesMax = 1 << 20;

json ToJson(const LocalFile& file) {
  return {{"path", file.path},     {"bytes", file.n_bytes},     {"sha256", file.sha256},
          {"source", file.source}, {"mtime_ns", file.mtime_ns}, {"inode", file.inode}};
}

bool IsDigest(const std::string& text) {
  return text.size() == 64 && text.find_first_not_of("0123456789abcdef") == std::string::npos;
}

// Throws json::exception where a field is missing or of another type.
LocalFile FileFrom(const json& from) {
  LocalFile file;
  file.path = from.at("path").get<std::string>();
  file.n_bytes = from.at("bytes").get<std::uint64_t>();
  file.sha256 = from.at("sha256").get<std::string>();
  file.source = from.at("source").get<std::string>();
  file.mtime_ns = from.at("mtime_ns").get<std::int64_t>();
  file.inode = from.at("inode").get<std::uint64_t>();
  return file;
}

LocalModel ModelFrom(const json& from) {
  LocalModel model;
  model.name = from.at("name").get<std::string>();
  model.licence = from.at("licence").get<std::string>();
  model.licence_accepted_utc = from.at("licence_accepted_utc").get<std::string>();
  model.pulled_utc = from.at("pulled_utc").get<std::string>();
  model.digest_was_known = from.at("digest_was_known").get<bool>();
  for (const json& file : from.at("files")) model.files.push_back(FileFrom(file));
  return model;
}

bool IsSound(const LocalModel& model) {
  if (!IsModelName(model.name) || model.files.empty()) return false;
  for (const LocalFile& file : model.files) {
    if (!IsPlainRelativePath(file.path) || !IsDigest(file.sha256)) return false;
  }
  return true;
}

}  // namespace

std::string RecordText(const LocalModel& model) {
  json files = json::array();
  for (const LocalFile& file : model.files) files.push_back(ToJson(file));
  const json out = {{"format", 1},
                    {"name", model.name},
                    {"files", files},
                    {"licence", model.licence},
                    {"licence_accepted_utc", model.licence_accepted_utc},
                    {"pulled_utc", model.pulled_utc},
                    {"digest_was_known", model.digest_was_known}};
  return out.dump(2, ' ', false, json::error_handler_t::replace) + "\n";
}

Result<LocalModel> ReadRecord(const fs::path& folder) {
  const fs::path path = folder / kRecordName;
  TATARA_TRY(const std::string text, ReadWholeFile(path, kRecordBytesMax));
  const auto damaged = [&] {
    return Refuse("{0}: this record is damaged; `tatara rm {1}` and pull again", path.string(),
                  folder.filename().string());
  };
  try {
    LocalModel model = ModelFrom(json::parse(text));
    model.folder = folder;
    if (!IsSound(model) || model.name != folder.filename().string()) return damaged();
    return model;
  } catch (const json::exception&) {
    return damaged();
  }
}

Result<> NoteFileStatus(const fs::path& folder, LocalFile& file) {
  const fs::path path = folder / file.path;
  struct stat status;
  if (::stat(path.c_str(), &status) != 0) return ErrnoError("{0}: cannot open: {1}", path.string());
  file.n_bytes = static_cast<std::uint64_t>(status.st_size);
  file.mtime_ns = status.st_mtim.tv_sec * std::int64_t{1'000'000'000} + status.st_mtim.tv_nsec;
  file.inode = status.st_ino;
  return Ok{};
}

bool IsUnchanged(const fs::path& folder, const LocalFile& file) {
  LocalFile now = file;
  return NoteFileStatus(folder, now).ok() && now.n_bytes == file.n_bytes &&
         now.mtime_ns == file.mtime_ns && now.inode == file.inode;
}

}  // namespace tatara::weights
