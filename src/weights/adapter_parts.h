// What every form of adapter file needs: factors collected by matrix, then checked. Thread safety:
// one thread.
#pragma once

#include <string>
#include <string_view>

#include "tatara/weights/adapter_file.h"
#include "tatara/weights/tensor_store.h"

namespace tatara::weights {

// The tensor as a factor: F32, F16 or BF16, two dimensions, finite.
Result<AdapterMatrix> ReadFactor(const TensorStore& store, const TensorView& view);
// One number a row, from a vector or a matrix with one column or row.
Result<std::vector<float>> ReadMagnitude(const TensorStore& store, const TensorView& view);

// Both factors are there, their shapes fit each other and a magnitude, ranks are in bounds; and
// there is at least one part.
Result<> CheckParts(const AdapterFile& file);

}  // namespace tatara::weights
