// Attention whose output a gate of its own multiplies, as Qwen3-Next and Qwen3.5 have it in every
// few layers: one matrix gives each head's query and gate, queries and keys are normed by head.
// Shapes as in delta_net.h; H heads, K key heads, D head size. Thread safety: as Pass.
#pragma once

#include <vector>

#include "blocks.h"
#include "decoder.h"
#include "pass.h"

namespace tatara::model {

struct GatedAttentionWeights {
  Linear q_and_gate;                  // (H*2*D, E): head after head, first its query
  Linear k, v;                        // (K*D, E)
  std::vector<float> q_norm, k_norm;  // (D)
  Linear output;                      // (E, H*D)
};
Result<GatedAttentionWeights> LoadGatedAttention(TensorLoader& tensors, const DecoderConfig& config,
                                                 int layer);

class GatedAttention {
 public:
  // a = sigmoid(gate) * attention, (T, H*D), for w.output; h: (T, E).
  void Forward(Pass& pass, int layer, const DecoderConfig& config,
               const numerics::AttentionShape& shape, const GatedAttentionWeights& w,
               RotaryTable& rope, Rows h, Rows a);

 private:
  RowBuffer both_, q_, gate_, k_, v_;
};

}  // namespace tatara::model
