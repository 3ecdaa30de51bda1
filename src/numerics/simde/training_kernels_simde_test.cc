// The AVX-512 kernels compiled to AVX2 through SIMDe, under the name kTrainingKernelsSimde.
#define TATARA_SIMDE
#include "avx512/training_kernels.cc"
