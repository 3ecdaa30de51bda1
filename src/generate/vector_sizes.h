// Which lengths below its own a model's vectors may be cut to (VectorSizes, embedder.h): by keys of
// its file, else by what its authors publish of models whose files do not say it. Thread safety:
// free functions, no state.
#pragma once

#include <span>
#include <string>

#include "tatara/base/error.h"
#include "tatara/base/metadata.h"
#include "tatara/generate/embedder.h"

namespace tatara::generate {

// Keys, after the architecture's name: "embedding.matryoshka_dimensions" (a list) and
// "embedding.matryoshka_least" (any from there on). Refused where a length is outside 1 .. n_embd.
Result<VectorSizes> VectorSizesOf(const Metadata& metadata, int n_embd);

// Lower-case letters and digits only: names are written in many ways ("Qwen3 Embedding 0.6B").
std::string PlainName(const std::string& name);

// The first n values of v, in place: centred where the sizes say so and something is cut off.
void CutVector(std::span<float> v, int n, const VectorSizes& sizes);

}  // namespace tatara::generate
