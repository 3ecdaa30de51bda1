// Gemma 2: embeddings times sqrt(E); RMS norms before and after each block; scores and logits soft
// capped, cap * tanh(x / cap); every other layer, from the first on, sees a window; GELU (tanh
// form) gate. Source: Gemma 2 (arXiv:2408.00118). The file's norm weights include the published "1
// +".
//
// Shapes: T tokens of the pass, E n_embd, H heads, K key heads, D head size, Dv value size, F inner
// size, V vocabulary.

#include <cmath>

#include "blocks.h"
#include "decoder.h"

namespace tatara::model {
namespace {

constexpr int kWindowPeriod = 2;
constexpr int kWindowDefault = 4096;
constexpr double kScoreCapDefault = 50;
constexpr double kLogitCapDefault = 30;
// The 27B model alone scales scores by the embedding's share of a head, not by the head's own size,
// and no key says so: it is told by its number of layers.
constexpr int kLayersOf27B = 46;

struct Gemma2Config {
  DecoderConfig decoder;
  int window = 0;
  std::vector<bool> layer_is_windowed;  // a value a layer
  float score_cap = 0;                  // 0: none
};

class Gemma2 final : public Decoder {
 public:
  Gemma2(const LoadContext& context, const Gemma2Config& config)
      : Decoder(context, config.decoder), gemma_(config) {}
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
  Gemma2Config gemma_;
  std::vector<Layer> layers_;
  RotaryTable rope_;
  numerics::AttentionShape global_attention_, window_attention_;
};

Result<> Gemma2::LoadTensors(TensorLoader& tensors) {
  const DecoderConfig& c = config_;
  TATARA_RETURN_IF_ERROR(LoadEnds(tensors));
  rope_ = RotaryTable(c.rope, numerics::RopeLayout::kHalves, {});
  const int score_size = c.n_layers == kLayersOf27B ? c.n_embd / c.n_heads : c.head_dim;
  const float scale = 1.0F / std::sqrt(static_cast<float>(score_size));
  global_attention_ = AttentionOf(scale, 0);
  window_attention_ = AttentionOf(scale, gemma_.window);
  global_attention_.soft_cap = window_attention_.soft_cap = gemma_.score_cap;
  for (int i = 0; i < c.n_layers; ++i) {
    Layer& w = layers_.emplace_back();
    TATARA_TRY(w.attn_norm, LoadNorm(tensors, i, "attn_norm", c.n_embd));
    TATARA_TRY(w.attn, LoadAttention(tensors, c, i, {}));
    TATARA_TRY(w.attn_post_norm, LoadNorm(tensors, i, "post_attention_norm", c.n_embd));
    TATARA_TRY(w.ffn_norm, LoadNorm(tensors, i, "ffn_norm", c.n_embd));
    TATARA_TRY(w.ffn, LoadGatedFfn(tensors, c, i));
    TATARA_TRY(w.ffn_post_norm, LoadNorm(tensors, i, "post_ffw_norm", c.n_embd));
  }
  return FinishLoading(tensors, "gemma2");
}

void Gemma2::Forward(std::span<const SequenceSlice> slices, KvPool& kv, ThreadPool& pool,
                     std::span<float> logits) {
  const DecoderConfig& c = config_;
  Pass pass(scratch_, slices, kv, pool, activations_);
  auto [x, h, q, k, v, a] = MakeRows(pass.n_tokens());

  pass.Embed(embedding_, x);
  ScaleRows(pool, std::sqrt(static_cast<float>(c.n_embd)), x);
  for (int i = 0; i < c.n_layers; ++i) {
    const Layer& w = layers_[static_cast<std::size_t>(i)];
    const bool windowed = gemma_.layer_is_windowed[static_cast<std::size_t>(i)];
    // x += norm(Wo softmax(cap(rope(Wq h) rope(Wk h)^T / sqrt(D))) (Wv h)),  h = norm(x)
    NormRows(pool, x, w.attn_norm, c.norm_eps, h);
    pass.Project(h, {{&w.attn.q, q}, {&w.attn.k, k}, {&w.attn.v, v}});
    pass.Rotate(rope_, c.head_dim, q);
    pass.Rotate(rope_, c.head_dim, k);
    pass.Attend(i, windowed ? window_attention_ : global_attention_, q, k, v, a);
    if (i + 1 == c.n_layers) pass.KeepWanted({&x, &h, &a});
    pass.Project(a, {{&w.attn.output, h}});
    NormRows(pool, h, w.attn_post_norm, c.norm_eps, h);
    AddRows(pool, h, x);
    // x += norm(Wdown (gelu(Wgate h) * (Wup h))),  h = norm(x)
    NormRows(pool, x, w.ffn_norm, c.norm_eps, h);
    FeedForward(pass, w.ffn, Gate::kGeluTanh, h);
    NormRows(pool, h, w.ffn_post_norm, c.norm_eps, h);
    AddRows(pool, h, x);
  }
  Logits(pass, x, logits);  // cap(head(norm(x))): (wanted rows, V)
}

}  // namespace

Result<std::unique_ptr<Model>> LoadGemma2(const LoadContext& context) {
  Keys keys(context.store->metadata(), "gemma2");
  Gemma2Config config;
  DecoderConfig& decoder = config.decoder;
  TATARA_TRY(decoder, ReadDecoderConfig(keys, {.soft_caps = true}));
  TATARA_TRY(decoder.rope, ReadRopeConfig(keys, decoder.head_dim, {.linear = true}));
  TATARA_TRY(config.window,
             keys.IntOr("attention.sliding_window", kWindowDefault, {0, kContextMax}));
  TATARA_TRY(config.layer_is_windowed,
             ReadWindowLayers(keys, decoder.n_layers, config.window, kWindowPeriod));
  const FloatRange caps{0, 1e6};
  TATARA_TRY(const double score_cap,
             keys.FloatOr("attn_logit_softcapping", kScoreCapDefault, caps));
  TATARA_TRY(const double logit_cap,
             keys.FloatOr("final_logit_softcapping", kLogitCapDefault, caps));
  config.score_cap = static_cast<float>(score_cap);
  decoder.logit_cap = static_cast<float>(logit_cap);
  TATARA_RETURN_IF_ERROR(keys.Finish());
  return LoadDecoder<Gemma2>(context, config);
}

}  // namespace tatara::model
