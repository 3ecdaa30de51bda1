#pragma once

#include "options.h"
#include "tatara/generate/engine.h"

namespace tatara::cli {

// Checked parameters; refused with the option's name, its value and the range.
Result<generate::SamplingParams> MakeSampling(const SamplingOptions& options);

}  // namespace tatara::cli
