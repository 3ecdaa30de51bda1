#include "delta_hybrid.h"

#include <cmath>

namespace tatara::model {

Result<DeltaHybridConfig> ReadDeltaHybridConfig(Keys& keys, DecoderAccepts accepts,
                                                DeltaLayout layout) {
  DeltaHybridConfig config;
  DecoderConfig& decoder = config.decoder;
  TATARA_TRY(decoder, ReadDecoderConfig(keys, accepts));
  TATARA_TRY(decoder.rope, ReadRopeConfig(keys, decoder.head_dim, {.linear = true, .yarn = true}));
  if (decoder.head_dim != decoder.value_dim) {
    return Refuse("{0}: keys of {1} values and values of {2}; '{3}' models have both alike",
                  keys.origin(), decoder.head_dim, decoder.value_dim, keys.architecture());
  }
  TATARA_TRY(config.delta, ReadDeltaNetConfig(keys, decoder.norm_eps));
  config.delta.layout = layout;
  TATARA_TRY(config.layer_is_recurrent, ReadRecurrentLayers(keys, decoder.n_layers));
  TATARA_TRY(config.n_ahead, keys.IntOr("nextn_predict_layers", 0, {0, decoder.n_layers - 1}));
  decoder.n_layers -= config.n_ahead;
  config.layer_is_recurrent.resize(static_cast<std::size_t>(decoder.n_layers));
  return config;
}

Result<HybridMixtureConfig> ReadHybridMixture(Keys& keys, const DecoderConfig& decoder) {
  HybridMixtureConfig c;
  TATARA_TRY(c.router, ReadRouterConfig(keys, {.renormalise = true, .required = true}));
  const IntRange sizes{1, kFfMax};
  TATARA_TRY(c.n_ff_expert, keys.Int("expert_feed_forward_length", sizes));
  c.n_ff_shared = decoder.n_ff;
  if (decoder.n_ff == 0 || keys.Has("expert_shared_feed_forward_length")) {
    TATARA_TRY(c.n_ff_shared, keys.Int("expert_shared_feed_forward_length", sizes));
  }
  return c;
}

void DeltaHybrid::PrepareMixers() {
  rope_ = RotaryTable(config_.rope, numerics::RopeLayout::kHalves, {});
  attention_ = AttentionOf(1.0F / std::sqrt(static_cast<float>(config_.head_dim)), 0);
}

Result<DeltaHybrid::Mixer> DeltaHybrid::LoadMixer(TensorLoader& tensors, int layer) const {
  Mixer w;
  TATARA_TRY(w.norm, LoadNorm(tensors, layer, "attn_norm", config_.n_embd));
  if (hybrid_.layer_is_recurrent[static_cast<std::size_t>(layer)]) {
    TATARA_TRY(w.delta, LoadDeltaNet(tensors, hybrid_.delta, config_.n_embd, layer));
  } else {
    TATARA_TRY(w.attn, LoadGatedAttention(tensors, config_, layer));
  }
  return w;
}

void DeltaHybrid::Mix(Pass& pass, int layer, const Mixer& w, Rows& x, Rows& h) {
  const DecoderConfig& c = config_;
  NormRows(pass.pool(), x, w.norm, c.norm_eps, h);
  const bool recurrent = hybrid_.layer_is_recurrent[static_cast<std::size_t>(layer)];
  const Linear& output = recurrent ? w.delta.output : w.attn.output;
  Rows a = a_.Make(h.n_rows, output.w.n_cols());  // (T, SV*S) or (T, H*D)
  if (recurrent) {
    delta_net_.Forward(pass, layer, w.delta, h, a);
  } else {
    gated_attention_.Forward(pass, layer, c, attention_, w.attn, rope_, h, a);
  }
  if (layer + 1 == c.n_layers) pass.KeepWanted({&x, &h, &a});
  pass.Project(a, {{&output, h}});
  AddRows(pass.pool(), h, x);
}

Result<> DeltaHybrid::FinishHybrid(TensorLoader& tensors, std::string_view architecture) {
  for (int i = 0; i < hybrid_.n_ahead; ++i) tensors.IgnoreLayer(config_.n_layers + i);
  TATARA_RETURN_IF_ERROR(FinishLoading(tensors, architecture));
  KeepStates(hybrid_.layer_is_recurrent, hybrid_.delta.n_state());
  return Ok{};
}

}  // namespace tatara::model
