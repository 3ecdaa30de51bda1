#include "float_dispatch.h"

namespace tatara::numerics {
namespace {

FloatKernels WithPanel(const FloatKernels& other) {
  FloatKernels table = kFloatKernelsScalar;
  table.panel_product = other.panel_product;
  return table;
}

}  // namespace

const FloatKernels& FloatKernelsOf(Isa isa) {
  static const FloatKernels avx2 = WithPanel(kFloatKernelsAvx2);
  static const FloatKernels avx512 = WithPanel(kFloatKernelsAvx512);
  switch (isa) {
    case Isa::kAvx512:
      return avx512;
    case Isa::kAvx2:
      return avx2;
    case Isa::kScalar:
      break;
  }
  return kFloatKernelsScalar;
}

}  // namespace tatara::numerics
