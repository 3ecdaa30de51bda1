#include "reading/byte_source.h"

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>
#include <zlib.h>

#include <algorithm>
#include <cstring>
#include <optional>
#include <utility>

#include "tatara/base/utf8.h"
#include "tatara/text/encoding.h"

namespace tatara::corpus {
namespace {

constexpr std::size_t kBufferBytes = std::size_t{1} << 18;
constexpr std::string_view kByteOrderMark = "\xEF\xBB\xBF";

class FileSource final : public ByteSource {
 public:
  FileSource(std::string name, gzFile file) : name_(std::move(name)), file_(file) {}
  ~FileSource() override { gzclose_r(file_); }

  Result<std::size_t> Read(std::span<char> into) override {
    const auto n_max = static_cast<unsigned>(std::min<std::size_t>(into.size(), 1U << 30));
    const int n = gzread(file_, into.data(), n_max);
    int error = Z_OK;
    const char* said = gzerror(file_, &error);
    if (error == Z_ERRNO) {
      return MakeError(ErrorKind::kIo, "{0}: cannot read: {1}", name_, std::strerror(errno));
    }
    // Z_BUF_ERROR: the file ends inside a member.
    if (n < 0 || (n == 0 && error != Z_OK && error != Z_STREAM_END)) {
      return Refuse("{0}: not whole as gzip: {1}", name_, said);
    }
    return static_cast<std::size_t>(n);
  }

 private:
  std::string name_;
  gzFile file_;
};

class TextSource final : public ByteSource {
 public:
  explicit TextSource(std::string text) : text_(std::move(text)) {}
  Result<std::size_t> Read(std::span<char> into) override {
    const std::size_t n = std::min(into.size(), text_.size() - at_);
    std::memcpy(into.data(), text_.data() + at_, n);
    at_ += n;
    return n;
  }

 private:
  std::string text_;
  std::size_t at_ = 0;
};

// A source without the byte order mark at its start.
class UnmarkedSource final : public ByteSource {
 public:
  explicit UnmarkedSource(std::unique_ptr<ByteSource> source) : source_(std::move(source)) {}
  Result<std::size_t> Read(std::span<char> into) override {
    if (!started_) {
      started_ = true;
      char head[3];
      while (n_head_ < 3) {
        TATARA_TRY(const std::size_t n, source_->Read(std::span(head).subspan(n_head_)));
        if (n == 0) break;
        n_head_ += n;
      }
      if (std::string_view(head, n_head_) == kByteOrderMark) n_head_ = 0;
      std::memcpy(head_, head, 3);
    }
    if (head_at_ < n_head_) {
      const std::size_t n = std::min(into.size(), n_head_ - head_at_);
      std::memcpy(into.data(), head_ + head_at_, n);
      head_at_ += n;
      return n;
    }
    return source_->Read(into);
  }

 private:
  std::unique_ptr<ByteSource> source_;
  bool started_ = false;
  char head_[3] = {};
  std::size_t n_head_ = 0, head_at_ = 0;
};

// Whether all of it is UTF-8 without a NUL.
Result<bool> IsPlainUtf8(ByteSource& source) {
  std::string held(kBufferBytes, '\0');
  std::size_t n_kept = 0;
  for (;;) {
    TATARA_TRY(const std::size_t n, source.Read(std::span(held).subspan(n_kept)));
    const std::string_view text(held.data(), n_kept + n);
    if (n == 0) return text.empty();
    if (text.find('\0') != std::string_view::npos) return false;
    std::size_t at = 0;
    while (at < text.size()) {
      const std::size_t ascii = AsciiPrefix(text.substr(at));
      at += ascii;
      if (at == text.size()) break;
      const Utf8Sequence next = ReadUtf8(text.substr(at));
      if (!next.valid) {
        if (!next.truncated) return false;
        break;
      }
      at += next.length;
    }
    n_kept = text.size() - at;
    std::memmove(held.data(), held.data() + at, n_kept);
  }
}

}  // namespace

Result<std::unique_ptr<ByteSource>> ByteSource::OpenFile(const std::filesystem::path& path) {
  const std::string name = path.string();
  const int fd = ::open(path.c_str(), O_RDONLY | O_CLOEXEC | O_NONBLOCK);
  if (fd < 0) return ErrnoError("{0}: cannot open: {1}", name);
  struct stat status;
  if (::fstat(fd, &status) != 0 || !S_ISREG(status.st_mode)) {
    ::close(fd);
    return Refuse("{0}: not a regular file", name);
  }
  const gzFile file = gzdopen(fd, "rb");
  if (file == nullptr) {
    ::close(fd);
    return ErrnoError("{0}: cannot open: {1}", name);
  }
  gzbuffer(file, kBufferBytes);
  return std::make_unique<FileSource>(name, file);
}

std::unique_ptr<ByteSource> ByteSource::OfText(std::string text) {
  return std::make_unique<TextSource>(std::move(text));
}

Result<int> CharReader::Fill() {
  TATARA_TRY(const std::string_view bytes, Buffered());
  return bytes.empty() ? kEnd : static_cast<unsigned char>(bytes.front());
}

Result<std::string_view> CharReader::Buffered() {
  if (at_ == end_) {
    if (buffer_.empty()) buffer_.resize(kBufferBytes);
    at_ = end_ = 0;
    TATARA_TRY(end_, source_->Read(buffer_));
  }
  return std::string_view(buffer_).substr(at_, end_ - at_);
}

Result<bool> CharReader::ReadLine(std::string& line, std::size_t bytes_max, bool& whole) {
  line.clear();
  whole = true;
  for (bool any = false;; any = true) {
    TATARA_TRY(const std::string_view bytes, Buffered());
    if (bytes.empty()) return any;
    const std::size_t end = bytes.find_first_of("\r\n");
    const std::string_view part = bytes.substr(0, end);
    const std::size_t room = bytes_max - line.size();
    line.append(part.substr(0, room));
    whole = whole && part.size() <= room;
    Skip(part.size());
    if (end == std::string_view::npos) continue;
    const bool return_first = bytes[end] == '\r';
    Skip(1);
    if (return_first) {
      TATARA_TRY(const int next, Peek());
      if (next == '\n') Take();
    }
    return true;
  }
}

Result<std::unique_ptr<ByteSource>> OpenText(const std::filesystem::path& path,
                                             std::size_t bytes_max) {
  TATARA_TRY(auto first, ByteSource::OpenFile(path));
  TATARA_TRY(const bool utf8, IsPlainUtf8(*first));
  TATARA_TRY(auto source, ByteSource::OpenFile(path));
  if (utf8) return std::make_unique<UnmarkedSource>(std::move(source));
  std::string bytes;
  std::string block(kBufferBytes, '\0');
  for (;;) {
    TATARA_TRY(const std::size_t n, source->Read(block));
    if (n == 0) break;
    if (bytes.size() + n > bytes_max) {
      return Refuse("{0}: not UTF-8, and above the {1} bytes up to which other encodings are read",
                    path.string(), bytes_max);
    }
    bytes.append(block, 0, n);
  }
  TATARA_TRY(text::DecodedText decoded, text::DecodeText(path.string(), AsBytes(bytes)));
  return ByteSource::OfText(std::move(decoded.text));
}

}  // namespace tatara::corpus
