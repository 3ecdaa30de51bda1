// Gemma 3, text: embeddings times sqrt(E); RMS norms before and after each block; a norm on each
// head of queries and keys; five layers that see a window and turn by base 10000, then one that
// sees everything and turns by a base of its own (stretched linearly in the larger models); GELU
// (tanh form) gate. Source: Gemma 3 technical report (arXiv:2503.19786). The file's norm weights
// include the published "1 +".
//
// Shapes: T tokens of the pass, E n_embd, H heads, K key heads, D head size, Dv value size, F inner
// size, V vocabulary.

#include <cmath>

#include "blocks.h"
#include "decoder.h"

namespace tatara::model {
namespace {

constexpr int kWindowPeriod = 6;
// The 27B model alone scales scores by the embedding's share of a head, not by the head's own size,
// and no key says so: it is told by its number of layers.
constexpr int kLayersOf27B = 62;

struct Gemma3Config {
  DecoderConfig decoder;  // its rope is that of the global layers
  RopeConfig window_rope;
  int window = 0;                       // 0: no layer has one
  std::vector<bool> layer_is_windowed;  // a value a layer
};

class Gemma3 final : public Decoder {
 public:
  Gemma3(const LoadContext& context, const Gemma3Config& config)
      : Decoder(context, config.decoder), gemma_(config) {}
  Result<> LoadTensors(TensorLoader& tensors);
  void Forward(std::span<const SequenceSlice> slices, KvPool& kv, ThreadPool& pool,
               std::span<float> logits) override;

 private:
  struct Layer {
    std::vector<float> attn_norm;  // (E)
    AttentionWeights attn;
    std::vector<float> q_norm, k_norm;  // (D)
    std::vector<float> attn_post_norm;  // (E)
    std::vector<float> ffn_norm;        // (E)
    GatedFfn ffn;
    std::vector<float> ffn_post_norm;  // (E)
  };
  Gemma3Config gemma_;
  std::vector<Layer> layers_;
  RotaryTable global_rope_, window_rope_;
  numerics::AttentionShape global_attention_, window_attention_;
};

Result<> Gemma3::LoadTensors(TensorLoader& tensors) {
  const DecoderConfig& c = config_;
  TATARA_RETURN_IF_ERROR(LoadEnds(tensors));
  global_rope_ = RotaryTable(c.rope, numerics::RopeLayout::kHalves, {});
  window_rope_ = RotaryTable(gemma_.window_rope, numerics::RopeLayout::kHalves, {});
  const int score_size = c.n_layers == kLayersOf27B ? c.n_embd / c.n_heads : c.head_dim;
  const float scale = 1.0F / std::sqrt(static_cast<float>(score_size));
  global_attention_ = AttentionOf(scale, 0);
  window_attention_ = AttentionOf(scale, gemma_.window);
  for (int i = 0; i < c.n_layers; ++i) {
    Layer& w = layers_.emplace_back();
    TATARA_TRY(w.attn_norm, LoadNorm(tensors, i, "attn_norm", c.n_embd));
    TATARA_TRY(w.attn, LoadAttention(tensors, c, i, {}));
    TATARA_TRY(w.q_norm, LoadNorm(tensors, i, "attn_q_norm", c.head_dim));
    TATARA_TRY(w.k_norm, LoadNorm(tensors, i, "attn_k_norm", c.head_dim));
    TATARA_TRY(w.attn_post_norm, LoadNorm(tensors, i, "post_attention_norm", c.n_embd));
    TATARA_TRY(w.ffn_norm, LoadNorm(tensors, i, "ffn_norm", c.n_embd));
    TATARA_TRY(w.ffn, LoadGatedFfn(tensors, c, i));
    TATARA_TRY(w.ffn_post_norm, LoadNorm(tensors, i, "post_ffw_norm", c.n_embd));
  }
  return FinishLoading(tensors, "gemma3");
}

void Gemma3::Forward(std::span<const SequenceSlice> slices, KvPool& kv, ThreadPool& pool,
                     std::span<float> logits) {
  const DecoderConfig& c = config_;
  Pass pass(scratch_, slices, kv, pool, activations_);
  auto [x, h, q, k, v, a] = MakeRows(pass.n_tokens());

  pass.Embed(embedding_, x);
  ScaleRows(pool, std::sqrt(static_cast<float>(c.n_embd)), x);
  for (int i = 0; i < c.n_layers; ++i) {
    const Layer& w = layers_[static_cast<std::size_t>(i)];
    const bool windowed = gemma_.layer_is_windowed[static_cast<std::size_t>(i)];
    RotaryTable& rope = windowed ? window_rope_ : global_rope_;
    // x += norm(Wo softmax(rope(norm(Wq h)) rope(norm(Wk h))^T / sqrt(D)) (Wv h)),  h = norm(x)
    NormRows(pool, x, w.attn_norm, c.norm_eps, h);
    pass.Project(h, {{&w.attn.q, q}, {&w.attn.k, k}, {&w.attn.v, v}});
    NormHeads(pool, q, w.q_norm, c.norm_eps);
    NormHeads(pool, k, w.k_norm, c.norm_eps);
    pass.Rotate(rope, c.head_dim, q);
    pass.Rotate(rope, c.head_dim, k);
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
  Logits(pass, x, logits);  // head(norm(x)): (wanted rows, V)
}

}  // namespace

Result<std::unique_ptr<Model>> LoadGemma3(const LoadContext& context) {
  Keys keys(context.store->metadata(), "gemma3");
  Gemma3Config config;
  DecoderConfig& decoder = config.decoder;
  TATARA_TRY(decoder, ReadDecoderConfig(keys));
  TATARA_TRY(decoder.rope, ReadRopeConfig(keys, decoder.head_dim, {.linear = true}));
  config.window_rope = {.n_rot = decoder.rope.n_rot};
  TATARA_TRY(config.window_rope.base, keys.FloatOr("rope.freq_base_swa", 10000.0, kRopeBaseRange));
  TATARA_TRY(config.window, keys.IntOr("attention.sliding_window", 0, {0, kContextMax}));
  TATARA_TRY(config.layer_is_windowed,
             ReadWindowLayers(keys, decoder.n_layers, config.window, kWindowPeriod));
  TATARA_RETURN_IF_ERROR(keys.Finish());
  return LoadDecoder<Gemma3>(context, config);
}

}  // namespace tatara::model
