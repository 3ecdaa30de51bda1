// Granite 3, dense and mixture of experts: Llama's layer with four multipliers: of the
// embeddings, of the scores (in place of 1 / sqrt(D)), of what a block adds, and a divisor of the
// logits. The mixture weighs its experts by the softmax over the chosen ones and may have a shared
// one. Sources: Granite 3.0 language models (IBM 2024); multipliers as in muP, Yang et al. 2022
// (arXiv:2203.03466).
//
// Shapes: T tokens of the pass, E n_embd, H heads, K key heads, D head size, Dv value size, F inner
// size, V vocabulary.

#include <cmath>

#include "blocks.h"
#include "decoder.h"
#include "experts.h"

namespace tatara::model {
namespace {

struct GraniteConfig {
  DecoderConfig decoder;
  std::string architecture;  // "granite" or "granitemoe"
  RouterConfig router;       // of no experts where the feed-forward is dense
  int n_ff_shared = 0;       // 0: no shared expert
  float embedding_scale = 1;
  float residual_scale = 1;
  float attention_scale = 0;
  bool turns = true;  // false: no rotary positions
};

class Granite final : public Decoder {
 public:
  Granite(const LoadContext& context, const GraniteConfig& config)
      : Decoder(context, config.decoder), granite_(config) {}
  Result<> LoadTensors(TensorLoader& tensors);
  void Forward(std::span<const SequenceSlice> slices, KvPool& kv, ThreadPool& pool,
               std::span<float> logits) override;

 private:
  struct Layer {
    std::vector<float> attn_norm;  // (E)
    AttentionWeights attn;
    std::vector<float> ffn_norm;  // (E)
    GatedFfn ffn;                 // this, or experts
    Experts experts;
    SharedExpert shared;
  };
  Result<> LoadFeedForward(TensorLoader& tensors, int layer, Layer& w) const;

  GraniteConfig granite_;
  std::vector<Layer> layers_;
  RotaryTable rope_;
  numerics::AttentionShape attention_;
};

Result<> Granite::LoadFeedForward(TensorLoader& tensors, int layer, Layer& w) const {
  const DecoderConfig& c = config_;
  if (granite_.router.n_experts == 0) {
    TATARA_TRY(w.ffn, LoadGatedFfn(tensors, c, layer, Bias::kOptional));
    return Ok{};
  }
  TATARA_TRY(w.experts, LoadExperts(tensors, layer, granite_.router, {c.n_embd, c.n_ff}));
  if (granite_.n_ff_shared > 0) {
    TATARA_TRY(w.shared, LoadSharedExpert(tensors, layer, c.n_embd, granite_.n_ff_shared, false));
  }
  return Ok{};
}

Result<> Granite::LoadTensors(TensorLoader& tensors) {
  const DecoderConfig& c = config_;
  TATARA_RETURN_IF_ERROR(LoadEnds(tensors));
  TATARA_TRY(rope_, LoadRope(tensors, numerics::RopeLayout::kPairs));
  attention_ = AttentionOf(granite_.attention_scale, 0);
  for (int i = 0; i < c.n_layers; ++i) {
    Layer& w = layers_.emplace_back();
    TATARA_TRY(w.attn_norm, LoadNorm(tensors, i, "attn_norm", c.n_embd));
    TATARA_TRY(w.attn,
               LoadAttention(tensors, c, i, {.qkv = Bias::kOptional, .output = Bias::kOptional}));
    TATARA_TRY(w.ffn_norm, LoadNorm(tensors, i, "ffn_norm", c.n_embd));
    TATARA_RETURN_IF_ERROR(LoadFeedForward(tensors, i, w));
  }
  return FinishLoading(tensors, granite_.architecture);
}

void Granite::Forward(std::span<const SequenceSlice> slices, KvPool& kv, ThreadPool& pool,
                      std::span<float> logits) {
  const DecoderConfig& c = config_;
  Pass pass(scratch_, slices, kv, pool, activations_);
  auto [x, h, q, k, v, a] = MakeRows(pass.n_tokens());

  pass.Embed(embedding_, x);
  ScaleRows(pool, granite_.embedding_scale, x);
  for (int i = 0; i < c.n_layers; ++i) {
    const Layer& w = layers_[static_cast<std::size_t>(i)];
    // x += residual * Wo softmax(attention * rope(Wq h) rope(Wk h)^T) (Wv h),  h = norm(x)
    NormRows(pool, x, w.attn_norm, c.norm_eps, h);
    pass.Project(h, {{&w.attn.q, q}, {&w.attn.k, k}, {&w.attn.v, v}});
    if (granite_.turns) {
      pass.Rotate(rope_, c.head_dim, q);
      pass.Rotate(rope_, c.head_dim, k);
    }
    pass.Attend(i, attention_, q, k, v, a);
    if (i + 1 == c.n_layers) pass.KeepWanted({&x, &h, &a});
    pass.Project(a, {{&w.attn.output, h}});
    ScaleRows(pool, granite_.residual_scale, h);
    AddRows(pool, h, x);
    // x += residual * (Wdown (silu(Wgate h) * (Wup h)), or experts of h),  h = norm(x)
    NormRows(pool, x, w.ffn_norm, c.norm_eps, h);
    if (granite_.router.n_experts > 0) {
      MixtureFeedForward(pass, w.experts, granite_.n_ff_shared > 0 ? &w.shared : nullptr, h);
    } else {
      FeedForward(pass, w.ffn, Gate::kSilu, h);
    }
    ScaleRows(pool, granite_.residual_scale, h);
    AddRows(pool, h, x);
  }
  Logits(pass, x, logits);  // head(norm(x)) / logit scale: (wanted rows, V)
}

Result<> ReadMultipliers(Keys& keys, GraniteConfig& config) {
  const FloatRange range{1e-6, 1e6};
  const double by_head_size = 1.0F / std::sqrt(static_cast<float>(config.decoder.head_dim));
  TATARA_TRY(const double embedding, keys.FloatOr("embedding_scale", 1, range));
  TATARA_TRY(const double residual, keys.FloatOr("residual_scale", 1, range));
  TATARA_TRY(const double attention, keys.FloatOr("attention.scale", by_head_size, range));
  TATARA_TRY(const double logit, keys.Float("logit_scale", range));
  config.embedding_scale = static_cast<float>(embedding);
  config.residual_scale = static_cast<float>(residual);
  config.attention_scale = static_cast<float>(attention);
  config.decoder.logit_scale = 1.0F / static_cast<float>(logit);  // the key divides
  return Ok{};
}

Result<std::unique_ptr<Model>> LoadAs(const LoadContext& context, const char* architecture) {
  Keys keys(context.store->metadata(), architecture);
  GraniteConfig config;
  config.architecture = architecture;
  DecoderConfig& decoder = config.decoder;
  TATARA_TRY(decoder, ReadDecoderConfig(keys, {.experts = true}));
  TATARA_TRY(decoder.rope, ReadRopeConfig(keys, decoder.head_dim, kUsualScaling));
  // Here, and here only, this key says whether there are rotary positions at all.
  TATARA_TRY(config.turns, keys.BoolOr("rope.scaling.finetuned", true));
  TATARA_RETURN_IF_ERROR(ReadMultipliers(keys, config));
  TATARA_TRY(config.router, ReadRouterConfig(keys, {.score = RouterScore::kSoftmaxOfChosen}));
  if (config.router.n_experts > 0) {
    TATARA_TRY(config.n_ff_shared, keys.IntOr("expert_shared_feed_forward_length", 0, {0, kFfMax}));
  } else {
    TATARA_RETURN_IF_ERROR(keys.OnlyInt("expert_shared_feed_forward_length", 0));
  }
  TATARA_RETURN_IF_ERROR(keys.Finish());
  return LoadDecoder<Granite>(context, config);
}

}  // namespace

Result<std::unique_ptr<Model>> LoadGranite(const LoadContext& context) {
  return LoadAs(context, "granite");
}

Result<std::unique_ptr<Model>> LoadGraniteMoe(const LoadContext& context) {
  return LoadAs(context, "granitemoe");
}

}  // namespace tatara::model
