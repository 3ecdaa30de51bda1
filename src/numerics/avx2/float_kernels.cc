// The f32 kernels of avx2: the shared vector code over this set's lanes.
#include "float_kernels.h"

#include "avx2/doubles.h"
#include "avx2/lanes.h"
#include "vector_table.h"

namespace tatara::numerics {

extern const FloatKernels kFloatKernelsAvx2;
const FloatKernels kFloatKernelsAvx2 = TATARA_VECTOR_KERNELS;

}  // namespace tatara::numerics
