#include "base_model.h"

#include <vector>

#include "grow.h"
#include "tatara/base/localise.h"
#include "tatara/weights/model_store.h"
#include "training_data.h"

namespace tatara::learn {
namespace {

namespace fs = std::filesystem;

// A path is looked for beside the recipe first; names go through the store of models.
Result<weights::ResolvedModel> FindBase(const weights::ModelStore& store, const Recipe& recipe) {
  const std::string& from = recipe.base.from;
  std::error_code ignored;
  const fs::path beside = recipe.folder / from;
  if (from.find('/') != from.npos && fs::exists(beside, ignored)) {
    return store.Resolve(beside.string());
  }
  return store.Resolve(from);
}

void Apply(const BaseRecipe::Changes& changes, model::TrainableShape& shape) {
  shape.n_layers = changes.n_layers.value_or(shape.n_layers);
  shape.n_ctx = changes.n_ctx.value_or(shape.n_ctx);
  shape.window = changes.window.value_or(shape.window);
  shape.window_period = changes.window_period.value_or(shape.window_period);
  shape.rope_base = changes.rope_base.value_or(shape.rope_base);
  shape.rope_base_window = changes.rope_base_window.value_or(shape.rope_base_window);
}

// The recipe's or a phase's shape: the base's, with what it changes.
Result<> TakeShape(const model::TrainableShape& shape, Recipe& recipe) {
  recipe.model = shape;
  Apply(recipe.base.changes, recipe.model);
  if (recipe.training.context == 0) recipe.training.context = recipe.model.n_ctx;
  if (recipe.training.context > recipe.model.n_ctx) {
    return Refuse("recipe '{0}': training.context {1} is longer than the model's {2}", recipe.name,
                  recipe.training.context, recipe.model.n_ctx);
  }
  return Ok{};
}

}  // namespace

Result<> ResolveBase(Recipe& recipe) {
  BaseRecipe& base = recipe.base;
  if (base.from.empty()) return Ok{};
  TATARA_TRY(const auto store, weights::ModelStore::Open());
  TATARA_TRY(const weights::ResolvedModel model, FindBase(store, recipe));
  if (!model.adapter.empty()) {
    return Refuse(
        "recipe '{0}': '{1}' is an adapter beside a model; export it merged and name the result",
        recipe.name, base.from);
  }
  base.path = model.path;
  std::error_code ignored;
  const fs::path whole = fs::absolute(model.path, ignored);
  base.name = model.local ? model.name : whole.lexically_normal().string();
  TATARA_TRY(base.sha256, store.DigestOf(model));
  TATARA_TRY(const auto tensors, weights::OpenTensorStore(base.path));
  TATARA_TRY(const model::TrainableShape shape, model::ShapeOf(*tensors));
  for (Recipe& phase : recipe.phases) {
    phase.base.name = base.name;
    phase.base.path = base.path;
    phase.base.sha256 = base.sha256;
    TATARA_RETURN_IF_ERROR(TakeShape(shape, phase));
  }
  return TakeShape(shape, recipe);
}

Result<std::unique_ptr<corpus::TrainingSet>> OpenData(Recipe& recipe, DataOptions options) {
  TATARA_RETURN_IF_ERROR(ResolveBase(recipe));
  std::unique_ptr<weights::TensorStore> base;
  if (!recipe.base.from.empty()) {
    TATARA_TRY(base, weights::OpenTensorStore(recipe.base.path));
  }
  options.tokenizer = base == nullptr ? nullptr : &base->metadata();
  TATARA_TRY(auto data, OpenTrainingSet(recipe, options));
  if (recipe.model.n_vocab == 0) recipe.model.n_vocab = data->n_vocab();
  return data;
}

model::TrainableOptions OptionsOf(const Recipe& recipe) {
  return {.recompute = recipe.run.recompute, .storage = recipe.training.storage};
}

Result<std::unique_ptr<model::Trainable>> MakeTrainable(const Recipe& recipe, ThreadPool& pool) {
  const model::TrainableOptions options = OptionsOf(recipe);
  std::unique_ptr<weights::TensorStore> store;
  if (recipe.adapter.kind != AdapterKind::kNone) {
    TATARA_TRY(store, weights::OpenTensorStore(recipe.base.path));
  }
  auto made = store == nullptr ? model::Trainable::Make(recipe.model, options)
                               : model::MakeAdapterTrainable(std::move(store), recipe.adapter.shape,
                                                             options, pool);
  if (made.ok() || recipe.file.empty()) return made;
  return MakeError(made.error().kind(), "{0}: {1}", recipe.file,
                   made.error().text(CurrentLanguage()));
}

double FrozenBytes(const Recipe& recipe, const model::Trainable& trainable) {
  if (recipe.adapter.kind == AdapterKind::kNone || recipe.adapter.shape.quantised_base) return 0;
  const auto whole = model::Trainable::Make(trainable.shape());
  return whole.ok() ? 4.0 * static_cast<double>((*whole)->n_values()) : 0;
}

Result<> StartWeights(const Recipe& recipe, const model::Trainable& trainable,
                      std::span<float> weights, ThreadPool& pool) {
  trainable.Initialise(recipe.training.seed, weights, pool);
  if (recipe.base.from.empty() || recipe.adapter.kind != AdapterKind::kNone) return Ok{};
  TATARA_TRY(const auto store, weights::OpenTensorStore(recipe.base.path));
  TATARA_TRY(const model::TrainableShape shape, model::ShapeOf(*store));
  if (shape.n_layers == trainable.shape().n_layers) {
    return model::TakeWeights(*store, trainable, weights, pool);
  }
  TATARA_TRY(const auto whole, model::Trainable::Make(shape));
  TATARA_RETURN_IF_ERROR(CheckGrowth(*whole, trainable, recipe.name));
  std::vector<float> values(static_cast<std::size_t>(whole->n_values()));
  TATARA_RETURN_IF_ERROR(model::TakeWeights(*store, *whole, values, pool));
  Grow(*whole, values, trainable, recipe.training.new_blocks, weights);
  return Ok{};
}

Metadata AdapterKeys(const Recipe& recipe) {
  Metadata keys;
  keys.Set("general.architecture", recipe.model.architecture);
  keys.Set("general.type", std::string("adapter"));
  keys.Set("general.name", recipe.name);
  keys.Set("adapter.type", std::string("lora"));
  keys.Set("adapter.lora.alpha", recipe.adapter.shape.alpha);
  keys.Set("tatara.base.model", recipe.base.name);
  keys.Set("tatara.base.sha256", recipe.base.sha256);
  return keys;
}

}  // namespace tatara::learn
