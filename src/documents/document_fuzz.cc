// Any bytes: read or refused, and what is read keeps the invariants of document.h.
#include <cstdint>

#include "tatara/base/check.h"
#include "tatara/documents/document.h"

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  using namespace tatara::documents;
  const tatara::ByteSpan bytes(reinterpret_cast<const std::byte*>(data), size);
  for (const Format format : {Format::kMarkdown, Format::kPlainText}) {
    const auto document = ParseDocument("fuzz", bytes, format);
    if (!document.ok()) continue;
    TATARA_CHECK(!tatara::text::FirstInvalidUtf8(document->text));
    std::size_t end = 0;
    int line = 1;
    for (const Chunk& chunk : document->chunks) {
      TATARA_CHECK(chunk.offset >= end && chunk.length > 0);
      end = chunk.offset + chunk.length;
      TATARA_CHECK(end <= document->text.size());
      TATARA_CHECK(chunk.line_first >= line && chunk.line_last >= chunk.line_first);
      line = chunk.line_last;
      TATARA_CHECK(line <= document->lines);
      TATARA_CHECK(CellsOf(document->TextOf(chunk)) <= kChunkCellsMax);
      TATARA_CHECK(!tatara::text::FirstInvalidUtf8(document->TextOf(chunk)));
      TATARA_CHECK(chunk.heading_path.size() <= static_cast<std::size_t>(kHeadingLevels));
    }
  }
  return 0;
}
