// Pieces of a transformer layer that most architectures have in the same form: their weights, how
// they are loaded, and what they compute. Thread safety: as Pass.
#pragma once

#include "decoder.h"
#include "pass.h"
#include "tensors.h"

namespace tatara::model {

struct AttentionWeights {
  Linear q, k, v;  // (H*D, E), (K*D, E), (K*Dv, E)
  Linear output;   // (E, H*Dv)
};

struct BiasOf {
  Bias qkv = Bias::kNone;
  Bias output = Bias::kNone;
};
// "blk.LAYER.attn_q", "attn_k", "attn_v", "attn_output".
Result<AttentionWeights> LoadAttention(TensorLoader& tensors, const DecoderConfig& config,
                                       int layer, BiasOf bias);

struct GatedFfn {
  Linear gate, up;  // (F, E)
  Linear down;      // (E, F)
};
// "blk.LAYER.ffn_gate", "ffn_up", "ffn_down".
Result<GatedFfn> LoadGatedFfn(TensorLoader& tensors, const DecoderConfig& config, int layer,
                              Bias bias = Bias::kNone);

enum class Gate { kSilu, kGeluTanh };

// h = down(act(gate h) * (up h)), in place.
void FeedForward(Pass& pass, const GatedFfn& w, Gate gate, Rows h);

// "blk.LAYER.NAME.weight", (n).
Result<std::vector<float>> LoadNorm(TensorLoader& tensors, int layer, std::string_view name, int n);

}  // namespace tatara::model
