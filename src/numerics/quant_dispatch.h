// The quantised kernels of an instruction set, and products with a given table: the seam at which
// tests run every set.
#pragma once

#include <span>

#include "float_dispatch.h"
#include "quant_kernels.h"
#include "tatara/numerics/isa.h"
#include "tatara/numerics/matrix.h"

namespace tatara::numerics {

const QuantKernels& QuantKernelsOf(Isa isa);

struct KernelSet {
  const QuantKernels* quant;
  const FloatKernels* floats;
};

void MatMulWith(const KernelSet& kernels, std::span<const MatMulJob> jobs, ActivationRows& x,
                Activations activations, ThreadPool& pool);

}  // namespace tatara::numerics
