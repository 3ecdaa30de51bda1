#include "tatara/corpus/text_stream.h"

#include <fcntl.h>
#include <unistd.h>

#include <nlohmann/json.hpp>
#include <utility>

#include "tatara/base/json_nesting.h"
#include "tatara/base/sha256.h"
#include "tatara/base/utf8.h"
#include "tatara/corpus/reading.h"

namespace tatara::corpus {
namespace {

using Json = nlohmann::json;

constexpr int kNestingMax = 64;  // of a line of JSON

bool IsSpace(char c) {
  return c == ' ' || (c >= '\t' && c <= '\r');
}

// White space beyond ASCII begins with one of these bytes; taking all that do for white space only
// moves a cut.
bool MayBeSpace(char c) {
  const auto byte = static_cast<unsigned char>(c);
  return IsSpace(c) || byte == 0xC2 || byte == 0xE1 || byte == 0xE2 || byte == 0xE3;
}
// The last byte of U+0085, U+00A0, U+1680, U+2000 to U+200A, U+2028, U+2029, U+202F, U+205F,
// U+3000.
bool MayEndSpace(char c) {
  const auto byte = static_cast<unsigned char>(c);
  return IsSpace(c) || (byte >= 0x80 && byte <= 0x8A) || byte == 0x9F || byte == 0xA0 ||
         byte == 0xA8 || byte == 0xA9 || byte == 0xAF;
}

// Behind the last lone line feed of the first `n` bytes; 0 where there is none.
std::size_t LastPlace(std::string_view bytes, std::size_t n) {
  for (std::size_t at = std::min(n, bytes.size() - 1); at >= 2; --at) {
    if (bytes[at - 1] == '\n' && !MayEndSpace(bytes[at - 2]) && !MayBeSpace(bytes[at])) return at;
  }
  return 0;
}

// A descriptor of a file open for reading.
class File {
 public:
  File() = default;
  ~File() { Close(); }
  File(const File&) = delete;
  File& operator=(const File&) = delete;

  Result<> Open(const std::filesystem::path& path) {
    Close();
    fd_ = open(path.c_str(), O_RDONLY | O_CLOEXEC);
    if (fd_ < 0) return ErrnoError("{0}: cannot open: {1}", path.string());
    return Ok{};
  }
  bool IsOpen() const { return fd_ >= 0; }
  void Close() {
    if (fd_ >= 0) close(fd_);
    fd_ = -1;
  }
  // Appends at most `n` bytes; how many, 0 at the end.
  Result<std::size_t> Append(std::string& to, std::size_t n, const std::string& name) {
    const std::size_t before = to.size();
    to.resize(before + n);
    ssize_t got;
    do got = read(fd_, to.data() + before, n);
    while (got < 0 && errno == EINTR);
    if (got < 0) {
      to.resize(before);
      return ErrnoError("{0}: cannot read: {1}", name);
    }
    to.resize(before + static_cast<std::size_t>(got));
    return static_cast<std::size_t>(got);
  }

 private:
  int fd_ = -1;
};

class TextFiles final : public TextStream {
 public:
  explicit TextFiles(TextFilesOptions options) : options_(std::move(options)) {}

  Result<> Check() {
    File file;
    for (const std::filesystem::path& path : options_.files) {
      if (IsParquetName(path)) return RefuseParquet(path);
      TATARA_RETURN_IF_ERROR(file.Open(path));
      std::error_code error;
      const std::uintmax_t size = std::filesystem::file_size(path, error);
      if (!error) bytes_total_ += size;
    }
    return Ok{};
  }

  Result<bool> Next(std::string& text) override {
    for (;;) {
      if (!file_.IsOpen()) {
        if (n_opened_ == options_.files.size()) return false;
        TATARA_RETURN_IF_ERROR(OpenNext());
      }
      TATARA_TRY(const bool found, is_json_lines_ ? NextOfJsonLines(text) : NextOfText(text));
      if (found) return true;
    }
  }

  std::uint64_t bytes_read() const override { return bytes_read_; }
  std::uint64_t bytes_total() const override { return bytes_total_; }
  const std::vector<Input>& inputs() const override { return inputs_; }

 private:
  Result<> OpenNext() {
    const std::filesystem::path& path = options_.files[n_opened_++];
    TATARA_RETURN_IF_ERROR(file_.Open(path));
    name_ = path.string();
    is_json_lines_ = path.extension() == ".jsonl" || path.extension() == ".ndjson";
    inputs_.push_back({.name = name_});
    digest_ = Sha256();
    pending_.clear();
    begin_ = offset_ = line_ = 0;
    at_end_ = false;
    return Ok{};
  }

  std::string_view Pending() const { return std::string_view(pending_).substr(begin_); }

  // Reads on until `n` bytes are pending or the file ends.
  Result<> Fill(std::size_t n) {
    if (begin_ > 0) {
      pending_.erase(0, begin_);
      begin_ = 0;
    }
    while (!at_end_ && pending_.size() < n) {
      const std::size_t before = pending_.size();
      TATARA_TRY(const std::size_t got, file_.Append(pending_, kStretchBytes, name_));
      digest_.Update(std::string_view(pending_).substr(before));
      inputs_.back().bytes += got;
      bytes_read_ += got;
      at_end_ = got == 0;
    }
    return Ok{};
  }

  // The next `n` pending bytes as a text.
  Result<bool> Take(std::size_t n, std::string& text) {
    text.assign(Pending().substr(0, n));
    TATARA_RETURN_IF_ERROR(CheckUtf8(text));
    begin_ += n;
    offset_ += n;
    return true;
  }

  Result<> CheckUtf8(std::string_view text) const {
    if (IsValidUtf8(text)) return Ok{};
    std::size_t at = 0;
    for (Utf8Sequence next = ReadUtf8(text); next.valid; next = ReadUtf8(text.substr(at))) {
      at += next.length;
    }
    return Refuse("{0}: not UTF-8 at byte {1}", name_, offset_ + at);
  }

  Result<bool> EndFile() {
    inputs_.back().sha256 = ToHex(digest_.Finish());
    file_.Close();
    return false;
  }

  Result<bool> NextOfText(std::string& text) {
    if (options_.by_line) {
      TATARA_TRY(const std::size_t length, LineLength());
      return length == 0 ? EndFile() : Take(length, text);
    }
    if (Pending().size() < 2 * kStretchBytes) TATARA_RETURN_IF_ERROR(Fill(2 * kStretchBytes));
    for (std::size_t wanted = kStretchBytes;; wanted *= 2) {
      const std::string_view pending = Pending();
      if (pending.empty()) return EndFile();
      if (at_end_ && pending.size() <= wanted) return Take(pending.size(), text);
      if (const std::size_t place = LastPlace(pending, wanted)) return Take(place, text);
      if (wanted >= kStretchBytesMax) return Take(CharacterEnd(wanted), text);
      TATARA_RETURN_IF_ERROR(Fill(4 * wanted));
    }
  }

  // Of the next line with its line feed; at most kStretchBytesMax; 0 at the end of the file.
  Result<std::size_t> LineLength() {
    for (std::size_t searched = 0;;) {
      const std::size_t end = Pending().find('\n', searched);
      if (end != std::string_view::npos && end < kStretchBytesMax) return end + 1;
      if (Pending().size() > kStretchBytesMax) return CharacterEnd(kStretchBytesMax);
      if (at_end_) return Pending().size();
      searched = Pending().size();
      TATARA_RETURN_IF_ERROR(Fill(Pending().size() + kStretchBytes));
    }
  }

  // The last end of a character at or before `n`, as far as the bytes are UTF-8.
  std::size_t CharacterEnd(std::size_t n) const {
    std::size_t at = n;
    while (at > n - 4 && (Pending()[at] & '\xC0') == '\x80') --at;
    return at;
  }

  Result<bool> NextOfJsonLines(std::string& text) {
    for (;;) {
      TATARA_TRY(const std::size_t length, LineLength());
      if (length == 0) return EndFile();
      ++line_;
      std::string_view line = Pending().substr(0, length);
      if (!line.ends_with('\n') && length >= kStretchBytesMax) {
        return Refuse("{0}: line {1} is longer than {2} bytes", name_, line_, kStretchBytesMax);
      }
      TATARA_RETURN_IF_ERROR(CheckUtf8(line));
      begin_ += length;
      offset_ += length;
      while (!line.empty() && IsSpace(line.back())) line.remove_suffix(1);
      if (line.empty()) continue;
      TATARA_RETURN_IF_ERROR(ReadField(line, text));
      return true;
    }
  }

  Result<> ReadField(std::string_view line, std::string& text) const {
    if (JsonNestsTooDeeply(line, kNestingMax)) {
      return Refuse("{0}: line {1} nests deeper than {2} levels", name_, line_, kNestingMax);
    }
    Json value = Json::parse(line, nullptr, /*allow_exceptions=*/false);
    if (!value.is_object()) {
      return Refuse("{0}: line {1} is no JSON object", name_, line_);
    }
    const auto found = value.find(options_.field);
    if (found == value.end() || !found->is_string()) {
      return Refuse("{0}: line {1} has no text in the field '{2}'", name_, line_, options_.field);
    }
    text = std::move(found->get_ref<std::string&>());
    return Ok{};
  }

  TextFilesOptions options_;
  std::uint64_t bytes_total_ = 0, bytes_read_ = 0;
  std::vector<Input> inputs_;
  std::size_t n_opened_ = 0;
  // Of the file that is open.
  File file_;
  std::string name_;
  bool is_json_lines_ = false, at_end_ = false;
  Sha256 digest_;
  std::string pending_;  // read, not yet given out from begin_ on
  std::size_t begin_ = 0;
  std::uint64_t offset_ = 0;  // of pending_[begin_] in the file
  std::uint64_t line_ = 0;
};

}  // namespace

Result<std::unique_ptr<TextStream>> OpenTextFiles(const TextFilesOptions& options) {
  auto made = std::make_unique<TextFiles>(options);
  TATARA_RETURN_IF_ERROR(made->Check());
  return std::unique_ptr<TextStream>(std::move(made));
}

}  // namespace tatara::corpus
