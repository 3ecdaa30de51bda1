// Any bytes as a file of each kind: read or refused, and what is read keeps what reading.h says.
// The first byte chooses the kind and how it is read.
#include <unistd.h>

#include <cstdint>
#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <string>

#include "tatara/base/check.h"
#include "tatara/base/utf8.h"
#include "tatara/corpus/reading.h"

namespace {

namespace fs = std::filesystem;

const fs::path& Folder() {
  static const fs::path folder = [] {
    const fs::path made =
        fs::temp_directory_path() / ("tatara-corpus-fuzz-" + std::to_string(getpid()));
    fs::create_directories(made);
    std::atexit([] { fs::remove_all(Folder()); });
    return made;
  }();
  return folder;
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  using namespace tatara::corpus;
  if (size == 0) return 0;
  static const char* const kNames[] = {"a.txt",  "a.jsonl",    "a.json", "a.csv",
                                       "a.xlsx", "a.jsonl.gz", "a.tsv",  "a.md"};
  const fs::path path = Folder() / kNames[data[0] % std::size(kNames)];
  ReadingOptions options{.unit = static_cast<TextUnit>(data[0] / 8 % 3)};
  if (data[0] >= 0xC0) options.field = "text";
  std::ofstream(path, std::ios::binary | std::ios::trunc)
      .write(reinterpret_cast<const char*>(data + 1), static_cast<std::streamsize>(size - 1));
  auto rows = OpenRows(path, options);
  if (!rows.ok()) return 0;
  std::uint64_t last = 0;
  for (bool first = true;; first = false) {
    auto next = (*rows)->Read();
    if (!next.ok() || std::holds_alternative<std::monostate>(*next)) break;
    const auto* row = std::get_if<Row>(&*next);
    const std::uint64_t number =
        row != nullptr ? row->number : std::get<std::pair<std::uint64_t, Drop>>(*next).first;
    TATARA_CHECK(first || number > last);
    last = number;
    if (row == nullptr) continue;
    auto record = Interpret(*row, options);
    if (!std::holds_alternative<Record>(record)) continue;
    const Record normal = Normalised(std::get<Record>(std::move(record)));
    if (const auto* text = std::get_if<std::string>(&normal)) {
      TATARA_CHECK(tatara::IsValidUtf8(*text));
      TATARA_CHECK(text->find('\r') == std::string::npos);
      TATARA_CHECK(std::get<std::string>(Normalised(*text)) == *text);
    } else {
      const auto& chat = std::get<Conversation>(normal);
      TATARA_CHECK(tatara::IsValidUtf8(chat.messages_json));
      TATARA_CHECK(chat.messages_json.starts_with('['));
    }
  }
  return 0;
}
