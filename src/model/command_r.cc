// Command R and R+: LayerNorm without bias; attention and feed-forward read the same normed row and
// are added together; rotary positions on neighbouring pairs; logits times a scale. R+ norms every
// head of queries and keys, each with weights of its own. Source: Cohere 2024, the published code;
// parallel blocks as in Wang and Komatsuzaki 2021 (GPT-J).
//
// Shapes: T tokens of the pass, E n_embd, H heads, K key heads, D head size, Dv value size, F inner
// size, V vocabulary.

#include <cmath>

#include "blocks.h"
#include "decoder.h"

namespace tatara::model {
namespace {

class CommandR final : public Decoder {
 public:
  using Decoder::Decoder;
  Result<> LoadTensors(TensorLoader& tensors);
  void Forward(std::span<const SequenceSlice> slices, KvPool& kv, ThreadPool& pool,
               std::span<float> logits) override;

 private:
  struct Layer {
    std::vector<float> norm;  // (E)
    AttentionWeights attn;
    std::vector<float> q_norm, k_norm;  // (H*D), (K*D), or empty
    GatedFfn ffn;
  };
  std::vector<Layer> layers_;
  RotaryTable rope_;
  numerics::AttentionShape attention_;
  RowBuffer b_;
};

Result<> CommandR::LoadTensors(TensorLoader& tensors) {
  const DecoderConfig& c = config_;
  TATARA_RETURN_IF_ERROR(LoadEnds(tensors));
  TATARA_TRY(rope_, LoadRope(tensors, numerics::RopeLayout::kPairs));
  attention_ = AttentionOf(1.0F / std::sqrt(static_cast<float>(c.head_dim)), 0);
  for (int i = 0; i < c.n_layers; ++i) {
    Layer& w = layers_.emplace_back();
    TATARA_TRY(w.norm, LoadNorm(tensors, i, "attn_norm", c.n_embd));
    TATARA_TRY(w.attn, LoadAttention(tensors, c, i, {.qkv = Bias::kOptional}));
    if (tensors.Has(BlockName(i, "attn_q_norm.weight"))) {
      TATARA_TRY(w.q_norm, LoadHeadNorms(tensors, i, "attn_q_norm", c.n_heads, c.head_dim));
      TATARA_TRY(w.k_norm, LoadHeadNorms(tensors, i, "attn_k_norm", c.n_kv_heads, c.head_dim));
    }
    TATARA_TRY(w.ffn, LoadGatedFfn(tensors, c, i));
  }
  return FinishLoading(tensors, "command-r");
}

void CommandR::Forward(std::span<const SequenceSlice> slices, KvPool& kv, ThreadPool& pool,
                       std::span<float> logits) {
  const DecoderConfig& c = config_;
  Pass pass(scratch_, slices, kv, pool, activations_);
  auto [x, h, q, k, v, a] = MakeRows(pass.n_tokens());

  pass.Embed(embedding_, x);
  for (int i = 0; i < c.n_layers; ++i) {
    const Layer& w = layers_[static_cast<std::size_t>(i)];
    // x += Wo softmax(rope(Wq h) rope(Wk h)^T / sqrt(D)) (Wv h) + Wdown (silu(Wgate h) * (Wup h)),
    // h = norm(x)
    LayerNormRows(pool, x, w.norm, {}, c.norm_eps, h);
    pass.Project(h, {{&w.attn.q, q}, {&w.attn.k, k}, {&w.attn.v, v}});
    if (!w.q_norm.empty()) {
      LayerNormHeads(pool, q, w.q_norm, c.head_dim, c.norm_eps);
      LayerNormHeads(pool, k, w.k_norm, c.head_dim, c.norm_eps);
    }
    pass.Rotate(rope_, c.head_dim, q);
    pass.Rotate(rope_, c.head_dim, k);
    pass.Attend(i, attention_, q, k, v, a);
    if (i + 1 == c.n_layers) pass.KeepWanted({&x, &h, &a});
    const Rows b = b_.Make(h.n_rows, c.n_embd);  // (T, E)
    pass.Project(a, {{&w.attn.output, b}});
    FeedForward(pass, w.ffn, Gate::kSilu, h);
    AddRows(pool, b, h);
    AddRows(pool, h, x);
  }
  Logits(pass, x, logits);  // scale * head(norm(x)): (wanted rows, V)
}

}  // namespace

Result<std::unique_ptr<Model>> LoadCommandR(const LoadContext& context) {
  Keys keys(context.store->metadata(), "command-r");
  TATARA_TRY(DecoderConfig decoder, ReadDecoderConfig(keys, {.layer_norm = true}));
  TATARA_TRY(decoder.rope, ReadRopeConfig(keys, decoder.head_dim, kUsualScaling));
  TATARA_TRY(const double logit_scale, keys.FloatOr("logit_scale", 1, {1e-6, 1e6}));
  decoder.logit_scale = static_cast<float>(logit_scale);
  TATARA_RETURN_IF_ERROR(keys.Finish());
  return LoadDecoder<CommandR>(context, decoder);
}

}  // namespace tatara::model
