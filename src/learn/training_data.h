// The training set that a recipe's section [data] names.
#pragma once

#include <memory>

#include "tatara/base/error.h"
#include "tatara/corpus/training_set.h"
#include "tatara/learn/recipe.h"

namespace tatara::learn {

// Files are looked for beside the recipe, then under TATARA_TEST_DATA. kNotFound says where to get
// what is missing.
Result<std::unique_ptr<corpus::TrainingSet>> OpenTrainingSet(const Recipe& recipe);

}  // namespace tatara::learn
