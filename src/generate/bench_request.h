// What the measurements of speed feed to an engine.
#pragma once

#include "tatara/generate/engine.h"

namespace tatara::generate {

// Random ids, another row of them for every index; writes on after end tokens.
Request RandomBenchRequest(const Engine& engine, int n_prompt, int tokens_max, int index);

}  // namespace tatara::generate
