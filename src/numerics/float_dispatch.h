// The f32 kernels of an instruction set, and of the active one.
#pragma once

#include "float_kernels.h"
#include "tatara/numerics/isa.h"

namespace tatara::numerics {

const FloatKernels& FloatKernelsOf(Isa isa);
inline const FloatKernels& ActiveFloatKernels() {
  return FloatKernelsOf(ActiveIsa());
}

}  // namespace tatara::numerics
