// Files for tests of the readers: gzip, .xlsx, and what a reader gives of them.
#pragma once

#include <gtest/gtest.h>
#include <zip.h>
#include <zlib.h>

#include <filesystem>
#include <fstream>
#include <string>
#include <utility>
#include <vector>

#include "tatara/corpus/reading.h"

namespace tatara::corpus {

inline void PutFile(const std::filesystem::path& path, const std::string& content) {
  std::filesystem::create_directories(path.parent_path());
  std::ofstream(path, std::ios::binary) << content;
}

inline void PutGzip(const std::filesystem::path& path, const std::string& content) {
  const gzFile file = gzopen(path.c_str(), "wb");
  gzwrite(file, content.data(), static_cast<unsigned>(content.size()));
  gzclose(file);
}

using Entries = std::vector<std::pair<std::string, std::string>>;

inline void PutZip(const std::filesystem::path& path, const Entries& entries) {
  int error = 0;
  zip_t* zip = zip_open(path.c_str(), ZIP_CREATE | ZIP_TRUNCATE, &error);
  for (const auto& [name, content] : entries) {
    zip_file_add(zip, name.c_str(), zip_source_buffer(zip, content.data(), content.size(), 0),
                 ZIP_FL_OVERWRITE);
  }
  ASSERT_EQ(zip_close(zip), 0);
}

// A workbook whose sheets have these rows.
inline Entries Workbook(const std::vector<std::pair<std::string, std::string>>& sheets,
                        const std::string& strings = "") {
  std::string list, relations;
  Entries entries;
  for (std::size_t i = 0; i < sheets.size(); ++i) {
    const std::string n = std::to_string(i + 1);
    list += "<sheet name=\"" + sheets[i].first + "\" sheetId=\"" + n + "\" r:id=\"rId" + n + "\"/>";
    relations += "<Relationship Id=\"rId" + n + "\" Target=\"worksheets/sheet" + n + ".xml\"/>";
    entries.emplace_back("xl/worksheets/sheet" + n + ".xml",
                         "<?xml version=\"1.0\"?><worksheet><sheetData>" + sheets[i].second +
                             "</sheetData></worksheet>");
  }
  entries.emplace_back("xl/workbook.xml",
                       "<workbook xmlns:r=\"r\"><sheets>" + list + "</sheets></workbook>");
  entries.emplace_back("xl/_rels/workbook.xml.rels",
                       "<Relationships>" + relations + "</Relationships>");
  if (!strings.empty()) {
    entries.emplace_back("xl/sharedStrings.xml", "<sst>" + strings + "</sst>");
  }
  return entries;
}

// "row: text" or "row: messages" or "row! reason" for each row; "error: ..." at the end.
inline std::vector<std::string> RowsOf(const std::filesystem::path& path,
                                       const ReadingOptions& options = {}) {
  std::vector<std::string> out;
  auto rows = OpenRows(path, options);
  if (!rows.ok()) return {"error: " + rows.error().text()};
  for (;;) {
    auto next = (*rows)->Read();
    if (!next.ok()) {
      out.push_back("error: " + next.error().text());
      return out;
    }
    if (std::holds_alternative<std::monostate>(*next)) return out;
    if (const auto* drop = std::get_if<std::pair<std::uint64_t, Drop>>(&*next)) {
      out.push_back(std::to_string(drop->first) + "! " + DropReasonName(drop->second.reason));
      continue;
    }
    const Row& row = std::get<Row>(*next);
    const auto record = Interpret(row, options);
    const std::string number = std::to_string(row.number);
    if (const auto* drop = std::get_if<Drop>(&record)) {
      out.push_back(number + "! " + DropReasonName(drop->reason));
      continue;
    }
    const Record normal = Normalised(std::get<Record>(record));
    const auto* text = std::get_if<std::string>(&normal);
    out.push_back(number + ": " +
                  (text != nullptr ? *text : std::get<Conversation>(normal).messages_json));
  }
}

}  // namespace tatara::corpus
