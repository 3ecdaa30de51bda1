#include "quant_dispatch.h"

namespace tatara::numerics {

const QuantKernels& QuantKernelsOf(Isa isa) {
  switch (isa) {
    case Isa::kAvx512:
      return kQuantKernelsAvx512;
    case Isa::kAvx2:
      return kQuantKernelsAvx2;
    case Isa::kScalar:
      break;
  }
  return kQuantKernelsScalar;
}

}  // namespace tatara::numerics
