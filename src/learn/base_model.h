// Weights that training starts from, or that an adapter stands on: a model of this machine, a file,
// a Hugging Face folder, a run or a checkpoint. Thread safety: free functions.
#pragma once

#include <memory>
#include <span>

#include "tatara/base/error.h"
#include "tatara/base/metadata.h"
#include "tatara/base/thread_pool.h"
#include "tatara/corpus/training_set.h"
#include "tatara/learn/data.h"
#include "tatara/learn/recipe.h"
#include "tatara/model/trainable_base.h"

namespace tatara::learn {

// The recipe's data, its base resolved first: shape and vocabulary of the model are known after it.
// Where the recipe names no tokenizer, the data are read by the base's, not by that of `options`.
Result<std::unique_ptr<corpus::TrainingSet>> OpenData(Recipe& recipe, DataOptions options);

// How it keeps what the way back needs.
model::TrainableOptions OptionsOf(const Recipe& recipe);

// What the recipe trains: all weights of its shape, or an adapter over its base.
Result<std::unique_ptr<model::Trainable>> MakeTrainable(const Recipe& recipe, ThreadPool& pool);

// Bytes of the frozen weights in memory, besides those that train.
double FrozenBytes(const Recipe& recipe, const model::Trainable& trainable);

// Where training starts: the base's weights, or by the seed.
Result<> StartWeights(const Recipe& recipe, const model::Trainable& trainable,
                      std::span<float> weights, ThreadPool& pool);

// Of an adapter's checkpoint: what it is, and the base that it is for.
Metadata AdapterKeys(const Recipe& recipe);

}  // namespace tatara::learn
