// The AVX-512 intrinsics, or SIMDe's form of them on AVX2 where TATARA_SIMDE is defined: the same
// kernel sources are compiled both ways, so that a machine without AVX-512 can check their
// arithmetic. A kernel table is named TATARA_AVX512_TABLE(kSomething): kSomethingAvx512 or
// kSomethingSimde.
#pragma once

#if defined(TATARA_SIMDE)
#define SIMDE_ENABLE_NATIVE_ALIASES
#include <simde/x86/avx512.h>
#include <simde/x86/f16c.h>
#include <simde/x86/fma.h>

#include "simde/missing.h"
#define TATARA_AVX512_TABLE(name) name##Simde
#else
#include <immintrin.h>
#define TATARA_AVX512_TABLE(name) name##Avx512
#endif
