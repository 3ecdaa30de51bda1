// Which tensors and keys of two models differ, and how much.
// Thread safety: free functions and values; the pool is the caller's.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "tatara/base/thread_pool.h"
#include "tatara/weights/tensor_store.h"

namespace tatara::weights {

enum class TensorChange {
  kOnlyInFirst,
  kOnlyInSecond,
  kShape,
  kType,    // stored in another type; the values are compared
  kValues,  // of one type, with other values
};

struct TensorDifference {
  std::string name;
  TensorChange change = TensorChange::kValues;
  std::string first_form, second_form;  // "F32 128x512"; empty where it is absent
  // Of the values as f32; 0 where shapes differ.
  std::int64_t n_values = 0, n_changed = 0;
  double max_abs = 0;        // of second - first
  double relative_norm = 0;  // |second - first| / |first|, in f64; infinite where |first| is 0
};

struct ModelDifference {
  std::vector<TensorDifference> tensors;  // those that differ, by name
  std::vector<std::string> keys;          // of the metadata, whose values differ or that one lacks
  std::int64_t n_tensors = 0;             // names in either
};

// Values are compared bit for bit (NaNs are equal); a tensor of another type with the same values
// is a difference all the same. The same result for any number of threads.
ModelDifference CompareModels(const TensorStore& first, const TensorStore& second,
                              ThreadPool& pool);

}  // namespace tatara::weights
