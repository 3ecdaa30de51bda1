// The training kernels of an instruction set, and of the active one.
#pragma once

#include "tatara/numerics/isa.h"
#include "training_kernels.h"

namespace tatara::numerics {

inline const TrainingKernels& TrainingKernelsOf(Isa isa) {
  switch (isa) {
    case Isa::kAvx512:
      return kTrainingKernelsAvx512;
    case Isa::kAvx2:
      return kTrainingKernelsAvx2;
    case Isa::kScalar:
      break;
  }
  return kTrainingKernelsScalar;
}
inline const TrainingKernels& ActiveTrainingKernels() {
  return TrainingKernelsOf(ActiveIsa());
}

}  // namespace tatara::numerics
