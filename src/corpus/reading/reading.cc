#include "tatara/corpus/reading.h"

#include <algorithm>
#include <array>

#include "reading/readers.h"
#include "tatara/base/localise.h"
#include "tatara/base/nearest.h"

namespace tatara::corpus {
namespace {

namespace fs = std::filesystem;

struct ReasonTexts {
  const char* name;
  const char* text;
};
constexpr std::array<ReasonTexts, kDropReasons> kReasons = {{
    {"duplicate", MarkText("the same as an earlier one")},
    {"empty", MarkText("empty")},
    {"too_long", MarkText("longer than a row may be")},
    {"not_utf8", MarkText("not UTF-8")},
    {"not_json", MarkText("not JSON")},
    {"unknown_form", MarkText("of no form that is read here")},
    {"no_field", MarkText("without the text that was asked for")},
    {"preference", MarkText("a pair of preferences, no example to follow")},
    {"rejected", MarkText("said to be no good example")},
    {"broken_row", MarkText("a broken row of a table")},
    {"chat_template", MarkText("refused by the chat template")},
    {"too_short", MarkText("less than two tokens")},
    {"file_kind", MarkText("a file of no kind that is read here")},
}};

enum class FileKind { kNone, kText, kJsonLines, kJson, kCsv, kXlsx, kParquet };

FileKind KindOf(const fs::path& path) {
  std::string name = path.filename().string();
  std::ranges::transform(name, name.begin(), [](char c) {
    return c >= 'A' && c <= 'Z' ? static_cast<char>(c - 'A' + 'a') : c;
  });
  const auto kind = [](std::string_view of) {
    for (const auto& [ending, kind] : std::initializer_list<std::pair<const char*, FileKind>>{
             {".txt", FileKind::kText},
             {".text", FileKind::kText},
             {".md", FileKind::kText},
             {".markdown", FileKind::kText},
             {".jsonl", FileKind::kJsonLines},
             {".ndjson", FileKind::kJsonLines},
             {".json", FileKind::kJson},
             {".csv", FileKind::kCsv},
             {".tsv", FileKind::kCsv},
             {".xlsx", FileKind::kXlsx},
             {".parquet", FileKind::kParquet}}) {
      if (of.ends_with(ending)) return kind;
    }
    return FileKind::kNone;
  };
  if (!name.ends_with(".gz")) return kind(name);
  const FileKind inside = kind(std::string_view(name).substr(0, name.size() - 3));
  return inside == FileKind::kXlsx ? FileKind::kNone : inside;
}

// As a shell takes it for one word.
std::string ShellWord(const std::string& text) {
  constexpr std::string_view kPlain =
      "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789_./-";
  if (text.find_first_not_of(kPlain) == std::string::npos) return text;
  std::string word = "'";
  for (const char c : text) word += c == '\'' ? std::string("'\\''") : std::string(1, c);
  return word + "'";
}

}  // namespace

const char* DropReasonName(DropReason reason) {
  return kReasons[static_cast<std::size_t>(reason)].name;
}

const char* DropReasonText(DropReason reason) {
  return kReasons[static_cast<std::size_t>(reason)].text;
}

Result<RowForm> RowFormOf(const std::string& name) {
  constexpr std::string_view kNames[] = {"auto", "text", "openai", "sharegpt", "alpaca", "pairs"};
  for (std::size_t i = 0; i < std::size(kNames); ++i) {
    if (name == kNames[i]) return static_cast<RowForm>(i);
  }
  return Refuse("the form '{0}' is unknown; there are auto, text, openai, sharegpt, alpaca, pairs",
                name);
}

Result<TextUnit> TextUnitOf(const std::string& name) {
  if (name == "file") return TextUnit::kFile;
  if (name == "paragraph") return TextUnit::kParagraph;
  if (name == "line") return TextUnit::kLine;
  return Refuse("the unit '{0}' is unknown; there are file, paragraph, line", name);
}

bool IsTextName(const fs::path& path) {
  return KindOf(path) == FileKind::kText;
}

bool IsParquetName(const fs::path& path) {
  return KindOf(path) == FileKind::kParquet;
}

Error RefuseParquet(const fs::path& path) {
  return Refuse(
      "{0}: Parquet is not read here; as JSON Lines it is: python3 -c \"import sys, "
      "pandas; pandas.read_parquet(sys.argv[1]).to_json(sys.argv[2], orient='records', "
      "lines=True, force_ascii=False)\" {1} {2}",
      path.string(), ShellWord(path.string()),
      ShellWord(fs::path(path).replace_extension(".jsonl").string()));
}

bool IsReadableName(const fs::path& path) {
  const FileKind kind = KindOf(path);
  return kind != FileKind::kNone && kind != FileKind::kParquet;
}

Result<std::unique_ptr<RowReader>> OpenRows(const fs::path& path, const ReadingOptions& options) {
  switch (KindOf(path)) {
    case FileKind::kText:
      return OpenTextRows(path, options.unit);
    case FileKind::kJsonLines:
      return OpenJsonLines(path);
    case FileKind::kJson:
      return OpenJsonValues(path);
    case FileKind::kCsv:
      return OpenCsv(path);
    case FileKind::kXlsx:
      return OpenXlsx(path, options.sheet);
    case FileKind::kParquet:
      return RefuseParquet(path);
    case FileKind::kNone:
      break;
  }
  return Refuse(
      "{0}: not a kind of file that is read here (.txt .md .jsonl .json .csv .tsv .xlsx; but for "
      ".xlsx also .gz)",
      path.string());
}

Result<std::vector<fs::path>> FilesAt(const fs::path& path) {
  std::error_code code;
  const fs::file_status status = fs::status(path, code);
  if (status.type() == fs::file_type::not_found) {
    return MakeError(ErrorKind::kNotFound, "{0}: no such file or folder", path.string());
  }
  if (status.type() != fs::file_type::directory) return std::vector<fs::path>{path};
  std::vector<fs::path> files;
  fs::recursive_directory_iterator at(path, code);
  for (const fs::recursive_directory_iterator end; !code && at != end; at.increment(code)) {
    const bool hidden = at->path().filename().native().starts_with('.');
    std::error_code ignored;
    if (hidden && at->is_directory(ignored)) at.disable_recursion_pending();
    if (hidden || !at->is_regular_file(ignored)) continue;
    if (files.size() == kFilesMax) {
      return Refuse("{0}: more than {1} files", path.string(), kFilesMax);
    }
    files.push_back(at->path());
  }
  if (code) return MakeError(ErrorKind::kIo, "{0}: {1}", path.string(), code.message());
  std::ranges::sort(files, [](const fs::path& a, const fs::path& b) {
    return std::ranges::lexicographical_compare(
        a.native(), b.native(), [](unsigned char x, unsigned char y) { return x < y; });
  });
  return files;
}

}  // namespace tatara::corpus
