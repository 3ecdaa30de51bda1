#include "blocks.h"

namespace tatara::model {

Result<AttentionWeights> LoadAttention(TensorLoader& tensors, const DecoderConfig& config,
                                       int layer, BiasOf bias) {
  const DecoderConfig& c = config;
  AttentionWeights w;
  TATARA_TRY(w.q, tensors.LoadLinear(BlockName(layer, "attn_q"), c.n_heads * c.head_dim, c.n_embd,
                                     bias.qkv));
  TATARA_TRY(w.k, tensors.LoadLinear(BlockName(layer, "attn_k"), c.n_kv_heads * c.head_dim,
                                     c.n_embd, bias.qkv));
  TATARA_TRY(w.v, tensors.LoadLinear(BlockName(layer, "attn_v"), c.n_kv_heads * c.value_dim,
                                     c.n_embd, bias.qkv));
  TATARA_TRY(w.output, tensors.LoadLinear(BlockName(layer, "attn_output"), c.n_embd,
                                          c.n_heads * c.value_dim, bias.output));
  return w;
}

Result<GatedFfn> LoadGatedFfn(TensorLoader& tensors, const DecoderConfig& config, int layer,
                              Bias bias) {
  const DecoderConfig& c = config;
  GatedFfn w;
  TATARA_TRY(w.gate, tensors.LoadLinear(BlockName(layer, "ffn_gate"), c.n_ff, c.n_embd, bias));
  TATARA_TRY(w.up, tensors.LoadLinear(BlockName(layer, "ffn_up"), c.n_ff, c.n_embd, bias));
  TATARA_TRY(w.down, tensors.LoadLinear(BlockName(layer, "ffn_down"), c.n_embd, c.n_ff, bias));
  return w;
}

Result<std::vector<float>> LoadNorm(TensorLoader& tensors, int layer, std::string_view name,
                                    int n) {
  return tensors.LoadVector(BlockName(layer, name) + ".weight", n);
}

void FeedForward(Pass& pass, const GatedFfn& w, Gate gate, Rows h) {
  const Rows g = pass.scratch().gate.Make(h.n_rows, w.gate.w.n_rows());  // (T, F)
  const Rows u = pass.scratch().up.Make(h.n_rows, w.up.w.n_rows());      // (T, F)
  pass.Project(h, {{&w.gate, g}, {&w.up, u}});
  if (gate == Gate::kSilu) {
    SiluMulRows(pass.pool(), g, u);
  } else {
    GeluTanhMulRows(pass.pool(), g, u);
  }
  pass.Project(g, {{&w.down, h}});
}

}  // namespace tatara::model
