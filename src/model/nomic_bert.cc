// Nomic's BERT: rotary positions on the halves of a head, queries, keys and values in one matrix, a
// SiLU gate; and its mixture, where every n-th layer has experts without a gate (router: softmax
// over all, the best few with the weights they have) and the others BERT's feed-forward. Sources:
// Nussbaum et al. 2024 (arXiv:2402.01613), 2025 (arXiv:2502.07972).
//
// Shapes: T tokens of the pass, E n_embd, F inner size, X experts.

#include <algorithm>
#include <utility>

#include "encoder_base.h"
#include "experts.h"

namespace tatara::model {
namespace {

struct NomicConfig : EncoderConfig {
  bool mixture = false;  // nomic-bert-moe
  int moe_every = 0;     // layers i with i mod moe_every = 1 have experts
  RouterConfig router;
};

class NomicBert final : public BidirectionalEncoder {
 public:
  NomicBert(const LoadContext& context, const NomicConfig& config)
      : BidirectionalEncoder(context, config), nomic_(config) {}
  Result<> LoadTensors(TensorLoader& tensors);

 private:
  struct Layer {
    AttentionWeights attn;
    LayerNormWeights attn_norm;  // (E)
    Linear gate, up, down;       // (F, E) or empty, (F, E), (E, F)
    Experts experts;             // instead of them, where up is empty
    LayerNormWeights ffn_norm;   // (E)
  };
  Result<> LoadFeedForward(TensorLoader& tensors, int i, Layer& w);
  void FeedForwardOf(Pass& pass, const Layer& w, Rows h);
  void Forward(Pass& pass, Rows x) override;

  NomicConfig nomic_;
  std::vector<Layer> layers_;
  RotaryTable rope_;
};

Result<> NomicBert::LoadFeedForward(TensorLoader& tensors, int i, Layer& w) {
  const EncoderConfig& c = config_;
  if (nomic_.mixture && i % nomic_.moe_every == 1) {
    TATARA_TRY(w.experts, LoadExperts(tensors, i, nomic_.router,
                                      {.n_embd = c.n_embd, .n_ff = c.n_ff, .gated = false}));
    w.experts.activate = GeluErfRows;
    return Ok{};
  }
  const Bias bias = Bias::kOptional;
  if (!nomic_.mixture) {
    TATARA_TRY(w.gate, tensors.LoadLinear(BlockName(i, "ffn_gate"), c.n_ff, c.n_embd, bias));
  }
  TATARA_TRY(w.up, tensors.LoadLinear(BlockName(i, "ffn_up"), c.n_ff, c.n_embd, bias));
  TATARA_TRY(w.down, tensors.LoadLinear(BlockName(i, "ffn_down"), c.n_embd, c.n_ff, bias));
  return Ok{};
}

Result<> NomicBert::LoadTensors(TensorLoader& tensors) {
  const EncoderConfig& c = config_;
  TATARA_RETURN_IF_ERROR(LoadEmbeddings(tensors, Bias::kRequired));
  rope_ = RotaryTable({.n_rot = c.n_rot, .base = c.rope_base}, numerics::RopeLayout::kHalves, {});
  for (int i = 0; i < c.n_layers; ++i) {
    Layer& w = layers_.emplace_back();
    TATARA_TRY(w.attn,
               LoadAttentionOf(tensors, i, {.qkv = Bias::kOptional, .output = Bias::kOptional}));
    TATARA_TRY(w.attn_norm,
               LoadLayerNorm(tensors, BlockName(i, "attn_output_norm"), c.n_embd, Bias::kRequired));
    TATARA_RETURN_IF_ERROR(LoadFeedForward(tensors, i, w));
    TATARA_TRY(w.ffn_norm, LoadLayerNorm(tensors, BlockName(i, "layer_output_norm"), c.n_embd,
                                         Bias::kRequired));
  }
  return FinishLoading(tensors, nomic_.mixture ? "nomic-bert-moe" : "nomic-bert");
}

// h = feed-forward(h), in place.
void NomicBert::FeedForwardOf(Pass& pass, const Layer& w, Rows h) {
  if (w.up.w.empty()) {
    MixtureFeedForward(pass, w.experts, nullptr, h);
    return;
  }
  const Rows u = pass.scratch().up.Make(h.n_rows, config_.n_ff);  // (T, F)
  if (w.gate.w.empty()) {
    // Wdown gelu(Wup h + bup) + bdown
    pass.Project(h, {{&w.up, u}});
    GeluErfRows(pass.pool(), u);
    pass.Project(u, {{&w.down, h}});
    return;
  }
  // Wdown (silu(Wgate h) * (Wup h))
  const Rows g = pass.scratch().gate.Make(h.n_rows, config_.n_ff);  // (T, F)
  pass.Project(h, {{&w.gate, g}, {&w.up, u}});
  SiluMulRows(pass.pool(), g, u);
  pass.Project(g, {{&w.down, h}});
}

void NomicBert::Forward(Pass& pass, Rows x) {
  ThreadPool& pool = pass.pool();
  Embed(pass, nullptr, x);
  const Rows h = Scratch(pass);  // (T, E)
  for (const Layer& w : layers_) {
    // x = norm(x + Wo attention(rope(x)))
    std::copy_n(x.data, x.size(), h.data);
    Attend(pass, w.attn, ShapeOf(), &rope_, h);
    AddRows(pool, h, x);
    Norm(pass, w.attn_norm, x, x);
    // x = norm(x + feed-forward(x))
    std::copy_n(x.data, x.size(), h.data);
    FeedForwardOf(pass, w, h);
    AddRows(pool, h, x);
    Norm(pass, w.ffn_norm, x, x);
  }
}

}  // namespace

Result<std::unique_ptr<Encoder>> LoadNomicBert(const LoadContext& context) {
  TATARA_TRY(const std::string name, context.store->metadata().String("general.architecture"));
  Keys keys(context.store->metadata(), name);
  NomicConfig config;
  TATARA_TRY(static_cast<EncoderConfig&>(config), ReadEncoderConfig(keys));
  TATARA_RETURN_IF_ERROR(RequireWholePairs(keys, config));
  config.mixture = name == "nomic-bert-moe";
  if (config.mixture) {
    TATARA_TRY(config.moe_every, keys.Int("moe_every_n_layers", {2, kLayersMax}));
    TATARA_TRY(config.router, ReadRouterConfig(keys, {.score = RouterScore::kSoftmax}));
    if (config.router.n_experts == 0) {
      return Refuse("{0}: the key '{1}' is missing or 0, but '{2}' models have experts",
                    keys.origin(), keys.FullName("expert_count"), name);
    }
  } else {
    TATARA_RETURN_IF_ERROR(keys.OnlyInt("moe_every_n_layers", 0));
    TATARA_RETURN_IF_ERROR(keys.OnlyInt("expert_count", 0));
  }
  TATARA_RETURN_IF_ERROR(keys.Finish());
  return LoadEncoder<NomicBert>(context, config);
}

}  // namespace tatara::model
