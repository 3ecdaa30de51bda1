// Which tensors an export has, where their numbers come from, and in which order of rows. Thread
// safety: free functions; a plan borrows the store and the family.
#pragma once

#include <string>
#include <vector>

#include "huggingface/family.h"
#include "tatara/weights/hf_export.h"

namespace tatara::weights {

struct ExportTensor {
  std::string name;                 // published
  std::vector<std::int64_t> shape;  // slowest dimension first
  std::string source;               // GGUF's name, by which adapters know it
  const TensorView* view = nullptr;
  std::int64_t first_row = 0;  // of the view's rows, each of n_cols
  std::int64_t n_rows = 0, n_cols = 0;
  Change change = Change::kKeep;
  std::int64_t rows_of_block = 1;  // that are turned together: a head's

  std::int64_t n_values() const { return n_rows * n_cols; }
};

// In the order of their names. Refused where a tensor has no published name.
Result<std::vector<ExportTensor>> PlanTensors(const TensorStore& store, const Family& family,
                                              const FamilySizes& sizes, bool separate_head);

// Rows [row, row + n) of the tensor as published, in f32; whole blocks. `out`: n x n_cols.
Result<> ReadRows(const ExportTensor& tensor, std::int64_t row, const HfExportOptions& options,
                  std::span<float> out);

}  // namespace tatara::weights
