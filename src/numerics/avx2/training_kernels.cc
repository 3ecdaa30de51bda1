// The kernels of product.h and training.h of avx2: the shared vector code over this set's lanes.
#include "training_kernels.h"

#include "avx2/doubles.h"
#include "avx2/lanes.h"
#include "vector_training.h"

namespace tatara::numerics {

extern const TrainingKernels kTrainingKernelsAvx2;
const TrainingKernels kTrainingKernelsAvx2 = TATARA_TRAINING_KERNELS;

}  // namespace tatara::numerics
