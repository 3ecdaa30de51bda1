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

}  // namespace tatara::weights
