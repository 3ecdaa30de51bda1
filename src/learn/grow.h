// A phase's weights out of those of the phase before, whose model may have had fewer layers.
//
// With n layers made to m, layer i starts as layer floor(i n / m): the repeated ones are spread
// evenly and each lies behind the one it repeats. `identity` sets a repeated layer's last matrices
// to 0, so that it adds nothing at first and the deeper model computes what the other did
// (arXiv:2401.02415).
#pragma once

#include <span>
#include <vector>

#include "tatara/learn/recipe.h"
#include "tatara/model/trainable.h"

namespace tatara::learn {

// Refuses parameters that are not in the model before, or of another size there.
Result<> CheckGrowth(const model::Trainable& from, const model::Trainable& to,
                     std::string_view phase);
void Grow(const model::Trainable& from, std::span<const float> weights, const model::Trainable& to,
          NewBlocks new_blocks, std::span<float> grown);

}  // namespace tatara::learn
