// How a family's weights lie in the array, and what its layers compute.
#pragma once

#include <cstdint>
#include <vector>

#include "tatara/model/trainable.h"
#include "tatara/numerics/ops.h"
#include "tatara/numerics/training.h"

namespace tatara::model {

constexpr std::int64_t kNone = -1;

// The head takes that many rows at a time, so that a large vocabulary's logits stay within 16 MB.
constexpr std::int64_t HeadRows(std::int64_t n_vocab) {
  constexpr std::int64_t kFloats = 1 << 22, kRowsMin = 8;
  return kFloats / n_vocab < kRowsMin ? kRowsMin : kFloats / n_vocab;
}

// One matrix (with bias) of a product; its outputs start at `column` of the rows that it fills.
struct LinearPart {
  std::int64_t weight = kNone;  // offsets in the array
  std::int64_t bias = kNone;
  std::int64_t n_outputs = 0;
  std::int64_t column = 0;
};

struct NormPart {
  std::int64_t weight = kNone;
  std::int64_t bias = kNone;
};

struct LayerParts {
  NormPart attn_norm, ffn_norm;
  NormPart attn_post_norm, ffn_post_norm;  // of a block's output, where the family has them
  NormPart q_norm, k_norm;                 // of each head, likewise
  std::vector<LinearPart> qkv;             // q, k, v side by side, in one matrix or three
  LinearPart output;
  std::vector<LinearPart> inner;  // up, or gate and up
  LinearPart down;
};

struct TrainableLayout {
  TrainableShape shape;
  numerics::NormKind norm = numerics::NormKind::kRms;
  numerics::Activation activation = numerics::Activation::kSilu;
  bool gated = true;
  numerics::RopeLayout rope = numerics::RopeLayout::kPairs;
  bool qk_norms = false, post_norms = false;
  std::vector<double> rope_bases;  // the second, where there is one, of layers with a window
  int head_dim = 0;
  int score_size = 0;         // scores are divided by its root
  float embedding_scale = 1;  // multiplies embeddings

  std::vector<Parameter> parameters;
  std::int64_t n_values = 0;
  std::int64_t embedding = 0, positions = kNone, head = 0;  // head == embedding where tied
  NormPart final_norm;
  std::vector<LayerParts> layers;

  std::int64_t n_q() const { return std::int64_t{shape.n_heads} * head_dim; }
  std::int64_t n_kv() const { return std::int64_t{shape.n_kv_heads} * head_dim; }
  std::int64_t n_qkv() const { return n_q() + 2 * n_kv(); }
  // Of every `window_period` layers all but the last.
  bool LayerIsWindowed(int layer) const {
    const int period = shape.window_period;
    return shape.window > 0 && (period == 0 || layer % period < period - 1);
  }
  std::int64_t n_inner() const { return std::int64_t{gated ? 2 : 1} * shape.n_ff; }
};

Result<TrainableLayout> LayOut(const TrainableShape& shape);

}  // namespace tatara::model
