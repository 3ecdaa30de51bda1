// From TOML to CatalogueEntry. Every table has a list of its keys; a key outside it is refused.
#include <toml++/toml.h>

#include <algorithm>
#include <set>

#include "model_name.h"
#include "source_spec.h"
#include "tatara/base/localise.h"
#include "tatara/base/nearest.h"
#include "tatara/base/utf8.h"
#include "tatara/weights/catalogue.h"

namespace tatara::weights {
namespace {

constexpr std::size_t kModelsMax = 1000;
constexpr std::size_t kFilesMax = 1000;
constexpr std::size_t kSourcesMax = 16;
constexpr std::size_t kPartsMax = 4096;
constexpr std::int64_t kFileBytesMax = std::int64_t{1} << 44;

// One table with its place in the file, for errors: "models.toml:12: model[3].file[0]".
class Table {
 public:
  Table(const toml::table& table, std::string_view path, std::string place)
      : table_(table), path_(path), place_(std::move(place)) {}

  Result<> CheckKeys(std::initializer_list<std::string_view> known) const {
    for (const auto& [key, node] : table_) {
      if (std::find(known.begin(), known.end(), key.str()) != known.end()) continue;
      const std::string near = Nearest(key.str(), std::vector<std::string_view>(known));
      const auto line = key.source().begin.line;
      if (near.empty()) {
        return Refuse("{0}:{1}: {2} has the unknown key '{3}'", path_, line, place_,
                      Printable(key.str()));
      }
      return Refuse("{0}:{1}: {2} has the unknown key '{3}'; did you mean '{4}'?", path_, line,
                    place_, Printable(key.str()), near);
    }
    return Ok{};
  }

  // `expected` is shown where the key is missing or of another kind.
  Error Wrong(std::string_view key, std::string_view expected) const {
    const toml::node* node = table_.get(key);
    const auto line = (node ? node->source() : table_.source()).begin.line;
    return Refuse("{0}:{1}: {2}: '{3}' must be {4}", path_, line, place_, key, expected);
  }

  Result<std::string> Text(std::string_view key) const {
    const auto value = table_[key].value<std::string>();
    if (!table_[key].is_string() || !value || value->empty()) return Wrong(key, Tr("a text"));
    return *value;
  }
  Result<std::string> TextOrNone(std::string_view key) const {
    return table_.contains(key) ? Text(key) : Result<std::string>(std::string());
  }
  Result<std::int64_t> Integer(std::string_view key, std::int64_t max) const {
    const auto* value = table_[key].as_integer();
    if (value == nullptr || value->get() < 1 || value->get() > max) {
      return Wrong(key, fmt::format("1..{}", max));
    }
    return value->get();
  }
  // The elements, of which there are 1 to `max`.
  Result<const toml::array*> Array(std::string_view key, std::size_t max) const {
    const auto* array = table_[key].as_array();
    if (array == nullptr || array->empty() || array->size() > max) {
      return Wrong(key, fmt::format("[1..{}]", max));
    }
    return array;
  }
  Result<Table> Inner(std::string_view key) const {
    const auto* inner = table_[key].as_table();
    if (inner == nullptr) return Wrong(key, Tr("a table"));
    return Table(*inner, path_, fmt::format("{}.{}", place_, key));
  }
  Result<std::vector<Table>> Tables(std::string_view key, std::size_t max) const {
    TATARA_TRY(const toml::array* array, Array(key, max));
    std::vector<Table> out;
    for (const toml::node& node : *array) {
      if (!node.is_table()) return Wrong(key, Tr("a table"));
      const std::string prefix = place_.empty() ? std::string() : place_ + ".";
      out.emplace_back(*node.as_table(), path_, fmt::format("{}{}[{}]", prefix, key, out.size()));
    }
    return out;
  }

 private:
  const toml::table& table_;
  std::string_view path_;
  std::string place_;
};

Result<std::vector<std::string>> ReadLanguages(const Table& table) {
  TATARA_TRY(const toml::array* array, table.Array("languages", 500));
  std::vector<std::string> out;
  for (const toml::node& node : *array) {
    if (!node.is_string()) return table.Wrong("languages", "[\"en\", ...]");
    out.push_back(node.as_string()->get());
  }
  return out;
}

Result<CatalogueSource> ReadSource(const Table& table, const toml::node& node) {
  CatalogueSource out;
  const auto add = [&](const toml::node& part) -> Result<> {
    if (!part.is_string()) return table.Wrong("sources", "[\"hf:...\", [\"pypi:...\", ...]]");
    TATARA_TRY(const SourceSpec spec, ParseSourceSpec(part.as_string()->get()));
    out.parts.push_back(spec.text);
    return Ok{};
  };
  if (const auto* parts = node.as_array()) {
    if (parts->empty() || parts->size() > kPartsMax) {
      return table.Wrong("sources", fmt::format("[[1..{}]]", kPartsMax));
    }
    for (const toml::node& part : *parts) TATARA_RETURN_IF_ERROR(add(part));
  } else {
    TATARA_RETURN_IF_ERROR(add(node));
  }
  return out;
}

Result<CatalogueFile> ReadFile(const Table& table) {
  TATARA_RETURN_IF_ERROR(table.CheckKeys({"path", "bytes", "sha256", "sources"}));
  CatalogueFile file;
  TATARA_TRY(file.path, table.Text("path"));
  if (!IsPlainRelativePath(file.path) || file.path == "record.json") {
    return table.Wrong("path", "FOLDER/FILE");
  }
  TATARA_TRY(const std::int64_t n_bytes, table.Integer("bytes", kFileBytesMax));
  file.n_bytes = static_cast<std::uint64_t>(n_bytes);
  TATARA_TRY(file.sha256, table.Text("sha256"));
  if (file.sha256.size() != 64 ||
      file.sha256.find_first_not_of("0123456789abcdef") != std::string::npos) {
    return table.Wrong("sha256", "[0-9a-f]{64}");
  }
  TATARA_TRY(const toml::array* sources, table.Array("sources", kSourcesMax));
  for (const toml::node& node : *sources) {
    TATARA_TRY(CatalogueSource source, ReadSource(table, node));
    file.sources.push_back(std::move(source));
  }
  return file;
}

Result<Licence> ReadLicence(const Table& table) {
  TATARA_RETURN_IF_ERROR(table.CheckKeys({"name", "url", "terms", "terms_ja"}));
  Licence licence;
  TATARA_TRY(licence.name, table.Text("name"));
  TATARA_TRY(licence.url, table.Text("url"));
  TATARA_TRY(licence.terms, table.TextOrNone("terms"));
  TATARA_TRY(licence.terms_ja, table.TextOrNone("terms_ja"));
  return licence;
}

Result<CatalogueEntry> ReadModel(const Table& table) {
  TATARA_RETURN_IF_ERROR(
      table.CheckKeys({"name", "description", "description_ja", "kind", "languages",
                       "context_tokens", "publisher", "origin", "origin_ja", "licence", "file"}));
  CatalogueEntry model;
  TATARA_TRY(model.name, table.Text("name"));
  if (!IsModelName(model.name)) return table.Wrong("name", "[A-Za-z0-9][A-Za-z0-9._-]*");
  TATARA_TRY(model.description, table.Text("description"));
  TATARA_TRY(model.description_ja, table.TextOrNone("description_ja"));
  TATARA_TRY(model.kind, table.Text("kind"));
  if (model.kind != "chat" && model.kind != "base" && model.kind != "embedding") {
    return table.Wrong("kind", "\"chat\", \"base\", \"embedding\"");
  }
  TATARA_TRY(model.languages, ReadLanguages(table));
  TATARA_TRY(model.context_tokens, table.Integer("context_tokens", std::int64_t{1} << 32));
  TATARA_TRY(model.publisher, table.Text("publisher"));
  TATARA_TRY(model.origin, table.Text("origin"));
  TATARA_TRY(model.origin_ja, table.TextOrNone("origin_ja"));
  TATARA_TRY(const Table licence, table.Inner("licence"));
  TATARA_TRY(model.licence, ReadLicence(licence));
  TATARA_TRY(const std::vector<Table> files, table.Tables("file", kFilesMax));
  std::set<std::string> paths;
  for (const Table& entry : files) {
    TATARA_TRY(CatalogueFile file, ReadFile(entry));
    if (!paths.insert(file.path).second) return entry.Wrong("path", Tr("unique"));
    model.files.push_back(std::move(file));
  }
  return model;
}

Result<Catalogue> ReadCatalogue(const toml::table& root, std::string_view path) {
  const Table top(root, path, "");
  TATARA_RETURN_IF_ERROR(top.CheckKeys({"format", "model"}));
  TATARA_TRY([[maybe_unused]] const auto format, top.Integer("format", 1));
  TATARA_TRY(const std::vector<Table> models, top.Tables("model", kModelsMax));
  Catalogue catalogue;
  catalogue.path = path;
  for (const Table& entry : models) {
    TATARA_TRY(CatalogueEntry model, ReadModel(entry));
    if (catalogue.Find(model.name) != nullptr) return entry.Wrong("name", Tr("unique"));
    catalogue.models.push_back(std::move(model));
  }
  return catalogue;
}

}  // namespace

Result<Catalogue> ParseCatalogue(std::string_view text, std::string_view path) {
  try {
    const toml::table root = toml::parse(text, path);
    return ReadCatalogue(root, path);
  } catch (const toml::parse_error& error) {
    return Refuse("{0}:{1}: {2}", path, error.source().begin.line, Printable(error.description()));
  }
}

}  // namespace tatara::weights
