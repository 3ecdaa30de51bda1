// The keys of a model that training makes: with its checkpoint's weights it can be run, exported
// and talked to (weights/tensor_store.h opens a checkpoint so). Thread safety: free function.
#pragma once

#include <string>

#include "tatara/base/metadata.h"
#include "tatara/corpus/training_set.h"
#include "tatara/model/trainable.h"

namespace tatara::learn {

// Those of the architecture, the data's tokenizer, and a chat template: where the data brings none,
// one that only sets the messages' texts one after the other, so that the model goes on from them.
Metadata ModelKeys(const std::string& name, const model::Trainable& trainable,
                   const corpus::TrainingSet& data);

}  // namespace tatara::learn
