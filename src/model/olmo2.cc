// OLMo 2 and 3: no norm before a block, only after it; queries and keys are normed over all heads
// at once before they are turned (halves). OLMo 3 has a window in all but every fourth layer; those
// turn without the position scaling that the other layers may have. Sources: 2 OLMo 2 Furious
// (arXiv:2501.00656); Olmo 3 (Ai2 2025), the published code.
//
// Shapes: T tokens of the pass, E n_embd, H heads, K key heads, D head size, Dv value size, F inner
// size, V vocabulary.

#include <cmath>

#include "blocks.h"
#include "decoder.h"

namespace tatara::model {
namespace {

constexpr int kWindowPeriod = 4;

struct Olmo2Config {
  DecoderConfig decoder;
  RopeConfig window_rope;
  int window = 0;                       // 0: no layer has one
  std::vector<bool> layer_is_windowed;  // a value a layer
};

class Olmo2 final : public Decoder {
 public:
  Olmo2(const LoadContext& context, const Olmo2Config& config)
      : Decoder(context, config.decoder), olmo_(config) {}
  Result<> LoadTensors(TensorLoader& tensors);
  void Forward(std::span<const SequenceSlice> slices, KvPool& kv, ThreadPool& pool,
               std::span<float> logits) override;

 private:
  struct Layer {
    AttentionWeights attn;
    std::vector<float> q_norm;          // (H*D)
    std::vector<float> k_norm;          // (K*D)
    std::vector<float> attn_post_norm;  // (E)
    GatedFfn ffn;
    std::vector<float> ffn_post_norm;  // (E)
  };
  Olmo2Config olmo_;
  std::vector<Layer> layers_;
  RotaryTable rope_, window_rope_;
  numerics::AttentionShape attention_, window_attention_;
};

Result<> Olmo2::LoadTensors(TensorLoader& tensors) {
  const DecoderConfig& c = config_;
  TATARA_RETURN_IF_ERROR(LoadEnds(tensors));
  rope_ = RotaryTable(c.rope, numerics::RopeLayout::kHalves, {});
  window_rope_ = RotaryTable(olmo_.window_rope, numerics::RopeLayout::kHalves, {});
  const float scale = 1.0F / std::sqrt(static_cast<float>(c.head_dim));
  attention_ = AttentionOf(scale, 0);
  window_attention_ = AttentionOf(scale, olmo_.window);
  for (int i = 0; i < c.n_layers; ++i) {
    Layer& w = layers_.emplace_back();
    TATARA_TRY(w.attn, LoadAttention(tensors, c, i, {}));
    TATARA_TRY(w.q_norm, LoadNorm(tensors, i, "attn_q_norm", c.n_heads * c.head_dim));
    TATARA_TRY(w.k_norm, LoadNorm(tensors, i, "attn_k_norm", c.n_kv_heads * c.head_dim));
    TATARA_TRY(w.attn_post_norm, LoadNorm(tensors, i, "post_attention_norm", c.n_embd));
    TATARA_TRY(w.ffn, LoadGatedFfn(tensors, c, i));
    TATARA_TRY(w.ffn_post_norm, LoadNorm(tensors, i, "post_ffw_norm", c.n_embd));
  }
  return FinishLoading(tensors, "olmo2");
}

void Olmo2::Forward(std::span<const SequenceSlice> slices, KvPool& kv, ThreadPool& pool,
                    std::span<float> logits) {
  const DecoderConfig& c = config_;
  Pass pass(scratch_, slices, kv, pool, activations_);
  auto [x, h, q, k, v, a] = MakeRows(pass.n_tokens());

  pass.Embed(embedding_, x);
  for (int i = 0; i < c.n_layers; ++i) {
    const Layer& w = layers_[static_cast<std::size_t>(i)];
    const bool windowed = olmo_.layer_is_windowed[static_cast<std::size_t>(i)];
    RotaryTable& rope = windowed ? window_rope_ : rope_;
    // x += norm(Wo softmax(rope(norm(Wq x)) rope(norm(Wk x))^T / sqrt(D)) (Wv x))
    pass.Project(x, {{&w.attn.q, q}, {&w.attn.k, k}, {&w.attn.v, v}});
    NormRows(pool, q, w.q_norm, c.norm_eps, q);
    NormRows(pool, k, w.k_norm, c.norm_eps, k);
    pass.Rotate(rope, c.head_dim, q);
    pass.Rotate(rope, c.head_dim, k);
    pass.Attend(i, windowed ? window_attention_ : attention_, q, k, v, a);
    if (i + 1 == c.n_layers) pass.KeepWanted({&x, &h, &a});
    pass.Project(a, {{&w.attn.output, h}});
    NormRows(pool, h, w.attn_post_norm, c.norm_eps, h);
    AddRows(pool, h, x);
    // x += norm(Wdown (silu(Wgate x) * (Wup x)))
    FeedForward(pass, w.ffn, Gate::kSilu, x, h);
    NormRows(pool, h, w.ffn_post_norm, c.norm_eps, h);
    AddRows(pool, h, x);
  }
  Logits(pass, x, logits);  // head(norm(x)): (wanted rows, V)
}

}  // namespace

Result<std::unique_ptr<Model>> LoadOlmo2(const LoadContext& context) {
  Keys keys(context.store->metadata(), "olmo2");
  Olmo2Config config;
  DecoderConfig& decoder = config.decoder;
  TATARA_TRY(decoder, ReadDecoderConfig(keys));
  TATARA_TRY(decoder.rope, ReadRopeConfig(keys, decoder.head_dim, kUsualScaling));
  config.window_rope = {.n_rot = decoder.rope.n_rot};
  TATARA_TRY(config.window_rope.base,
             keys.FloatOr("rope.freq_base_swa", decoder.rope.base, kRopeBaseRange));
  TATARA_TRY(config.window, keys.IntOr("attention.sliding_window", 0, {0, kContextMax}));
  TATARA_TRY(config.layer_is_windowed,
             ReadWindowLayers(keys, decoder.n_layers, config.window, kWindowPeriod));
  TATARA_RETURN_IF_ERROR(keys.Finish());
  return LoadDecoder<Olmo2>(context, config);
}

}  // namespace tatara::model
