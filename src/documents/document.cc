#include "tatara/documents/document.h"

#include <unicode/uchar.h>
#include <unicode/utf8.h>

#include <algorithm>

#include "blocks.h"
#include "chunker.h"
#include "tatara/base/files.h"

namespace tatara::documents {
namespace {

std::string LowerExtension(const std::filesystem::path& path) {
  std::string extension = path.extension().string();
  for (char& c : extension) {
    if (c >= 'A' && c <= 'Z') c = static_cast<char>(c - 'A' + 'a');
  }
  return extension;
}

// CRLF and lone CR become LF, which keeps the number of every line.
std::string WithLineFeeds(std::string text) {
  if (text.find('\r') == std::string::npos) return text;
  std::string out;
  out.reserve(text.size());
  for (std::size_t i = 0; i < text.size(); ++i) {
    if (text[i] != '\r') {
      out += text[i];
    } else if (i + 1 == text.size() || text[i + 1] != '\n') {
      out += '\n';
    }
  }
  return out;
}

std::vector<Line> LinesOf(std::string_view text) {
  std::vector<Line> lines;
  for (std::size_t begin = 0; begin < text.size();) {
    const std::size_t end = std::min(text.find('\n', begin), text.size());
    lines.push_back({begin, end - begin});
    begin = end + 1;
  }
  return lines;
}

}  // namespace

bool IsReadableFormat(const std::filesystem::path& path) {
  const std::string extension = LowerExtension(path);
  return extension == ".md" || extension == ".markdown" || extension == ".txt" ||
         extension == ".text";
}

Result<Format> FormatOfFile(const std::filesystem::path& path) {
  if (!IsReadableFormat(path)) {
    return Refuse("{0}: not a kind of document that is read here (.md .markdown .txt .text)",
                  path.string());
  }
  const std::string extension = LowerExtension(path);
  return extension == ".md" || extension == ".markdown" ? Format::kMarkdown : Format::kPlainText;
}

Result<Document> ParseDocument(std::string_view name, ByteSpan bytes, Format format) {
  if (bytes.size() > kFileBytesMax) {
    return Refuse("{0}: {1} bytes, more than the {2} that a document may have", name, bytes.size(),
                  kFileBytesMax);
  }
  TATARA_TRY(text::DecodedText decoded, text::DecodeText(name, bytes));
  Document document{.encoding = decoded.encoding, .format = format};
  document.text = WithLineFeeds(std::move(decoded.text));
  const std::vector<Line> lines = LinesOf(document.text);
  if (lines.size() > kLinesMax) {
    return Refuse("{0}: {1} lines, more than the {2} that a document may have", name, lines.size(),
                  kLinesMax);
  }
  document.lines = static_cast<int>(lines.size());
  const Outline outline = format == Format::kMarkdown ? OutlineOfMarkdown(document.text, lines)
                                                      : OutlineOfPlainText(document.text, lines);
  document.title = outline.title;
  document.chunks = CutIntoChunks(document.text, lines, outline.sections);
  return document;
}

Result<Document> ReadDocument(const std::filesystem::path& path) {
  TATARA_TRY(const Format format, FormatOfFile(path));
  // Opening a pipe or a device could wait for ever.
  std::error_code ignored;
  if (std::filesystem::exists(path, ignored) && !std::filesystem::is_regular_file(path, ignored)) {
    return Refuse("{0}: not a regular file", path.string());
  }
  TATARA_TRY(const std::string bytes, ReadWholeFile(path, kFileBytesMax));
  return ParseDocument(path.string(), AsBytes(bytes), format);
}

std::size_t CellsOf(std::string_view utf8) {
  std::size_t cells = 0;
  const auto size = static_cast<std::int32_t>(utf8.size());
  for (std::int32_t i = 0; i < size;) {
    UChar32 c = 0;
    U8_NEXT(utf8.data(), i, size, c);
    ++cells;
    if (c < 0x1100) continue;
    const auto width = u_getIntPropertyValue(c, UCHAR_EAST_ASIAN_WIDTH);
    cells += width == U_EA_WIDE || width == U_EA_FULLWIDTH;
  }
  return cells;
}

}  // namespace tatara::documents
