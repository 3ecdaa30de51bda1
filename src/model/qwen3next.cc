// Qwen3-Next and the mixtures of Qwen3.5: layers of a gated delta net (delta_net.h) and in every
// fourth place gated attention (gated_attention.h), experts with a gated shared one after each. The
// two differ in the layout of the delta net's heads and gates. Sources: the model cards and
// published code of Qwen3-Next (Qwen team 2025) and Qwen3.5 (2026).
//
// Shapes: T tokens of the pass, E n_embd, V vocabulary.

#include "blocks.h"
#include "delta_hybrid.h"

namespace tatara::model {
namespace {

struct Qwen3NextConfig {
  std::string_view architecture;
  DeltaHybridConfig hybrid;
  HybridMixtureConfig mixture;
};

class Qwen3Next final : public DeltaHybrid {
 public:
  Qwen3Next(const LoadContext& context, const Qwen3NextConfig& config)
      : DeltaHybrid(context, config.hybrid),
        architecture_(config.architecture),
        mixture_(config.mixture) {}
  Result<> LoadTensors(TensorLoader& tensors);
  void Forward(std::span<const SequenceSlice> slices, KvPool& kv, ThreadPool& pool,
               std::span<float> logits) override;

 private:
  struct Layer {
    Mixer mixer;
    std::vector<float> ffn_norm;  // (E)
    Experts experts;
    SharedExpert shared;
  };
  std::string_view architecture_;
  HybridMixtureConfig mixture_;
  std::vector<Layer> layers_;
};

Result<> Qwen3Next::LoadTensors(TensorLoader& tensors) {
  const DecoderConfig& c = config_;
  const HybridMixtureConfig& m = mixture_;
  TATARA_RETURN_IF_ERROR(LoadEnds(tensors));
  PrepareMixers();
  for (int i = 0; i < c.n_layers; ++i) {
    Layer& w = layers_.emplace_back();
    TATARA_TRY(w.mixer, LoadMixer(tensors, i));
    TATARA_TRY(w.ffn_norm, LoadNorm(tensors, i, "post_attention_norm", c.n_embd));
    TATARA_TRY(w.experts, LoadExperts(tensors, i, m.router, {c.n_embd, m.n_ff_expert}));
    TATARA_TRY(w.shared, LoadSharedExpert(tensors, i, c.n_embd, m.n_ff_shared, true));
  }
  return FinishHybrid(tensors, architecture_);
}

void Qwen3Next::Forward(std::span<const SequenceSlice> slices, KvPool& kv, ThreadPool& pool,
                        std::span<float> logits) {
  const DecoderConfig& c = config_;
  Pass pass(scratch_, slices, kv, pool, activations_);
  Rows x = x_.Make(pass.n_tokens(), c.n_embd);  // (T, E)
  Rows h = h_.Make(pass.n_tokens(), c.n_embd);  // (T, E)

  pass.Embed(embedding_, x);
  for (int i = 0; i < c.n_layers; ++i) {
    const Layer& w = layers_[static_cast<std::size_t>(i)];
    Mix(pass, i, w.mixer, x, h);  // x += Wo mixer(norm(x))
    // x += chosen experts of h, weighted, + sigmoid(g h) * shared expert of h,  h = norm(x)
    NormRows(pool, x, w.ffn_norm, c.norm_eps, h);
    MixtureFeedForward(pass, w.experts, &w.shared, h);
    AddRows(pool, h, x);
  }
  Logits(pass, x, logits);  // head(norm(x)): (wanted rows, V)
}

Result<std::unique_ptr<Model>> Load(const LoadContext& context, std::string_view architecture,
                                    DeltaLayout layout) {
  Keys keys(context.store->metadata(), std::string(architecture));
  Qwen3NextConfig config{.architecture = architecture};
  TATARA_TRY(config.hybrid,
             ReadDeltaHybridConfig(keys, {.experts = true, .all_experts = true}, layout));
  TATARA_TRY(config.mixture, ReadHybridMixture(keys, config.hybrid.decoder));
  if (layout == DeltaLayout::kSeparateGates) {
    keys.Informational("rope.dimension_sections");  // text has one position on all axes
  }
  TATARA_RETURN_IF_ERROR(keys.Finish());
  return LoadDecoder<Qwen3Next>(context, config);
}

}  // namespace

Result<std::unique_ptr<Model>> LoadQwen3Next(const LoadContext& context) {
  return Load(context, "qwen3next", DeltaLayout::kJointGates);
}

Result<std::unique_ptr<Model>> LoadQwen35Moe(const LoadContext& context) {
  return Load(context, "qwen35moe", DeltaLayout::kSeparateGates);
}

}  // namespace tatara::model
