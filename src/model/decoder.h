// What the decoder-only architectures share besides the building blocks of pass.h: the
// hyper-parameters that all of them have, read and checked once, and the ends of the model
// (embedding, last norm, head). Thread safety: as Model.
#pragma once

#include <cstdint>
#include <memory>
#include <span>
#include <string>
#include <utility>
#include <vector>

#include "architectures.h"
#include "keys.h"
#include "pass.h"
#include "rope.h"
#include "rows.h"
#include "tatara/model/model.h"
#include "tensors.h"

namespace tatara::model {

// Limits of what is accepted from a file; far above every model known, low enough that no product
// of two overflows.
inline constexpr std::int64_t kLayersMax = 1024;
inline constexpr std::int64_t kEmbdMax = 1 << 17;
inline constexpr std::int64_t kHeadsMax = 1024;
inline constexpr std::int64_t kHeadDimMax = 1024;
inline constexpr std::int64_t kFfMax = 1 << 20;
inline constexpr std::int64_t kVocabMax = 1 << 22;
inline constexpr std::int64_t kContextMax = std::int64_t{1} << 26;
inline constexpr std::int64_t kLearnedPositionsMax = 1 << 20;
inline constexpr FloatRange kRopeBaseRange{1.5, 1e15};

struct DecoderConfig {
  int n_layers = 0;
  int n_embd = 0;
  int n_heads = 0;
  int n_kv_heads = 0;
  int head_dim = 0;   // of queries and keys
  int value_dim = 0;  // of a head's values
  int n_ff = 0;
  std::int64_t n_vocab_key = 0;  // 0: not said; the embedding's rows count
  std::int64_t n_ctx = 0;
  bool layer_norm = false;  // the last norm is a LayerNorm, not an RMS norm
  float norm_eps = 0;
  float logit_scale = 1;  // multiplies the logits
  float logit_cap = 0;    // then cap * tanh(logit / cap); 0: none
  RopeConfig rope;
};

// What an architecture reads itself; where it does not, only the neutral value is accepted.
struct DecoderAccepts {
  bool experts = false;      // ReadRouterConfig
  bool all_experts = false;  // "feed_forward_length" may be missing: n_ff 0
  bool soft_caps = false;    // "attn_logit_softcapping", "final_logit_softcapping"
  bool pooling = false;      // "pooling_type" changes no logit; embeddings look at it
  bool layer_norm = false;   // "attention.layer_norm_epsilon" in place of "..._rms_epsilon"
};
// Sizes of the model, norm, context. Everything but rope.
Result<DecoderConfig> ReadDecoderConfig(Keys& keys, DecoderAccepts accepts = {});

// Which kinds of position scaling an architecture computes.
struct RopeAccepts {
  bool linear = false;
  bool yarn = false;
  bool llama3 = false;    // by keys; by the tensor "rope_freqs" where the architecture loads it
  bool longrope = false;  // by the tensors "rope_factors_long" and "rope_factors_short"
};
// What applies to any layer whose whole position is rotary.
inline constexpr RopeAccepts kUsualScaling{.linear = true, .yarn = true, .llama3 = true};
Result<RopeConfig> ReadRopeConfig(Keys& keys, int head_dim, RopeAccepts accepts);

// Which layers see only `window` positions: "attention.sliding_window_pattern", a value a layer, or
// one period P (all but every P-th layer; 0: all). Without the key: the period given. No layer
// where the window is 0.
Result<std::vector<bool>> ReadWindowLayers(Keys& keys, int n_layers, int window, int period);

// The activations of T tokens that most decoders need.
struct DecoderRows {
  Rows x;  // (T, E) the residual stream
  Rows h;  // (T, E)
  Rows q;  // (T, H*D)
  Rows k;  // (T, K*D)
  Rows v;  // (T, K*Dv)
  Rows a;  // (T, H*Dv)
};

// The ends of a decoder and what every forward pass keeps.
class Decoder : public Model {
 public:
  Decoder(const LoadContext& context, DecoderConfig config);
  void ForwardStates(std::span<const SequenceSlice> slices, KvPool& kv, ThreadPool& pool,
                     std::span<float> states) override;

 protected:
  // token_embd, output_norm and output (or the embedding again).
  Result<> LoadEnds(TensorLoader& tensors);
  // After all tensors are taken: refuses what is left over and fills info().
  Result<> FinishLoading(const TensorLoader& tensors, std::string_view architecture);
  numerics::AttentionShape AttentionOf(float scale, int window) const;
  // The table of config_.rope, with the divisors of "rope_freqs" or of longrope where the file has
  // them. Longrope: the long ones where the model's context is longer than the original one.
  Result<RotaryTable> LoadRope(TensorLoader& tensors, numerics::RopeLayout layout) const;
  // Memory that stays; content is unspecified.
  DecoderRows MakeRows(std::int64_t n_tokens);

  // After FinishLoading: these layers keep n_state values of state a page, and no keys.
  void KeepStates(const std::vector<bool>& layer_is_recurrent, std::int64_t n_state);

  // logits = cap(scale * head(norm(x))); x: (wanted rows, E). Overwrites x. In ForwardStates
  // norm(x) itself.
  void Logits(Pass& pass, Rows x, std::span<float> logits);

  DecoderConfig config_;
  bool merges_adapter_ = false;
  std::shared_ptr<const weights::TensorStore> store_;  // the embedding reads its mapped file
  Embedding embedding_;                                // (V, E)
  std::vector<float> output_norm_;                     // (E)
  std::vector<float> output_norm_bias_;                // (E) or empty
  Linear head_;                                        // (V, E)
  PassScratch scratch_;

 private:
  void LastNorm(Pass& pass, Rows x, Rows y) const;
  bool states_wanted_ = false;
  struct {
    RowBuffer x, h, q, k, v, a;
  } rows_;
};

// Loads the architecture `T`, whose config is checked.
template <typename T, typename Config>
Result<std::unique_ptr<Model>> LoadDecoder(const LoadContext& context, const Config& config) {
  TensorLoader tensors(*context.store, context.pool, context.progress, context.options.merge);
  auto model = std::make_unique<T>(context, config);
  TATARA_RETURN_IF_ERROR(model->LoadTensors(tensors));
  return std::unique_ptr<Model>(std::move(model));
}

// "blk.LAYER.NAME".
std::string BlockName(int layer, std::string_view name);

}  // namespace tatara::model
