// Files with texts and conversations, row by row.
//
// What a file is, is told by its name (before an optional .gz): .txt .text .md .markdown; .jsonl
// .ndjson (a JSON value a line); .json (an array, or values one after the other); .csv .tsv; .xlsx.
// What a row is, by its keys, where nothing else is asked for:
//   messages                       OpenAI's form; label false: refused
//   conversations | conversation   ShareGPT's
//   instruction and output         Alpaca's (input, system and history too)
//   a question and an answer       by the names of kQuestionNames and kAnswerNames, in any case
//   text | content                 a text
//   chosen and rejected            refused: pairs of preferences are no examples to follow
// Tables (.csv: RFC 4180; .xlsx) have names in their first row that is not empty.
// Encodings: text and tables as text/encoding.h; JSON is UTF-8.
// Memory: a row has at most kRowBytesMax bytes, a table's sheet kSheetBytesMax.
// Thread safety: a RowReader, one thread; Interpret, any.
#pragma once

#include <cstdint>
#include <filesystem>
#include <memory>
#include <string>
#include <utility>
#include <variant>
#include <vector>

#include "tatara/base/error.h"
#include "tatara/corpus/chat_format.h"

namespace tatara::corpus {

inline constexpr std::size_t kRowBytesMax = std::size_t{64} << 20;
inline constexpr std::size_t kSheetBytesMax = std::size_t{256} << 20;
inline constexpr std::size_t kColumnsMax = 16384;  // as many as Excel has

inline constexpr const char* kQuestionNames[] = {"question", "prompt", "instruction", "query", "q",
                                                 "質問",     "問い",   "設問",        "問"};
inline constexpr const char* kAnswerNames[] = {"answer", "response", "completion", "output", "a",
                                               "回答",   "答え",     "応答",       "答"};
inline constexpr const char* kSystemNames[] = {"system", "システム"};

// What a row is taken for; kAuto: as above.
enum class RowForm { kAuto, kText, kOpenAi, kShareGpt, kAlpaca, kPairs };
Result<RowForm> RowFormOf(const std::string& name);  // "auto", "text", "openai", "sharegpt", ...

// What is one document of a text file.
enum class TextUnit { kFile, kParagraph, kLine };
Result<TextUnit> TextUnitOf(const std::string& name);  // "file", "paragraph", "line"

struct ReadingOptions {
  RowForm form = RowForm::kAuto;
  TextUnit unit = TextUnit::kFile;
  std::string field;             // of a row, that holds the text; makes of kAuto kText
  std::string question, answer;  // columns; empty: by their usual names
  std::string sheet;             // of an .xlsx; empty: the first
};

enum class DropReason {
  kDuplicate,
  kEmpty,
  kTooLong,
  kNotUtf8,
  kNotJson,
  kForm,        // of no form that is known, or not well-formed in its own
  kNoField,     // the field asked for is not there, or is no text
  kPreference,  // a pair of preferences
  kRejected,    // said to be no good example
  kTable,       // a table's row is broken
  kTemplate,    // the chat template refuses, or nothing can be learned
  kNoTokens,    // less than two tokens
  kFile,        // a file in a folder that is of no kind that is read
};
inline constexpr int kDropReasons = 13;
// A word for programs; and what people are told (a text that messages_ja.inc has).
const char* DropReasonName(DropReason reason);
const char* DropReasonText(DropReason reason);

struct Drop {
  DropReason reason = DropReason::kEmpty;
  std::optional<Error> detail = std::nullopt;  // what was found, for people
};

struct Row {
  enum class Kind { kText, kJson, kFields } kind = Kind::kText;
  std::uint64_t number = 0;  // line, element or row of the file, from 1; 0: all of it
  std::string bytes;
  std::vector<std::pair<std::string, std::string>> fields;  // name, value
};

class RowReader {
 public:
  virtual ~RowReader() = default;
  // A row, or one that is dropped (`row.number` says where), or the end. Errors are of the whole
  // file.
  using Next = std::variant<std::monostate, Row, std::pair<std::uint64_t, Drop>>;
  virtual Result<Next> Read() = 0;
};

bool IsReadableName(const std::filesystem::path& path);
bool IsTextName(const std::filesystem::path& path);  // .txt, .md and their like
bool IsParquetName(const std::filesystem::path& path);
// With the command that converts it.
Error RefuseParquet(const std::filesystem::path& path);
// Refuses names of no kind that is read; a Parquet file with the command that converts it.
Result<std::unique_ptr<RowReader>> OpenRows(const std::filesystem::path& path,
                                            const ReadingOptions& options);

// A row's text, or its conversation.
using Record = std::variant<std::string, Conversation>;
std::variant<Record, Drop> Interpret(const Row& row, const ReadingOptions& options);

// LF line ends, NFC (text/normal_form.h), no blank lines at the start and no white space at the
// end; of a conversation each of its texts, which keep the space around them.
Record Normalised(Record record);

// Regular files at or below `path`, by the bytes of their paths; hidden ones and links to folders
// are left out. At most kFilesMax.
inline constexpr std::size_t kFilesMax = std::size_t{1} << 20;
Result<std::vector<std::filesystem::path>> FilesAt(const std::filesystem::path& path);

}  // namespace tatara::corpus
