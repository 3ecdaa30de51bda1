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
// "blk.LAYER.attn_q", "attn_k", "attn_v", "attn_output"; the first three may be one "attn_qkv".
Result<AttentionWeights> LoadAttention(TensorLoader& tensors, const DecoderConfig& config,
                                       int layer, BiasOf bias);

// The same where "blk.LAYER.attn_qkv" holds the rows of queries, keys and values one after the
// other; three matrices are accepted too.
Result<AttentionWeights> LoadFusedAttention(TensorLoader& tensors, const DecoderConfig& config,
                                            int layer, BiasOf bias);

struct GatedFfn {
  Linear gate, up;  // (F, E)
  Linear down;      // (E, F)
};
// "blk.LAYER.ffn_gate", "ffn_up", "ffn_down".
Result<GatedFfn> LoadGatedFfn(TensorLoader& tensors, const DecoderConfig& config, int layer,
                              Bias bias = Bias::kNone);

// The same where "blk.LAYER.ffn_up" holds the rows of gate and up (2F, E), gate first; two matrices
// are accepted too.
Result<GatedFfn> LoadFusedFfn(TensorLoader& tensors, const DecoderConfig& config, int layer);

enum class Gate { kSilu, kGeluTanh };

// y = down(act(gate x) * (up x)); y may be x.
void FeedForward(Pass& pass, const GatedFfn& w, Gate gate, Rows x, Rows y);
inline void FeedForward(Pass& pass, const GatedFfn& w, Gate gate, Rows h) {
  FeedForward(pass, w, gate, h, h);
}

// "blk.LAYER.NAME.weight", (n).
Result<std::vector<float>> LoadNorm(TensorLoader& tensors, int layer, std::string_view name, int n);

// "blk.LAYER.NAME.weight", (n_heads, head_dim): weights of every head of its own.
Result<std::vector<float>> LoadHeadNorms(TensorLoader& tensors, int layer, std::string_view name,
                                         int n_heads, int head_dim);

}  // namespace tatara::model
