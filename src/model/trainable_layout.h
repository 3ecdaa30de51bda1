// How a family's weights lie in the array, and what its layers compute.
#pragma once

#include <cstdint>
#include <vector>

#include "tatara/model/trainable.h"
#include "tatara/numerics/ops.h"
#include "tatara/numerics/training.h"

namespace tatara::model {

constexpr std::int64_t kNone = -1;

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
  std::vector<LinearPart> qkv;  // q, k, v side by side, in one matrix or three
  LinearPart output;
  std::vector<LinearPart> inner;  // up, or gate and up
  LinearPart down;
};

struct TrainableLayout {
  TrainableShape shape;
  numerics::NormKind norm = numerics::NormKind::kRms;
  numerics::Activation activation = numerics::Activation::kSilu;
  bool gated = true;
  bool rotary = true;
  numerics::RopeLayout rope = numerics::RopeLayout::kPairs;
  int head_dim = 0;

  std::vector<Parameter> parameters;
  std::int64_t n_values = 0;
  std::int64_t embedding = 0, positions = kNone, head = 0;  // head == embedding where tied
  NormPart final_norm;
  std::vector<LayerParts> layers;

  std::int64_t n_qkv() const {
    return std::int64_t{shape.n_heads + 2 * shape.n_kv_heads} * head_dim;
  }
  std::int64_t n_inner() const { return std::int64_t{gated ? 2 : 1} * shape.n_ff; }
};

Result<TrainableLayout> LayOut(const TrainableShape& shape);

}  // namespace tatara::model
