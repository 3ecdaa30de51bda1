#include "tatara/weights/catalogue.h"

#include <cstdlib>

#include "catalogue_text.h"
#include "model_name.h"
#include "tatara/base/files.h"
#include "tatara/base/nearest.h"

namespace tatara::weights {

bool IsModelName(std::string_view name) {
  constexpr std::size_t kNameBytesMax = 100;
  if (name.empty() || name.size() > kNameBytesMax) return false;
  const auto alphanumeric = [](char c) {
    return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9');
  };
  if (!alphanumeric(name.front())) return false;
  for (const char c : name) {
    if (!alphanumeric(c) && c != '.' && c != '_' && c != '-') return false;
  }
  return true;
}

std::string CatalogueSource::ToString() const {
  if (parts.size() == 1) return parts.front();
  return fmt::format("{} (+{})", parts.front(), parts.size() - 1);
}

std::uint64_t CatalogueEntry::n_bytes() const {
  std::uint64_t total = 0;
  for (const CatalogueFile& file : files) total += file.n_bytes;
  return total;
}

const CatalogueEntry* Catalogue::Find(std::string_view name) const {
  for (const CatalogueEntry& model : models) {
    if (model.name == name) return &model;
  }
  return nullptr;
}

std::string Catalogue::Nearest(std::string_view name) const {
  std::vector<std::string_view> names;
  for (const CatalogueEntry& model : models) names.push_back(model.name);
  return tatara::Nearest(name, names);
}

Result<Catalogue> LoadCatalogue(const std::filesystem::path& home) {
  // Six models take 12 kB; a thousand fit.
  constexpr std::uint64_t kCatalogueBytesMax = 4 << 20;
  std::filesystem::path path = home / "catalogue.toml";
  const char* chosen = std::getenv("TATARA_CATALOGUE");
  std::error_code ignored;
  if (chosen != nullptr && *chosen != '\0') {
    path = chosen;
  } else if (!std::filesystem::exists(path, ignored)) {
    return ParseCatalogue(BuiltInCatalogue(), "(built in)");
  }
  TATARA_TRY(const std::string text, ReadWholeFile(path, kCatalogueBytesMax));
  return ParseCatalogue(text, path.string());
}

}  // namespace tatara::weights
