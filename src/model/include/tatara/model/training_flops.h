// How many floating-point operations a pass asks of products and attention, counted as
// numerics/flops.h does, without running it, of whole models and of adapters over
// frozen ones. Sequences are taken to be one document each, and all tokens to count: packed
// documents see fewer keys, and a frozen head is multiplied for tokens with a target only. Thread
// safety: free functions.
#pragma once

#include <cstdint>

#include "tatara/model/trainable.h"

namespace tatara::model {

struct CountedPass {
  std::int64_t n_sequences = 1;
  std::int64_t n_tokens = 0;     // of each
  bool backward = true;          // false: the loss alone
  bool recompute = false;        // TrainableOptions
  bool attention_drops = false;  // TrainingDropout::attention_rate is not 0
  // Of the call's positions, those with a target: a frozen head and a loss alone multiply no
  // others.
  double n_targets = -1;  // below 0: all
};

double TrainingFlops(const Trainable& trainable, const CountedPass& pass);

}  // namespace tatara::model
