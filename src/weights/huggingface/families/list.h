// Every family, by the file that defines it.
#pragma once

#include "huggingface/family.h"

namespace tatara::weights {

// llama.cc
extern const Family kLlamaFamily, kMistralFamily, kMixtralFamily, kSmolLM3Family, kGraniteFamily,
    kGraniteMoeFamily;
// qwen.cc
extern const Family kQwen2Family, kQwen2MoeFamily, kQwen3Family, kQwen3MoeFamily;
// gemma.cc
extern const Family kGemma2Family, kGemma3Family;
// gemma4.cc
extern const Family kGemma4Family;
// deepseek.cc
extern const Family kDeepseekV2Family, kDeepseekV3Family;
// gpt_oss.cc
extern const Family kGptOssFamily;
// qwen_hybrid.cc
extern const Family kQwen3NextFamily, kQwen35Family, kQwen35MoeFamily;
// mistral3.cc
extern const Family kMistral3Family;
// others.cc
extern const Family kPhi3Family, kOlmo2Family, kOlmo3Family, kCohereFamily, kCohere2Family,
    kGlm4Family, kGlm4MoeFamily;
// gpt2.cc
extern const Family kGpt2Family;
// bert.cc
extern const Family kBertFamily, kRobertaFamily, kBertRankerFamily, kRobertaRankerFamily,
    kNomicFamily;
// modern_bert.cc
extern const Family kModernBertFamily;
// jina.cc
extern const Family kJinaFamily;

// What encoders of BERT's form share (bert.cc).
extern const std::span<const Rename> kBertEmbeddings;
extern const std::span<const Rename> kBertAttention;
extern const std::span<const Rename> kBertPretraining;  // makes no embedding
Result<> WriteBertSizes(KeyWriter& keys);               // but those of positions

}  // namespace tatara::weights
