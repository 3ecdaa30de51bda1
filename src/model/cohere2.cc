// Cohere 2 (Command R7B, Command A): Command R's layer (LayerNorm without bias, attention and
// feed-forward side by side, logits times a scale); three layers with a window and rotary positions
// on neighbouring pairs, then one that sees everything and has no positions. Source: Command A
// (arXiv:2504.00698).
//
// Shapes: T tokens of the pass, E n_embd, H heads, K key heads, D head size, Dv value size, F inner
// size, V vocabulary.

#include <cmath>

#include "blocks.h"
#include "decoder.h"

namespace tatara::model {
namespace {

constexpr int kWindowPeriod = 4;

struct Cohere2Config {
  DecoderConfig decoder;
  int window = 0;
  std::vector<bool> layer_is_windowed;  // a value a layer
};

class Cohere2 final : public Decoder {
 public:
  Cohere2(const LoadContext& context, const Cohere2Config& config)
      : Decoder(context, config.decoder), cohere_(config) {}
  Result<> LoadTensors(TensorLoader& tensors);
  void Forward(std::span<const SequenceSlice> slices, KvPool& kv, ThreadPool& pool,
               std::span<float> logits) override;

 private:
  struct Layer {
    std::vector<float> norm;  // (E)
    AttentionWeights attn;
    GatedFfn ffn;
  };
  Cohere2Config cohere_;
  std::vector<Layer> layers_;
  RotaryTable rope_;
  numerics::AttentionShape global_attention_, window_attention_;
  RowBuffer b_;
};

Result<> Cohere2::LoadTensors(TensorLoader& tensors) {
  const DecoderConfig& c = config_;
  TATARA_RETURN_IF_ERROR(LoadEnds(tensors));
  TATARA_TRY(rope_, LoadRope(tensors, numerics::RopeLayout::kPairs));
  const float scale = 1.0F / std::sqrt(static_cast<float>(c.head_dim));
  global_attention_ = AttentionOf(scale, 0);
  window_attention_ = AttentionOf(scale, cohere_.window);
  for (int i = 0; i < c.n_layers; ++i) {
    Layer& w = layers_.emplace_back();
    TATARA_TRY(w.norm, LoadNorm(tensors, i, "attn_norm", c.n_embd));
    TATARA_TRY(w.attn, LoadAttention(tensors, c, i, {.qkv = Bias::kOptional}));
    TATARA_TRY(w.ffn, LoadGatedFfn(tensors, c, i));
  }
  return FinishLoading(tensors, "cohere2");
}

void Cohere2::Forward(std::span<const SequenceSlice> slices, KvPool& kv, ThreadPool& pool,
                      std::span<float> logits) {
  const DecoderConfig& c = config_;
  Pass pass(scratch_, slices, kv, pool, activations_);
  auto [x, h, q, k, v, a] = MakeRows(pass.n_tokens());

  pass.Embed(embedding_, x);
  for (int i = 0; i < c.n_layers; ++i) {
    const Layer& w = layers_[static_cast<std::size_t>(i)];
    const bool windowed = cohere_.layer_is_windowed[static_cast<std::size_t>(i)];
    // x += Wo softmax(q k^T / sqrt(D)) (Wv h) + Wdown (silu(Wgate h) * (Wup h)),  h = norm(x),
    // q = Wq h and k = Wk h, turned in window layers
    LayerNormRows(pool, x, w.norm, {}, c.norm_eps, h);
    pass.Project(h, {{&w.attn.q, q}, {&w.attn.k, k}, {&w.attn.v, v}});
    if (windowed) {
      pass.Rotate(rope_, c.head_dim, q);
      pass.Rotate(rope_, c.head_dim, k);
    }
    pass.Attend(i, windowed ? window_attention_ : global_attention_, q, k, v, a);
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

Result<std::unique_ptr<Model>> LoadCohere2(const LoadContext& context) {
  Keys keys(context.store->metadata(), "cohere2");
  Cohere2Config config;
  DecoderConfig& decoder = config.decoder;
  TATARA_TRY(decoder, ReadDecoderConfig(keys, {.layer_norm = true}));
  TATARA_TRY(decoder.rope, ReadRopeConfig(keys, decoder.head_dim, kUsualScaling));
  // Without a window no layer would turn.
  TATARA_TRY(config.window, keys.Int("attention.sliding_window", {1, kContextMax}));
  TATARA_TRY(config.layer_is_windowed,
             ReadWindowLayers(keys, decoder.n_layers, config.window, kWindowPeriod));
  TATARA_TRY(const double logit_scale, keys.FloatOr("logit_scale", 1, {1e-6, 1e6}));
  decoder.logit_scale = static_cast<float>(logit_scale);
  TATARA_RETURN_IF_ERROR(keys.Finish());
  return LoadDecoder<Cohere2>(context, config);
}

}  // namespace tatara::model
