// Texts one after the other, for whoever reads them once: training a tokenizer.
//
// What a tokenizer learns should not depend on how a long text was cut into stretches. A stretch
// ends behind a line feed with white space neither before nor behind it: there the pre-tokenizers
// of GPT-2, Llama 3 and their like end a piece anyway. Only where kStretchBytesMax bytes have no
// such place a text is cut between two characters. Thread safety: one object, one thread.
#pragma once

#include <cstdint>
#include <filesystem>
#include <memory>
#include <string>
#include <vector>

#include "tatara/base/error.h"

namespace tatara::corpus {

class TextStream {
 public:
  // A file that was read, by what was read.
  struct Input {
    std::string name;
    std::string sha256;  // 64 hexadecimal digits
    std::uint64_t bytes = 0;
  };
  // What was passed over: rows that have no text, files of no kind that is read. `first_reason` is
  // a text that messages_ja.inc has.
  struct LeftOut {
    std::uint64_t n = 0;
    std::string first_place;  // FILE or FILE:ROW
    const char* first_reason = "";
  };
  virtual ~TextStream() = default;

  // Replaces `text` by the next text, or by the next stretch of a long one: valid UTF-8. False at
  // the end. Refuses, naming file and place, what is no text.
  virtual Result<bool> Next(std::string& text) = 0;

  virtual std::uint64_t bytes_read() const = 0;
  virtual std::uint64_t bytes_total() const = 0;  // 0: not known
  // After the end: what was read, in order.
  virtual const std::vector<Input>& inputs() const = 0;
  virtual LeftOut left_out() const { return {}; }
};

inline constexpr std::size_t kStretchBytes = std::size_t{1} << 20;      // usual
inline constexpr std::size_t kStretchBytesMax = std::size_t{16} << 20;  // where there is no place

struct TextFilesOptions {
  // Files and folders (reading.h says which kinds of files are read, and how; what is named and of
  // no such kind is taken for text). Text of other encodings is brought to UTF-8, without a byte
  // order mark; texts of rows are given as they are there, not normalised.
  std::vector<std::filesystem::path> files;
  // Of rows: the field that holds the text. Empty: 'text', else what reading.h says a row is; of a
  // conversation the content of each message.
  std::string field;
  // Plain text: every line, with what ends it, is a text. Else a file is one.
  bool by_line = false;
};

// Refuses what cannot be opened at once, before anything is read; rows that can not be used are
// left out. Memory: a few stretches, a row (kRowBytesMax), a table's sheet; text that is not UTF-8
// whole, at most kRowBytesMax.
Result<std::unique_ptr<TextStream>> OpenTextFiles(const TextFilesOptions& options);

}  // namespace tatara::corpus
