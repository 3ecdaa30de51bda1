// One maker for each kind of file; reading.cc chooses by the name. Errors name the file.
#pragma once

#include <memory>

#include "tatara/corpus/reading.h"

namespace tatara::corpus {

Result<std::unique_ptr<RowReader>> OpenTextRows(const std::filesystem::path& path, TextUnit unit);
Result<std::unique_ptr<RowReader>> OpenJsonLines(const std::filesystem::path& path);
// The elements of an array, or values one after the other.
Result<std::unique_ptr<RowReader>> OpenJsonValues(const std::filesystem::path& path);
Result<std::unique_ptr<RowReader>> OpenCsv(const std::filesystem::path& path);
Result<std::unique_ptr<RowReader>> OpenXlsx(const std::filesystem::path& path,
                                            const std::string& sheet);

// Cells of a table become fields: the first row that is not empty has the names.
class TableRows {
 public:
  // What `cells` of row `number` give; nothing for names and for rows without text.
  RowReader::Next Take(std::uint64_t number, std::vector<std::string> cells);

 private:
  std::vector<std::string> names_;
};

}  // namespace tatara::corpus
