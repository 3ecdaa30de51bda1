// What Qwen3-Next and the Qwen3.5 models share: layers of a gated delta net and, in every few
// places, gated attention. What comes after in a layer is the architecture's own. Thread safety: as
// Model.
#pragma once

#include <vector>

#include "decoder.h"
#include "delta_net.h"
#include "experts.h"
#include "gated_attention.h"

namespace tatara::model {

struct DeltaHybridConfig {
  DecoderConfig decoder;
  DeltaNetConfig delta;
  std::vector<bool> layer_is_recurrent;
  int n_ahead = 0;  // trailing layers that predict further tokens; not run
};
// All keys but those of the feed-forward; `layout` is of the architecture.
Result<DeltaHybridConfig> ReadDeltaHybridConfig(Keys& keys, DecoderAccepts accepts,
                                                DeltaLayout layout);

// Experts and a gated shared expert, which the mixtures have after each mixer.
struct HybridMixtureConfig {
  RouterConfig router;
  int n_ff_expert = 0;
  int n_ff_shared = 0;
};
Result<HybridMixtureConfig> ReadHybridMixture(Keys& keys, const DecoderConfig& decoder);

class DeltaHybrid : public Decoder {
 public:
  DeltaHybrid(const LoadContext& context, const DeltaHybridConfig& config)
      : Decoder(context, config.decoder), hybrid_(config), delta_net_(config.delta) {}

 protected:
  struct Mixer {
    std::vector<float> norm;     // (E)
    GatedAttentionWeights attn;  // one of the two
    DeltaNetWeights delta;
  };
  // Rotary table and shapes, once.
  void PrepareMixers();
  Result<Mixer> LoadMixer(TensorLoader& tensors, int layer) const;
  // x += Wo mixer(norm(x)); h is scratch, both (T, E). Keeps only the wanted rows of the last
  // layer.
  void Mix(Pass& pass, int layer, const Mixer& w, Rows& x, Rows& h);
  Result<> FinishHybrid(TensorLoader& tensors, std::string_view architecture);

  DeltaHybridConfig hybrid_;
  RowBuffer x_, h_;

 private:
  RotaryTable rope_;
  numerics::AttentionShape attention_;
  DeltaNet delta_net_;
  GatedAttention gated_attention_;
  RowBuffer a_;
};

}  // namespace tatara::model
