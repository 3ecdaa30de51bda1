// GPT-2: positions are learned vectors added to the embeddings; LayerNorm with bias before each
// block; biases everywhere; a plain feed-forward with GELU (tanh form). Source: Radford et al.
// 2019, "Language models are unsupervised multitask learners".
//
// Shapes: T tokens of the pass, P positions of the model, E n_embd, H heads, D head size, F inner
// size, V vocabulary.

#include <algorithm>
#include <cmath>

#include "blocks.h"
#include "decoder.h"
#include "tatara/numerics/ops.h"

namespace tatara::model {
namespace {

class Gpt2 final : public Decoder {
 public:
  using Decoder::Decoder;
  Result<> LoadTensors(TensorLoader& tensors);
  void Forward(std::span<const SequenceSlice> slices, KvPool& kv, ThreadPool& pool,
               std::span<float> logits) override;

 private:
  struct Norm {
    std::vector<float> weight, bias;  // (E)
  };
  struct Layer {
    Norm attn_norm;
    AttentionWeights attn;
    Norm ffn_norm;
    Linear up;    // (F, E)
    Linear down;  // (E, F)
  };
  static Result<Norm> LoadNormWithBias(TensorLoader& tensors, const std::string& name, int n);
  void AddPositions(Pass& pass, Rows x) const;

  std::vector<float> positions_;  // (P, E)
  std::vector<Layer> layers_;
  numerics::AttentionShape attention_;
  RowBuffer inner_;
};

Result<Gpt2::Norm> Gpt2::LoadNormWithBias(TensorLoader& tensors, const std::string& name, int n) {
  Norm norm;
  TATARA_TRY(norm.weight, tensors.LoadVector(name + ".weight", n));
  TATARA_TRY(norm.bias, tensors.LoadVector(name + ".bias", n));
  return norm;
}

Result<> Gpt2::LoadTensors(TensorLoader& tensors) {
  const DecoderConfig& c = config_;
  TATARA_RETURN_IF_ERROR(LoadEnds(tensors));
  TATARA_TRY(positions_, tensors.LoadTable("position_embd.weight", c.n_ctx, c.n_embd));
  attention_ = AttentionOf(1.0F / std::sqrt(static_cast<float>(c.head_dim)), 0);
  for (int i = 0; i < c.n_layers; ++i) {
    Layer& w = layers_.emplace_back();
    TATARA_TRY(w.attn_norm, LoadNormWithBias(tensors, BlockName(i, "attn_norm"), c.n_embd));
    TATARA_TRY(w.attn, LoadFusedAttention(tensors, c, i,
                                          {.qkv = Bias::kRequired, .output = Bias::kRequired}));
    TATARA_TRY(w.ffn_norm, LoadNormWithBias(tensors, BlockName(i, "ffn_norm"), c.n_embd));
    TATARA_TRY(w.up, tensors.LoadLinear(BlockName(i, "ffn_up"), c.n_ff, c.n_embd, Bias::kRequired));
    TATARA_TRY(w.down,
               tensors.LoadLinear(BlockName(i, "ffn_down"), c.n_embd, c.n_ff, Bias::kRequired));
  }
  return FinishLoading(tensors, "gpt2");
}

void Gpt2::AddPositions(Pass& pass, Rows x) const {
  const auto n_embd = static_cast<std::size_t>(x.n_cols);
  ForRows(pass.pool(), x.n_rows, x.n_cols, [&](std::int64_t t) {
    // Callers keep to n_ctx positions; one beyond takes the last.
    const auto position = static_cast<std::size_t>(std::min(pass.position(t), config_.n_ctx - 1));
    numerics::Add(std::span(positions_).subspan(position * n_embd, n_embd), x.Row(t));
  });
}

void Gpt2::Forward(std::span<const SequenceSlice> slices, KvPool& kv, ThreadPool& pool,
                   std::span<float> logits) {
  const DecoderConfig& c = config_;
  Pass pass(scratch_, slices, kv, pool, activations_);
  auto [x, h, q, k, v, a] = MakeRows(pass.n_tokens());

  pass.Embed(embedding_, x);
  AddPositions(pass, x);
  for (int i = 0; i < c.n_layers; ++i) {
    const Layer& w = layers_[static_cast<std::size_t>(i)];
    // x += Wo softmax((Wq h + bq) (Wk h + bk)^T / sqrt(D)) (Wv h + bv) + bo,  h = norm(x)
    LayerNormRows(pool, x, w.attn_norm.weight, w.attn_norm.bias, c.norm_eps, h);
    pass.Project(h, {{&w.attn.q, q}, {&w.attn.k, k}, {&w.attn.v, v}});
    pass.Attend(i, attention_, q, k, v, a);
    if (i + 1 == c.n_layers) pass.KeepWanted({&x, &h, &a});
    pass.Project(a, {{&w.attn.output, h}});
    AddRows(pool, h, x);
    // x += Wdown gelu(Wup h + bup) + bdown,  h = norm(x)
    LayerNormRows(pool, x, w.ffn_norm.weight, w.ffn_norm.bias, c.norm_eps, h);
    const Rows inner = inner_.Make(h.n_rows, c.n_ff);  // (T, F)
    pass.Project(h, {{&w.up, inner}});
    GeluTanhRows(pool, inner);
    pass.Project(inner, {{&w.down, h}});
    AddRows(pool, h, x);
  }
  Logits(pass, x, logits);  // head(norm(x)): (wanted rows, V)
}

}  // namespace

Result<std::unique_ptr<Model>> LoadGpt2(const LoadContext& context) {
  Keys keys(context.store->metadata(), "gpt2");
  TATARA_TRY(DecoderConfig config, ReadDecoderConfig(keys, {.layer_norm = true}));
  if (config.n_ctx > kLearnedPositionsMax) {
    return Refuse("{0}: the key '{1}' is {2}; models with learned positions have at most {3}",
                  keys.origin(), keys.FullName("context_length"), config.n_ctx,
                  kLearnedPositionsMax);
  }
  TATARA_RETURN_IF_ERROR(keys.Finish());
  return LoadDecoder<Gpt2>(context, config);
}

}  // namespace tatara::model
