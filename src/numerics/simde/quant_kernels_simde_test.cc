// The AVX-512 kernels compiled to AVX2 through SIMDe, under the name kQuantKernelsSimde.
#define TATARA_SIMDE
#include "avx512/quant_kernels.cc"
