// The AVX-512 kernels compiled to AVX2 through SIMDe, under the name kFloatKernelsSimde.
#define TATARA_SIMDE
#include "avx512/float_kernels.cc"
