// ModernBERT: a norm before each block (the first layer's attention reads the embedding's norm),
// rotary positions on the halves of a head, a GELU (erf) gate, no biases; every third layer from
// the first on sees all tokens, the others those at a distance of at most half the window, with
// their own rotary base. Source: Warner et al. 2024 (arXiv:2412.13663).
//
// Shapes: T tokens of the pass, E n_embd, F inner size.

#include <algorithm>
#include <utility>

#include "encoder_base.h"
#include "tatara/base/utf8.h"

namespace tatara::model {
namespace {

struct ModernConfig : EncoderConfig {
  int window = 0;
  int global_every = 3;  // layers i with i mod global_every = 0 see all tokens
  double window_rope_base = 10000;
};

class ModernBert final : public BidirectionalEncoder {
 public:
  ModernBert(const LoadContext& context, const ModernConfig& config)
      : BidirectionalEncoder(context, config), modern_(config) {}
  Result<> LoadTensors(TensorLoader& tensors);

 private:
  void Forward(Pass& pass, Rows x) override;

  struct Layer {
    LayerNormWeights attn_norm;  // (E), none in the first layer
    AttentionWeights attn;
    LayerNormWeights ffn_norm;  // (E)
    Linear gate, up, down;      // (F, E), (F, E), (E, F)
  };
  ModernConfig modern_;
  std::vector<Layer> layers_;
  RotaryTable rope_, window_rope_;
  LayerNormWeights output_norm_;  // (E)
};

Result<> ModernBert::LoadTensors(TensorLoader& tensors) {
  const EncoderConfig& c = config_;
  TATARA_RETURN_IF_ERROR(LoadEmbeddings(tensors, Bias::kOptional));
  const auto halves = numerics::RopeLayout::kHalves;
  rope_ = RotaryTable({.n_rot = c.n_rot, .base = c.rope_base}, halves, {});
  window_rope_ = RotaryTable({.n_rot = c.n_rot, .base = modern_.window_rope_base}, halves, {});
  TATARA_TRY(output_norm_, LoadLayerNorm(tensors, "output_norm", c.n_embd, Bias::kOptional));
  for (int i = 0; i < c.n_layers; ++i) {
    Layer& w = layers_.emplace_back();
    const std::string norm = BlockName(i, "attn_norm");
    if (i > 0 || tensors.Has(norm + ".weight")) {
      TATARA_TRY(w.attn_norm, LoadLayerNorm(tensors, norm, c.n_embd, Bias::kOptional));
    }
    TATARA_TRY(w.attn,
               LoadAttentionOf(tensors, i, {.qkv = Bias::kOptional, .output = Bias::kOptional}));
    TATARA_TRY(w.ffn_norm,
               LoadLayerNorm(tensors, BlockName(i, "ffn_norm"), c.n_embd, Bias::kOptional));
    const std::string fused = BlockName(i, "ffn_up");  // the gate's rows first
    TATARA_TRY(auto gate, tensors.LoadExperts(fused, {1, c.n_embd, 2 * c.n_ff, 0, c.n_ff}));
    TATARA_TRY(auto up, tensors.LoadExperts(fused, {1, c.n_embd, 2 * c.n_ff, c.n_ff, c.n_ff}));
    w.gate = std::move(gate.front());
    w.up = std::move(up.front());
    TATARA_TRY(w.down, tensors.LoadLinear(BlockName(i, "ffn_down"), c.n_embd, c.n_ff));
  }
  return FinishLoading(tensors, "modern-bert");
}

void ModernBert::Forward(Pass& pass, Rows x) {
  ThreadPool& pool = pass.pool();
  const Rows g = pass.scratch().gate.Make(x.n_rows, config_.n_ff);  // (T, F)
  const Rows u = pass.scratch().up.Make(x.n_rows, config_.n_ff);    // (T, F)
  Embed(pass, nullptr, x);
  const Rows h = Scratch(pass);  // (T, E)
  for (std::size_t i = 0; i < layers_.size(); ++i) {
    const Layer& w = layers_[i];
    const bool global = static_cast<int>(i) % modern_.global_every == 0;
    // x += Wo attention(rope(h)),  h = norm(x)
    if (w.attn_norm.weight.empty()) {
      std::copy_n(x.data, x.size(), h.data);
    } else {
      Norm(pass, w.attn_norm, x, h);
    }
    Attend(pass, w.attn, ShapeOf(global ? 0 : modern_.window), global ? &rope_ : &window_rope_, h);
    AddRows(pool, h, x);
    // x += Wdown (gelu(Wgate h) * (Wup h)),  h = norm(x)
    Norm(pass, w.ffn_norm, x, h);
    pass.Project(h, {{&w.gate, g}, {&w.up, u}});
    GeluErfMulRows(pool, g, u);
    pass.Project(g, {{&w.down, h}});
    AddRows(pool, h, x);
  }
  Norm(pass, output_norm_, x, x);
}

}  // namespace

Result<std::unique_ptr<Encoder>> LoadModernBert(const LoadContext& context) {
  Keys keys(context.store->metadata(), "modern-bert");
  ModernConfig config;
  TATARA_TRY(static_cast<EncoderConfig&>(config), ReadEncoderConfig(keys));
  TATARA_RETURN_IF_ERROR(RequireWholePairs(keys, config));
  // A window of 1 would be a token that sees only itself, which no model has.
  TATARA_TRY(config.window, keys.Int("attention.sliding_window", {2, kContextMax}));
  TATARA_TRY(config.global_every,
             keys.IntOr("attention.sliding_window_pattern", 3, {1, kLayersMax}));
  TATARA_TRY(config.window_rope_base, keys.FloatOr("rope.freq_base_swa", 10000, kRopeBaseRange));
  TATARA_RETURN_IF_ERROR(keys.OnlyFloat("rope.scaling.factor", 1));
  TATARA_TRY(const std::string activation, keys.StringOr("hidden_activation", "gelu"));
  if (activation != "gelu") {
    return Refuse(
        "{0}: the key '{1}' is {2}, which asks for something that '{3}' models do not compute here "
        "(only {4} is accepted)",
        keys.origin(), keys.FullName("hidden_activation"), Printable(activation), "modern-bert",
        "gelu");
  }
  TATARA_RETURN_IF_ERROR(keys.Finish());
  return LoadEncoder<ModernBert>(context, config);
}

}  // namespace tatara::model
