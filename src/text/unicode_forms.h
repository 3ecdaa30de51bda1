// Normalisation forms and case of Unicode 15 (ICU): characters that later versions assigned stay as
// they are, so that a newer library on another machine changes no id. Thread safety: pure
// functions.
#pragma once

#include <string>
#include <string_view>

namespace tatara::text {

enum class UnicodeForm { kNfc, kNfd, kNfkc, kNfkd };

// `text` is valid UTF-8, as what comes back.
std::string InForm(UnicodeForm form, std::string_view text);
bool IsInForm(UnicodeForm form, std::string_view text);

// Character by character, as Rust's char::to_lowercase.
std::string Lowercased(std::string_view text);

}  // namespace tatara::text
