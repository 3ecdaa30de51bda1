#include "huggingface/sidecars.h"

#include <algorithm>
#include <nlohmann/json.hpp>
#include <optional>
#include <utility>

#include "tatara/base/files.h"
#include "tatara/base/utf8.h"

namespace tatara::weights {
namespace {

namespace fs = std::filesystem;
using nlohmann::json;

bool IsThere(const fs::path& path) {
  std::error_code error;
  return fs::exists(path, error);
}

Result<> KeepText(const fs::path& path, std::uint64_t bytes_max, const char* key,
                  Metadata& metadata) {
  if (!IsThere(path)) return Ok{};
  TATARA_TRY(std::string text, ReadWholeFile(path, bytes_max));
  metadata.Set(key, std::move(text));
  return Ok{};
}

// "chat_template" is a text, or several with names of which "default" is the one.
Result<> KeepTemplate(const fs::path& path, Metadata& metadata) {
  if (!IsThere(path)) return Ok{};
  TATARA_TRY(const std::string text, ReadWholeFile(path, kConfigBytesMax));
  const json root = json::parse(text, nullptr, false);
  if (!root.is_object() || !root.contains("chat_template")) return Ok{};
  const json& value = root["chat_template"];
  if (value.is_string()) metadata.Set("tokenizer.chat_template", value.get<std::string>());
  if (!value.is_array()) return Ok{};
  for (const json& entry : value) {
    if (!entry.is_object() || !entry.contains("name") || !entry.contains("template")) continue;
    const json& name = entry["name"];
    const json& body = entry["template"];
    if (!name.is_string() || !body.is_string()) continue;
    const auto word = name.get<std::string>();
    const std::string key = "tokenizer.chat_template" + (word == "default" ? "" : "." + word);
    if (word.size() <= 64 && IsValidUtf8(word)) metadata.Set(key, body.get<std::string>());
  }
  return Ok{};
}

Result<> KeepTokenId(const Config& first, const Config& second, const char* from, const char* to,
                     Metadata& metadata) {
  const Config& holder = first.Has(from) ? first : second;
  TATARA_TRY(const auto ids, holder.IntsOrNone(from));
  if (!ids.empty() && ids[0] >= 0) metadata.Set(to, static_cast<std::uint64_t>(ids[0]));
  return Ok{};
}

// A folder inside the model's own, by a name that leads nowhere else.
bool IsInnerFolder(const std::string& name) {
  if (name.empty() || name.size() > 255 || name.find('\\') != name.npos ||
      name.find('\0') != name.npos || !IsValidUtf8(name)) {
    return false;
  }
  const fs::path path(name);
  return path.is_relative() && std::ranges::none_of(path, [](const fs::path& part) {
           return part == "." || part == "..";
         });
}

// Where the settings of the pooling lie, if there is one; refuses what is not computed after the
// model. Vectors are divided by their norm with or without a module that says so.
Result<std::optional<std::string>> ReadModules(const fs::path& path) {
  TATARA_TRY(const std::string text, ReadWholeFile(path, kConfigBytesMax));
  const json modules = json::parse(text, nullptr, false);
  if (!modules.is_array()) return Refuse("{0}: no JSON array", path.string());
  const auto member = [](const json& module, const char* key) -> std::string {
    if (!module.is_object() || !module.contains(key) || !module[key].is_string()) return "";
    return module[key].get<std::string>();
  };
  std::optional<std::string> pooling;
  for (const json& module : modules) {
    const std::string type = member(module, "type");
    const std::string last = type.substr(type.rfind('.') + 1);
    if (last == "Transformer" || last == "Normalize") continue;
    if (last != "Pooling" || pooling) {
      return Refuse("{0}: the module '{1}' after the model is not computed here", path.string(),
                    Printable(type));
    }
    pooling = member(module, "path");
    if (!IsInnerFolder(*pooling)) {
      return Refuse("{0}: the module '{1}' lies in '{2}', which is no folder of this model",
                    path.string(), Printable(type), Printable(*pooling));
    }
  }
  return pooling;
}

// GGUF's number of the one pooling that is asked for.
Result<std::uint64_t> PoolingOf(const Config& config) {
  constexpr std::string_view kPrefix = "pooling_mode";
  constexpr std::pair<std::string_view, std::uint64_t> kKnown[] = {
      {"mean", 1},      {"pooling_mode_mean_tokens", 1}, {"cls", 2}, {"pooling_mode_cls_token", 2},
      {"lasttoken", 3}, {"pooling_mode_lasttoken", 3}};
  std::vector<std::string> asked;
  bool says = false;
  for (const std::string& key : config.Keys()) {
    if (!key.starts_with(kPrefix)) continue;
    says = true;
    if (key == kPrefix) {
      TATARA_TRY(const std::string word, config.StringOr(key, ""));
      asked.push_back(word);
    } else {
      TATARA_TRY(const bool yes, config.BoolOr(key, false));
      if (yes) asked.push_back(key);
    }
  }
  if (!says) return std::uint64_t{1};  // what sentence-transformers does unless told
  for (const std::string& mode : asked) {
    const auto* known =
        std::ranges::find(kKnown, mode, &std::pair<std::string_view, std::uint64_t>::first);
    if (known == std::end(kKnown)) {
      return Refuse("{0}: the pooling '{1}' is not computed here", config.origin(),
                    Printable(mode));
    }
    if (asked.size() == 1) return known->second;
  }
  return Refuse("{0}: {1} poolings are asked for, expected one", config.origin(), asked.size());
}

}  // namespace

Result<> ReadTokenizerFiles(const fs::path& folder, const Config& config, Metadata& metadata) {
  TATARA_RETURN_IF_ERROR(KeepText(folder / "tokenizer.json", kTokenizerBytesMax,
                                  "tokenizer.huggingface.json", metadata));
  TATARA_RETURN_IF_ERROR(KeepText(folder / "tokenizer_config.json", kConfigBytesMax,
                                  "tokenizer.huggingface.config", metadata));
  TATARA_RETURN_IF_ERROR(KeepTemplate(folder / "tokenizer_config.json", metadata));
  TATARA_RETURN_IF_ERROR(KeepText(folder / "chat_template.jinja", kConfigBytesMax,
                                  "tokenizer.chat_template", metadata));
  Config generation;
  if (IsThere(folder / "generation_config.json")) {
    TATARA_TRY(generation, Config::Read(folder / "generation_config.json", kConfigBytesMax));
    TATARA_RETURN_IF_ERROR(KeepText(folder / "generation_config.json", kConfigBytesMax,
                                    "tokenizer.huggingface.generation", metadata));
  }
  for (const auto& [from, to] : {std::pair{"bos_token_id", "tokenizer.ggml.bos_token_id"},
                                 {"eos_token_id", "tokenizer.ggml.eos_token_id"},
                                 {"pad_token_id", "tokenizer.ggml.padding_token_id"}}) {
    TATARA_RETURN_IF_ERROR(KeepTokenId(generation, config, from, to, metadata));
  }
  return Ok{};
}

Result<> ReadSentenceFiles(const fs::path& folder, std::string_view architecture,
                           Metadata& metadata) {
  if (!IsThere(folder / "modules.json")) return Ok{};
  const std::string prefix = std::string(architecture) + ".";
  TATARA_TRY(const auto pooling, ReadModules(folder / "modules.json"));
  if (pooling) {
    TATARA_TRY(const Config config,
               Config::Read(folder / *pooling / "config.json", kConfigBytesMax));
    TATARA_TRY(const std::uint64_t number, PoolingOf(config));
    metadata.Set(prefix + "pooling_type", number);
  }
  if (IsThere(folder / "sentence_bert_config.json")) {
    TATARA_TRY(const Config length,
               Config::Read(folder / "sentence_bert_config.json", kConfigBytesMax));
    TATARA_TRY(const std::int64_t tokens, length.IntOr("max_seq_length", 0));
    if (tokens > 0) {
      metadata.Set(prefix + "embedding.max_tokens", static_cast<std::uint64_t>(tokens));
    }
  }
  return Ok{};
}

Result<> ReadVectorSizes(const Config& config, std::string_view architecture, Metadata& metadata) {
  const std::string prefix = std::string(architecture) + ".";
  if (!metadata.Has(prefix + "pooling_type")) return Ok{};
  TATARA_TRY(const auto sizes, config.IntsOrNone("matryoshka_dimensions"));
  TATARA_TRY(const bool any, config.BoolOr("is_matryoshka", false));
  if (!sizes.empty()) {
    metadata.Set(prefix + "embedding.matryoshka_dimensions", sizes);
  } else if (any) {
    metadata.Set(prefix + "embedding.matryoshka_least", std::uint64_t{1});
  }
  return Ok{};
}

}  // namespace tatara::weights
