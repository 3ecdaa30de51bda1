// The AVX-512 kernels compiled to AVX2 through SIMDe, under the name kGatedKernelsSimde.
#define TATARA_SIMDE
#include "avx512/gated_kernels.cc"
