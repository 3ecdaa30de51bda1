#include "huggingface/sidecars.h"

#include <nlohmann/json.hpp>

#include "tatara/base/files.h"
#include "utf8.h"

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
    if (word.size() <= 64 && IsUtf8(word)) metadata.Set(key, body.get<std::string>());
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
  TATARA_TRY(const std::string text, ReadWholeFile(folder / "modules.json", kConfigBytesMax));
  const json modules = json::parse(text, nullptr, false);
  if (!modules.is_array()) {
    return Refuse("{0}: no JSON array", (folder / "modules.json").string());
  }
  for (const json& module : modules) {
    if (!module.is_object() || !module.contains("type") || !module["type"].is_string()) continue;
    const auto type = module["type"].get<std::string>();
    if (type.ends_with(".Normalize")) metadata.Set(prefix + "embedding.normalise", true);
    if (type.ends_with(".Dense")) {
      return Refuse("{0}: the module '{1}' after the model is not computed here",
                    (folder / "modules.json").string(), Printable(type));
    }
  }
  if (IsThere(folder / "1_Pooling" / "config.json")) {
    TATARA_TRY(const Config pooling,
               Config::Read(folder / "1_Pooling" / "config.json", kConfigBytesMax));
    for (const auto& [key, number] : {std::pair{"pooling_mode_mean_tokens", std::uint64_t{1}},
                                      {"pooling_mode_cls_token", std::uint64_t{2}},
                                      {"pooling_mode_lasttoken", std::uint64_t{3}}}) {
      TATARA_TRY(const bool yes, pooling.BoolOr(key, false));
      if (yes) metadata.Set(prefix + "pooling_type", number);
    }
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

}  // namespace tatara::weights
