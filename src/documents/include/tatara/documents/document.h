// A text document cut into chunks that know where they come from: heading path and lines of the
// original file. Markdown (CommonMark's block structure as far as cutting needs it) and plain text.
//
// Invariants, fuzzed: every chunk is a contiguous piece of Document::text; chunks ascend and do not
// overlap; no chunk is wider than kChunkCellsMax; a chunk neither starts nor ends with white space.
// Thread safety: values and free functions, any thread.
#pragma once

#include <cstddef>
#include <cstdint>
#include <filesystem>
#include <string>
#include <string_view>
#include <vector>

#include "tatara/base/error.h"
#include "tatara/text/encoding.h"

namespace tatara::documents {

// Larger files are refused: a manual is some 100 kB; what is larger is a log or a data dump.
inline constexpr std::uint64_t kFileBytesMax = 16u << 20;
inline constexpr std::size_t kLinesMax = 400'000;
// Width of a chunk in terminal cells (East Asian wide and full-width characters count 2, others 1):
// 360 kanji or 720 Latin letters, about 250 or 180 tokens, so that several fit into one prompt.
inline constexpr std::size_t kChunkCellsMax = 720;
// Heading levels: # to ######.
inline constexpr int kHeadingLevels = 6;

enum class Format { kMarkdown, kPlainText };

// By extension: .md and .markdown, .txt and .text, in any case. Refused otherwise, naming what is
// read.
Result<Format> FormatOfFile(const std::filesystem::path& path);
bool IsReadableFormat(const std::filesystem::path& path);

struct Chunk {
  std::vector<std::string>
      heading_path;    // outermost first, without marks; empty before the first heading
  int line_first = 0;  // 1-based, of the original file, inclusive
  int line_last = 0;
  std::size_t offset = 0;  // bytes in Document::text
  std::size_t length = 0;
  // Where a table had to be cut: its heading rows, which the chunk itself does not contain.
  std::string table_head;
};

struct Document {
  std::string text;   // UTF-8; line ends are "\n" whatever the file has (CRLF, LF, CR), lines keep
                      // their numbers
  std::string title;  // of the front matter, else the first heading of level 1, else empty
  text::Encoding encoding = text::Encoding::kUtf8;
  Format format = Format::kMarkdown;
  int lines = 0;
  std::vector<Chunk> chunks;

  std::string_view TextOf(const Chunk& chunk) const {
    return std::string_view(text).substr(chunk.offset, chunk.length);
  }
};

// `name` names the file in errors.
Result<Document> ParseDocument(std::string_view name, ByteSpan bytes, Format format);
// Reads and parses; refuses what is not a regular file, what is larger than kFileBytesMax, what is
// binary.
Result<Document> ReadDocument(const std::filesystem::path& path);

// Width in terminal cells, as kChunkCellsMax counts.
std::size_t CellsOf(std::string_view utf8);

}  // namespace tatara::documents
