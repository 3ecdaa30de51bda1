// A gated delta-net layer (Yang, Kautz, Hatamizadeh 2024, arXiv:2412.06464) as Qwen3-Next and
// Qwen3.5 have it: a short causal convolution over queries, keys and values, keys and queries of
// length 1, a state a head that each token decays and corrects, and a gated norm of what it reads.
//
// The state of a layer in a page (KvPool): first the last taps - 1 rows that went into the
// convolution, (taps - 1, C), then the heads' states. A head's state (S, S) has the keys as rows
// and is cut into panels of 64 columns, each row after row without gaps: 32 KiB for heads of 128,
// which stay in the first-level cache over the tokens of a run.
//
// Shapes: T tokens of the pass, E n_embd, SK key heads, SV value heads, S head size, C = (2 SK +
// SV) S channels: queries, keys, values. Thread safety: as Pass.
#pragma once

#include <vector>

#include "keys.h"
#include "pass.h"
#include "rows.h"
#include "tensors.h"

namespace tatara::model {

enum class DeltaLayout {
  // Value head h reads key head h / (SV / SK); one matrix gives, key head after key head, first the
  // betas, then the alphas of its value heads.
  kJointGates,
  // Value head h reads key head h mod SK; alpha and beta have a matrix each.
  kSeparateGates,
};

struct DeltaNetConfig {
  int n_key_heads = 0;    // SK
  int n_value_heads = 0;  // SV, a multiple of SK
  int head_size = 0;      // S, of keys and values
  int n_taps = 0;
  DeltaLayout layout = DeltaLayout::kSeparateGates;
  float norm_eps = 0;

  int n_channels() const { return (2 * n_key_heads + n_value_heads) * head_size; }
  int value_size() const { return n_value_heads * head_size; }
  std::int64_t n_conv_state() const { return std::int64_t{n_taps - 1} * n_channels(); }
  std::int64_t n_state() const { return n_conv_state() + std::int64_t{value_size()} * head_size; }
};
// The keys "ssm.*".
Result<DeltaNetConfig> ReadDeltaNetConfig(Keys& keys, float norm_eps);
// Which of the layers are recurrent: as "attention.recurrent_layers" says, else all but every
// "full_attention_interval"-th.
Result<std::vector<bool>> ReadRecurrentLayers(Keys& keys, int n_layers);

struct DeltaNetWeights {
  Linear qkv;   // (C, E)
  Linear gate;  // (SV*S, E)
  // Older files of Qwen3-Next have the two as one, key head after key head: its query, its key,
  // then the values and the gates of its value heads: (C + SV*S, E).
  Linear qkv_and_gate;
  std::vector<float> taps;        // (n_taps, C)
  std::vector<float> dt_bias, a;  // (SV)
  Linear alpha, beta;             // (SV, E) each, or
  Linear beta_alpha;              // (2*SV, E)
  std::vector<float> norm;        // (S)
  Linear output;                  // (E, SV*S)
};
Result<DeltaNetWeights> LoadDeltaNet(TensorLoader& tensors, const DeltaNetConfig& config,
                                     int n_embd, int layer);

class DeltaNet {
 public:
  explicit DeltaNet(const DeltaNetConfig& config) : config_(config) {}

  // a = gated norm of what the states say, (T, SV*S), for w.output; h: (T, E).
  void Forward(Pass& pass, int layer, const DeltaNetWeights& w, Rows h, Rows a);

 private:
  void Inputs(Pass& pass, const DeltaNetWeights& w, Rows h, Rows qkv, Rows gate);
  void Gates(Pass& pass, const DeltaNetWeights& w, Rows h, Rows decay, Rows beta);
  void Convolve(Pass& pass, int layer, const DeltaNetWeights& w, Rows in, Rows out) const;
  void KeepInputs(Pass& pass, int layer, Rows in) const;
  void Recur(Pass& pass, int layer, Rows qkv, Rows decay, Rows beta, Rows a) const;

  DeltaNetConfig config_;
  RowBuffer decay_, beta_, beta_alpha_, mixed_, convolved_, gate_, fused_;
};

}  // namespace tatara::model
