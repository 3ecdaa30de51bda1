#include "tatara/base/fp_environment.h"

#if defined(__x86_64__)
#include <xmmintrin.h>
#else
#error "the floating-point environment of this processor is not described yet"
#endif

namespace tatara {
namespace {
// All six exceptions masked, rounding to nearest even, FTZ (bit 15) and DAZ (bit 6) off.
constexpr unsigned kMxcsr = 0x1F80;
// The sticky exception flags (bits 0 to 5) do not matter.
constexpr unsigned kControlBits = 0xFFC0;
}  // namespace

void SetFpEnvironment() {
  _mm_setcsr(kMxcsr);
}
bool FpEnvironmentIsRight() {
  return (_mm_getcsr() & kControlBits) == kMxcsr;
}

ScopedFpEnvironment::ScopedFpEnvironment() : saved_(_mm_getcsr()) {
  SetFpEnvironment();
}
ScopedFpEnvironment::~ScopedFpEnvironment() {
  _mm_setcsr(saved_);
}

}  // namespace tatara
