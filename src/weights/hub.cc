#include "hub.h"

#include <unistd.h>

#include <algorithm>
#include <cstdlib>
#include <nlohmann/json.hpp>
#include <set>

#include "model_name.h"
#include "tatara/base/files.h"
#include "tatara/base/utf8.h"
#include "url.h"
#include "web_fetch.h"

namespace tatara::weights {
namespace {

using nlohmann::json;

constexpr std::size_t kFilesMax = 100'000;  // of a repository
constexpr std::size_t kNamesShownMax = 12;

// What sentence-transformers does after the model: a folder for each step of modules.json, named by
// its number ("1_Pooling", "2_Dense"), with settings and, of some, weights.
bool IsOfModule(std::string_view path) {
  const std::size_t slash = path.find('/');
  if (slash == std::string_view::npos) return false;
  const std::string_view folder = path.substr(0, slash), file = path.substr(slash + 1);
  const std::size_t digits = folder.find_first_not_of("0123456789");
  return digits != 0 && digits != std::string_view::npos && folder[digits] == '_' &&
         (file == "config.json" || file == "model.safetensors");
}

// Files beside the weights that this program reads, or that belong to the model's record.
bool IsSidecar(std::string_view path) {
  static const std::set<std::string_view> kNames = {"config.json",
                                                    "generation_config.json",
                                                    "tokenizer.json",
                                                    "tokenizer.model",
                                                    "tokenizer_config.json",
                                                    "special_tokens_map.json",
                                                    "chat_template.jinja",
                                                    "modules.json",
                                                    "sentence_bert_config.json",
                                                    "config_sentence_transformers.json"};
  return kNames.contains(path) || path.starts_with("LICENSE") || path.starts_with("LICENCE") ||
         IsOfModule(path);
}

// "model-00001-of-00002.safetensors"
bool IsShard(std::string_view path) {
  return path.starts_with("model-") && path.ends_with(".safetensors") &&
         path.find("-of-") != std::string_view::npos && path.find('/') == std::string_view::npos;
}

// One name for all parts of a GGUF model: without "-00002-of-00003.gguf".
std::string GgufModel(const std::string& path) {
  const std::size_t of = path.rfind("-of-");
  if (of == std::string::npos || of < 6 || path.size() != of + 14) return path;
  return path.substr(0, of - 6);
}

std::string TextAt(const json& object, const char* key) {
  const auto at = object.find(key);
  return at != object.end() && at->is_string() ? at->get<std::string>() : std::string();
}

bool IsHex(std::string_view text, std::size_t length) {
  return text.size() == length &&
         text.find_first_not_of("0123456789abcdef") == std::string_view::npos;
}

// Size and, of large files, SHA-256 as the hub knows them.
CatalogueFile FileOf(const json& sibling, const std::string& path, const std::string& source) {
  CatalogueFile file{.path = path, .sources = {{.parts = {source}}}};
  if (const auto size = sibling.find("size"); size != sibling.end() && size->is_number_unsigned()) {
    file.n_bytes = size->get<std::uint64_t>();
  }
  if (const auto lfs = sibling.find("lfs"); lfs != sibling.end() && lfs->is_object()) {
    const std::string sha256 = TextAt(*lfs, "sha256");
    if (IsHex(sha256, 64)) file.sha256 = sha256;
  }
  return file;
}

Result<std::vector<CatalogueFile>> FilesOf(const SourceSpec& spec, const json& listing,
                                           const std::string& revision) {
  const auto siblings = listing.find("siblings");
  if (siblings == listing.end() || !siblings->is_array() || siblings->size() > kFilesMax) {
    return Refuse("{0}: the hub's listing names no files", spec.text);
  }
  std::vector<CatalogueFile> files;
  for (const json& sibling : *siblings) {
    if (!sibling.is_object()) continue;
    const std::string path = TextAt(sibling, "rfilename");
    if (!IsPlainRelativePath(path)) continue;  // hidden files, and what leads out of the folder
    files.push_back(
        FileOf(sibling, path, fmt::format("hf:{}@{}/{}", spec.repository, revision, path)));
  }
  return files;
}

bool Has(const std::vector<CatalogueFile>& files, std::string_view path) {
  return std::ranges::find(files, path, &CatalogueFile::path) != files.end();
}

// The weights first: that file's digest stands for the model's.
std::vector<CatalogueFile> SafetensorsModel(const std::vector<CatalogueFile>& all) {
  std::vector<CatalogueFile> chosen;
  const bool single = Has(all, "model.safetensors");
  const std::string first = single ? "model.safetensors" : "model.safetensors.index.json";
  for (const CatalogueFile& file : all) {
    if (file.path == first) chosen.insert(chosen.begin(), file);
    if (IsSidecar(file.path) || (!single && IsShard(file.path))) chosen.push_back(file);
  }
  return chosen;
}

Result<std::vector<CatalogueFile>> GgufOf(const SourceSpec& spec,
                                          const std::vector<CatalogueFile>& all) {
  std::vector<CatalogueFile> chosen;
  std::set<std::string> models;
  for (const CatalogueFile& file : all) {
    if (!file.path.ends_with(".gguf")) continue;
    models.insert(GgufModel(file.path));
    chosen.push_back(file);
  }
  if (models.empty()) {
    return Refuse("{0}: neither safetensors with config.json nor a GGUF file is there", spec.text);
  }
  if (models.size() > 1) {
    std::string names;
    std::size_t n = 0;
    for (const CatalogueFile& file : chosen) {
      if (++n > kNamesShownMax) break;
      names += fmt::format("\n  hf:{}/{}", spec.repository, Printable(file.path));
    }
    return Refuse("{0}: {1} GGUF models are there; name one:{2}", spec.text, models.size(), names);
  }
  std::ranges::sort(chosen, {}, &CatalogueFile::path);
  return chosen;
}

// "Qwen2.5-0.5B" of "Qwen/Qwen2.5-0.5B"; what no name may hold becomes '-'.
std::string NameOf(const SourceSpec& spec) {
  std::string name = spec.repository.substr(spec.repository.find('/') + 1);
  for (char& c : name) {
    if (!IsModelName(std::string("a") + c)) c = '-';
  }
  return name.substr(0, 100);
}

std::string LicenceOf(const json& listing) {
  if (const auto card = listing.find("cardData"); card != listing.end() && card->is_object()) {
    const std::string name = TextAt(*card, "license_name");
    const std::string licence = TextAt(*card, "license");
    if (!licence.empty()) return Printable(licence == "other" && !name.empty() ? name : licence);
  }
  return {};
}

}  // namespace

HubAddress OnTheHub(const SourceSpec& spec) {
  const char* endpoint = std::getenv("HF_ENDPOINT");
  const char* token = std::getenv("HF_TOKEN");
  std::string base = endpoint != nullptr && *endpoint != '\0' ? endpoint : "https://huggingface.co";
  while (base.ends_with('/')) base.pop_back();
  std::string url = spec.path.empty() ? fmt::format("{}/api/models/{}/revision/{}?blobs=true", base,
                                                    spec.repository, spec.revision)
                                      : fmt::format("{}/{}/resolve/{}/{}", base, spec.repository,
                                                    spec.revision, EncodePath(spec.path));
  return {std::move(url), token != nullptr ? token : ""};
}

Result<CatalogueEntry> EntryFromListing(const SourceSpec& spec, std::string_view text) {
  const json listing = json::parse(text, nullptr, /*allow_exceptions=*/false);
  if (!listing.is_object()) return Refuse("{0}: the hub's listing is no JSON object", spec.text);
  const std::string commit = TextAt(listing, "sha");
  const std::string revision = IsHex(commit, 40) ? commit : spec.revision;
  TATARA_TRY(const auto all, FilesOf(spec, listing, revision));
  CatalogueEntry entry;
  const bool folder = Has(all, "config.json") &&
                      (Has(all, "model.safetensors") || Has(all, "model.safetensors.index.json"));
  if (folder) {
    entry.files = SafetensorsModel(all);
  } else {
    TATARA_TRY(entry.files, GgufOf(spec, all));
  }
  entry.name = NameOf(spec);
  entry.publisher = spec.repository;
  entry.licence.name = LicenceOf(listing);
  return entry;
}

Result<CatalogueEntry> EntryFromHub(const SourceSpec& spec, const std::filesystem::path& work,
                                    FetchContext& context) {
  const std::filesystem::path path = work / fmt::format("listing-{}.json", ::getpid());
  TATARA_TRY(PartialFile file, PartialFile::Open(path, spec.text));
  TATARA_RETURN_IF_ERROR(file.Restart());
  const HubAddress hub = OnTheHub(spec);
  WebRequest request{.url = hub.url, .token = hub.token};
  request.check_room = [&](std::uint64_t n_bytes) -> Result<> {
    if (n_bytes <= kHubListingBytesMax) return Ok{};
    return Refuse("{0}: the hub's listing has {1} bytes, the limit is {2}", spec.text, n_bytes,
                  kHubListingBytesMax);
  };
  const Result<> fetched = FetchWeb(request, file, context);
  Result<std::string> text = fetched.ok() ? ReadWholeFile(path, kHubListingBytesMax)
                                          : Result<std::string>(fetched.error());
  file.Discard();
  TATARA_TRY(const std::string listing, std::move(text));
  return EntryFromListing(spec, listing);
}

}  // namespace tatara::weights
