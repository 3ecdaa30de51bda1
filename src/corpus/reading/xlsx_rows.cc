// Cells of one sheet of an .xlsx workbook (ECMA-376, SpreadsheetML): shared and inline texts with
// their runs joined and readings (rPh) left out, numbers by their shortest digits, formulas by
// their stored results. Dates are numbers there and stay so. A cell that holds an error drops its
// row.
#include <fmt/format.h>
#include <zip.h>

#include <charconv>
#include <cmath>
#include <pugixml.hpp>
#include <string_view>
#include <utility>

#include "reading/readers.h"
#include "tatara/base/utf8.h"

namespace tatara::corpus {
namespace {

// Elements may have any prefix of a name space.
std::string_view LocalName(const pugi::xml_node& node) {
  const std::string_view name = node.name();
  const std::size_t colon = name.find(':');
  return colon == std::string_view::npos ? name : name.substr(colon + 1);
}

pugi::xml_node Child(const pugi::xml_node& parent, std::string_view name) {
  for (const pugi::xml_node& child : parent.children()) {
    if (LocalName(child) == name) return child;
  }
  return {};
}

class Workbook {
 public:
  explicit Workbook(std::string name) : name_(std::move(name)) {}
  Workbook(const Workbook&) = delete;
  Workbook& operator=(const Workbook&) = delete;
  ~Workbook() {
    if (zip_ != nullptr) zip_discard(zip_);
  }

  Result<> Open(const std::filesystem::path& path) {
    int error = 0;
    zip_ = zip_open(path.c_str(), ZIP_RDONLY, &error);
    if (zip_ == nullptr) return Refuse("{0}: not an .xlsx workbook", name_);
    return Ok{};
  }

  bool Has(const std::string& entry) const {
    return zip_name_locate(zip_, entry.c_str(), ZIP_FL_NOCASE) >= 0;
  }

  // The text of an entry stays in `held`, which the document borrows.
  Result<> Parse(const std::string& entry, std::string& held, pugi::xml_document& document) const {
    zip_stat_t status;
    const zip_int64_t index = zip_name_locate(zip_, entry.c_str(), ZIP_FL_NOCASE);
    if (index < 0 || zip_stat_index(zip_, static_cast<zip_uint64_t>(index), 0, &status) != 0 ||
        (status.valid & ZIP_STAT_SIZE) == 0) {
      return Refuse("{0}: not an .xlsx workbook: '{1}' is missing", name_, Printable(entry));
    }
    if (status.size > kSheetBytesMax) {
      return Refuse("{0}: '{1}' has {2} bytes, more than the {3} that are read here", name_,
                    Printable(entry), status.size, kSheetBytesMax);
    }
    zip_file_t* file = zip_fopen_index(zip_, static_cast<zip_uint64_t>(index), 0);
    held.clear();
    bool whole = file != nullptr;
    std::string block(std::size_t{1} << 16, '\0');
    while (whole && held.size() < status.size) {
      const zip_int64_t n = zip_fread(file, block.data(), block.size());
      whole = n > 0 && held.size() + static_cast<std::size_t>(n) <= status.size;
      if (whole) held.append(block, 0, static_cast<std::size_t>(n));
    }
    // The next read finds the end and compares the check sum.
    whole = whole && zip_fread(file, block.data(), 1) == 0;
    if (file != nullptr) zip_fclose(file);
    if (!whole) return Refuse("{0}: '{1}' can not be unpacked", name_, Printable(entry));
    const pugi::xml_parse_result parsed = document.load_buffer_inplace(
        held.data(), held.size(), pugi::parse_default | pugi::parse_ws_pcdata, pugi::encoding_auto);
    if (!parsed) {
      return Refuse("{0}: '{1}' is no XML at byte {2}", name_, Printable(entry), parsed.offset);
    }
    return Ok{};
  }

 private:
  std::string name_;
  zip_t* zip_ = nullptr;
};

// _x000D_ and its like stand for characters that XML can not hold (ECMA-376, part 1, 22.9.2.19).
std::string Unescaped(std::string_view text) {
  std::string out;
  for (std::size_t at = 0; at < text.size();) {
    unsigned code = 0;
    if (text.size() - at >= 7 && text[at] == '_' && text[at + 1] == 'x' && text[at + 6] == '_') {
      const char* from = text.data() + at + 2;
      const auto [end, error] = std::from_chars(from, from + 4, code, 16);
      const bool surrogate = code >= 0xD800 && code <= 0xDFFF;
      if (error == std::errc() && end == from + 4 && code != 0 && !surrogate) {
        AppendUtf8(out, code);
        at += 7;
        continue;
      }
    }
    out += text[at++];
  }
  return out;
}

// Of <si> or <is>: a text, or runs of texts.
std::string TextOf(const pugi::xml_node& node) {
  std::string text;
  for (const pugi::xml_node& child : node.children()) {
    if (LocalName(child) == "t") text += child.text().get();
    if (LocalName(child) == "r") text += Child(child, "t").text().get();
  }
  return Unescaped(text);
}

// "AB12" -> 27; nothing where that is no column.
std::optional<std::size_t> ColumnOf(std::string_view reference) {
  std::size_t column = 0;
  std::size_t at = 0;
  for (; at < reference.size() && reference[at] >= 'A' && reference[at] <= 'Z'; ++at) {
    column = column * 26 + static_cast<std::size_t>(reference[at] - 'A' + 1);
    if (column > kColumnsMax) return std::nullopt;
  }
  if (at == 0) return std::nullopt;
  return column - 1;
}

std::string Number(std::string_view digits) {
  double value = 0;
  const auto [end, error] = std::from_chars(digits.data(), digits.data() + digits.size(), value);
  if (error != std::errc() || end != digits.data() + digits.size() || !std::isfinite(value)) {
    return std::string(digits);
  }
  return fmt::format("{}", value);
}

class XlsxRows final : public RowReader {
 public:
  explicit XlsxRows(std::string name) : name_(std::move(name)), book_(name_) {}

  Result<> Open(const std::filesystem::path& path, const std::string& sheet) {
    TATARA_RETURN_IF_ERROR(book_.Open(path));
    TATARA_TRY(const std::string entry, SheetEntry(sheet));
    if (book_.Has("xl/sharedStrings.xml")) {
      std::string held;
      pugi::xml_document strings;
      TATARA_RETURN_IF_ERROR(book_.Parse("xl/sharedStrings.xml", held, strings));
      for (const pugi::xml_node& item : strings.document_element().children()) {
        if (LocalName(item) == "si") strings_.push_back(TextOf(item));
      }
    }
    TATARA_RETURN_IF_ERROR(book_.Parse(entry, held_, document_));
    row_ = Child(document_.document_element(), "sheetData").first_child();
    return Ok{};
  }

  Result<Next> Read() override {
    while (row_) {
      const pugi::xml_node row = row_;
      row_ = row_.next_sibling();
      if (LocalName(row) != "row") continue;
      const std::uint64_t stated = row.attribute("r").as_ullong(0);
      number_ = stated > number_ && stated <= kRowsMax ? stated : number_ + 1;
      std::vector<std::string> cells;
      const Result<> filled = Cells(row, cells);
      if (!filled.ok()) return Next(std::pair{number_, Drop{DropReason::kTable, filled.error()}});
      Next next = table_.Take(number_, std::move(cells));
      if (!std::holds_alternative<std::monostate>(next)) return next;
    }
    return Next{};
  }

 private:
  static constexpr std::uint64_t kRowsMax = 1048576;  // as many as Excel has

  // The entry of the sheet of that name, or of the first.
  Result<std::string> SheetEntry(const std::string& sheet) const {
    std::string held, relations_held;
    pugi::xml_document workbook, relations;
    TATARA_RETURN_IF_ERROR(book_.Parse("xl/workbook.xml", held, workbook));
    TATARA_RETURN_IF_ERROR(book_.Parse("xl/_rels/workbook.xml.rels", relations_held, relations));
    std::string names;
    for (const pugi::xml_node& node : Child(workbook.document_element(), "sheets").children()) {
      const std::string name = node.attribute("name").as_string();
      if (!sheet.empty() && name != sheet) {
        names += (names.empty() ? "'" : ", '") + Printable(name) + "'";
        continue;
      }
      std::string id;
      for (const pugi::xml_attribute& attribute : node.attributes()) {
        if (std::string_view(attribute.name()).ends_with(":id")) id = attribute.value();
      }
      for (const pugi::xml_node& relation : relations.document_element().children()) {
        if (relation.attribute("Id").as_string() != id) continue;
        const std::string target = relation.attribute("Target").as_string();
        return target.starts_with("/") ? target.substr(1) : "xl/" + target;
      }
      return Refuse("{0}: the sheet '{1}' leads nowhere", name_, Printable(name));
    }
    if (sheet.empty()) return Refuse("{0}: a workbook without sheets", name_);
    return Refuse("{0}: no sheet '{1}'; there are {2}", name_, sheet, names);
  }

  Result<> Cells(const pugi::xml_node& row, std::vector<std::string>& cells) const {
    std::size_t n_bytes = 0;
    for (const pugi::xml_node& cell : row.children()) {
      if (LocalName(cell) != "c") continue;
      std::size_t column = cells.size();
      const std::string_view reference = cell.attribute("r").as_string();
      if (!reference.empty()) {
        const auto stated = ColumnOf(reference);
        if (!stated || *stated < cells.size()) {
          return Refuse("cell '{0}' is out of order", Printable(reference));
        }
        column = *stated;
      }
      if (column >= kColumnsMax) return Refuse("more cells than a table has columns");
      cells.resize(column + 1);
      const std::string_view type = cell.attribute("t").as_string();
      const std::string_view value = Child(cell, "v").text().get();
      if (type == "e") {
        return Refuse("cell {0} holds the error {1}", Printable(reference), Printable(value));
      }
      if (type == "s") {
        std::size_t i = strings_.size();
        const auto [end, error] = std::from_chars(value.data(), value.data() + value.size(), i);
        if (error != std::errc() || end != value.data() + value.size() || i >= strings_.size()) {
          return Refuse("cell {0} names no text", Printable(reference));
        }
        cells.back() = strings_[i];
      } else if (type == "inlineStr") {
        cells.back() = TextOf(Child(cell, "is"));
      } else if (type == "str") {
        cells.back() = Unescaped(value);
      } else if (type == "b") {
        cells.back() = value == "1" ? "TRUE" : "FALSE";
      } else if (!value.empty()) {
        cells.back() = Number(value);
      }
      n_bytes += cells.back().size();
      if (n_bytes > kRowBytesMax) return Refuse("the row is too long");
    }
    return Ok{};
  }

  std::string name_;
  Workbook book_;
  std::vector<std::string> strings_;
  std::string held_;
  pugi::xml_document document_;
  pugi::xml_node row_;
  TableRows table_;
  std::uint64_t number_ = 0;
};

}  // namespace

Result<std::unique_ptr<RowReader>> OpenXlsx(const std::filesystem::path& path,
                                            const std::string& sheet) {
  auto rows = std::make_unique<XlsxRows>(path.string());
  TATARA_RETURN_IF_ERROR(rows->Open(path, sheet));
  return Result<std::unique_ptr<RowReader>>(std::move(rows));
}

}  // namespace tatara::corpus
