// Qwen3.5, dense, text: layers of a gated delta net (delta_net.h) and in every fourth place gated
// attention (gated_attention.h), a SiLU-gated feed-forward after each. Part of a head is turned by
// position; text gives the three axes of the published rotary sections the same position, which
// turns as one axis does. Source: the Qwen3.5 model cards and Qwen3-Next's report (Qwen team 2025).
//
// Shapes: T tokens of the pass, E n_embd, H heads, D head size, SV value heads of S values, F inner
// size, V vocabulary.

#include <cmath>

#include "blocks.h"
#include "decoder.h"
#include "delta_net.h"
#include "gated_attention.h"

namespace tatara::model {
namespace {

struct Qwen35Config {
  DecoderConfig decoder;
  DeltaNetConfig delta;
  std::vector<bool> layer_is_recurrent;
};

class Qwen35 final : public Decoder {
 public:
  Qwen35(const LoadContext& context, const Qwen35Config& config)
      : Decoder(context, config.decoder),
        delta_config_(config.delta),
        layer_is_recurrent_(config.layer_is_recurrent),
        delta_net_(config.delta) {}
  Result<> LoadTensors(TensorLoader& tensors);
  void Forward(std::span<const SequenceSlice> slices, KvPool& kv, ThreadPool& pool,
               std::span<float> logits) override;

 private:
  struct Layer {
    std::vector<float> attn_norm;  // (E)
    GatedAttentionWeights attn;    // of an attention layer
    DeltaNetWeights delta;         // of a recurrent layer, with the next
    Linear alpha, beta;            // (SV, E)
    std::vector<float> ffn_norm;   // (E)
    GatedFfn ffn;
  };
  DeltaNetConfig delta_config_;
  std::vector<bool> layer_is_recurrent_;
  std::vector<Layer> layers_;
  RotaryTable rope_;
  numerics::AttentionShape attention_;
  DeltaNet delta_net_;
  GatedAttention gated_attention_;
  RowBuffer x_, h_, a_;
};

Result<> Qwen35::LoadTensors(TensorLoader& tensors) {
  const DecoderConfig& c = config_;
  TATARA_RETURN_IF_ERROR(LoadEnds(tensors));
  rope_ = RotaryTable(c.rope, numerics::RopeLayout::kHalves, {});
  attention_ = AttentionOf(1.0F / std::sqrt(static_cast<float>(c.head_dim)), 0);
  for (int i = 0; i < c.n_layers; ++i) {
    Layer& w = layers_.emplace_back();
    TATARA_TRY(w.attn_norm, LoadNorm(tensors, i, "attn_norm", c.n_embd));
    if (layer_is_recurrent_[static_cast<std::size_t>(i)]) {
      const int n_heads = delta_config_.n_value_heads;
      TATARA_TRY(w.delta, LoadDeltaNet(tensors, delta_config_, c.n_embd, i));
      TATARA_TRY(w.alpha, tensors.LoadLinear(BlockName(i, "ssm_alpha"), n_heads, c.n_embd));
      TATARA_TRY(w.beta, tensors.LoadLinear(BlockName(i, "ssm_beta"), n_heads, c.n_embd));
    } else {
      TATARA_TRY(w.attn, LoadGatedAttention(tensors, c, i));
    }
    TATARA_TRY(w.ffn_norm, LoadNorm(tensors, i, "post_attention_norm", c.n_embd));
    TATARA_TRY(w.ffn, LoadGatedFfn(tensors, c, i));
  }
  TATARA_RETURN_IF_ERROR(FinishLoading(tensors, "qwen35"));
  KeepStates(layer_is_recurrent_, delta_config_.n_state());
  return Ok{};
}

void Qwen35::Forward(std::span<const SequenceSlice> slices, KvPool& kv, ThreadPool& pool,
                     std::span<float> logits) {
  const DecoderConfig& c = config_;
  Pass pass(scratch_, slices, kv, pool, activations_);
  const std::int64_t n_tokens = pass.n_tokens();
  Rows x = x_.Make(n_tokens, c.n_embd);  // (T, E)
  Rows h = h_.Make(n_tokens, c.n_embd);  // (T, E)

  pass.Embed(embedding_, x);
  for (int i = 0; i < c.n_layers; ++i) {
    const Layer& w = layers_[static_cast<std::size_t>(i)];
    const bool recurrent = layer_is_recurrent_[static_cast<std::size_t>(i)];
    // x += Wo mixer(norm(x))
    NormRows(pool, x, w.attn_norm, c.norm_eps, h);
    const Linear& output = recurrent ? w.delta.output : w.attn.output;
    Rows a = a_.Make(n_tokens, output.w.n_cols());  // (T, SV*S) or (T, H*D)
    if (recurrent) {
      const Rows alpha = delta_net_.MakeAlpha(pass);  // (T, SV)
      const Rows beta = delta_net_.MakeBeta(pass);    // (T, SV)
      pass.Project(h, {{&w.alpha, alpha}, {&w.beta, beta}});
      delta_net_.Forward(pass, i, w.delta, h, alpha, beta, a);
    } else {
      gated_attention_.Forward(pass, i, c, attention_, w.attn, rope_, h, a);
    }
    if (i + 1 == c.n_layers) pass.KeepWanted({&x, &h, &a});
    pass.Project(a, {{&output, h}});
    AddRows(pool, h, x);
    // x += Wdown (silu(Wgate h) * (Wup h)),  h = norm(x)
    NormRows(pool, x, w.ffn_norm, c.norm_eps, h);
    FeedForward(pass, w.ffn, Gate::kSilu, h);
    AddRows(pool, h, x);
  }
  Logits(pass, x, logits);  // head(norm(x)): (wanted rows, V)
}

}  // namespace

Result<std::unique_ptr<Model>> LoadQwen35(const LoadContext& context) {
  Keys keys(context.store->metadata(), "qwen35");
  Qwen35Config config;
  DecoderConfig& decoder = config.decoder;
  TATARA_TRY(decoder, ReadDecoderConfig(keys));
  TATARA_TRY(decoder.rope, ReadRopeConfig(keys, decoder.head_dim, {.linear = true, .yarn = true}));
  TATARA_RETURN_IF_ERROR(CheckHeadsAreAlike(keys, decoder));
  TATARA_TRY(config.delta, ReadDeltaNetConfig(keys, decoder.norm_eps));
  TATARA_TRY(config.layer_is_recurrent, ReadRecurrentLayers(keys, decoder.n_layers));
  keys.Informational("rope.dimension_sections");  // text has one position on all axes
  TATARA_RETURN_IF_ERROR(keys.Finish());
  return LoadDecoder<Qwen35>(context, config);
}

}  // namespace tatara::model
