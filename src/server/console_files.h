// The console's files, built from console/ and compiled in (cmake/console.cmake makes the source).
// Thread safety: constants.
#pragma once

#include <span>
#include <string_view>

namespace tatara::server {

struct ConsoleFile {
  std::string_view path;  // "/" or "/assets/app-4QZX2A7B.js"
  std::string_view content_type;
  std::string_view etag;  // with its quotes; of the plain bytes
  std::string_view plain, gzip;
  bool named_by_content = false;  // the path changes when the bytes do
};

std::span<const ConsoleFile> ConsoleFiles();

}  // namespace tatara::server
