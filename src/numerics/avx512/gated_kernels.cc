// The kernels of gated.h of avx512: the shared vector code over this set's lanes.
#include "gated_kernels.h"

#include "avx512/lanes.h"
#include "vector_gated.h"

namespace tatara::numerics {

extern const GatedKernels TATARA_AVX512_TABLE(kGatedKernels);
const GatedKernels TATARA_AVX512_TABLE(kGatedKernels) = TATARA_GATED_KERNELS;

}  // namespace tatara::numerics
