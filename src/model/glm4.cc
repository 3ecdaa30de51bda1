// GLM-4 (0414): Llama's layer with a norm after each block too, gate and up in one matrix, and
// rotary positions on neighbouring pairs of the first part of a head. Source: ChatGLM, GLM team
// 2024 (arXiv:2406.12793), and the published code of GLM-4-0414.
//
// Shapes: T tokens of the pass, E n_embd, H heads, K key heads, D head size, Dv value size, F inner
// size, V vocabulary.

#include <cmath>

#include "blocks.h"
#include "decoder.h"

namespace tatara::model {
namespace {

class Glm4 final : public Decoder {
 public:
  using Decoder::Decoder;
  Result<> LoadTensors(TensorLoader& tensors);
  void Forward(std::span<const SequenceSlice> slices, KvPool& kv, ThreadPool& pool,
               std::span<float> logits) override;

 private:
  struct Layer {
    std::vector<float> attn_norm;  // (E)
    AttentionWeights attn;
    std::vector<float> attn_post_norm;  // (E)
    std::vector<float> ffn_norm;        // (E)
    GatedFfn ffn;
    std::vector<float> ffn_post_norm;  // (E)
  };
  std::vector<Layer> layers_;
  RotaryTable rope_;
  numerics::AttentionShape attention_;
};

Result<> Glm4::LoadTensors(TensorLoader& tensors) {
  const DecoderConfig& c = config_;
  TATARA_RETURN_IF_ERROR(LoadEnds(tensors));
  TATARA_TRY(rope_, LoadRope(tensors, numerics::RopeLayout::kPairs));
  attention_ = AttentionOf(1.0F / std::sqrt(static_cast<float>(c.head_dim)), 0);
  for (int i = 0; i < c.n_layers; ++i) {
    Layer& w = layers_.emplace_back();
    TATARA_TRY(w.attn_norm, LoadNorm(tensors, i, "attn_norm", c.n_embd));
    TATARA_TRY(w.attn, LoadFusedAttention(tensors, c, i, {.qkv = Bias::kOptional}));
    TATARA_TRY(w.attn_post_norm, LoadNorm(tensors, i, "post_attention_norm", c.n_embd));
    TATARA_TRY(w.ffn_norm, LoadNorm(tensors, i, "ffn_norm", c.n_embd));
    TATARA_TRY(w.ffn, LoadFusedFfn(tensors, c, i));
    TATARA_TRY(w.ffn_post_norm, LoadNorm(tensors, i, "post_ffw_norm", c.n_embd));
  }
  return FinishLoading(tensors, "glm4");
}

void Glm4::Forward(std::span<const SequenceSlice> slices, KvPool& kv, ThreadPool& pool,
                   std::span<float> logits) {
  const DecoderConfig& c = config_;
  Pass pass(scratch_, slices, kv, pool, activations_);
  auto [x, h, q, k, v, a] = MakeRows(pass.n_tokens());

  pass.Embed(embedding_, x);
  for (int i = 0; i < c.n_layers; ++i) {
    const Layer& w = layers_[static_cast<std::size_t>(i)];
    // x += norm(Wo softmax(rope(Wq h + bq) rope(Wk h + bk)^T / sqrt(D)) (Wv h + bv)),  h = norm(x)
    NormRows(pool, x, w.attn_norm, c.norm_eps, h);
    pass.Project(h, {{&w.attn.q, q}, {&w.attn.k, k}, {&w.attn.v, v}});
    pass.Rotate(rope_, c.head_dim, q);
    pass.Rotate(rope_, c.head_dim, k);
    pass.Attend(i, attention_, q, k, v, a);
    if (i + 1 == c.n_layers) pass.KeepWanted({&x, &h, &a});
    pass.Project(a, {{&w.attn.output, h}});
    NormRows(pool, h, w.attn_post_norm, c.norm_eps, h);
    AddRows(pool, h, x);
    // x += norm(Wdown (silu(Wgate h) * (Wup h))),  h = norm(x)
    NormRows(pool, x, w.ffn_norm, c.norm_eps, h);
    FeedForward(pass, w.ffn, Gate::kSilu, h);
    NormRows(pool, h, w.ffn_post_norm, c.norm_eps, h);
    AddRows(pool, h, x);
  }
  Logits(pass, x, logits);  // head(norm(x)): (wanted rows, V)
}

}  // namespace

Result<std::unique_ptr<Model>> LoadGlm4(const LoadContext& context) {
  Keys keys(context.store->metadata(), "glm4");
  TATARA_TRY(DecoderConfig config, ReadDecoderConfig(keys));
  TATARA_TRY(config.rope, ReadRopeConfig(keys, config.head_dim, kUsualScaling));
  TATARA_RETURN_IF_ERROR(keys.Finish());
  return LoadDecoder<Glm4>(context, config);
}

}  // namespace tatara::model
