// Gemma 2 and 3 (text). Norms are published as their difference from 1.
#include <algorithm>

#include "huggingface/families/list.h"

namespace tatara::weights {
namespace {

constexpr Rename kNorms[] = {
    {"norm.weight", "output_norm.weight", Change::kPlusOne},
    {"layers.#.input_layernorm.weight", "blk.#.attn_norm.weight", Change::kPlusOne},
    {"layers.#.post_attention_layernorm.weight", "blk.#.post_attention_norm.weight",
     Change::kPlusOne},
    {"layers.#.pre_feedforward_layernorm.weight", "blk.#.ffn_norm.weight", Change::kPlusOne},
    {"layers.#.post_feedforward_layernorm.weight", "blk.#.post_ffw_norm.weight", Change::kPlusOne},
    {"layers.#.self_attn.q_norm.weight", "blk.#.attn_q_norm.weight", Change::kPlusOne},
    {"layers.#.self_attn.k_norm.weight", "blk.#.attn_k_norm.weight", Change::kPlusOne},
};
// First match counts, so the norms stand before the common ends.
const std::span<const Rename> kGemma[] = {kNorms, kDecoderEnds, kAttention, kGatedFfn};

// GGUF has no key for it: scores are scaled by the head size, in the 27B models by what is left of
// the embedding for each head.
Result<> CheckQueryScale(const KeyWriter& keys, std::int64_t layers_of_27b) {
  const FamilySizes& s = keys.sizes;
  TATARA_TRY(const double scalar,
             keys.config.FloatOr("query_pre_attn_scalar", static_cast<double>(s.head_dim)));
  const std::int64_t expected = s.n_layers == layers_of_27b ? s.n_embd / s.n_heads : s.head_dim;
  if (scalar == static_cast<double>(expected)) return Ok{};
  return Refuse("{0}: the key '{1}' is {2}, which asks for something that is not computed here",
                keys.config.origin(), "query_pre_attn_scalar", scalar);
}

// Of every so many layers the last sees all keys: as "layer_types" lists them, else by number.
Result<> TakeWindowPeriod(KeyWriter& keys, std::int64_t usual) {
  const Config& c = keys.config;
  TATARA_TRY(std::int64_t period, c.IntOr("sliding_window_pattern", usual));
  TATARA_TRY(const auto kinds, c.StringsOrNone("layer_types"));
  const auto full = std::ranges::find(kinds, "full_attention");
  if (full != kinds.end()) period = full - kinds.begin() + 1;
  if (period < 1) {
    return Refuse("{0}: the key '{1}' is {2}, which asks for something that is not computed here",
                  c.origin(), "sliding_window_pattern", period);
  }
  if (period != usual) keys.Set("attention.sliding_window_pattern", period);
  return OnlyFullEvery(c, period);
}

Result<> Gemma2(KeyWriter& keys) {
  TATARA_RETURN_IF_ERROR(WriteUsualKeys(keys));
  TATARA_RETURN_IF_ERROR(CheckQueryScale(keys, 46));
  TATARA_RETURN_IF_ERROR(keys.NeedInt("sliding_window", "attention.sliding_window"));
  TATARA_RETURN_IF_ERROR(keys.CopyFloat("attn_logit_softcapping", "attn_logit_softcapping"));
  TATARA_RETURN_IF_ERROR(keys.CopyFloat("final_logit_softcapping", "final_logit_softcapping"));
  return TakeWindowPeriod(keys, 2);
}

Result<> Gemma3(KeyWriter& keys) {
  TATARA_RETURN_IF_ERROR(keys.OnlyBool("use_bidirectional_attention", false));
  const Config& c = keys.config;
  TATARA_RETURN_IF_ERROR(WriteUsualKeys(keys));
  TATARA_RETURN_IF_ERROR(CheckQueryScale(keys, 62));
  TATARA_RETURN_IF_ERROR(keys.NeedInt("sliding_window", "attention.sliding_window"));
  const Config window = c.Object("rope_parameters").Object("sliding_attention");
  TATARA_TRY(const double base, window.Has("rope_theta")
                                    ? window.Float("rope_theta")
                                    : c.FloatOr("rope_local_base_freq", 10000));
  keys.Set("rope.freq_base_swa", base);
  return TakeWindowPeriod(keys, 6);
}

constexpr std::string_view kGemma2Names[] = {"Gemma2ForCausalLM"};
constexpr std::string_view kGemma3Names[] = {"Gemma3ForCausalLM", "Gemma3TextModel",
                                             "Gemma3ForConditionalGeneration"};
}  // namespace

const Family kGemma2Family = {kGemma2Names, "gemma2", kGemma, Gemma2};
const Family kGemma3Family = {kGemma3Names, "gemma3", kGemma, Gemma3};

}  // namespace tatara::weights
