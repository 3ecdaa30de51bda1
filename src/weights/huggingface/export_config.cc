#include "huggingface/export_config.h"

#include <algorithm>
#include <cmath>
#include <nlohmann/json.hpp>

#include "huggingface/config.h"
#include "utf8.h"

namespace tatara::weights {
namespace {

using Json = nlohmann::ordered_json;

std::string KeyOf(const Metadata& keys, std::string_view name) {
  const auto architecture = keys.String("general.architecture");
  return (architecture.ok() ? *architecture : std::string()) + "." + std::string(name);
}

std::int64_t IntOf(const Metadata& keys, std::string_view name) {
  const auto value = keys.IntOr(KeyOf(keys, name), 0);
  return value.ok() ? *value : 0;
}

// Lists of one value a layer are made before the count is checked.
constexpr std::int64_t kLayersMax = 1 << 14;
std::int64_t LayersOf(const Metadata& keys) {
  return std::clamp<std::int64_t>(IntOf(keys, "block_count"), 0, kLayersMax);
}

// A number under its published name, where the model has it.
void Copy(const Metadata& keys, std::string_view from, const char* to, Json& config) {
  const std::string key = KeyOf(keys, from);
  if (const auto whole = keys.Int(key); whole.ok()) {
    config[to] = *whole;
  } else if (const auto number = keys.Float(key); number.ok()) {
    config[to] = *number;
  }
}

void AddSilu(const Metadata&, Json& config) {
  config["hidden_act"] = "silu";
}

void AddMistral(const Metadata& keys, Json& config) {
  AddSilu(keys, config);
  Copy(keys, "attention.sliding_window", "sliding_window", config);
}

void AddMixtral(const Metadata& keys, Json& config) {
  AddMistral(keys, config);
  if (!config.contains("sliding_window")) config["sliding_window"] = nullptr;
  Copy(keys, "expert_count", "num_local_experts", config);
  Copy(keys, "expert_used_count", "num_experts_per_tok", config);
}

void AddQwen(const Metadata& keys, Json& config) {
  AddSilu(keys, config);
  config["use_sliding_window"] = false;
}

void AddQwen3(const Metadata& keys, Json& config) {
  AddQwen(keys, config);
  config["attention_bias"] = false;
}

void AddQwenExperts(const Metadata& keys, Json& config) {
  config["decoder_sparse_step"] = 1;
  config["mlp_only_layers"] = Json::array();
  Copy(keys, "expert_count", "num_experts", config);
  Copy(keys, "expert_used_count", "num_experts_per_tok", config);
  Copy(keys, "expert_feed_forward_length", "moe_intermediate_size", config);
}

void AddQwen2Moe(const Metadata& keys, Json& config) {
  AddQwen(keys, config);
  AddQwenExperts(keys, config);
  config["norm_topk_prob"] = false;
  Copy(keys, "expert_shared_feed_forward_length", "shared_expert_intermediate_size", config);
}

void AddQwen3Moe(const Metadata& keys, Json& config) {
  AddQwen3(keys, config);
  AddQwenExperts(keys, config);
  config["norm_topk_prob"] = true;
}

// The 27B models scale scores by what is left of the embedding for each head.
void AddGemma(const Metadata& keys, std::int64_t layers_of_27b, Json& config) {
  config["hidden_activation"] = "gelu_pytorch_tanh";
  config["query_pre_attn_scalar"] =
      IntOf(keys, "block_count") == layers_of_27b
          ? IntOf(keys, "embedding_length") /
                std::max<std::int64_t>(1, IntOf(keys, "attention.head_count"))
          : config["head_dim"].get<std::int64_t>();
  Copy(keys, "attention.sliding_window", "sliding_window", config);
}

void AddGemma2(const Metadata& keys, Json& config) {
  AddGemma(keys, 46, config);
  Copy(keys, "attn_logit_softcapping", "attn_logit_softcapping", config);
  Copy(keys, "final_logit_softcapping", "final_logit_softcapping", config);
}

void AddGemma3(const Metadata& keys, Json& config) {
  AddGemma(keys, 62, config);
  config["rope_local_base_freq"] = 10000.0;
  Copy(keys, "rope.freq_base_swa", "rope_local_base_freq", config);
  config["sliding_window_pattern"] = 6;
  Json kinds = Json::array();
  for (std::int64_t i = 0; i < LayersOf(keys); ++i) {
    kinds.push_back((i + 1) % 6 == 0 ? "full_attention" : "sliding_attention");
  }
  config["layer_types"] = kinds;
}

void AddSmolLM3(const Metadata& keys, Json& config) {
  AddQwen3(keys, config);
  Json turned = Json::array();
  for (std::int64_t i = 0; i < LayersOf(keys); ++i) {
    turned.push_back((i + 1) % 4 != 0 ? 1 : 0);
  }
  config["no_rope_layers"] = turned;
  config["no_rope_layer_interval"] = 4;
}

void AddGranite(const Metadata& keys, Json& config) {
  AddSilu(keys, config);
  Copy(keys, "embedding_scale", "embedding_multiplier", config);
  Copy(keys, "residual_scale", "residual_multiplier", config);
  Copy(keys, "attention.scale", "attention_multiplier", config);
  Copy(keys, "logit_scale", "logits_scaling", config);
}

struct KnownForm {
  std::string_view architecture, model_class, model_type;
  std::string_view sign;  // a key that is there and not 0; the first form that fits counts
  void (*add)(const Metadata& keys, Json& config);
};
constexpr KnownForm kForms[] = {
    {"llama", "MixtralForCausalLM", "mixtral", "expert_count", AddMixtral},
    {"llama", "MistralForCausalLM", "mistral", "attention.sliding_window", AddMistral},
    {"llama", "LlamaForCausalLM", "llama", "", AddSilu},
    {"qwen2", "Qwen2ForCausalLM", "qwen2", "", AddQwen},
    {"qwen2moe", "Qwen2MoeForCausalLM", "qwen2_moe", "", AddQwen2Moe},
    {"qwen3", "Qwen3ForCausalLM", "qwen3", "", AddQwen3},
    {"qwen3moe", "Qwen3MoeForCausalLM", "qwen3_moe", "", AddQwen3Moe},
    {"gemma2", "Gemma2ForCausalLM", "gemma2", "", AddGemma2},
    {"gemma3", "Gemma3ForCausalLM", "gemma3_text", "", AddGemma3},
    {"smollm3", "SmolLM3ForCausalLM", "smollm3", "", AddSmolLM3},
    {"granite", "GraniteForCausalLM", "granite", "", AddGranite},
};

// The divisors that Llama 3's scaling gives for each pair (transformers,
// modeling_rope_utils.py, _compute_llama3_parameters).
std::vector<double> Llama3Divisors(double base, std::int64_t n_pairs, double factor) {
  constexpr double kLow = 1, kHigh = 4, kOriginal = 8192;
  std::vector<double> divisors;
  for (std::int64_t i = 0; i < n_pairs; ++i) {
    const double frequency = std::pow(base, -static_cast<double>(i) / static_cast<double>(n_pairs));
    const double turns = kOriginal * frequency / (2 * 3.141592653589793);
    const double smooth = std::clamp((turns - kLow) / (kHigh - kLow), 0.0, 1.0);
    divisors.push_back(1 / ((1 - smooth) / factor + smooth));
  }
  return divisors;
}

// GGUF keeps Llama 3's scaling as the divisors that follow from it.
Result<Json> ScalingOfDivisors(const TensorStore& store, const TensorView& view, double base) {
  std::vector<float> found(static_cast<std::size_t>(view.n_rows() * view.n_cols()));
  numerics::Dequantize(view.dtype, view.data, found);
  for (const double factor : {8.0, 32.0}) {  // Llama 3.1 and 3.2
    const auto expected = Llama3Divisors(base, std::ssize(found), factor);
    const bool equal = std::ranges::equal(
        found, expected, [](double a, double b) { return std::abs(a - b) <= 1e-4 * b; });
    if (!equal) continue;
    return Json{{"rope_type", "llama3"},
                {"factor", factor},
                {"low_freq_factor", 1.0},
                {"high_freq_factor", 4.0},
                {"original_max_position_embeddings", 8192}};
  }
  return Refuse("{0}: the divisors in '{1}' follow from no published scaling known here",
                store.path().string(), view.name);
}

Result<> AddRope(const TensorStore& store, Json& config) {
  const Metadata& keys = store.metadata();
  TATARA_TRY(const double base, keys.FloatOr(KeyOf(keys, "rope.freq_base"), 10000));
  config["rope_theta"] = base;
  const std::int64_t n_rot = IntOf(keys, "rope.dimension_count");
  const auto head = config["head_dim"].get<std::int64_t>();
  if (n_rot != 0 && n_rot != head) {
    config["partial_rotary_factor"] = static_cast<double>(n_rot) / static_cast<double>(head);
  }
  if (const TensorView* divisors = store.Find("rope_freqs.weight"); divisors != nullptr) {
    TATARA_TRY(config["rope_scaling"], ScalingOfDivisors(store, *divisors, base));
    return Ok{};
  }
  TATARA_TRY(const std::string type, keys.StringOr(KeyOf(keys, "rope.scaling.type"), "none"));
  config["rope_scaling"] = nullptr;
  if (type == "none") return Ok{};
  Json scaling = {{"rope_type", type}};
  for (const auto& [from, to] : {std::pair{"rope.scaling.factor", "factor"},
                                 {"rope.scaling.low_freq_factor", "low_freq_factor"},
                                 {"rope.scaling.high_freq_factor", "high_freq_factor"},
                                 {"rope.scaling.yarn_beta_fast", "beta_fast"},
                                 {"rope.scaling.yarn_beta_slow", "beta_slow"},
                                 {"rope.scaling.yarn_attn_factor", "attention_factor"}}) {
    Copy(keys, from, to, scaling);
  }
  if (type != "linear") {
    Copy(keys, "rope.scaling.original_context_length", "original_max_position_embeddings", scaling);
  }
  config["rope_scaling"] = scaling;
  return Ok{};
}

void AddTokenIds(const Metadata& keys, Json& config) {
  for (const auto& [from, to] : {std::pair{"tokenizer.ggml.bos_token_id", "bos_token_id"},
                                 {"tokenizer.ggml.eos_token_id", "eos_token_id"},
                                 {"tokenizer.ggml.padding_token_id", "pad_token_id"}}) {
    if (const auto id = keys.Int(from); id.ok()) config[to] = *id;
  }
}

// Keys that say nothing of their own, or nothing where they have this value.
bool IsNeutral(const Metadata& keys, std::string_view name) {
  if (name == "tensor_data_layout" || name == "rope.scaling.finetuned" || name == "vocab_size") {
    return true;
  }
  const std::string full = KeyOf(keys, name);
  const auto number = keys.Float(full);
  if (name == "rope.scaling.original_context_length") {
    const auto type = keys.StringOr(KeyOf(keys, "rope.scaling.type"), "none");
    return type.ok() && (*type == "linear" || *type == "none");
  }
  if (name == "rope.scaling.factor" || name == "rope.scaling.attn_factor") {
    return number.ok() && *number == 1;
  }
  if (name == "expert_count" || name == "expert_used_count" || name == "attention.sliding_window") {
    return number.ok() && *number == 0;
  }
  const auto text = keys.String(full);
  return name == "rope.scaling.type" && text.ok() && *text == "none";
}

bool SameNumberOrText(const Metadata& a, const Metadata& b, const std::string& key) {
  if (const auto x = a.Float(key), y = b.Float(key); x.ok() && y.ok()) return *x == *y;
  if (const auto x = a.String(key), y = b.String(key); x.ok() && y.ok()) return *x == *y;
  const auto x = a.Bool(key), y = b.Bool(key);
  return x.ok() && y.ok() && *x == *y;
}

}  // namespace

Result<ExportForm> FindExportForm(const Metadata& keys) {
  TATARA_TRY(const std::string architecture, keys.String("general.architecture"));
  for (const KnownForm& form : kForms) {
    if (form.architecture != architecture) continue;
    if (!form.sign.empty() && IntOf(keys, form.sign) == 0) continue;
    return ExportForm{FindFamily(form.model_class), form.model_class, form.model_type, form.add};
  }
  return Refuse("{0}: '{1}' models cannot be written in a published layout here", keys.origin(),
                Printable(architecture));
}

Result<Json> MakeConfig(const TensorStore& store, const ExportForm& form,
                        const ConfigOptions& options) {
  const Metadata& keys = store.metadata();
  const auto key = [&](const char* name) { return KeyOf(keys, name); };
  Json config = {{"architectures", {form.model_class}}, {"model_type", form.model_type}};
  TATARA_TRY(const std::int64_t n_embd, keys.Int(key("embedding_length")));
  TATARA_TRY(const std::int64_t n_heads, keys.Int(key("attention.head_count")));
  if (n_heads < 1) {
    return Refuse("{0}: the key '{1}' is {2}", keys.origin(), key("attention.head_count"), n_heads);
  }
  TATARA_TRY(const std::int64_t n_kv_heads, keys.IntOr(key("attention.head_count_kv"), n_heads));
  TATARA_TRY(const std::int64_t head, keys.IntOr(key("attention.key_length"), n_embd / n_heads));
  TATARA_TRY(const std::int64_t value, keys.IntOr(key("attention.value_length"), head));
  if (value != head || head < 1) {
    return Refuse("{0}: heads of {1} with values of {2} have no place in the published layout",
                  keys.origin(), head, value);
  }
  config["hidden_size"] = n_embd;
  Copy(keys, "block_count", "num_hidden_layers", config);
  config["num_attention_heads"] = n_heads;
  config["num_key_value_heads"] = n_kv_heads;
  config["head_dim"] = head;
  Copy(keys, "feed_forward_length", "intermediate_size", config);
  Copy(keys, "context_length", "max_position_embeddings", config);
  if (const TensorView* embedding = store.Find("token_embd.weight"); embedding != nullptr) {
    config["vocab_size"] = embedding->n_rows();
  }
  Copy(keys, "attention.layer_norm_rms_epsilon", "rms_norm_eps", config);
  TATARA_RETURN_IF_ERROR(AddRope(store, config));
  if (store.Find("blk.0.attn_output.bias") != nullptr) config["attention_bias"] = true;
  if (store.Find("blk.0.ffn_down.bias") != nullptr) config["mlp_bias"] = true;
  config["tie_word_embeddings"] = options.tied_head;
  config["torch_dtype"] = options.dtype_name;
  AddTokenIds(keys, config);
  form.add(keys, config);
  return config;
}

Result<> CheckReadsBack(const TensorStore& store, const ExportForm& form,
                        const std::filesystem::path& config_path) {
  const Metadata& keys = store.metadata();
  TATARA_TRY(const Config config, Config::Read(config_path, kConfigBytesMax));
  Metadata back(config_path.string());
  back.Set("general.architecture", std::string(form.family->architecture));
  KeyWriter writer(config, form.family->architecture, back);
  TATARA_RETURN_IF_ERROR(form.family->write_keys(writer));
  const std::string prefix = std::string(form.family->architecture) + ".";
  for (const auto& [key, value] : keys.values()) {
    if (!key.starts_with(prefix) || IsNeutral(keys, key.substr(prefix.size()))) continue;
    if (!SameNumberOrText(keys, back, key)) {
      return Refuse("{0}: the key '{1}' has no place in the published layout of '{2}'",
                    keys.origin(), Printable(key), form.model_class);
    }
  }
  return Ok{};
}

}  // namespace tatara::weights
