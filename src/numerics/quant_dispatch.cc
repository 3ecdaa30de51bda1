#include "quant_dispatch.h"

namespace tatara::numerics {

const QuantKernels& QuantKernelsOf(Isa) {
  return kQuantKernelsScalar;
}

}  // namespace tatara::numerics
