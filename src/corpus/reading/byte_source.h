// Bytes of a file from its start to its end, decompressed where it is gzip; and lines of them.
// Thread safety: one object, one thread.
#pragma once

#include <cstdint>
#include <filesystem>
#include <memory>
#include <span>
#include <string>
#include <string_view>

#include "tatara/base/error.h"

namespace tatara::corpus {

class ByteSource {
 public:
  virtual ~ByteSource() = default;
  // At least one byte, or 0 at the end.
  virtual Result<std::size_t> Read(std::span<char> into) = 0;

  // By the first two bytes: gzip (RFC 1952), any number of members, or as it is. Regular files
  // only.
  static Result<std::unique_ptr<ByteSource>> OpenFile(const std::filesystem::path& path);
  static std::unique_ptr<ByteSource> OfText(std::string text);
};

// Characters and lines of a source, through a buffer.
class CharReader {
 public:
  static constexpr int kEnd = -1;

  explicit CharReader(std::unique_ptr<ByteSource> source) : source_(std::move(source)) {}
  // The next character without taking it (0 .. 255), or kEnd.
  Result<int> Peek() {
    if (at_ < end_) return static_cast<unsigned char>(buffer_[at_]);
    return Fill();
  }
  void Take() { ++at_; }  // after Peek gave a character
  // What is buffered, at least one byte; empty at the end. Skip takes of it.
  Result<std::string_view> Buffered();
  void Skip(std::size_t n) { at_ += n; }

  // A line without its end (LF, CR LF or CR), at most `bytes_max` of it kept; false at the end of
  // all. `whole` says whether all of it was kept.
  Result<bool> ReadLine(std::string& line, std::size_t bytes_max, bool& whole);

 private:
  Result<int> Fill();
  std::unique_ptr<ByteSource> source_;
  std::string buffer_;
  std::size_t at_ = 0, end_ = 0;
};

// Text as UTF-8 without byte order mark, whatever the file's encoding (text/encoding.h). UTF-8 is
// streamed, after one pass that looks whether it is; other encodings are held in memory and bounded
// by `bytes_max`. A NUL byte is refused, as in text/encoding.h.
Result<std::unique_ptr<ByteSource>> OpenText(const std::filesystem::path& path,
                                             std::size_t bytes_max);

}  // namespace tatara::corpus
