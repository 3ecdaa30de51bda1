// Weights that a folder holds quantised: FP8 and int8 with scales (one, one a row, one a block),
// and 4-bit codes as GPTQ, AWQ and compressed-tensors lay them out.
//
// What comes out are exactly the values that the format means: f32, a code times its scale rounded
// once; or, where the codes are symmetric, groups are multiples of 32 along a row and every scale
// is an f16 number, Q4_0 blocks, which mean the same values in an eighth of the memory.
//
// Sources: AutoGPTQ's and AutoAWQ's packed linear layers, vllm-project/compressed-tensors
// (pack_quantized, float_quantized), DeepSeek-V3's weight file description (weight_scale_inv).
#pragma once

#include "huggingface/config.h"
#include "huggingface/shards.h"

namespace tatara::weights {

// `config`: the whole config.json. Without "quantization_config" the tensors come back as they are.
// Refused by name: methods, widths and layouts that are not known. May throw std::bad_alloc.
Result<SourceTensors> Dequantised(const Config& config, SourceTensors tensors, HeldStore& store);

}  // namespace tatara::weights
