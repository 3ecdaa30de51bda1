// How the decoders that can be exported say their keys in config.json: the inverse of families/.
#include <algorithm>

#include "huggingface/export_keys.h"

namespace tatara::weights {
namespace {

Result<> AddMistral(ExportKeys& keys) {
  keys.Copy("attention.sliding_window", "sliding_window");
  return AddUsual(keys);
}

Result<> AddMixtral(ExportKeys& keys) {
  keys.config["sliding_window"] = nullptr;
  CopyAll(keys, {{"attention.sliding_window", "sliding_window"},
                 {"expert_count", "num_local_experts"},
                 {"expert_used_count", "num_experts_per_tok"}});
  return AddUsual(keys);
}

// Cosines and sines keep their size; queries grow with their position.
Result<> AddMistral3(ExportKeys& keys) {
  TATARA_RETURN_IF_ERROR(AddUsual(keys));
  OrderedJson rope = keys.config["rope_scaling"];
  if (rope.is_null()) rope = {{"rope_type", "default"}};
  rope["rope_theta"] = keys.config["rope_theta"];
  keys.CopyTo("attention.temperature_scale", "llama_4_scaling_beta", rope);
  keys.CopyTo("rope.scaling.yarn_log_multiplier", "mscale_all_dim", rope);
  if (rope.contains("mscale_all_dim")) rope["mscale"] = 1.0;
  keys.config.erase("rope_scaling");
  keys.config.erase("rope_theta");
  keys.config["rope_parameters"] = rope;
  return Ok{};
}

Result<> AddQwen(ExportKeys& keys) {
  keys.config["use_sliding_window"] = false;
  return AddUsual(keys);
}

Result<> AddQwen3(ExportKeys& keys) {
  TATARA_RETURN_IF_ERROR(AddQwen(keys));
  keys.config["attention_bias"] = false;
  return Ok{};
}

void AddQwenExperts(ExportKeys& keys, bool renormalise) {
  keys.config["decoder_sparse_step"] = 1;
  keys.config["mlp_only_layers"] = OrderedJson::array();
  keys.config["norm_topk_prob"] = renormalise;
  CopyAll(keys, {{"expert_count", "num_experts"},
                 {"expert_used_count", "num_experts_per_tok"},
                 {"expert_feed_forward_length", "moe_intermediate_size"},
                 {"expert_shared_feed_forward_length", "shared_expert_intermediate_size"}});
}

Result<> AddQwen2Moe(ExportKeys& keys) {
  AddQwenExperts(keys, false);
  return AddQwen(keys);
}

Result<> AddQwen3Moe(ExportKeys& keys) {
  AddQwenExperts(keys, true);
  return AddQwen3(keys);
}

Result<> AddHybrid(ExportKeys& keys) {
  TATARA_RETURN_IF_ERROR(AddUsual(keys));
  keys.config["attention_bias"] = false;
  CopyAll(keys, {{"ssm.conv_kernel", "linear_conv_kernel_dim"},
                 {"ssm.state_size", "linear_key_head_dim"},
                 {"ssm.state_size", "linear_value_head_dim"},
                 {"ssm.group_count", "linear_num_key_heads"},
                 {"ssm.time_step_rank", "linear_num_value_heads"}});
  const std::int64_t interval = std::max<std::int64_t>(1, keys.Int("full_attention_interval", 4));
  AddLayerTypes(keys, interval, "linear_attention");
  const auto recurrent = keys.metadata().Ints(keys.Full("attention.recurrent_layers"));
  if (!recurrent) {
    keys.config["full_attention_interval"] = interval;
    return Ok{};
  }
  OrderedJson& kinds = keys.config["layer_types"];
  for (std::size_t i = 0; i < std::min(recurrent->size(), kinds.size()); ++i) {
    kinds[i] = (*recurrent)[i] != 0 ? "linear_attention" : "full_attention";
  }
  return Ok{};
}

Result<> AddQwen3Next(ExportKeys& keys) {
  AddQwenExperts(keys, true);
  // What the shared expert is where the model says nothing else.
  if (!keys.config.contains("shared_expert_intermediate_size")) {
    keys.Copy("feed_forward_length", "shared_expert_intermediate_size");
  }
  return AddHybrid(keys);
}

Result<> AddQwen35(ExportKeys& keys) {
  TATARA_RETURN_IF_ERROR(AddHybrid(keys));
  OrderedJson& config = keys.config;
  OrderedJson rope = config["rope_scaling"];
  if (rope.is_null()) rope = {{"rope_type", "default"}};
  rope["rope_theta"] = config["rope_theta"];
  rope["partial_rotary_factor"] = config.value("partial_rotary_factor", 1.0);
  auto sections = keys.metadata().Ints(keys.Full("rope.dimension_sections"));
  if (sections && !sections->empty()) {
    if (sections->size() == 4 && sections->back() == 0) sections->pop_back();
    rope["mrope_section"] = *sections;
    rope["mrope_interleaved"] = true;
  }
  config.erase("rope_scaling");
  config.erase("rope_theta");
  config["rope_parameters"] = rope;
  return Ok{};
}

Result<> AddQwen35Moe(ExportKeys& keys) {
  AddQwenExperts(keys, true);
  return AddQwen35(keys);
}

// The 27B models scale scores by what is left of the embedding for each head.
Result<> AddGemma(ExportKeys& keys, std::int64_t layers_of_27b) {
  TATARA_RETURN_IF_ERROR(AddUsual(keys));
  OrderedJson& config = keys.config;
  config.erase("hidden_act");
  config["hidden_activation"] = "gelu_pytorch_tanh";
  config["query_pre_attn_scalar"] =
      keys.Int("block_count") == layers_of_27b
          ? keys.Int("embedding_length") /
                std::max<std::int64_t>(1, keys.Int("attention.head_count"))
          : config["head_dim"].get<std::int64_t>();
  keys.Copy("attention.sliding_window", "sliding_window");
  return Ok{};
}

// Of every so many layers the last sees all keys.
constexpr std::string_view kWindowPeriod = "attention.sliding_window_pattern";

Result<> AddGemma2(ExportKeys& keys) {
  CopyAll(keys, {{"attn_logit_softcapping", "attn_logit_softcapping"},
                 {"final_logit_softcapping", "final_logit_softcapping"}});
  if (const std::int64_t period = keys.Int(kWindowPeriod, 2); period > 0 && period != 2) {
    keys.config["sliding_window_pattern"] = period;
    AddLayerTypes(keys, period);
  }
  return AddGemma(keys, 46);
}

Result<> AddGemma3(ExportKeys& keys) {
  keys.config["rope_local_base_freq"] = 10000.0;
  keys.Copy("rope.freq_base_swa", "rope_local_base_freq");
  const std::int64_t period = std::max<std::int64_t>(1, keys.Int(kWindowPeriod, 6));
  keys.config["sliding_window_pattern"] = period;
  AddLayerTypes(keys, period);
  return AddGemma(keys, 62);
}

// A value of every layer, where the key has one for all of them.
std::vector<std::int64_t> ByLayer(const ExportKeys& keys, std::string_view name) {
  const auto several = keys.metadata().Ints(keys.Full(name));
  if (several) return *several;
  return std::vector<std::int64_t>(static_cast<std::size_t>(keys.n_layers()), keys.Int(name));
}

OrderedJson Gemma4Ropes(const ExportKeys& keys) {
  const TensorView* divisors = keys.store.Find("rope_freqs.weight");
  double share = 1;
  if (divisors != nullptr) {
    std::vector<float> values(static_cast<std::size_t>(divisors->n_rows() * divisors->n_cols()));
    numerics::Dequantize(divisors->dtype, divisors->data, values);
    share =
        static_cast<double>(std::ranges::count(values, 1.0F)) / static_cast<double>(values.size());
  }
  return {{"full_attention",
           {{"rope_type", "proportional"},
            {"partial_rotary_factor", share},
            {"rope_theta", keys.Float("rope.freq_base", 1e6)}}},
          {"sliding_attention",
           {{"rope_type", "default"}, {"rope_theta", keys.Float("rope.freq_base_swa", 1e4)}}}};
}

Result<> AddGemma4(ExportKeys& keys) {
  OrderedJson& config = keys.config;
  CopyAll(keys, {{"embedding_length", "hidden_size"},
                 {"block_count", "num_hidden_layers"},
                 {"attention.head_count", "num_attention_heads"},
                 {"attention.key_length_swa", "head_dim"},
                 {"attention.key_length", "global_head_dim"},
                 {"context_length", "max_position_embeddings"},
                 {"attention.layer_norm_rms_epsilon", "rms_norm_eps"},
                 {"attention.sliding_window", "sliding_window"},
                 {"attention.shared_kv_layers", "num_kv_shared_layers"},
                 {"final_logit_softcapping", "final_logit_softcapping"}});
  config["hidden_activation"] = "gelu_pytorch_tanh";
  config["attention_bias"] = false;
  config["hidden_size_per_layer_input"] = keys.Int("embedding_length_per_layer_input");
  if (const TensorView* own = keys.store.Find("per_layer_token_embd.weight"); own != nullptr) {
    config["vocab_size_per_layer_input"] = own->n_rows();
  }
  const std::vector<std::int64_t> windowed = ByLayer(keys, "attention.sliding_window_pattern");
  const std::vector<std::int64_t> n_kv_heads = ByLayer(keys, "attention.head_count_kv");
  const std::vector<std::int64_t> n_ff = ByLayer(keys, "feed_forward_length");
  OrderedJson kinds = OrderedJson::array();
  for (std::size_t i = 0; i < windowed.size() && i < n_kv_heads.size(); ++i) {
    kinds.push_back(windowed[i] != 0 ? "sliding_attention" : "full_attention");
    const char* key = windowed[i] != 0 ? "num_key_value_heads" : "num_global_key_value_heads";
    config[key] = n_kv_heads[i];
  }
  config["layer_types"] = kinds;
  if (!config.contains("num_key_value_heads")) {
    config["num_key_value_heads"] = config.value("num_global_key_value_heads", std::int64_t{0});
  }
  if (!n_ff.empty()) {
    config["intermediate_size"] = n_ff.front();
    config["use_double_wide_mlp"] = n_ff.back() != n_ff.front();
  }
  // Global layers without a matrix of values take them from the keys'.
  bool keys_are_values = false;
  for (std::size_t i = 0; i < windowed.size(); ++i) {
    const std::string block = "blk." + std::to_string(i);
    keys_are_values |= windowed[i] == 0 && keys.HasTensor(block + ".attn_k.weight") &&
                       !keys.HasTensor(block + ".attn_v.weight");
  }
  config["attention_k_eq_v"] = keys_are_values;
  config["rope_parameters"] = Gemma4Ropes(keys);
  config["enable_moe_block"] = keys.Int("expert_count") > 0;
  if (keys.Int("expert_count") > 0) {
    CopyAll(keys, {{"expert_count", "num_experts"},
                   {"expert_used_count", "top_k_experts"},
                   {"expert_feed_forward_length", "moe_intermediate_size"}});
  }
  return Ok{};
}

Result<> AddSmolLM3(ExportKeys& keys) {
  OrderedJson turned = OrderedJson::array();
  for (std::int64_t i = 0; i < keys.n_layers(); ++i) {
    turned.push_back((i + 1) % 4 != 0 ? 1 : 0);
  }
  keys.config["no_rope_layers"] = turned;
  keys.config["no_rope_layer_interval"] = 4;
  return AddQwen3(keys);
}

Result<> AddGranite(ExportKeys& keys) {
  CopyAll(keys, {{"embedding_scale", "embedding_multiplier"},
                 {"residual_scale", "residual_multiplier"},
                 {"attention.scale", "attention_multiplier"},
                 {"logit_scale", "logits_scaling"}});
  return AddUsual(keys);
}

Result<> AddGraniteMoe(ExportKeys& keys) {
  CopyAll(keys, {{"expert_count", "num_local_experts"},
                 {"expert_used_count", "num_experts_per_tok"},
                 {"expert_shared_feed_forward_length", "shared_intermediate_size"}});
  return AddGranite(keys);
}

Result<> AddPhi3(ExportKeys& keys) {
  keys.config["sliding_window"] = nullptr;
  keys.Copy("attention.sliding_window", "sliding_window");
  return AddUsual(keys);
}

Result<> AddOlmo3(ExportKeys& keys) {
  keys.Copy("attention.sliding_window", "sliding_window");
  AddLayerTypes(keys, 4);
  return AddUsual(keys);
}

Result<> AddCohere(ExportKeys& keys) {
  keys.Copy("logit_scale", "logit_scale");
  keys.config["use_qk_norm"] = keys.HasTensor("blk.0.attn_q_norm.weight");
  return AddUsual(keys);
}

Result<> AddCohere2(ExportKeys& keys) {
  keys.Copy("logit_scale", "logit_scale");
  keys.Copy("attention.sliding_window", "sliding_window");
  AddLayerTypes(keys, 4);
  return AddUsual(keys);
}

Result<> AddGlm4(ExportKeys& keys) {
  TATARA_RETURN_IF_ERROR(AddUsual(keys));
  keys.config["attention_bias"] = keys.HasTensor("blk.0.attn_q.bias");
  if (!keys.config.contains("partial_rotary_factor")) keys.config["partial_rotary_factor"] = 1.0;
  return Ok{};
}

void AddRoutedExperts(ExportKeys& keys) {
  CopyAll(keys, {{"expert_count", "n_routed_experts"},
                 {"expert_used_count", "num_experts_per_tok"},
                 {"expert_feed_forward_length", "moe_intermediate_size"},
                 {"leading_dense_block_count", "first_k_dense_replace"},
                 {"expert_weights_scale", "routed_scaling_factor"},
                 {"expert_shared_count", "n_shared_experts"}});
  // Files of models without a scale carry 0 for it.
  if (keys.Float("expert_weights_scale") == 0) keys.config["routed_scaling_factor"] = 1.0;
  keys.config["num_nextn_predict_layers"] = keys.Int("nextn_predict_layers");
}

Result<> AddGlm4Moe(ExportKeys& keys) {
  AddRoutedExperts(keys);
  keys.config["norm_topk_prob"] = keys.Bool("expert_weights_norm", false);
  keys.config["n_group"] = 1;
  keys.config["topk_group"] = 1;
  keys.config["use_qk_norm"] = keys.HasTensor("blk.0.attn_q_norm.weight");
  return AddGlm4(keys);
}

Result<> AddGptOss(ExportKeys& keys) {
  TATARA_RETURN_IF_ERROR(AddUsual(keys));
  CopyAll(keys, {{"expert_feed_forward_length", "intermediate_size"},
                 {"expert_count", "num_local_experts"},
                 {"expert_used_count", "num_experts_per_tok"},
                 {"attention.sliding_window", "sliding_window"}});
  keys.config["attention_bias"] = true;
  keys.config["swiglu_limit"] = 7.0;
  AddLayerTypes(keys, 2);
  return Ok{};
}

Result<> AddDeepseek(ExportKeys& keys) {
  OrderedJson& config = keys.config;
  CopyAll(keys, {{"embedding_length", "hidden_size"},
                 {"attention.head_count", "num_attention_heads"},
                 {"attention.head_count", "num_key_value_heads"},
                 {"attention.kv_lora_rank", "kv_lora_rank"},
                 {"rope.dimension_count", "qk_rope_head_dim"},
                 {"feed_forward_length", "intermediate_size"},
                 {"context_length", "max_position_embeddings"},
                 {"attention.layer_norm_rms_epsilon", "rms_norm_eps"}});
  config["num_hidden_layers"] = keys.n_layers();
  config["hidden_act"] = "silu";
  config["attention_bias"] = false;
  config["q_lora_rank"] = nullptr;
  if (keys.Int("attention.q_lora_rank") > 0) keys.Copy("attention.q_lora_rank", "q_lora_rank");
  // Older files have one matrix for keys and values, and heads as they are before the latent.
  const bool split = keys.Has("attention.key_length_mla");
  config["qk_nope_head_dim"] =
      keys.Int(split ? "attention.key_length_mla" : "attention.key_length") -
      keys.Int("rope.dimension_count");
  config["v_head_dim"] = keys.Int(split ? "attention.value_length_mla" : "attention.value_length");
  TATARA_RETURN_IF_ERROR(AddRope(keys));
  if (keys.Has("rope.scaling.yarn_log_multiplier") && config["rope_scaling"].is_object()) {
    const double multiplier = 10 * keys.Float("rope.scaling.yarn_log_multiplier");
    config["rope_scaling"]["mscale"] = multiplier;
    config["rope_scaling"]["mscale_all_dim"] = multiplier;
    config["rope_scaling"].erase("attention_factor");
  }
  AddRoutedExperts(keys);
  config["moe_layer_freq"] = 1;
  return Ok{};
}

Result<> AddDeepseekV2(ExportKeys& keys) {
  TATARA_RETURN_IF_ERROR(AddDeepseek(keys));
  const bool groups = keys.Int("expert_group_count") > 1;
  keys.config.erase("num_nextn_predict_layers");
  keys.config["scoring_func"] = "softmax";
  keys.config["norm_topk_prob"] = false;
  keys.config["topk_method"] = groups ? "group_limited_greedy" : "greedy";
  if (groups) {
    CopyAll(keys, {{"expert_group_count", "n_group"}, {"expert_group_used_count", "topk_group"}});
  }
  return Ok{};
}

Result<> AddDeepseekV3(ExportKeys& keys) {
  TATARA_RETURN_IF_ERROR(AddDeepseek(keys));
  keys.config["scoring_func"] = "sigmoid";
  keys.config["topk_method"] = "noaux_tc";
  keys.config["norm_topk_prob"] = keys.Bool("expert_weights_norm", false);
  keys.config["n_group"] = std::max<std::int64_t>(1, keys.Int("expert_group_count", 1));
  keys.config["topk_group"] = std::max<std::int64_t>(1, keys.Int("expert_group_used_count", 1));
  return Ok{};
}

bool HasSigmoidRouter(const TensorStore& store) {
  const auto kind = store.metadata().IntOr("deepseek2.expert_gating_func", 0);
  const auto dense = store.metadata().IntOr("deepseek2.leading_dense_block_count", 0);
  if (kind.ok() && *kind != 0) return *kind == 2;
  return dense.ok() && store.Find("blk." + std::to_string(*dense) + ".exp_probs_b.bias") != nullptr;
}

Result<> AddGpt2(ExportKeys& keys) {
  CopyAll(keys, {{"embedding_length", "n_embd"},
                 {"block_count", "n_layer"},
                 {"attention.head_count", "n_head"},
                 {"context_length", "n_positions"},
                 {"feed_forward_length", "n_inner"},
                 {"attention.layer_norm_epsilon", "layer_norm_epsilon"}});
  keys.config["activation_function"] = "gelu_new";
  return Ok{};
}

constexpr std::string_view kOfDeepseek[] = {"attention.head_count_kv", "attention.key_length",
                                            "attention.value_length"};
// Its feed-forward has experts only.
constexpr std::string_view kOfGptOss[] = {"feed_forward_length"};
constexpr std::string_view kOfGpt2[] = {"attention.head_count_kv", "attention.key_length",
                                        "attention.value_length", "rope.dimension_count",
                                        "rope.freq_base"};
constexpr std::string_view kOfGlm4Moe[] = {"expert_group_count", "expert_group_used_count"};

constexpr std::string_view kModel = "model.";
constexpr std::string_view kExperts = "expert_count";
constexpr std::string_view kWindow = "attention.sliding_window";
const ExportForm kForms[] = {
    {"llama", "MixtralForCausalLM", "mixtral", kModel, kExperts, nullptr, AddMixtral},
    {"llama", "MistralForCausalLM", "mistral", kModel, kWindow, nullptr, AddMistral},
    {"llama", "LlamaForCausalLM", "llama", kModel, "", nullptr, AddUsual},
    {"mistral3", "Ministral3ForCausalLM", "ministral3", kModel, "", nullptr, AddMistral3},
    {"qwen2", "Qwen2ForCausalLM", "qwen2", kModel, "", nullptr, AddQwen},
    {"qwen2moe", "Qwen2MoeForCausalLM", "qwen2_moe", kModel, "", nullptr, AddQwen2Moe},
    {"qwen3", "Qwen3ForCausalLM", "qwen3", kModel, "", nullptr, AddQwen3},
    {"qwen3moe", "Qwen3MoeForCausalLM", "qwen3_moe", kModel, "", nullptr, AddQwen3Moe},
    {"qwen3next", "Qwen3NextForCausalLM", "qwen3_next", kModel, "", nullptr, AddQwen3Next},
    {"qwen35", "Qwen3_5ForCausalLM", "qwen3_5_text", kModel, "", nullptr, AddQwen35},
    {"qwen35moe", "Qwen3_5MoeForCausalLM", "qwen3_5_moe_text", kModel, "", nullptr, AddQwen35Moe},
    {"gemma2", "Gemma2ForCausalLM", "gemma2", kModel, "", nullptr, AddGemma2},
    {"gemma3", "Gemma3ForCausalLM", "gemma3_text", kModel, "", nullptr, AddGemma3},
    {"gemma4", "Gemma4ForCausalLM", "gemma4_text", kModel, "", nullptr, AddGemma4},
    {"smollm3", "SmolLM3ForCausalLM", "smollm3", kModel, "", nullptr, AddSmolLM3},
    {"granite", "GraniteForCausalLM", "granite", kModel, "", nullptr, AddGranite},
    {"granitemoe", "GraniteMoeSharedForCausalLM", "granitemoeshared", kModel,
     "expert_shared_feed_forward_length", nullptr, AddGraniteMoe},
    {"granitemoe", "GraniteMoeForCausalLM", "granitemoe", kModel, "", nullptr, AddGraniteMoe},
    {"phi3", "Phi3ForCausalLM", "phi3", kModel, "", nullptr, AddPhi3},
    {"olmo2", "Olmo3ForCausalLM", "olmo3", kModel, kWindow, nullptr, AddOlmo3},
    {"olmo2", "Olmo2ForCausalLM", "olmo2", kModel, "", nullptr, AddUsual},
    {"command-r", "CohereForCausalLM", "cohere", kModel, "", nullptr, AddCohere},
    {"cohere2", "Cohere2ForCausalLM", "cohere2", kModel, "", nullptr, AddCohere2},
    {"glm4", "Glm4ForCausalLM", "glm4", kModel, "", nullptr, AddGlm4},
    {"glm4moe", "Glm4MoeForCausalLM", "glm4_moe", kModel, "", nullptr, AddGlm4Moe, kOfGlm4Moe},
    {"gpt-oss", "GptOssForCausalLM", "gpt_oss", kModel, "", nullptr, AddGptOss, kOfGptOss},
    {"deepseek2", "DeepseekV3ForCausalLM", "deepseek_v3", kModel, "", HasSigmoidRouter,
     AddDeepseekV3, kOfDeepseek},
    {"deepseek2", "DeepseekV2ForCausalLM", "deepseek_v2", kModel, "", nullptr, AddDeepseekV2,
     kOfDeepseek},
    {"gpt2", "GPT2LMHeadModel", "gpt2", "transformer.", "", nullptr, AddGpt2, kOfGpt2},
};

}  // namespace

std::span<const ExportForm> ExportDecoders() {
  return kForms;
}

}  // namespace tatara::weights
