#include "guard_marks.h"

namespace tatara::text::guard {
namespace {

constexpr std::string_view kMark = "\xEF\xB7\x90";    // U+FDD0
constexpr std::string_view kEscape = "\xEF\xB7\x91";  // U+FDD1
constexpr std::string_view kCommon = "\xEF\xB7";

bool IsEither(std::string_view text) {
  return text.starts_with(kMark) || text.starts_with(kEscape);
}

}  // namespace

std::string PutIn(std::string_view text, std::span<const std::size_t> places) {
  std::string marked;
  marked.reserve(text.size() + places.size() * kMark.size());
  auto place = places.begin();
  for (std::size_t at = 0; at < text.size(); ++at) {
    if (place != places.end() && *place == at) {
      marked += kMark;
      ++place;
    }
    if (IsEither(text.substr(at))) marked += kEscape;
    marked += text[at];
  }
  return marked;
}

std::string TakeOut(std::string_view marked, std::vector<std::size_t>* places) {
  std::string text;
  text.reserve(marked.size());
  for (;;) {
    const std::size_t at = marked.find(kCommon);
    text += marked.substr(0, at);
    if (at == std::string_view::npos) return text;
    marked.remove_prefix(at);
    if (marked.starts_with(kMark)) {
      marked.remove_prefix(kMark.size());
      if (places != nullptr) places->push_back(text.size());
      continue;
    }
    if (marked.starts_with(kEscape) && IsEither(marked.substr(kEscape.size()))) {
      marked.remove_prefix(kEscape.size());
      text += marked.substr(0, kMark.size());
      marked.remove_prefix(kMark.size());
      continue;
    }
    text += marked.substr(0, kCommon.size());
    marked.remove_prefix(kCommon.size());
  }
}

}  // namespace tatara::text::guard
