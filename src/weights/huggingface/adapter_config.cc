#include "huggingface/adapter_config.h"

#include <algorithm>
#include <array>
#include <cmath>
#include <nlohmann/json.hpp>

#include "huggingface/config.h"
#include "tatara/base/files.h"
#include "tatara/base/json_nesting.h"
#include "tatara/base/utf8.h"
#include "tatara/weights/adapter_file.h"

namespace tatara::weights {
namespace {

using Json = nlohmann::ordered_json;  // of patterns the first that fits counts

constexpr std::size_t kPatternsMax = 65536;

// Settings that the adapter's tensors say again, or that concern its training only.
constexpr std::array<std::string_view, 22> kInformational = {
    "peft_type",      "task_type",         "base_model_name_or_path",
    "revision",       "auto_mapping",      "inference_mode",
    "target_modules", "exclude_modules",   "layers_to_transform",
    "layers_pattern", "lora_dropout",      "fan_in_fan_out",
    "peft_version",   "runtime_config",    "loftq_config",
    "eva_config",     "qalora_group_size", "ensure_weight_tying",
    "megatron_core",  "lora_ga_config",    "corda_config",
    "arrow_config"};
// Settings that are read below.
constexpr std::array<std::string_view, 8> kRead = {
    "r",    "lora_alpha",   "use_rslora",    "use_dora",
    "bias", "rank_pattern", "alpha_pattern", "init_lora_weights"};

bool IsNothing(const Json& value) {
  return value.is_null() || value == Json(false) || (value.is_structured() && value.empty());
}

Error AsksForMore(const std::string& origin, std::string_view key) {
  return Refuse(
      "{0}: the key '{1}' asks for something that adapters do not do here; ignoring it could give "
      "wrong answers",
      origin, Printable(key));
}

Result<double> Number(const Json& root, const std::string& origin, const char* key) {
  if (!root.contains(key) || !root[key].is_number()) {
    return Refuse("{0}: the key '{1}' is missing or no number", origin, key);
  }
  return root[key].get<double>();
}

Result<bool> Flag(const Json& root, const std::string& origin, const char* key) {
  if (!root.contains(key) || root[key].is_null()) return false;
  if (!root[key].is_boolean()) return Refuse("{0}: the key '{1}' is no boolean", origin, key);
  return root[key].get<bool>();
}

// Patterns are regular expressions that have to meet a name's end after a dot, or all of it. Names
// are what people write; of the rest only "^", "$" and "\." are read.
Result<ModulePattern> ParsePattern(std::string_view text, const std::string& origin) {
  ModulePattern pattern;
  const std::string_view whole = text;
  if (text.starts_with('^')) {
    pattern.whole = true;
    text.remove_prefix(1);
  }
  if (text.ends_with('$')) text.remove_suffix(1);
  for (std::size_t i = 0; i < text.size(); ++i) {
    if (text[i] == '\\' && i + 1 < text.size() && text[i + 1] == '.') ++i;
    const char c = text[i];
    const bool plain = (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') ||
                       c == '_' || c == '-' || c == '.';
    if (!plain) {
      return Refuse(
          "{0}: the pattern '{1}' is more than a module's name, which is all that is read", origin,
          Printable(whole));
    }
    pattern.words += c;
  }
  return pattern;
}

Result<std::vector<ModulePattern>> Patterns(const Json& root, const std::string& origin,
                                            const char* key) {
  std::vector<ModulePattern> patterns;
  if (!root.contains(key) || root[key].is_null()) return patterns;
  if (!root[key].is_object() || root[key].size() > kPatternsMax) {
    return Refuse("{0}: the key '{1}' is no object of numbers", origin, key);
  }
  for (const auto& [name, value] : root[key].items()) {
    if (!value.is_number())
      return Refuse("{0}: the key '{1}' is no object of numbers", origin, key);
    TATARA_TRY(ModulePattern pattern, ParsePattern(name, origin));
    pattern.value = value.get<double>();
    patterns.push_back(std::move(pattern));
  }
  return patterns;
}

const ModulePattern* FirstThatFits(const std::vector<ModulePattern>& patterns,
                                   std::string_view module) {
  for (const ModulePattern& pattern : patterns) {
    if (module == pattern.words) return &pattern;
    if (!pattern.whole && module.ends_with(pattern.words) &&
        module[module.size() - pattern.words.size() - 1] == '.') {
      return &pattern;
    }
  }
  return nullptr;
}

// Ways to begin that leave the model's own weights as published. The others (PiSSA, OLoRA, ...)
// take something out of them, which such a file alone does not say.
Result<> CheckBeginning(const Json& root, const std::string& origin) {
  if (!root.contains("init_lora_weights")) return Ok{};
  const Json& value = root["init_lora_weights"];
  if (value.is_null() || value.is_boolean()) return Ok{};
  for (const char* harmless : {"gaussian", "eva", "orthogonal"}) {
    if (value == Json(harmless)) return Ok{};
  }
  return AsksForMore(origin, "init_lora_weights");
}

Result<> CheckKeys(const Json& root, const std::string& origin) {
  if (!root.contains("peft_type") || root["peft_type"] != Json("LORA")) {
    return Refuse("{0}: the key 'peft_type' is not 'LORA', the only kind that is read", origin);
  }
  if (root.contains("bias") && root["bias"] != Json("none") && !root["bias"].is_null()) {
    return AsksForMore(origin, "bias");
  }
  for (const auto& [key, value] : root.items()) {
    const auto is_key = [&](std::string_view known) { return known == key; };
    if (std::ranges::any_of(kInformational, is_key) || std::ranges::any_of(kRead, is_key)) continue;
    if (!IsNothing(value)) return AsksForMore(origin, key);
  }
  return CheckBeginning(root, origin);
}

}  // namespace

double AdapterConfig::ScaleOf(std::string_view module, std::int64_t rank_used) const {
  const ModulePattern* pattern = FirstThatFits(alphas, module);
  const double a = pattern == nullptr ? alpha : pattern->value;
  const auto r = static_cast<double>(rank_used);
  return rank_stabilised ? a / std::sqrt(r) : a / r;
}

std::int64_t AdapterConfig::RankOf(std::string_view module) const {
  const ModulePattern* pattern = FirstThatFits(ranks, module);
  return pattern == nullptr ? rank : static_cast<std::int64_t>(pattern->value);
}

Result<AdapterConfig> ReadAdapterConfig(const std::filesystem::path& path) {
  TATARA_TRY(const std::string text, ReadWholeFile(path, kConfigBytesMax));
  const std::string origin = path.string();
  if (JsonNestsTooDeeply(text)) {
    return Refuse("{0}: nested more than {1} deep", origin, kJsonNestingMax);
  }
  const Json root = Json::parse(text, nullptr, /*allow_exceptions=*/false);
  if (!root.is_object()) return Refuse("{0}: no JSON object", origin);
  TATARA_RETURN_IF_ERROR(CheckKeys(root, origin));
  AdapterConfig config;
  TATARA_TRY(config.alpha, Number(root, origin, "lora_alpha"));
  TATARA_TRY(const double rank, Number(root, origin, "r"));
  TATARA_TRY(config.rank_stabilised, Flag(root, origin, "use_rslora"));
  TATARA_TRY(config.dora, Flag(root, origin, "use_dora"));
  TATARA_TRY(config.alphas, Patterns(root, origin, "alpha_pattern"));
  TATARA_TRY(config.ranks, Patterns(root, origin, "rank_pattern"));
  const auto in_bounds = [](double r) {
    return r >= 1 && r <= static_cast<double>(kAdapterRankMax);
  };
  bool ranks_in_bounds = in_bounds(rank);
  for (const ModulePattern& pattern : config.ranks) ranks_in_bounds &= in_bounds(pattern.value);
  if (!ranks_in_bounds) {
    return Refuse("{0}: a rank is outside 1 to {1}", origin, kAdapterRankMax);
  }
  config.rank = static_cast<std::int64_t>(rank);
  return config;
}

}  // namespace tatara::weights
