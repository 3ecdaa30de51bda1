// How a step's shards are cut into passes. None of it changes a bit.
#pragma once

#include <cstdint>

#include "tatara/learn/recipe.h"
#include "tatara/model/trainable.h"

namespace tatara::learn {

struct PassPlan {
  int shards = 0;               // whole ones that a pass takes; 0: a shard is cut into passes
  std::int64_t sequences = 0;   // of the largest pass
  int gradients = 1;            // arrays that the tree over shards needs
  double gradient_values = 0;   // of each
  double activation_bytes = 0;  // with the logits, where all are kept

  double bytes() const { return activation_bytes + 4.0 * gradients * gradient_values; }
};

// For a process that has `n_shards` of the recipe's. As many shards at once as take no more memory
// than fewer do, whose gradients wait to be added, and as a product over tokens likes.
PassPlan PlanPasses(const Recipe& recipe, const model::Trainable& trainable, int n_shards);

}  // namespace tatara::learn
