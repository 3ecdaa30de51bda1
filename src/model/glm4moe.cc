// GLM-4.5 and 4.6 (Air too), mixture of experts: rotary positions on the halves of the first part
// of a head; in some sizes an RMS norm on every head of queries and keys; the first layers dense,
// the others with experts scored by sigmoids, chosen with a bias and weighted without it, divided
// by their sum and scaled, and a shared expert. The file's last layers predict further tokens; they
// are no part of the answer and are not run. Source: GLM-4.5 (arXiv:2508.06471).
//
// Shapes: T tokens of the pass, E n_embd, H heads, K key heads, D head size, Dv value size, F inner
// size, V vocabulary.

#include <cmath>

#include "blocks.h"
#include "decoder.h"
#include "experts.h"

namespace tatara::model {
namespace {

struct Glm4MoeConfig {
  DecoderConfig decoder;  // its layers are those that are run
  RouterConfig router;
  int n_dense = 0;  // first layers without experts
  int n_ff_expert = 0;
  int n_shared = 0;  // shared experts, side by side in one
  int n_ahead = 0;   // trailing layers that predict further tokens
};

class Glm4Moe final : public Decoder {
 public:
  Glm4Moe(const LoadContext& context, const Glm4MoeConfig& config)
      : Decoder(context, config.decoder), glm_(config) {}
  Result<> LoadTensors(TensorLoader& tensors);
  void Forward(std::span<const SequenceSlice> slices, KvPool& kv, ThreadPool& pool,
               std::span<float> logits) override;

 private:
  struct Layer {
    std::vector<float> attn_norm;  // (E)
    AttentionWeights attn;
    std::vector<float> q_norm, k_norm;  // (D), or empty
    std::vector<float> ffn_norm;        // (E)
    bool dense = false;
    GatedFfn ffn;  // this, or experts
    Experts experts;
    SharedExpert shared;
  };
  Result<> LoadFeedForward(TensorLoader& tensors, int layer, Layer& w) const;

  Glm4MoeConfig glm_;
  std::vector<Layer> layers_;
  RotaryTable rope_;
  numerics::AttentionShape attention_;
};

Result<> Glm4Moe::LoadFeedForward(TensorLoader& tensors, int layer, Layer& w) const {
  const DecoderConfig& c = config_;
  w.dense = layer < glm_.n_dense;
  if (w.dense) {
    TATARA_TRY(w.ffn, LoadGatedFfn(tensors, c, layer));
    return Ok{};
  }
  TATARA_TRY(w.experts, LoadExperts(tensors, layer, glm_.router, {c.n_embd, glm_.n_ff_expert}));
  TATARA_TRY(w.experts.selection_bias,
             tensors.LoadVector(BlockName(layer, "exp_probs_b.bias"), glm_.router.n_experts));
  if (glm_.n_shared > 0) {
    TATARA_TRY(w.shared,
               LoadSharedExpert(tensors, layer, c.n_embd, glm_.n_ff_expert * glm_.n_shared, false));
  }
  return Ok{};
}

Result<> Glm4Moe::LoadTensors(TensorLoader& tensors) {
  const DecoderConfig& c = config_;
  TATARA_RETURN_IF_ERROR(LoadEnds(tensors));
  TATARA_TRY(rope_, LoadRope(tensors, numerics::RopeLayout::kHalves));
  attention_ = AttentionOf(1.0F / std::sqrt(static_cast<float>(c.head_dim)), 0);
  for (int i = 0; i < c.n_layers; ++i) {
    Layer& w = layers_.emplace_back();
    TATARA_TRY(w.attn_norm, LoadNorm(tensors, i, "attn_norm", c.n_embd));
    TATARA_TRY(w.attn, LoadAttention(tensors, c, i, {.qkv = Bias::kOptional}));
    if (tensors.Has(BlockName(i, "attn_q_norm.weight"))) {
      TATARA_TRY(w.q_norm, LoadNorm(tensors, i, "attn_q_norm", c.head_dim));
      TATARA_TRY(w.k_norm, LoadNorm(tensors, i, "attn_k_norm", c.head_dim));
    }
    TATARA_TRY(w.ffn_norm, LoadNorm(tensors, i, "post_attention_norm", c.n_embd));
    TATARA_RETURN_IF_ERROR(LoadFeedForward(tensors, i, w));
  }
  for (int i = c.n_layers; i < c.n_layers + glm_.n_ahead; ++i) tensors.IgnoreLayer(i);
  return FinishLoading(tensors, "glm4moe");
}

void Glm4Moe::Forward(std::span<const SequenceSlice> slices, KvPool& kv, ThreadPool& pool,
                      std::span<float> logits) {
  const DecoderConfig& c = config_;
  Pass pass(scratch_, slices, kv, pool, activations_);
  auto [x, h, q, k, v, a] = MakeRows(pass.n_tokens());

  pass.Embed(embedding_, x);
  for (int i = 0; i < c.n_layers; ++i) {
    const Layer& w = layers_[static_cast<std::size_t>(i)];
    // x += Wo softmax(rope(norm(Wq h + bq)) rope(norm(Wk h + bk))^T / sqrt(D)) (Wv h + bv),
    // h = norm(x)
    NormRows(pool, x, w.attn_norm, c.norm_eps, h);
    pass.Project(h, {{&w.attn.q, q}, {&w.attn.k, k}, {&w.attn.v, v}});
    if (!w.q_norm.empty()) {
      NormHeads(pool, q, w.q_norm, c.norm_eps);
      NormHeads(pool, k, w.k_norm, c.norm_eps);
    }
    pass.Rotate(rope_, c.head_dim, q);
    pass.Rotate(rope_, c.head_dim, k);
    pass.Attend(i, attention_, q, k, v, a);
    if (i + 1 == c.n_layers) pass.KeepWanted({&x, &h, &a});
    pass.Project(a, {{&w.attn.output, h}});
    AddRows(pool, h, x);
    // x += Wdown (silu(Wgate h) * (Wup h)), or chosen and shared experts of h,  h = norm(x)
    NormRows(pool, x, w.ffn_norm, c.norm_eps, h);
    if (w.dense) {
      FeedForward(pass, w.ffn, Gate::kSilu, h);
    } else {
      MixtureFeedForward(pass, w.experts, glm_.n_shared > 0 ? &w.shared : nullptr, h);
    }
    AddRows(pool, h, x);
  }
  Logits(pass, x, logits);  // head(norm(x)): (wanted rows, V)
}

}  // namespace

Result<std::unique_ptr<Model>> LoadGlm4Moe(const LoadContext& context) {
  Keys keys(context.store->metadata(), "glm4moe");
  Glm4MoeConfig config;
  DecoderConfig& decoder = config.decoder;
  TATARA_TRY(decoder, ReadDecoderConfig(keys, {.experts = true}));
  TATARA_TRY(decoder.rope, ReadRopeConfig(keys, decoder.head_dim, kUsualScaling));
  TATARA_TRY(config.n_ahead, keys.IntOr("nextn_predict_layers", 0, {0, decoder.n_layers - 1}));
  decoder.n_layers -= config.n_ahead;
  TATARA_TRY(config.router,
             ReadRouterConfig(
                 keys, {.score = RouterScore::kSigmoid, .sum_min = 1e-20F, .required = true}));
  TATARA_TRY(config.n_dense, keys.IntOr("leading_dense_block_count", 0, {0, decoder.n_layers}));
  TATARA_TRY(config.n_ff_expert, keys.Int("expert_feed_forward_length", {1, kFfMax}));
  TATARA_TRY(config.n_shared, keys.IntOr("expert_shared_count", 0, {0, 64}));
  TATARA_RETURN_IF_ERROR(keys.Finish());
  return LoadDecoder<Glm4Moe>(context, config);
}

}  // namespace tatara::model
