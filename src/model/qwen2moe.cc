// Qwen2, mixture of experts (Qwen1.5-MoE, Qwen2-57B-A14B): Qwen2's attention (biases on queries,
// keys and values), and in every layer experts weighted by the plain softmax over all of them,
// beside a shared expert times the sigmoid of its own gate. Source: Qwen2 technical report
// (arXiv:2407.10671).
//
// Shapes: T tokens of the pass, E n_embd, H heads, K key heads, D head size, Dv value size, F inner
// size, V vocabulary.

#include <cmath>

#include "blocks.h"
#include "decoder.h"
#include "experts.h"

namespace tatara::model {
namespace {

struct Qwen2MoeConfig {
  DecoderConfig decoder;
  RouterConfig router;
  int n_ff_expert = 0;
  int n_ff_shared = 0;
};

class Qwen2Moe final : public Decoder {
 public:
  Qwen2Moe(const LoadContext& context, const Qwen2MoeConfig& config)
      : Decoder(context, config.decoder), moe_(config) {}
  Result<> LoadTensors(TensorLoader& tensors);
  void Forward(std::span<const SequenceSlice> slices, KvPool& kv, ThreadPool& pool,
               std::span<float> logits) override;

 private:
  struct Layer {
    std::vector<float> attn_norm;  // (E)
    AttentionWeights attn;
    std::vector<float> ffn_norm;  // (E)
    Experts experts;
    SharedExpert shared;
  };
  Qwen2MoeConfig moe_;
  std::vector<Layer> layers_;
  RotaryTable rope_;
  numerics::AttentionShape attention_;
};

Result<> Qwen2Moe::LoadTensors(TensorLoader& tensors) {
  const DecoderConfig& c = config_;
  TATARA_RETURN_IF_ERROR(LoadEnds(tensors));
  TATARA_TRY(rope_, LoadRope(tensors, numerics::RopeLayout::kHalves));
  attention_ = AttentionOf(1.0F / std::sqrt(static_cast<float>(c.head_dim)), 0);
  for (int i = 0; i < c.n_layers; ++i) {
    Layer& w = layers_.emplace_back();
    TATARA_TRY(w.attn_norm, LoadNorm(tensors, i, "attn_norm", c.n_embd));
    TATARA_TRY(w.attn, LoadAttention(tensors, c, i, {.qkv = Bias::kOptional}));
    TATARA_TRY(w.ffn_norm, LoadNorm(tensors, i, "ffn_norm", c.n_embd));
    TATARA_TRY(w.experts, LoadExperts(tensors, i, moe_.router, {c.n_embd, moe_.n_ff_expert}));
    TATARA_TRY(w.shared, LoadSharedExpert(tensors, i, c.n_embd, moe_.n_ff_shared, true));
  }
  return FinishLoading(tensors, "qwen2moe");
}

void Qwen2Moe::Forward(std::span<const SequenceSlice> slices, KvPool& kv, ThreadPool& pool,
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
    // x += chosen experts of h, weighted, + sigmoid(g h) * shared expert of h,  h = norm(x)
    NormRows(pool, x, w.ffn_norm, c.norm_eps, h);
    MixtureFeedForward(pass, w.experts, &w.shared, h);
    AddRows(pool, h, x);
  }
  Logits(pass, x, logits);  // head(norm(x)): (wanted rows, V)
}

}  // namespace

Result<std::unique_ptr<Model>> LoadQwen2Moe(const LoadContext& context) {
  Keys keys(context.store->metadata(), "qwen2moe");
  Qwen2MoeConfig config;
  DecoderConfig& decoder = config.decoder;
  TATARA_TRY(decoder, ReadDecoderConfig(keys, {.experts = true}));
  TATARA_TRY(decoder.rope, ReadRopeConfig(keys, decoder.head_dim, kUsualScaling));
  TATARA_TRY(config.router, ReadRouterConfig(keys, {.required = true}));
  const IntRange sizes{1, kFfMax};
  TATARA_TRY(config.n_ff_expert,
             keys.IntOr("expert_feed_forward_length", decoder.n_ff / config.router.n_used, sizes));
  TATARA_TRY(config.n_ff_shared,
             keys.IntOr("expert_shared_feed_forward_length", decoder.n_ff, sizes));
  TATARA_RETURN_IF_ERROR(keys.Finish());
  return LoadDecoder<Qwen2Moe>(context, config);
}

}  // namespace tatara::model
