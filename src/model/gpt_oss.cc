// gpt-oss: every second layer sees a window; a learned sink a head joins the softmax; biases
// everywhere; experts in every layer, weighted by the softmax over the chosen ones, whose gate is a
// clamped swish times 1 + up; YaRN. Source: OpenAI 2025, gpt-oss-120b and gpt-oss-20b model card
// (arXiv:2508.10925) and reference code.
//
// Shapes: T tokens of the pass, E n_embd, H heads, K key heads, D head size, Dv value size, X
// experts, F inner size of an expert, V vocabulary.

#include <cmath>

#include "blocks.h"
#include "decoder.h"
#include "experts.h"

namespace tatara::model {
namespace {

constexpr int kWindowPeriod = 2;

struct GptOssConfig {
  DecoderConfig decoder;
  int window = 0;
  std::vector<bool> layer_is_windowed;
  RouterConfig router;
  int n_ff_expert = 0;
};

class GptOss final : public Decoder {
 public:
  GptOss(const LoadContext& context, const GptOssConfig& config)
      : Decoder(context, config.decoder), gpt_oss_(config) {}
  Result<> LoadTensors(TensorLoader& tensors);
  void Forward(std::span<const SequenceSlice> slices, KvPool& kv, ThreadPool& pool,
               std::span<float> logits) override;

 private:
  struct Layer {
    std::vector<float> attn_norm;  // (E)
    AttentionWeights attn;
    std::vector<float> sinks;     // (H)
    std::vector<float> ffn_norm;  // (E)
    Experts experts;
  };
  GptOssConfig gpt_oss_;
  std::vector<Layer> layers_;
  RotaryTable rope_;
};

Result<> GptOss::LoadTensors(TensorLoader& tensors) {
  const DecoderConfig& c = config_;
  TATARA_RETURN_IF_ERROR(LoadEnds(tensors));
  rope_ = RotaryTable(c.rope, numerics::RopeLayout::kHalves, {});
  for (int i = 0; i < c.n_layers; ++i) {
    Layer& w = layers_.emplace_back();
    TATARA_TRY(w.attn_norm, LoadNorm(tensors, i, "attn_norm", c.n_embd));
    TATARA_TRY(w.attn,
               LoadAttention(tensors, c, i, {.qkv = Bias::kRequired, .output = Bias::kRequired}));
    TATARA_TRY(w.sinks, LoadNorm(tensors, i, "attn_sinks", c.n_heads));
    TATARA_TRY(w.ffn_norm, LoadNorm(tensors, i, "post_attention_norm", c.n_embd));
    TATARA_TRY(w.experts, LoadExperts(tensors, i, gpt_oss_.router,
                                      {.n_embd = c.n_embd,
                                       .n_ff = gpt_oss_.n_ff_expert,
                                       .router_bias = Bias::kRequired,
                                       .bias = Bias::kRequired}));
    w.experts.gate_up = ClampedSwishMulRows;
  }
  return FinishLoading(tensors, "gpt-oss");
}

void GptOss::Forward(std::span<const SequenceSlice> slices, KvPool& kv, ThreadPool& pool,
                     std::span<float> logits) {
  const DecoderConfig& c = config_;
  const float scale = 1.0F / std::sqrt(static_cast<float>(c.head_dim));
  Pass pass(scratch_, slices, kv, pool, activations_);
  auto [x, h, q, k, v, a] = MakeRows(pass.n_tokens());

  pass.Embed(embedding_, x);
  for (int i = 0; i < c.n_layers; ++i) {
    const Layer& w = layers_[static_cast<std::size_t>(i)];
    // x += Wo softmax(rope(Wq h + bq) rope(Wk h + bk)^T / sqrt(D), sink) (Wv h + bv) + bo,
    // h = norm(x)
    NormRows(pool, x, w.attn_norm, c.norm_eps, h);
    pass.Project(h, {{&w.attn.q, q}, {&w.attn.k, k}, {&w.attn.v, v}});
    pass.Rotate(rope_, c.head_dim, q);
    pass.Rotate(rope_, c.head_dim, k);
    const bool windowed = gpt_oss_.layer_is_windowed[static_cast<std::size_t>(i)];
    numerics::AttentionShape attention = AttentionOf(scale, windowed ? gpt_oss_.window : 0);
    attention.sinks = w.sinks;
    pass.Attend(i, attention, q, k, v, a);
    if (i + 1 == c.n_layers) pass.KeepWanted({&x, &h, &a});
    pass.Project(a, {{&w.attn.output, h}});
    AddRows(pool, h, x);
    // x += chosen experts of h, weighted;  h = norm(x)
    NormRows(pool, x, w.ffn_norm, c.norm_eps, h);
    MixtureFeedForward(pass, w.experts, nullptr, h);
    AddRows(pool, h, x);
  }
  Logits(pass, x, logits);  // head(norm(x)): (wanted rows, V)
}

}  // namespace

Result<std::unique_ptr<Model>> LoadGptOss(const LoadContext& context) {
  Keys keys(context.store->metadata(), "gpt-oss");
  GptOssConfig config;
  DecoderConfig& decoder = config.decoder;
  TATARA_TRY(decoder, ReadDecoderConfig(keys, {.experts = true}));
  TATARA_TRY(decoder.rope, ReadRopeConfig(keys, decoder.head_dim, {.linear = true, .yarn = true}));
  TATARA_TRY(config.window, keys.IntOr("attention.sliding_window", 0, {0, kContextMax}));
  TATARA_TRY(config.layer_is_windowed,
             ReadWindowLayers(keys, decoder.n_layers, config.window, kWindowPeriod));
  TATARA_TRY(config.router,
             ReadRouterConfig(keys, {.score = RouterScore::kSoftmaxOfChosen, .required = true}));
  TATARA_TRY(config.n_ff_expert, keys.Int("expert_feed_forward_length", {1, kFfMax}));
  TATARA_RETURN_IF_ERROR(keys.Finish());
  return LoadDecoder<GptOss>(context, config);
}

}  // namespace tatara::model
