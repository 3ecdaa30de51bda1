// Tokenizer::EncodeFill.

#include <algorithm>

#include "tatara/text/tokenizer.h"

namespace tatara::text {
namespace {

// Appends the ids of a text. A user-defined token is always taken whole, so a marker that is one is
// cut apart behind its first byte, where no piece of the text is the marker any more.
void AppendText(const Tokenizer& tokenizer, std::string_view text, bool continues,
                std::vector<std::int32_t>& ids) {
  const FillTokens fill = tokenizer.fill_tokens();
  const std::string markers[] = {tokenizer.TokenText(fill.prefix), tokenizer.TokenText(fill.suffix),
                                 tokenizer.TokenText(fill.middle)};
  while (!text.empty()) {
    std::size_t cut = text.size();
    for (const std::string& marker : markers) {
      if (marker.empty()) continue;
      if (const std::size_t at = text.find(marker); at < text.size()) cut = std::min(cut, at + 1);
    }
    const auto more = tokenizer.Encode(
        text.substr(0, cut), {.add_start = false, .add_end = false, .continues = continues});
    ids.insert(ids.end(), more.begin(), more.end());
    text.remove_prefix(cut);
    continues = true;
  }
}

}  // namespace

std::vector<std::int32_t> Tokenizer::EncodeFill(std::string_view before,
                                                std::string_view after) const {
  const FillTokens fill = fill_tokens();
  if (!fill.all()) return {};
  std::vector<std::int32_t> ids = Encode({}, {.add_start = true});
  ids.push_back(fill.prefix);
  AppendText(*this, before, /*continues=*/false, ids);
  ids.push_back(fill.suffix);
  AppendText(*this, after, /*continues=*/true, ids);
  ids.push_back(fill.middle);
  return ids;
}

}  // namespace tatara::text
