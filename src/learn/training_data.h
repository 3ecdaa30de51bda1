// The training set that a recipe's section [data] names.
#pragma once

#include <memory>

#include "tatara/base/error.h"
#include "tatara/corpus/training_set.h"
#include "tatara/learn/data.h"

namespace tatara::learn {

// Files are looked for beside the recipe, then under TATARA_TEST_DATA. kNotFound says where to get
// what is missing. Kinds "text" and "chat" are prepared once, into the cache by the digest of all
// that decides them, and found there again.
Result<std::unique_ptr<corpus::TrainingSet>> OpenTrainingSet(const Recipe& recipe,
                                                             const DataOptions& options = {});

}  // namespace tatara::learn
