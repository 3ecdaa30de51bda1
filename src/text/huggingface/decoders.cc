#include "huggingface/components.h"
#include "tatara/base/localise.h"

namespace tatara::text::huggingface {
namespace {

constexpr std::size_t kDecodersMax = 64;

Result<> ReadReplace(const JsonPlace& place, PipelineTokenizer::Writing& writing) {
  TATARA_TRY(const JsonPlace pattern, place.Member("pattern"));
  TATARA_TRY(const std::string from, pattern.String("String"));
  TATARA_TRY(const std::string to, place.String("content"));
  if (from.empty()) return pattern.Expected(MarkText("a pattern that is not empty"));
  writing.replacements.emplace_back(from, to);
  return Ok{};
}

Result<> ReadStrip(const JsonPlace& place, PipelineTokenizer::Writing& writing) {
  TATARA_TRY(const std::string content, place.String("content"));
  TATARA_TRY(const std::int64_t start, place.IntOr("start", 0));
  TATARA_TRY(const std::int64_t stop, place.IntOr("stop", 0));
  if (content != " " || start > 1 || start < 0 || stop != 0) {
    return place.Expected(MarkText("at most one space stripped, at the start"));
  }
  writing.drops_first_space |= start == 1;
  return Ok{};
}

Result<> ReadMetaspace(const JsonPlace& place, PipelineTokenizer::Writing& writing) {
  TATARA_TRY(writing.mark, place.String("replacement"));
  TATARA_TRY(const bool prefix, place.BoolOr("add_prefix_space", true));
  TATARA_TRY(const std::string scheme,
             place.StringOr("prepend_scheme", prefix ? "always" : "never"));
  writing.drops_first_space |= scheme != "never";
  return Ok{};
}

Result<> ReadWordPiece(const JsonPlace& place, PipelineTokenizer::Writing& writing) {
  TATARA_TRY(writing.continuing, place.StringOr("prefix", "##"));
  TATARA_TRY(writing.tidies, place.BoolOr("cleanup", true));
  writing.words = writing.drops_first_space = true;
  return Ok{};
}

}  // namespace

Result<> ReadDecoder(const JsonPlace& place, PipelineTokenizer::Writing& writing, int depth) {
  if (place.IsNull()) {  // tokens are words
    if (depth == 0) writing.words = writing.drops_first_space = true;
    return Ok{};
  }
  if (depth > kNestingMax) return place.Expected(MarkText("fewer components"));
  TATARA_TRY(const std::string type, place.String("type"));
  if (type == "Sequence") {
    TATARA_TRY(const auto list, place.List("decoders", kDecodersMax));
    for (const JsonPlace& element : list) {
      TATARA_RETURN_IF_ERROR(ReadDecoder(element, writing, depth + 1));
    }
    return Ok{};
  }
  if (type == "ByteLevel") return writing.byte_alphabet = true, Ok{};
  if (type == "ByteFallback") return writing.byte_tokens = true, Ok{};
  if (type == "Fuse") return Ok{};
  if (type == "Replace") return ReadReplace(place, writing);
  if (type == "Strip") return ReadStrip(place, writing);
  if (type == "Metaspace") return ReadMetaspace(place, writing);
  if (type == "WordPiece") return ReadWordPiece(place, writing);
  if (type == "BPEDecoder") {
    TATARA_TRY(writing.end_suffix, place.StringOr("suffix", "</w>"));
    return Ok{};
  }
  return place.Unknown(MarkText("decoder"), type);
}

}  // namespace tatara::text::huggingface
