// The tiny models of data/golden/arch that generate text, by name. A file of the data that is in
// neither list fails a test, and so does one that is in both.
#pragma once

#include <array>

namespace tatara::test {

// clang-format off
inline constexpr std::array kDecoderModels = {
    "cohere2",
    "command-r",
    "deepseek2_lite",
    "deepseek2_unsplit",
    "deepseek2_v3",
    "gemma2",
    "gemma3",
    "gemma3_linear",
    "gemma4",
    "gemma4_moe",
    "glm4",
    "glm4moe",
    "gpt-oss",
    "gpt-oss_mxfp4",
    "granite",
    "granitemoe",
    "llama",
    "llama_bf16",
    "llama_f16",
    "llama_linear",
    "llama_moe",
    "llama_q8_0",
    "mistral3",
    "olmo2",
    "olmo3",
    "phi3",
    "phi3_long",
    "qwen2",
    "qwen2_tied",
    "qwen2moe",
    "qwen3",
    "qwen35",
    "qwen3moe",
    "qwen3next",
    "smollm3",
};

inline constexpr std::array kEncoderModels = {
    "bert",       "bert_cls",       "jina-bert-v2",    "modern-bert",
    "nomic-bert", "nomic-bert-moe", "qwen3_embedding",
};

// Known, not computed yet: an architecture that learns to run moves its names up.
inline constexpr std::array<const char*, 0> kDecoderModelsMissing = {};
// clang-format on

}  // namespace tatara::test
