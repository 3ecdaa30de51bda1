#include "tatara/corpus/text_stream.h"

#include <fmt/format.h>

#include <algorithm>
#include <span>
#include <utility>

#include "reading/byte_source.h"
#include "tatara/base/files.h"
#include "tatara/base/utf8.h"
#include "tatara/corpus/reading.h"
#include "tatara/corpus/row_texts.h"

namespace tatara::corpus {
namespace {

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

class TextFiles final : public TextStream {
 public:
  explicit TextFiles(TextFilesOptions options) : options_(std::move(options)) {}

  Result<> Check() {
    for (const std::filesystem::path& asked : options_.files) {
      TATARA_TRY(const std::vector<std::filesystem::path> paths, FilesAt(asked));
      std::error_code ignored;
      const bool folder = std::filesystem::is_directory(asked, ignored);
      for (const std::filesystem::path& path : paths) {
        if (IsParquetName(path)) return RefuseParquet(path);
        if (folder && !IsReadableName(path)) {
          LeaveOut(path.string(), DropReason::kFile);
          continue;
        }
        TATARA_TRY(const auto opened, ByteSource::OpenFile(path));
        const std::uintmax_t size = std::filesystem::file_size(path, ignored);
        files_.push_back({path, ignored ? 0 : size});
        bytes_total_ += files_.back().bytes;
      }
    }
    if (!files_.empty()) return Ok{};
    return Refuse("{0}: has no file of a kind that is read here",
                  options_.files.empty() ? std::string() : options_.files.front().string());
  }

  Result<bool> Next(std::string& text) override {
    for (;;) {
      if (!waiting_.empty()) {
        text = std::move(waiting_.back());
        waiting_.pop_back();
        return true;
      }
      if (source_ == nullptr && rows_ == nullptr) {
        if (n_opened_ == files_.size()) return false;
        TATARA_RETURN_IF_ERROR(OpenNext());
      }
      if (rows_ != nullptr) {
        TATARA_RETURN_IF_ERROR(ReadRow());
        continue;
      }
      TATARA_TRY(const bool found, NextOfText(text));
      if (found) return true;
    }
  }

  std::uint64_t bytes_read() const override {
    return bytes_before_ + std::min(bytes_here_, n_opened_ == 0 ? 0 : files_[n_opened_ - 1].bytes);
  }
  std::uint64_t bytes_total() const override { return bytes_total_; }
  const std::vector<Input>& inputs() const override { return inputs_; }
  LeftOut left_out() const override { return left_out_; }

 private:
  struct Found {
    std::filesystem::path path;
    std::uint64_t bytes = 0;
  };

  void LeaveOut(const std::string& place, DropReason reason) {
    if (left_out_.n++ == 0) left_out_ = {1, place, DropReasonText(reason)};
  }

  Result<> OpenNext() {
    const Found& found = files_[n_opened_++];
    name_ = found.path.string();
    TATARA_TRY(std::string digest, Sha256OfFile(found.path));
    inputs_.push_back({name_, std::move(digest), found.bytes});
    if (IsReadableName(found.path) && !IsTextName(found.path)) {
      TATARA_TRY(rows_, OpenRows(found.path, {}));
      return Ok{};
    }
    TATARA_TRY(source_, OpenText(found.path, kRowBytesMax));
    pending_.clear();
    begin_ = offset_ = 0;
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
      pending_.resize(before + kStretchBytes);
      const auto got = source_->Read(std::span(pending_).subspan(before));
      pending_.resize(before + (got.ok() ? *got : 0));
      if (!got.ok()) return got.error();
      bytes_here_ += *got;
      at_end_ = *got == 0;
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
    source_ = nullptr;
    rows_ = nullptr;
    bytes_before_ += files_[n_opened_ - 1].bytes;
    bytes_here_ = 0;
    return false;
  }

  // The texts of the next row that has some, to waiting_; or the end of the file.
  Result<> ReadRow() {
    TATARA_TRY(const RowReader::Next next, rows_->Read());
    if (std::holds_alternative<std::monostate>(next)) {
      TATARA_TRY([[maybe_unused]] const bool more, EndFile());
    } else if (const auto* broken = std::get_if<std::pair<std::uint64_t, Drop>>(&next)) {
      LeaveOut(fmt::format("{}:{}", name_, broken->first), broken->second.reason);
    } else {
      const Row& row = std::get<Row>(next);
      bytes_here_ += row.bytes.size() + 1;
      for (const auto& [name, value] : row.fields) bytes_here_ += value.size() + 1;
      TakeRow(row);
    }
    return Ok{};
  }

  void TakeRow(const Row& row) {
    const bool any = options_.field.empty();
    auto record = Interpret(row, {.field = any ? "text" : options_.field});
    if (any && std::holds_alternative<Drop>(record)) record = Interpret(row, {});
    if (const auto* drop = std::get_if<Drop>(&record)) {
      LeaveOut(fmt::format("{}:{}", name_, row.number), drop->reason);
    } else {
      AppendTexts(std::get<Record>(std::move(record)), waiting_);
    }
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

  TextFilesOptions options_;
  std::vector<Found> files_;
  std::uint64_t bytes_total_ = 0;
  std::uint64_t bytes_before_ = 0, bytes_here_ = 0;  // of files read, and about what of this one
  std::vector<Input> inputs_;
  LeftOut left_out_;
  std::size_t n_opened_ = 0;
  // Of the file that is open: text, or rows.
  std::unique_ptr<ByteSource> source_;
  std::unique_ptr<RowReader> rows_;
  std::string name_;
  std::vector<std::string> waiting_;  // texts of a row
  bool at_end_ = false;
  std::string pending_;  // read, not yet given out from begin_ on
  std::size_t begin_ = 0;
  std::uint64_t offset_ = 0;  // of pending_[begin_] in the text
};

}  // namespace

Result<std::unique_ptr<TextStream>> OpenTextFiles(const TextFilesOptions& options) {
  auto made = std::make_unique<TextFiles>(options);
  TATARA_RETURN_IF_ERROR(made->Check());
  return std::unique_ptr<TextStream>(std::move(made));
}

}  // namespace tatara::corpus
