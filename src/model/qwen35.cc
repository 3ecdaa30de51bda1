// Qwen3.5, dense, text: layers of a gated delta net (delta_net.h) and in every fourth place gated
// attention (gated_attention.h), a SiLU-gated feed-forward after each. Part of a head is turned by
// position; text gives the axes of the published rotary sections the same position, which turns as
// one axis does. Source: the Qwen3.5 model cards and published code (Qwen team 2026).
//
// Shapes: T tokens of the pass, E n_embd, F inner size, V vocabulary.

#include "blocks.h"
#include "delta_hybrid.h"

namespace tatara::model {
namespace {

class Qwen35 final : public DeltaHybrid {
 public:
  using DeltaHybrid::DeltaHybrid;
  Result<> LoadTensors(TensorLoader& tensors);
  void Forward(std::span<const SequenceSlice> slices, KvPool& kv, ThreadPool& pool,
               std::span<float> logits) override;

 private:
  struct Layer {
    Mixer mixer;
    std::vector<float> ffn_norm;  // (E)
    GatedFfn ffn;
  };
  std::vector<Layer> layers_;
};

Result<> Qwen35::LoadTensors(TensorLoader& tensors) {
  const DecoderConfig& c = config_;
  TATARA_RETURN_IF_ERROR(LoadEnds(tensors));
  PrepareMixers();
  for (int i = 0; i < c.n_layers; ++i) {
    Layer& w = layers_.emplace_back();
    TATARA_TRY(w.mixer, LoadMixer(tensors, i));
    TATARA_TRY(w.ffn_norm, LoadNorm(tensors, i, "post_attention_norm", c.n_embd));
    TATARA_TRY(w.ffn, LoadGatedFfn(tensors, c, i));
  }
  return FinishHybrid(tensors, "qwen35");
}

void Qwen35::Forward(std::span<const SequenceSlice> slices, KvPool& kv, ThreadPool& pool,
                     std::span<float> logits) {
  const DecoderConfig& c = config_;
  Pass pass(scratch_, slices, kv, pool, activations_);
  Rows x = x_.Make(pass.n_tokens(), c.n_embd);  // (T, E)
  Rows h = h_.Make(pass.n_tokens(), c.n_embd);  // (T, E)

  pass.Embed(embedding_, x);
  for (int i = 0; i < c.n_layers; ++i) {
    const Layer& w = layers_[static_cast<std::size_t>(i)];
    Mix(pass, i, w.mixer, x, h);  // x += Wo mixer(norm(x))
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
  TATARA_TRY(const DeltaHybridConfig config,
             ReadDeltaHybridConfig(keys, {}, DeltaLayout::kSeparateGates));
  keys.Informational("rope.dimension_sections");  // text has one position on all axes
  TATARA_RETURN_IF_ERROR(keys.Finish());
  return LoadDecoder<Qwen35>(context, config);
}

}  // namespace tatara::model
