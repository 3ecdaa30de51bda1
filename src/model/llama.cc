// Llama 1 to 3 and what was published in its form (SmolLM2, TinyLlama, Mistral, Mixtral, ...): RMS
// norm before each block, rotary positions on neighbouring pairs (2i, 2i+1), grouped-query
// attention, SiLU-gated feed-forward. Mistral may see a window of the last positions only; Mixtral
// has experts, weighted by the softmax over the chosen ones. Sources: Touvron et al. 2023
// (arXiv:2302.13971, arXiv:2307.09288); Llama 3, arXiv:2407.21783; Mistral 7B, arXiv:2310.06825;
// Mixtral, arXiv:2401.04088.
//
// Shapes: T tokens of the pass, E n_embd, H heads, K key heads, D head size, Dv value size, F inner
// size, V vocabulary.

#include <cmath>

#include "blocks.h"
#include "decoder.h"
#include "experts.h"

namespace tatara::model {
namespace {

struct LlamaConfig {
  DecoderConfig decoder;
  int window = 0;       // 0: none
  RouterConfig router;  // of no experts where the feed-forward is dense
};

class Llama final : public Decoder {
 public:
  Llama(const LoadContext& context, const LlamaConfig& config)
      : Decoder(context, config.decoder), llama_(config) {}
  Result<> LoadTensors(TensorLoader& tensors);
  void Forward(std::span<const SequenceSlice> slices, KvPool& kv, ThreadPool& pool,
               std::span<float> logits) override;

 private:
  struct Layer {
    std::vector<float> attn_norm;  // (E)
    AttentionWeights attn;
    std::vector<float> ffn_norm;  // (E)
    GatedFfn ffn;                 // one of the two
    Experts experts;
  };
  LlamaConfig llama_;
  std::vector<Layer> layers_;
  RotaryTable rope_;
  numerics::AttentionShape attention_;
};

Result<> Llama::LoadTensors(TensorLoader& tensors) {
  const DecoderConfig& c = config_;
  TATARA_RETURN_IF_ERROR(LoadEnds(tensors));
  TATARA_TRY(rope_, LoadRope(tensors, numerics::RopeLayout::kPairs));
  attention_ = AttentionOf(1.0F / std::sqrt(static_cast<float>(c.head_dim)), llama_.window);
  for (int i = 0; i < c.n_layers; ++i) {
    Layer& w = layers_.emplace_back();
    TATARA_TRY(w.attn_norm, LoadNorm(tensors, i, "attn_norm", c.n_embd));
    TATARA_TRY(w.attn,
               LoadAttention(tensors, c, i, {.qkv = Bias::kOptional, .output = Bias::kOptional}));
    TATARA_TRY(w.ffn_norm, LoadNorm(tensors, i, "ffn_norm", c.n_embd));
    if (llama_.router.n_experts > 0) {
      TATARA_TRY(w.experts, LoadExperts(tensors, i, llama_.router, {c.n_embd, c.n_ff}));
    } else {
      TATARA_TRY(w.ffn, LoadGatedFfn(tensors, c, i, Bias::kOptional));
    }
  }
  return FinishLoading(tensors, "llama");
}

void Llama::Forward(std::span<const SequenceSlice> slices, KvPool& kv, ThreadPool& pool,
                    std::span<float> logits) {
  const DecoderConfig& c = config_;
  Pass pass(scratch_, slices, kv, pool, activations_);
  auto [x, h, q, k, v, a] = MakeRows(pass.n_tokens());

  pass.Embed(embedding_, x);
  for (int i = 0; i < c.n_layers; ++i) {
    const Layer& w = layers_[static_cast<std::size_t>(i)];
    // x += Wo softmax(rope(Wq h) rope(Wk h)^T / sqrt(D)) (Wv h),  h = norm(x)
    NormRows(pool, x, w.attn_norm, c.norm_eps, h);
    pass.Project(h, {{&w.attn.q, q}, {&w.attn.k, k}, {&w.attn.v, v}});
    pass.Rotate(rope_, c.head_dim, q);
    pass.Rotate(rope_, c.head_dim, k);
    pass.Attend(i, attention_, q, k, v, a);
    if (i + 1 == c.n_layers) pass.KeepWanted({&x, &h, &a});
    pass.Project(a, {{&w.attn.output, h}});
    AddRows(pool, h, x);
    // x += Wdown (silu(Wgate h) * (Wup h)), or the chosen experts' sum of this;  h = norm(x)
    NormRows(pool, x, w.ffn_norm, c.norm_eps, h);
    if (llama_.router.n_experts > 0) {
      MixtureFeedForward(pass, w.experts, nullptr, h);
    } else {
      FeedForward(pass, w.ffn, Gate::kSilu, h);
    }
    AddRows(pool, h, x);
  }
  Logits(pass, x, logits);  // head(norm(x)): (wanted rows, V)
}

}  // namespace

Result<std::unique_ptr<Model>> LoadLlama(const LoadContext& context) {
  Keys keys(context.store->metadata(), "llama");
  LlamaConfig config;
  DecoderConfig& decoder = config.decoder;
  TATARA_TRY(decoder, ReadDecoderConfig(keys, {.experts = true, .pooling = true}));
  TATARA_TRY(decoder.rope, ReadRopeConfig(keys, decoder.head_dim, kUsualScaling));
  TATARA_TRY(config.window, keys.IntOr("attention.sliding_window", 0, {0, kContextMax}));
  TATARA_TRY(config.router, ReadRouterConfig(keys, {.score = RouterScore::kSoftmaxOfChosen}));
  TATARA_RETURN_IF_ERROR(keys.Finish());
  return LoadDecoder<Llama>(context, config);
}

}  // namespace tatara::model
