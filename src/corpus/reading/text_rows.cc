// Text files: one document, or one a paragraph or line.
#include <utility>

#include "reading/byte_source.h"
#include "reading/readers.h"

namespace tatara::corpus {
namespace {

bool IsBlank(std::string_view line) {
  return line.find_first_not_of(" \t\f\v") == std::string_view::npos;
}

class TextRows final : public RowReader {
 public:
  TextRows(std::unique_ptr<ByteSource> source, TextUnit unit)
      : reader_(std::move(source)), unit_(unit) {}

  Result<Next> Read() override {
    switch (unit_) {
      case TextUnit::kFile:
        return ReadFile();
      case TextUnit::kParagraph:
        return ReadParagraph();
      case TextUnit::kLine:
        break;
    }
    return ReadOneLine();
  }

 private:
  static Next TooLong(std::uint64_t number) {
    return std::pair{number, Drop{DropReason::kTooLong}};
  }

  Result<Next> ReadFile() {
    if (std::exchange(n_lines_, 1) != 0) return Next{};
    Row row;
    for (;;) {
      TATARA_TRY(const std::string_view some, reader_.Buffered());
      if (some.empty()) return Next(std::move(row));
      if (row.bytes.size() + some.size() > kRowBytesMax) return TooLong(0);
      row.bytes += some;
      reader_.Skip(some.size());
    }
  }

  Result<Next> ReadOneLine() {
    for (;;) {
      Row row;
      bool whole = true;
      TATARA_TRY(const bool any, reader_.ReadLine(row.bytes, kRowBytesMax, whole));
      if (!any) return Next{};
      row.number = ++n_lines_;
      if (!whole) return TooLong(row.number);
      if (!IsBlank(row.bytes)) return Next(std::move(row));
    }
  }

  Result<Next> ReadParagraph() {
    Row row;
    std::string line;
    bool all_whole = true;
    for (;;) {
      bool whole = true;
      TATARA_TRY(const bool any, reader_.ReadLine(line, kRowBytesMax, whole));
      if (any) ++n_lines_;
      if (any && !(whole && IsBlank(line))) {
        if (row.number == 0) row.number = n_lines_;
        all_whole = all_whole && whole && row.bytes.size() + line.size() < kRowBytesMax;
        if (all_whole) row.bytes += line + "\n";
        continue;
      }
      if (row.number == 0 && any) continue;
      if (row.number == 0) return Next{};
      return all_whole ? Next(std::move(row)) : TooLong(row.number);
    }
  }

  CharReader reader_;
  TextUnit unit_;
  std::uint64_t n_lines_ = 0;
};

}  // namespace

Result<std::unique_ptr<RowReader>> OpenTextRows(const std::filesystem::path& path, TextUnit unit) {
  TATARA_TRY(auto source, OpenText(path, kRowBytesMax));
  return std::make_unique<TextRows>(std::move(source), unit);
}

}  // namespace tatara::corpus
