// Which instruction set the kernels use. All of them give the same bits; they differ in speed only.
//
// The choice is made once, on first use: TATARA_ISA=scalar|avx2|avx512 where set, else the best
// that the processor has. The command line calls SelectIsaFromEnvironment first, so that a forced
// set that the processor lacks is an error and not a crash.
//
// Thread safety: ActiveIsa from any thread; SetActiveIsa only while no kernel runs (tests, start).
#pragma once

#include <string_view>
#include <vector>

#include "tatara/base/error.h"

namespace tatara::numerics {

enum class Isa { kScalar, kAvx2, kAvx512 };

std::string_view IsaName(Isa isa);  // "scalar", "avx2", "avx512"
std::vector<Isa> AvailableIsas();   // ascending, always with kScalar
Isa ActiveIsa();
// Refused: an unknown name, or a set that this processor lacks.
Result<Isa> SelectIsaFromEnvironment();
void SetActiveIsa(Isa isa);  // must be available

}  // namespace tatara::numerics
