// What a decoder has where only an adapter trains: the frozen weights, the adapter's place in the
// array that trains, and scratch memory. trainable_base.h states the formulas.
#pragma once

#include <cstdint>
#include <map>
#include <memory>
#include <vector>

#include "frozen_base.h"
#include "tatara/model/trainable_base.h"

namespace tatara::model {

// The change of one matrix; offsets in the adapter's array.
struct LowRankPart {
  std::int64_t a = kNone, b = kNone, magnitude = kNone;
  std::int64_t n_in = 0, n_out = 0;
  std::uint32_t site = 0;    // of its dropout
  std::vector<float> norms;  // of DoRA: |W + s B A| row by row, of this call's adapter
};

struct Tuning {
  AdapterShape adapter;
  float scale = 1;  // alpha / rank
  std::unique_ptr<FrozenBase> base;
  std::vector<Parameter> parameters;
  std::int64_t n_values = 0;
  std::map<std::int64_t, LowRankPart> parts;  // by the matrix's offset in the model's layout

  std::vector<float> tile;             // dequantised rows
  std::vector<float> low, dlow;        // (R, rank)
  std::vector<float> change, dropped;  // (R, n_out), (R, n_in)
  std::vector<float> du;               // (R, n_out) of DoRA

  LowRankPart* PartOf(std::int64_t weight) {
    const auto at = parts.find(weight);
    return at == parts.end() ? nullptr : &at->second;
  }
};

// Places and names of the adapter for this layout. Refused where a target is no matrix of it.
Result<std::unique_ptr<Tuning>> LayOutAdapter(const TrainableLayout& layout,
                                              const AdapterShape& adapter);

}  // namespace tatara::model
