// Any bytes as a recipe, and as one more setting of a good one: parsed or refused, and what is
// parsed has a digest and makes a model or is refused as one.
#include <cstdint>
#include <string>
#include <string_view>

#include "tatara/base/check.h"
#include "tatara/learn/recipe.h"

namespace {

constexpr std::string_view kGood = R"(
name = "x"
[data]
text = "t.txt"
[model]
n_layers = 1
n_embd = 8
n_heads = 2
n_ctx = 16
n_vocab = 10
[[phases]]
name = "a"
steps = 3
[[phases]]
name = "b"
steps = 4
training = { batch = 2 }
)";

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  using namespace tatara::learn;
  const std::string_view text(reinterpret_cast<const char*>(data), size);
  for (const bool whole : {true, false}) {
    const auto recipe = whole ? ParseRecipe(text, "fuzz.toml", {})
                              : ParseRecipe(kGood, "fuzz.toml", {std::string(text)});
    if (!recipe.ok()) {
      TATARA_CHECK(!recipe.error().text().empty());
      continue;
    }
    TATARA_CHECK(RecipeDigest(*recipe).size() == 64);
    RecipeKeys(*recipe);
    LearningRate(recipe->optimizer, recipe->training.steps, 0);
    // The layout alone: nothing is allocated for weights.
    if (recipe->model.n_layers > 0 && recipe->model.n_layers <= 64) {
      (void)tatara::model::Trainable::Make(recipe->model);
    }
  }
  return 0;
}
