#include "wheel.h"
#include "tatara/base/utf8.h"

#include <zip.h>

#include <memory>

namespace tatara::weights {
namespace {

struct CloseZip {
  void operator()(zip_t* archive) const { zip_discard(archive); }
  void operator()(zip_file_t* file) const { zip_fclose(file); }
};

Result<std::unique_ptr<zip_t, CloseZip>> OpenZip(const std::filesystem::path& path) {
  int code = 0;
  std::unique_ptr<zip_t, CloseZip> archive(zip_open(path.c_str(), ZIP_RDONLY, &code));
  if (archive) return archive;
  zip_error_t error;
  zip_error_init_with_code(&error, code);
  Error out = Refuse("{0}: cannot be read as a zip archive: {1}", path.string(),
                     zip_error_strerror(&error));
  zip_error_fini(&error);
  return out;
}

// PEP 503 for names, and what wheels do to them: lower case, runs of -_. are one '_'.
std::string Normalised(std::string_view name) {
  std::string out;
  for (const char c : name) {
    if (c == '-' || c == '_' || c == '.') {
      if (out.empty() || out.back() != '_') out += '_';
    } else {
      out += c >= 'A' && c <= 'Z' ? static_cast<char>(c - 'A' + 'a') : c;
    }
  }
  return out;
}

}  // namespace

Result<> ReadZipMember(const std::filesystem::path& path, std::string_view member,
                       std::uint64_t bytes_max, const std::function<Result<>(ByteSpan)>& sink) {
  TATARA_TRY(const auto archive, OpenZip(path));
  const std::string name(member);
  zip_stat_t stat;
  zip_stat_init(&stat);
  if (zip_stat(archive.get(), name.c_str(), 0, &stat) != 0 || (stat.valid & ZIP_STAT_SIZE) == 0) {
    return Refuse("{0}: there is no '{1}' in it", path.string(), member);
  }
  if (stat.size > bytes_max) {
    return Refuse("{0}: '{1}' has {2} bytes, at most {3} are expected", path.string(), member,
                  static_cast<std::uint64_t>(stat.size), bytes_max);
  }
  const std::unique_ptr<zip_file_t, CloseZip> file(zip_fopen_index(archive.get(), stat.index, 0));
  const auto damaged = [&](std::string_view why) {
    return Refuse("{0}: '{1}' is damaged: {2}", path.string(), member, why);
  };
  if (!file) return damaged(zip_strerror(archive.get()));
  std::string block(1 << 20, '\0');
  std::uint64_t done = 0;
  for (;;) {
    const zip_int64_t n = zip_fread(file.get(), block.data(), block.size());
    if (n < 0) return damaged(zip_error_strerror(zip_file_get_error(file.get())));
    if (n == 0) break;
    done += static_cast<std::uint64_t>(n);
    if (done > stat.size) break;
    TATARA_RETURN_IF_ERROR(
        sink(AsBytes(std::string_view(block).substr(0, static_cast<std::size_t>(n)))));
  }
  if (done != stat.size) return damaged(fmt::format("{} != {}", done, stat.size));
  return Ok{};
}

bool WheelMatches(std::string_view file_name, std::string_view requirement) {
  const std::size_t equals = requirement.find("==");
  if (!file_name.ends_with(".whl") || equals == requirement.npos) return false;
  const std::size_t name_end = file_name.find('-');
  if (name_end == file_name.npos) return false;
  const std::string_view rest = file_name.substr(name_end + 1);
  return Normalised(file_name.substr(0, name_end)) == Normalised(requirement.substr(0, equals)) &&
         rest.substr(0, rest.find('-')) == requirement.substr(equals + 2);
}

}  // namespace tatara::weights
