// The f32 kernels of avx512: the shared vector code over this set's lanes.
#include "float_kernels.h"

#include "avx512/doubles.h"
#include "avx512/lanes.h"
#include "vector_table.h"

namespace tatara::numerics {

extern const FloatKernels TATARA_AVX512_TABLE(kFloatKernels);
const FloatKernels TATARA_AVX512_TABLE(kFloatKernels) = TATARA_VECTOR_KERNELS;

}  // namespace tatara::numerics
