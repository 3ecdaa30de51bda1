// JSON Lines, and the values of one JSON file taken apart without holding all of it. Whether a
// value is JSON is told later (Interpret), so that a broken one costs only itself.
#include <utility>

#include "reading/byte_source.h"
#include "reading/readers.h"

namespace tatara::corpus {
namespace {

constexpr std::string_view kSpace = " \t\r\n";

bool IsSpace(int c) {
  return c == ' ' || c == '\t' || c == '\r' || c == '\n';
}

RowReader::Next TooLong(std::uint64_t number) {
  return std::pair{number, Drop{DropReason::kTooLong}};
}

class JsonLines final : public RowReader {
 public:
  explicit JsonLines(std::unique_ptr<ByteSource> source) : reader_(std::move(source)) {}

  Result<Next> Read() override {
    for (;;) {
      Row row{.kind = Row::Kind::kJson};
      bool whole = true;
      TATARA_TRY(const bool any, reader_.ReadLine(row.bytes, kRowBytesMax, whole));
      if (!any) return Next{};
      row.number = ++n_lines_;
      if (!whole) return TooLong(row.number);
      if (n_lines_ == 1 && row.bytes.starts_with("\xEF\xBB\xBF")) row.bytes.erase(0, 3);
      if (row.bytes.find_first_not_of(kSpace) != std::string::npos) return Next(std::move(row));
    }
  }

 private:
  CharReader reader_;
  std::uint64_t n_lines_ = 0;
};

class JsonValues final : public RowReader {
 public:
  JsonValues(std::unique_ptr<ByteSource> source, std::string name)
      : reader_(std::move(source)), name_(std::move(name)) {}

  Result<Next> Read() override {
    if (!started_) TATARA_RETURN_IF_ERROR(Start());
    TATARA_TRY(int next, PeekPastSpace());
    if (!in_array_) return next == CharReader::kEnd ? Next{} : Value();
    if (closed_) return Next{};
    if (next == ',' && n_values_ > 0) {
      reader_.Take();
      TATARA_TRY(next, PeekPastSpace());
      if (next == ']') return Wrong(next);
    } else if (next == ']') {
      reader_.Take();
      closed_ = true;
      TATARA_TRY(next, PeekPastSpace());
      if (next != CharReader::kEnd) return Wrong(next);
      return Next{};
    } else if (n_values_ > 0) {
      return Wrong(next);
    }
    if (next == CharReader::kEnd || next == ',') return Wrong(next);
    return Value();
  }

 private:
  Result<> Start() {
    started_ = true;
    TATARA_TRY(const std::string_view head, reader_.Buffered());
    if (head.starts_with("\xEF\xBB\xBF")) reader_.Skip(3);
    TATARA_TRY(const int first, PeekPastSpace());
    in_array_ = first == '[';
    if (in_array_) reader_.Take();
    return Ok{};
  }

  Result<int> PeekPastSpace() {
    for (;;) {
      TATARA_TRY(const int next, reader_.Peek());
      if (!IsSpace(next)) return next;
      reader_.Take();
    }
  }

  Error Wrong(int found) const {
    if (found == CharReader::kEnd) {
      return Refuse("{0}: the JSON ends after value {1}, before its array does", name_, n_values_);
    }
    return Refuse("{0}: not JSON after value {1} of the array", name_, n_values_);
  }

  // From the first character of a value to its last: brackets are counted, texts skipped.
  Result<Next> Value() {
    Row row{.kind = Row::Kind::kJson, .number = ++n_values_};
    bool whole = true, in_text = false, escaped = false;
    std::size_t depth = 0;
    for (;;) {
      TATARA_TRY(const int c, reader_.Peek());
      if (c == CharReader::kEnd) {
        if (depth > 0 || in_text || in_array_) {
          return Refuse("{0}: the JSON ends inside value {1}", name_, n_values_);
        }
        break;
      }
      if (!in_text && depth == 0 && !row.bytes.empty() &&
          (IsSpace(c) || c == ',' || c == ']' || c == '}' || c == '{' || c == '[')) {
        break;  // a number or a word ends before this
      }
      reader_.Take();
      whole = whole && row.bytes.size() < kRowBytesMax;
      if (whole) row.bytes += static_cast<char>(c);
      if (in_text) {
        in_text = escaped || c != '"';
        escaped = !escaped && c == '\\';
        if (!in_text && depth == 0) break;
      } else if (c == '"') {
        in_text = true;
      } else if (c == '{' || c == '[') {
        ++depth;
      } else if (c == '}' || c == ']') {
        if (depth <= 1) break;
        --depth;
      }
    }
    if (!whole) return TooLong(row.number);
    return Next(std::move(row));
  }

  CharReader reader_;
  std::string name_;
  bool started_ = false, in_array_ = false, closed_ = false;
  std::uint64_t n_values_ = 0;
};

}  // namespace

Result<std::unique_ptr<RowReader>> OpenJsonLines(const std::filesystem::path& path) {
  TATARA_TRY(auto source, ByteSource::OpenFile(path));
  return std::make_unique<JsonLines>(std::move(source));
}

Result<std::unique_ptr<RowReader>> OpenJsonValues(const std::filesystem::path& path) {
  TATARA_TRY(auto source, ByteSource::OpenFile(path));
  return std::make_unique<JsonValues>(std::move(source), path.string());
}

}  // namespace tatara::corpus
