// The kernels of product.h and training.h of avx512: the shared vector code over this set's lanes.
#include "training_kernels.h"

#include "avx512/doubles.h"
#include "avx512/lanes.h"
#include "vector_training.h"

namespace tatara::numerics {

extern const TrainingKernels TATARA_AVX512_TABLE(kTrainingKernels);
const TrainingKernels TATARA_AVX512_TABLE(kTrainingKernels) = TATARA_TRAINING_KERNELS;

}  // namespace tatara::numerics
