// Which tensors an export has, where their numbers come from, and in which order. Thread safety:
// free functions; a plan borrows the store and the family.
#pragma once

#include <string>
#include <vector>

#include "huggingface/layout.h"
#include "tatara/weights/hf_export.h"

namespace tatara::weights {

// One of GGUF's tensors, or an expert's part of one.
struct ExportPart {
  std::string source;  // GGUF's name, by which adapters know it
  const TensorView* view = nullptr;
  std::int64_t first_row = 0;
};

struct ExportTensor {
  std::string name;  // published
  Layout layout;
  ValueChange values = ValueChange::kNone;
  std::vector<ExportPart> parts;

  std::int64_t n_values() const { return layout.n_blocks() * layout.block_values(); }
};

struct PlanOptions {
  FamilySizes sizes;
  std::string_view prefix;     // of published names but those of heads: "model."
  bool separate_head = false;  // the head is written although the model has none of its own
};
// In the order of their names. Refused where a tensor has no published name.
Result<std::vector<ExportTensor>> PlanTensors(const TensorStore& store, const Family& family,
                                              const PlanOptions& options);

// Blocks [first, first + n) of the tensor as published, in f32; `out`: n x block_values().
Result<> ReadBlocks(const ExportTensor& tensor, std::int64_t first, const TensorStore& store,
                    const HfExportOptions& options, std::span<float> out);

}  // namespace tatara::weights
