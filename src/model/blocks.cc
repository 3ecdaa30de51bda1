#include "blocks.h"

namespace tatara::model {

Result<AttentionWeights> LoadAttention(TensorLoader& tensors, const DecoderConfig& config,
                                       int layer, BiasOf bias) {
  const bool fused = !tensors.Has(BlockName(layer, "attn_q.weight")) &&
                     tensors.Has(BlockName(layer, "attn_qkv.weight"));
  if (fused) return LoadFusedAttention(tensors, config, layer, bias);
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

Result<AttentionWeights> LoadFusedAttention(TensorLoader& tensors, const DecoderConfig& config,
                                            int layer, BiasOf bias) {
  if (tensors.Has(BlockName(layer, "attn_q.weight"))) {
    return LoadAttention(tensors, config, layer, bias);
  }
  const DecoderConfig& c = config;
  const std::int64_t n_q = c.n_heads * c.head_dim;
  const std::int64_t n_k = c.n_kv_heads * c.head_dim;
  const std::int64_t n_v = c.n_kv_heads * c.value_dim;
  const std::int64_t all = n_q + n_k + n_v;
  const std::string name = BlockName(layer, "attn_qkv");
  AttentionWeights w;
  TATARA_TRY(w.q, tensors.LoadRowsOf(name, {1, c.n_embd, all, 0, n_q}, bias.qkv));
  TATARA_TRY(w.k, tensors.LoadRowsOf(name, {1, c.n_embd, all, n_q, n_k}, bias.qkv));
  TATARA_TRY(w.v, tensors.LoadRowsOf(name, {1, c.n_embd, all, n_q + n_k, n_v}, bias.qkv));
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

Result<GatedFfn> LoadFusedFfn(TensorLoader& tensors, const DecoderConfig& config, int layer) {
  const DecoderConfig& c = config;
  if (tensors.Has(BlockName(layer, "ffn_gate.weight"))) return LoadGatedFfn(tensors, c, layer);
  const std::string name = BlockName(layer, "ffn_up");
  const std::int64_t n_ff = c.n_ff;
  GatedFfn w;
  TATARA_TRY(w.gate, tensors.LoadRowsOf(name, {1, c.n_embd, 2 * n_ff, 0, n_ff}));
  TATARA_TRY(w.up, tensors.LoadRowsOf(name, {1, c.n_embd, 2 * n_ff, n_ff, n_ff}));
  TATARA_TRY(w.down, tensors.LoadLinear(BlockName(layer, "ffn_down"), c.n_embd, n_ff));
  return w;
}

Result<std::vector<float>> LoadHeadNorms(TensorLoader& tensors, int layer, std::string_view name,
                                         int n_heads, int head_dim) {
  return tensors.LoadTable(BlockName(layer, name) + ".weight", n_heads, head_dim);
}

void FeedForward(Pass& pass, const GatedFfn& w, Gate gate, Rows x, Rows y) {
  const Rows g = pass.scratch().gate.Make(x.n_rows, w.gate.w.n_rows());  // (T, F)
  const Rows u = pass.scratch().up.Make(x.n_rows, w.up.w.n_rows());      // (T, F)
  pass.Project(x, {{&w.gate, g}, {&w.up, u}});
  if (gate == Gate::kSilu) {
    SiluMulRows(pass.pool(), g, u);
  } else {
    GeluTanhMulRows(pass.pool(), g, u);
  }
  pass.Project(g, {{&w.down, y}});
}

}  // namespace tatara::model
