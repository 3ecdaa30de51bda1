// Texts in the user's language. The English format string is the key; Japanese comes from the
// messages_ja.inc of each module, which the command line installs at start. Every format string
// given to Refuse, MakeError, ErrnoError or Tr needs an entry: tools/check_messages refuses a
// missing one. Thread safety: InstallTranslations and SetLanguage at start only; the rest from any
// thread.
#pragma once

#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "tatara/base/error.h"

namespace tatara {

struct Translation {
  std::string_view english;
  std::string_view japanese;
};

// Adds to the table; the entries must outlive the program's use of them.
void InstallTranslations(std::span<const Translation> translations);

// From LC_ALL, LC_MESSAGES, LANG in this order: Japanese where the first one set starts with "ja".
Language LanguageFromEnvironment();

// The language of this process's own texts; English until set.
void SetLanguage(Language language);
Language CurrentLanguage();

// `format` with numbered fields filled in; the English text where there is no translation.
std::string Localise(Language language, std::string_view format,
                     const std::vector<std::string>& arguments);

// In the current language: Tr("{0} of {1} files", done, total).
template <typename... Args>
std::string Tr(std::string_view format, const Args&... args) {
  return Localise(CurrentLanguage(), format, {fmt::format("{}", args)...});
}

// Marks a literal that reaches Tr through a variable, so that the check sees it.
constexpr const char* MarkText(const char* format) {
  return format;
}

}  // namespace tatara
