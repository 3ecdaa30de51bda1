// Qwen3, dense, and its embedding models' decoder: Qwen2's layer without biases, with an RMS norm
// on every head of queries and keys before they are turned; heads x head size is not E. Source:
// Qwen3 technical report (arXiv:2505.09388).
//
// Shapes: T tokens of the pass, E n_embd, H heads, K key heads, D head size, Dv value size, F inner
// size, V vocabulary.

#include <cmath>

#include "blocks.h"
#include "decoder.h"

namespace tatara::model {
namespace {

class Qwen3 final : public Decoder {
 public:
  using Decoder::Decoder;
  Result<> LoadTensors(TensorLoader& tensors);
  void Forward(std::span<const SequenceSlice> slices, KvPool& kv, ThreadPool& pool,
               std::span<float> logits) override;

 private:
  struct Layer {
    std::vector<float> attn_norm;  // (E)
    AttentionWeights attn;
    std::vector<float> q_norm, k_norm;  // (D)
    std::vector<float> ffn_norm;        // (E)
    GatedFfn ffn;
  };
  std::vector<Layer> layers_;
  RotaryTable rope_;
  numerics::AttentionShape attention_;
};

Result<> Qwen3::LoadTensors(TensorLoader& tensors) {
  const DecoderConfig& c = config_;
  TATARA_RETURN_IF_ERROR(LoadEnds(tensors));
  TATARA_TRY(rope_, LoadRope(tensors, numerics::RopeLayout::kHalves));
  attention_ = AttentionOf(1.0F / std::sqrt(static_cast<float>(c.head_dim)), 0);
  for (int i = 0; i < c.n_layers; ++i) {
    Layer& w = layers_.emplace_back();
    TATARA_TRY(w.attn_norm, LoadNorm(tensors, i, "attn_norm", c.n_embd));
    TATARA_TRY(w.attn, LoadAttention(tensors, c, i, {}));
    TATARA_TRY(w.q_norm, LoadNorm(tensors, i, "attn_q_norm", c.head_dim));
    TATARA_TRY(w.k_norm, LoadNorm(tensors, i, "attn_k_norm", c.head_dim));
    TATARA_TRY(w.ffn_norm, LoadNorm(tensors, i, "ffn_norm", c.n_embd));
    TATARA_TRY(w.ffn, LoadGatedFfn(tensors, c, i));
  }
  tensors.LeaveOut("cls.output.weight");  // of a reranker, which Encoder reads
  return FinishLoading(tensors, "qwen3");
}

void Qwen3::Forward(std::span<const SequenceSlice> slices, KvPool& kv, ThreadPool& pool,
                    std::span<float> logits) {
  const DecoderConfig& c = config_;
  Pass pass(scratch_, slices, kv, pool, activations_);
  auto [x, h, q, k, v, a] = MakeRows(pass.n_tokens());

  pass.Embed(embedding_, x);
  for (int i = 0; i < c.n_layers; ++i) {
    const Layer& w = layers_[static_cast<std::size_t>(i)];
    // x += Wo softmax(rope(norm(Wq h)) rope(norm(Wk h))^T / sqrt(D)) (Wv h),  h = norm(x)
    NormRows(pool, x, w.attn_norm, c.norm_eps, h);
    pass.Project(h, {{&w.attn.q, q}, {&w.attn.k, k}, {&w.attn.v, v}});
    NormHeads(pool, q, w.q_norm, c.norm_eps);
    NormHeads(pool, k, w.k_norm, c.norm_eps);
    pass.Rotate(rope_, c.head_dim, q);
    pass.Rotate(rope_, c.head_dim, k);
    pass.Attend(i, attention_, q, k, v, a);
    if (i + 1 == c.n_layers) pass.KeepWanted({&x, &h, &a});
    pass.Project(a, {{&w.attn.output, h}});
    AddRows(pool, h, x);
    // x += Wdown (silu(Wgate h) * (Wup h)),  h = norm(x)
    NormRows(pool, x, w.ffn_norm, c.norm_eps, h);
    FeedForward(pass, w.ffn, Gate::kSilu, h);
    AddRows(pool, h, x);
  }
  Logits(pass, x, logits);  // head(norm(x)): (wanted rows, V)
}

}  // namespace

Result<std::unique_ptr<Model>> LoadQwen3(const LoadContext& context) {
  Keys keys(context.store->metadata(), "qwen3");
  TATARA_TRY(DecoderConfig config, ReadDecoderConfig(keys, {.pooling = true}));
  TATARA_TRY(config.rope, ReadRopeConfig(keys, config.head_dim, kUsualScaling));
  TATARA_RETURN_IF_ERROR(keys.Finish());
  return LoadDecoder<Qwen3>(context, config);
}

}  // namespace tatara::model
