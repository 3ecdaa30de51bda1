// Mistral 3 (Ministral 3): Llama's layer; YaRN without a change of cosines and sines; and queries
// that grow with their position, by 1 + t ln(1 + floor(position / original context)), so that
// attention stays sharp over long contexts. Sources: Mistral AI 2025, the published configuration;
// YaRN (arXiv:2309.00071); the temperature is that of Llama 4 (Meta 2025).
//
// Shapes: T tokens of the pass, E n_embd, H heads, K key heads, D head size, Dv value size, F inner
// size, V vocabulary.

#include <cmath>

#include "blocks.h"
#include "decoder.h"
#include "tatara/numerics/functions.h"
#include "tatara/numerics/ops.h"

namespace tatara::model {
namespace {

struct Mistral3Config {
  DecoderConfig decoder;
  double temperature = 0;  // t; 0: queries do not grow
};

class Mistral3 final : public Decoder {
 public:
  Mistral3(const LoadContext& context, const Mistral3Config& config)
      : Decoder(context, config.decoder), mistral_(config) {}
  Result<> LoadTensors(TensorLoader& tensors);
  void Forward(std::span<const SequenceSlice> slices, KvPool& kv, ThreadPool& pool,
               std::span<float> logits) override;

 private:
  struct Layer {
    std::vector<float> attn_norm;  // (E)
    AttentionWeights attn;
    std::vector<float> ffn_norm;  // (E)
    GatedFfn ffn;
  };
  void GrowQueries(Pass& pass, Rows q) const;

  Mistral3Config mistral_;
  std::vector<Layer> layers_;
  RotaryTable rope_;
  numerics::AttentionShape attention_;
};

Result<> Mistral3::LoadTensors(TensorLoader& tensors) {
  const DecoderConfig& c = config_;
  TATARA_RETURN_IF_ERROR(LoadEnds(tensors));
  TATARA_TRY(rope_, LoadRope(tensors, numerics::RopeLayout::kPairs));
  attention_ = AttentionOf(1.0F / std::sqrt(static_cast<float>(c.head_dim)), 0);
  for (int i = 0; i < c.n_layers; ++i) {
    Layer& w = layers_.emplace_back();
    TATARA_TRY(w.attn_norm, LoadNorm(tensors, i, "attn_norm", c.n_embd));
    TATARA_TRY(w.attn, LoadAttention(tensors, c, i, {}));
    TATARA_TRY(w.ffn_norm, LoadNorm(tensors, i, "ffn_norm", c.n_embd));
    TATARA_TRY(w.ffn, LoadGatedFfn(tensors, c, i));
  }
  return FinishLoading(tensors, "mistral3");
}

void Mistral3::GrowQueries(Pass& pass, Rows q) const {
  if (mistral_.temperature == 0) return;
  ForRows(pass.pool(), q.n_rows, q.n_cols, [&](std::int64_t t) {
    const double turn =
        std::floor(static_cast<double>(pass.position(t)) / config_.rope.original_context);
    if (turn == 0) return;
    const double growth = 1 + mistral_.temperature * numerics::LogF64(1 + turn);
    numerics::Scale(static_cast<float>(growth), q.Row(t));
  });
}

void Mistral3::Forward(std::span<const SequenceSlice> slices, KvPool& kv, ThreadPool& pool,
                       std::span<float> logits) {
  const DecoderConfig& c = config_;
  Pass pass(scratch_, slices, kv, pool, activations_);
  auto [x, h, q, k, v, a] = MakeRows(pass.n_tokens());

  pass.Embed(embedding_, x);
  for (int i = 0; i < c.n_layers; ++i) {
    const Layer& w = layers_[static_cast<std::size_t>(i)];
    // x += Wo softmax(grow(rope(Wq h)) rope(Wk h)^T / sqrt(D)) (Wv h),  h = norm(x)
    NormRows(pool, x, w.attn_norm, c.norm_eps, h);
    pass.Project(h, {{&w.attn.q, q}, {&w.attn.k, k}, {&w.attn.v, v}});
    pass.Rotate(rope_, c.head_dim, q);
    pass.Rotate(rope_, c.head_dim, k);
    GrowQueries(pass, q);
    pass.Attend(i, attention_, q, k, v, a);
    if (i + 1 == c.n_layers) pass.KeepWanted({&x, &h, &a});
    pass.Project(a, {{&w.attn.output, h}});
    AddRows(pool, h, x);
    // x += Wdown (silu(Wgate h) * (Wup h)),  h = norm(x)
    NormRows(pool, x, w.ffn_norm, c.norm_eps, h);
    FeedForward(pass, w.ffn, Gate::kSilu, h);
    AddRows(pool, h, x);
  }
  Logits(pass, x, logits);  // head(norm(x)): (wanted rows, V)
}

}  // namespace

Result<std::unique_ptr<Model>> LoadMistral3(const LoadContext& context) {
  Keys keys(context.store->metadata(), "mistral3");
  Mistral3Config config;
  DecoderConfig& decoder = config.decoder;
  TATARA_TRY(decoder, ReadDecoderConfig(keys));
  TATARA_TRY(decoder.rope, ReadRopeConfig(keys, decoder.head_dim, kUsualScaling));
  TATARA_TRY(config.temperature, keys.FloatOr("attention.temperature_scale", 0, {0, 1e3}));
  if (config.temperature != 0 && decoder.rope.original_context < 1) {
    return Refuse("{0}: the key '{1}' needs the key '{2}'", keys.origin(),
                  keys.FullName("attention.temperature_scale"),
                  keys.FullName("rope.scaling.original_context_length"));
  }
  TATARA_RETURN_IF_ERROR(keys.Finish());
  return LoadDecoder<Mistral3>(context, config);
}

}  // namespace tatara::model
