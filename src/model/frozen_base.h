// Weights that do not train, laid out as a trainable's array; matrices may stay as the file has
// them. Thread safety: reading from any thread. Ownership: keeps the store.
#pragma once

#include <cstdint>
#include <map>
#include <memory>

#include "tatara/base/error.h"
#include "tatara/base/thread_pool.h"
#include "tatara/weights/tensor_store.h"
#include "trainable_layout.h"

namespace tatara::model {

class FrozenBase {
 public:
  // The store fits the layout (ShapeOf).
  static Result<std::unique_ptr<FrozenBase>> Make(std::shared_ptr<const weights::TensorStore> store,
                                                  const TrainableLayout& layout, bool keep_matrices,
                                                  ThreadPool& pool);
  ~FrozenBase();
  FrozenBase(const FrozenBase&) = delete;
  FrozenBase& operator=(const FrozenBase&) = delete;

  // Zero where a matrix stayed in the file: those pages are never touched.
  const float* values() const { return values_; }
  // The matrix at that place of the array; null where it is in values().
  const weights::TensorView* InFile(std::int64_t offset) const {
    const auto at = in_file_.find(offset);
    return at == in_file_.end() ? nullptr : &at->second;
  }

 private:
  FrozenBase() = default;
  std::shared_ptr<const weights::TensorStore> store_;
  float* values_ = nullptr;
  std::size_t bytes_ = 0;
  std::map<std::int64_t, weights::TensorView> in_file_;
};

// Rows [first, first + n) of a matrix, dequantised.
void DequantizeRows(const weights::TensorView& view, std::int64_t first, std::int64_t n, float* out,
                    ThreadPool& pool);

}  // namespace tatara::model
