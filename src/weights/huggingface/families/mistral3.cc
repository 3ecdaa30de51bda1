// Mistral 3 (Ministral 3), text: Llama's form, YaRN without a change of cosines and sines, queries
// that grow with their position.
#include "huggingface/families/list.h"

namespace tatara::weights {
namespace {

const std::span<const Rename> kAll[] = {kDecoderEnds, kTwoNorms, kPairsAttention, kGatedFfn};

Result<> Mistral3(KeyWriter& keys) {
  TATARA_RETURN_IF_ERROR(WriteUsualKeys(keys));
  TATARA_RETURN_IF_ERROR(keys.OnlyString("hidden_act", {"silu"}));
  TATARA_TRY(const std::int64_t window, WindowOf(keys.config));
  if (window > 0) keys.SetInt("attention.sliding_window", window);  // which the model refuses
  const Config rope = RopeOf(keys.config);
  TATARA_TRY(const double beta, rope.FloatOr("llama_4_scaling_beta", 0));
  if (beta != 0) keys.Set("attention.temperature_scale", beta);
  TATARA_TRY(const double multiplier, rope.FloatOr("mscale_all_dim", 0));
  if (multiplier != 0) keys.Set("rope.scaling.yarn_log_multiplier", multiplier);
  return Ok{};
}

// Older models of this name have Mistral's text part.
bool IsMinistral(const Config& text) {
  const auto type = text.StringOr("model_type", "");
  return (type.ok() && *type == "ministral3") || RopeOf(text).Has("llama_4_scaling_beta");
}

constexpr std::string_view kNames[] = {"Ministral3ForCausalLM", "Ministral3Model",
                                       "Mistral3ForConditionalGeneration"};

}  // namespace

const Family kMistral3Family = {kNames, "mistral3", kAll, Mistral3, IsMinistral};

}  // namespace tatara::weights
