// The kernels of gated.h of avx2: the shared vector code over this set's lanes.
#include "gated_kernels.h"

#include "avx2/lanes.h"
#include "vector_gated.h"

namespace tatara::numerics {

extern const GatedKernels kGatedKernelsAvx2;
const GatedKernels kGatedKernelsAvx2 = TATARA_GATED_KERNELS;

}  // namespace tatara::numerics
