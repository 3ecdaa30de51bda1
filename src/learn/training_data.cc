#include "training_data.h"

#include <cstdlib>
#include <utility>

#include "tatara/corpus/char_text.h"

namespace tatara::learn {
namespace {

namespace fs = std::filesystem;

Result<fs::path> FindText(const Recipe& recipe) {
  std::error_code ignored;
  const fs::path beside = recipe.folder / recipe.data.text;
  if (fs::exists(beside, ignored)) return beside;
  const char* data = std::getenv("TATARA_TEST_DATA");
  if (data != nullptr && *data != '\0') {
    const fs::path there = fs::path(data) / recipe.data.text;
    if (fs::exists(there, ignored)) return there;
  }
  return MakeError(ErrorKind::kNotFound,
                   "recipe '{0}': the text '{1}' is neither beside the recipe nor under "
                   "TATARA_TEST_DATA; where to get it: {2}",
                   recipe.name, recipe.data.text,
                   recipe.data.source.empty() ? "?" : recipe.data.source);
}

}  // namespace

Result<std::unique_ptr<corpus::TrainingSet>> OpenTrainingSet(const Recipe& recipe) {
  if (recipe.data.kind == "stated") {
    return MakeError(ErrorKind::kNotFound,
                     "recipe '{0}': its data is only stated ({1}); it can be estimated, not run",
                     recipe.name, recipe.data.source);
  }
  TATARA_TRY(const fs::path path, FindText(recipe));
  TATARA_TRY(corpus::CharText text,
             corpus::CharText::Read({.path = path,
                                     .sha256 = recipe.data.sha256,
                                     .validation_fraction = recipe.data.validation}));
  return std::make_unique<corpus::CharText>(std::move(text));
}

}  // namespace tatara::learn
