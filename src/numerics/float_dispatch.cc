#include "float_dispatch.h"

namespace tatara::numerics {

const FloatKernels& FloatKernelsOf(Isa isa) {
  switch (isa) {
    case Isa::kAvx512:
      return kFloatKernelsAvx512;
    case Isa::kAvx2:
      return kFloatKernelsAvx2;
    case Isa::kScalar:
      break;
  }
  return kFloatKernelsScalar;
}

}  // namespace tatara::numerics
