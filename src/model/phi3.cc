// Phi-3, Phi-3.5 and Phi-4 (mini too): Llama's layer with queries, keys and values in one matrix
// and gate and up in one; rotary positions on halves, of the whole head or of its first part;
// longrope: every frequency has its own divisor, one set for contexts up to the original one and
// one for longer ones, and cosines and sines are multiplied by "attn_factor"; a window where the
// file has one. Sources: Phi-3 technical report (arXiv:2404.14219); LongRoPE (arXiv:2402.13753).
//
// Shapes: T tokens of the pass, E n_embd, H heads, K key heads, D head size, Dv value size, F inner
// size, V vocabulary.

#include <cmath>

#include "blocks.h"
#include "decoder.h"

namespace tatara::model {
namespace {

struct Phi3Config {
  DecoderConfig decoder;
  int window = 0;  // 0: none
};

class Phi3 final : public Decoder {
 public:
  Phi3(const LoadContext& context, const Phi3Config& config)
      : Decoder(context, config.decoder), window_(config.window) {}
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
  int window_;
  std::vector<Layer> layers_;
  RotaryTable rope_;
  numerics::AttentionShape attention_;
};

Result<> Phi3::LoadTensors(TensorLoader& tensors) {
  const DecoderConfig& c = config_;
  TATARA_RETURN_IF_ERROR(LoadEnds(tensors));
  TATARA_TRY(rope_, LoadRope(tensors, numerics::RopeLayout::kHalves));
  attention_ = AttentionOf(1.0F / std::sqrt(static_cast<float>(c.head_dim)), window_);
  for (int i = 0; i < c.n_layers; ++i) {
    Layer& w = layers_.emplace_back();
    TATARA_TRY(w.attn_norm, LoadNorm(tensors, i, "attn_norm", c.n_embd));
    TATARA_TRY(w.attn, LoadFusedAttention(tensors, c, i, {}));
    TATARA_TRY(w.ffn_norm, LoadNorm(tensors, i, "ffn_norm", c.n_embd));
    TATARA_TRY(w.ffn, LoadFusedFfn(tensors, c, i));
  }
  return FinishLoading(tensors, "phi3");
}

void Phi3::Forward(std::span<const SequenceSlice> slices, KvPool& kv, ThreadPool& pool,
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
    // x += Wdown (silu(Wgate h) * (Wup h)),  h = norm(x)
    NormRows(pool, x, w.ffn_norm, c.norm_eps, h);
    FeedForward(pass, w.ffn, Gate::kSilu, h);
    AddRows(pool, h, x);
  }
  Logits(pass, x, logits);  // head(norm(x)): (wanted rows, V)
}

}  // namespace

Result<std::unique_ptr<Model>> LoadPhi3(const LoadContext& context) {
  Keys keys(context.store->metadata(), "phi3");
  Phi3Config config;
  DecoderConfig& decoder = config.decoder;
  TATARA_TRY(decoder, ReadDecoderConfig(keys));
  TATARA_TRY(decoder.rope,
             ReadRopeConfig(keys, decoder.head_dim,
                            {.linear = true, .yarn = true, .llama3 = true, .longrope = true}));
  TATARA_TRY(config.window, keys.IntOr("attention.sliding_window", 0, {0, kContextMax}));
  TATARA_RETURN_IF_ERROR(keys.Finish());
  return LoadDecoder<Phi3>(context, config);
}

}  // namespace tatara::model
