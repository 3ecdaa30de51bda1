// An adapter's changes to a model's rows while they are exported: what merging it would give, the
// same bits. Thread safety: one thread. Ownership: `store` and `pool` outlive the object.
#pragma once

#include <optional>
#include <span>
#include <string>
#include <string_view>

#include "tatara/base/error.h"
#include "tatara/base/thread_pool.h"
#include "tatara/model/adapter.h"
#include "tatara/weights/adapter_file.h"
#include "tatara/weights/tensor_store.h"

namespace tatara::model {

class RowChanger {
 public:
  RowChanger(const weights::TensorStore& store, weights::AdapterFile file, double scale,
             ThreadPool& pool)
      : store_(store), file_(std::move(file)), scale_(scale), pool_(pool) {}

  // Refused where the adapter changes something that is no matrix of the model. Before any Change.
  Result<> Check() const;
  // A head that the model has not, since it is the embedding, becomes one of its own then.
  bool ChangesHead() const { return file_.parts.contains("output.weight"); }
  bool Changes(std::string_view tensor) const { return file_.parts.contains(tensor); }
  // Rows [first_row, ...) of `tensor`, dequantised, whole; unchanged where the adapter has no part.
  Result<> Change(std::string_view tensor, std::int64_t first_row, std::span<float> rows);

 private:
  const weights::TensorView* ViewOf(std::string_view tensor) const;

  const weights::TensorStore& store_;
  weights::AdapterFile file_;
  double scale_;
  ThreadPool& pool_;
  std::string merged_;  // whose part merger_ adds
  std::optional<RowMerger> merger_;
};

}  // namespace tatara::model
