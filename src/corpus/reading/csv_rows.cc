// Comma-separated values by RFC 4180, and as spreadsheets write them besides: tabs or semicolons
// between the fields (whichever the first line has most of), any line end, a quote inside an
// unquoted field as it is. A row's number is that of its record, as a spreadsheet numbers rows.
#include <algorithm>
#include <utility>

#include "reading/byte_source.h"
#include "reading/readers.h"

namespace tatara::corpus {
namespace {

class CsvRows final : public RowReader {
 public:
  explicit CsvRows(std::unique_ptr<ByteSource> source) : reader_(std::move(source)) {}

  Result<Next> Read() override {
    for (;;) {
      TATARA_TRY(const int first, reader_.Peek());
      if (first == CharReader::kEnd) return Next{};
      if (n_records_++ == 0) TATARA_RETURN_IF_ERROR(ChooseSeparator());
      std::vector<std::string> cells;
      TATARA_TRY(std::optional<Drop> wrong, Record(cells));
      if (wrong) return Next(std::pair{n_records_, std::move(*wrong)});
      Next next = table_.Take(n_records_, std::move(cells));
      if (!std::holds_alternative<std::monostate>(next)) return next;
    }
  }

 private:
  static Drop Broken(Error found) { return {DropReason::kTable, std::move(found)}; }
  Result<> ChooseSeparator() {
    TATARA_TRY(const std::string_view head, reader_.Buffered());
    const std::string_view line = head.substr(0, head.find_first_of("\r\n"));
    std::ptrdiff_t most = 0;
    for (const char c : {',', '\t', ';'}) {
      std::ptrdiff_t n = 0;
      bool quoted = false;
      for (const char found : line) {
        quoted = quoted != (found == '"');
        n += !quoted && found == c ? 1 : 0;
      }
      if (n > most) {
        most = n;
        separator_ = c;
      }
    }
    return Ok{};
  }

  // One record with its line end; what is wrong with it.
  Result<std::optional<Drop>> Record(std::vector<std::string>& cells) {
    std::optional<Drop> wrong;
    std::size_t n_bytes = 0;
    enum { kStart, kPlain, kQuoted, kClosed } state = kStart;
    cells.emplace_back();
    const auto put = [&](int c) {
      if (++n_bytes > kRowBytesMax) wrong = Drop{DropReason::kTooLong};
      if (!wrong) cells.back() += static_cast<char>(c);
    };
    for (;;) {
      TATARA_TRY(const int c, reader_.Peek());
      if (c == CharReader::kEnd) {
        if (state == kQuoted) wrong = Broken(Refuse("a quote is not closed before the file ends"));
        return wrong;
      }
      reader_.Take();
      if (state == kQuoted) {
        if (c == '"') {
          state = kClosed;
        } else {
          put(c);
        }
        continue;
      }
      if (state == kClosed && c == '"') {  // two quotes are one
        put(c);
        state = kQuoted;
      } else if (c == separator_) {
        if (cells.size() == kColumnsMax)
          wrong = Broken(Refuse("more fields than a table has columns"));
        if (!wrong) cells.emplace_back();
        state = kStart;
      } else if (c == '\n' || c == '\r') {
        if (c == '\r') {
          TATARA_TRY(const int next, reader_.Peek());
          if (next == '\n') reader_.Take();
        }
        return wrong;
      } else if (state == kStart && c == '"') {
        state = kQuoted;
      } else {
        if (state == kClosed) wrong = Broken(Refuse("text after a closing quote"));
        put(c);
        if (state == kStart) state = kPlain;
      }
    }
  }

  CharReader reader_;
  TableRows table_;
  char separator_ = ',';
  std::uint64_t n_records_ = 0;
};

bool HasText(const std::string& cell) {
  return cell.find_first_not_of(" \t\r\n") != std::string::npos;
}

std::string Trimmed(const std::string& text) {
  const std::size_t from = text.find_first_not_of(" \t\r\n");
  if (from == std::string::npos) return {};
  return text.substr(from, text.find_last_not_of(" \t\r\n") + 1 - from);
}

}  // namespace

RowReader::Next TableRows::Take(std::uint64_t number, std::vector<std::string> cells) {
  while (!cells.empty() && !HasText(cells.back())) cells.pop_back();
  if (cells.empty()) return {};
  if (names_.empty()) {
    for (const std::string& cell : cells) names_.push_back(Trimmed(cell));
    return {};
  }
  if (cells.size() > names_.size()) {
    return std::pair{number, Drop{DropReason::kTable, Refuse("{0} fields, the first row names {1}",
                                                             cells.size(), names_.size())}};
  }
  Row row{.kind = Row::Kind::kFields, .number = number};
  for (std::size_t i = 0; i < names_.size(); ++i) {
    row.fields.emplace_back(names_[i], i < cells.size() ? std::move(cells[i]) : std::string());
  }
  return row;
}

Result<std::unique_ptr<RowReader>> OpenCsv(const std::filesystem::path& path) {
  TATARA_TRY(auto source, OpenText(path, kSheetBytesMax));
  return std::make_unique<CsvRows>(std::move(source));
}

}  // namespace tatara::corpus
