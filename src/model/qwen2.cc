// Qwen2 and Qwen2.5 (Coder too): Llama's layer with biases on queries, keys and values, and rotary
// positions on the halves of a head (i, i + D/2); YaRN for long contexts. Sources: Qwen2 technical
// report (arXiv:2407.10671); YaRN (arXiv:2309.00071).
//
// Shapes: T tokens of the pass, E n_embd, H heads, K key heads, D head size, Dv value size, F inner
// size, V vocabulary.

#include <cmath>

#include "blocks.h"
#include "decoder.h"

namespace tatara::model {
namespace {

class Qwen2 final : public Decoder {
 public:
  using Decoder::Decoder;
  Result<> LoadTensors(TensorLoader& tensors);
  void Forward(std::span<const SequenceSlice> slices, KvPool& kv, ThreadPool& pool,
               std::span<float> logits) override;

 private:
  struct Layer {
    std::vector<float> attn_norm;  // (E)
    AttentionWeights attn;
    std::vector<float> ffn_norm;  // (E)
    GatedFfn ffn;
  };
  std::vector<Layer> layers_;
  RotaryTable rope_;
  numerics::AttentionShape attention_;
};

Result<> Qwen2::LoadTensors(TensorLoader& tensors) {
  const DecoderConfig& c = config_;
  TATARA_RETURN_IF_ERROR(LoadEnds(tensors));
  rope_ = RotaryTable(c.rope, numerics::RopeLayout::kHalves, {});
  attention_ = AttentionOf(1.0F / std::sqrt(static_cast<float>(c.head_dim)), 0);
  for (int i = 0; i < c.n_layers; ++i) {
    Layer& w = layers_.emplace_back();
    TATARA_TRY(w.attn_norm, LoadNorm(tensors, i, "attn_norm", c.n_embd));
    TATARA_TRY(w.attn, LoadAttention(tensors, c, i, {.qkv = Bias::kOptional}));
    TATARA_TRY(w.ffn_norm, LoadNorm(tensors, i, "ffn_norm", c.n_embd));
    TATARA_TRY(w.ffn, LoadGatedFfn(tensors, c, i));
  }
  return FinishLoading(tensors, "qwen2");
}

void Qwen2::Forward(std::span<const SequenceSlice> slices, KvPool& kv, ThreadPool& pool,
                    std::span<float> logits) {
  const DecoderConfig& c = config_;
  Pass pass(scratch_, slices, kv, pool, activations_);
  auto [x, h, q, k, v, a] = MakeRows(pass.n_tokens());

  pass.Embed(embedding_, x);
  for (int i = 0; i < c.n_layers; ++i) {
    const Layer& w = layers_[static_cast<std::size_t>(i)];
    // x += Wo softmax(rope(Wq h + bq) rope(Wk h + bk)^T / sqrt(D)) (Wv h + bv),  h = norm(x)
    NormRows(pool, x, w.attn_norm, c.norm_eps, h);
    pass.Project(h, {{&w.attn.q, q}, {&w.attn.k, k}, {&w.attn.v, v}});
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

Result<std::unique_ptr<Model>> LoadQwen2(const LoadContext& context) {
  Keys keys(context.store->metadata(), "qwen2");
  TATARA_TRY(DecoderConfig config, ReadDecoderConfig(keys, {.pooling = true}));
  TATARA_TRY(config.rope, ReadRopeConfig(keys, config.head_dim, kUsualScaling));
  TATARA_RETURN_IF_ERROR(keys.Finish());
  return LoadDecoder<Qwen2>(context, config);
}

}  // namespace tatara::model
