#include "gated_attention.h"

#include <algorithm>

#include "tatara/numerics/gated.h"

namespace tatara::model {

Result<GatedAttentionWeights> LoadGatedAttention(TensorLoader& tensors, const DecoderConfig& c,
                                                 int layer) {
  GatedAttentionWeights w;
  const int heads = c.n_heads * c.head_dim, key_heads = c.n_kv_heads * c.head_dim;
  TATARA_TRY(w.q_and_gate, tensors.LoadLinear(BlockName(layer, "attn_q"), 2 * heads, c.n_embd));
  TATARA_TRY(w.k, tensors.LoadLinear(BlockName(layer, "attn_k"), key_heads, c.n_embd));
  TATARA_TRY(w.v, tensors.LoadLinear(BlockName(layer, "attn_v"), key_heads, c.n_embd));
  TATARA_TRY(w.q_norm, LoadNorm(tensors, layer, "attn_q_norm", c.head_dim));
  TATARA_TRY(w.k_norm, LoadNorm(tensors, layer, "attn_k_norm", c.head_dim));
  TATARA_TRY(w.output, tensors.LoadLinear(BlockName(layer, "attn_output"), c.n_embd, heads));
  return w;
}

void GatedAttention::Forward(Pass& pass, int layer, const DecoderConfig& c,
                             const numerics::AttentionShape& shape, const GatedAttentionWeights& w,
                             RotaryTable& rope, Rows h, Rows a) {
  ThreadPool& pool = pass.pool();
  const std::int64_t n_tokens = pass.n_tokens();
  const int heads = c.n_heads * c.head_dim, key_heads = c.n_kv_heads * c.head_dim;
  const Rows both = both_.Make(n_tokens, 2 * heads);  // (T, H*2*D)
  const Rows q = q_.Make(n_tokens, heads);            // (T, H*D)
  const Rows gate = gate_.Make(n_tokens, heads);      // (T, H*D)
  const Rows k = k_.Make(n_tokens, key_heads);        // (T, K*D)
  const Rows v = v_.Make(n_tokens, key_heads);        // (T, K*D)
  pass.Project(h, {{&w.q_and_gate, both}, {&w.k, k}, {&w.v, v}});
  ForRows(pool, n_tokens, both.n_cols, [&](std::int64_t t) {
    for (int head = 0; head < c.n_heads; ++head) {
      const float* from = both.Row(t).data() + std::int64_t{2} * head * c.head_dim;
      std::copy_n(from, c.head_dim, q.Row(t).data() + std::int64_t{head} * c.head_dim);
      std::copy_n(from + c.head_dim, c.head_dim,
                  gate.Row(t).data() + std::int64_t{head} * c.head_dim);
    }
  });
  NormHeads(pool, q, w.q_norm, c.norm_eps);
  NormHeads(pool, k, w.k_norm, c.norm_eps);
  pass.Rotate(rope, c.head_dim, q);
  pass.Rotate(rope, c.head_dim, k);
  pass.Attend(layer, shape, q, k, v, a);
  MulRowsBySigmoid(pool, gate, a);
}

}  // namespace tatara::model
