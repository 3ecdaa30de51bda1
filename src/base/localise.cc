#include "tatara/base/localise.h"

#include <atomic>
#include <cstdlib>
#include <unordered_map>

namespace tatara {
namespace {

std::unordered_map<std::string_view, std::string_view>& Table() {
  static auto* table = new std::unordered_map<std::string_view, std::string_view>;
  return *table;
}

std::atomic<Language> current_language{Language::kEnglish};

// "{0}", "{1}", ... replaced; any other brace stands for itself.
std::string Fill(std::string_view format, const std::vector<std::string>& arguments) {
  std::string out;
  for (std::size_t i = 0; i < format.size(); ++i) {
    if (format[i] == '{' && i + 2 < format.size() && format[i + 2] == '}' && format[i + 1] >= '0' &&
        format[i + 1] <= '9') {
      const std::size_t index = static_cast<std::size_t>(format[i + 1] - '0');
      if (index < arguments.size()) out += arguments[index];
      i += 2;
    } else {
      out += format[i];
    }
  }
  return out;
}

}  // namespace

void InstallTranslations(std::span<const Translation> translations) {
  for (const Translation& t : translations) Table().insert_or_assign(t.english, t.japanese);
}

Language LanguageFromEnvironment() {
  for (const char* name : {"LC_ALL", "LC_MESSAGES", "LANG"}) {
    const char* value = std::getenv(name);
    if (value == nullptr || *value == '\0') continue;
    return std::string_view(value).starts_with("ja") ? Language::kJapanese : Language::kEnglish;
  }
  return Language::kEnglish;
}

void SetLanguage(Language language) {
  current_language = language;
}
Language CurrentLanguage() {
  return current_language;
}

std::string Localise(Language language, std::string_view format,
                     const std::vector<std::string>& arguments) {
  if (language == Language::kJapanese) {
    const auto it = Table().find(format);
    if (it != Table().end()) return Fill(it->second, arguments);
  }
  return Fill(format, arguments);
}

}  // namespace tatara
