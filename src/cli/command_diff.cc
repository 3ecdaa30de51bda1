// diff A B: two runs, checkpoints, models or recipes: which keys, data, tensors differ, how much.
#include <fmt/format.h>

#include <algorithm>
#include <cmath>

#include "commands.h"
#include "json_output.h"
#include "models_access.h"
#include "run_registry.h"
#include "tatara/base/files.h"
#include "tatara/base/localise.h"
#include "tatara/base/thread_pool.h"
#include "tatara/learn/checkpoint.h"
#include "tatara/learn/run_folder.h"
#include "tatara/weights/compare.h"

namespace tatara::cli {
namespace {

namespace fs = std::filesystem;

constexpr std::size_t kLinesMax = 40;  // of tensors on a terminal; --json has all

struct Side {
  std::optional<learn::RunFolder> run;
  std::optional<learn::Recipe> recipe;  // of the run, or a recipe's file
  fs::path weights;                     // empty: none
};

bool IsCheckpoint(const fs::path& path) {
  std::error_code ignored;
  return fs::is_regular_file(path / "checkpoint.json", ignored);
}

Result<Side> Open(const std::string& what) {
  Side side;
  std::error_code ignored;
  const fs::path path = fs::absolute(what, ignored).lexically_normal();
  if (const fs::path run = RunNamed(what); !run.empty()) {
    TATARA_TRY(side.run, learn::ReadRunFolder(run));
    side.recipe = side.run->recipe;
    if (!side.run->checkpoints.empty()) {
      side.weights =
          learn::CheckpointPath(run, side.run->checkpoints.back()) / "weights.safetensors";
    }
    return side;
  }
  if (IsCheckpoint(path)) {
    fs::path folder = path;
    if (folder.filename().empty()) folder = folder.parent_path();
    side.weights = folder / "weights.safetensors";
    const fs::path run = folder.parent_path().parent_path();
    if (learn::IsRunFolder(run)) {
      TATARA_TRY(side.run, learn::ReadRunFolder(run));
      side.recipe = side.run->recipe;
    }
    return side;
  }
  if (path.extension() == ".toml") {
    TATARA_TRY(side.recipe, learn::ReadRecipe(what, {}));
    return side;
  }
  TATARA_TRY(side.weights, ResolveModelPath(what));
  return side;
}

struct KeyDifference {
  std::string key, first, second;  // empty: absent
};

std::vector<KeyDifference> CompareRecipes(const learn::Recipe& a, const learn::Recipe& b) {
  const auto first = learn::RecipeKeys(a), second = learn::RecipeKeys(b);
  std::vector<KeyDifference> differences;
  for (const auto& [key, value] : first) {
    const auto other = second.find(key);
    if (other == second.end() || other->second != value) {
      differences.push_back({key, value, other == second.end() ? "" : other->second});
    }
  }
  for (const auto& [key, value] : second) {
    if (!first.contains(key)) differences.push_back({key, "", value});
  }
  std::ranges::sort(differences, {}, &KeyDifference::key);
  return differences;
}

// The first step at which two runs measured different things.
std::string CompareMetrics(const fs::path& a, const fs::path& b) {
  const auto first = learn::ReadMetrics(a), second = learn::ReadMetrics(b);
  if (!first.ok()) return first.error().text(CurrentLanguage());
  if (!second.ok()) return second.error().text(CurrentLanguage());
  for (const auto& [step, left] : *first) {
    const auto right = second->find(step);
    if (right == second->end()) break;
    if (left.loss != right->second.loss || left.gradient_norm != right->second.gradient_norm) {
      return Tr("step {0}: loss {1} and {2}, gradient norm {3} and {4}", step,
                left.loss.value_or(NAN), right->second.loss.value_or(NAN),
                left.gradient_norm.value_or(NAN), right->second.gradient_norm.value_or(NAN));
    }
  }
  return {};
}

struct Difference {
  std::vector<KeyDifference> recipe;
  bool canonical_recipe = false;  // whether what the weights depend on differs
  std::string data, metrics;      // empty: equal
  weights::ModelDifference model;

  std::string First() const {
    if (canonical_recipe && !recipe.empty()) return recipe.front().key;
    if (canonical_recipe) return "recipe";
    if (!data.empty()) return data;
    if (!metrics.empty()) return metrics;
    if (!model.tensors.empty()) return model.tensors.front().name;
    if (!model.keys.empty()) return model.keys.front();
    return recipe.empty() ? "" : recipe.front().key;
  }
};

Result<Difference> Compare(const Side& a, const Side& b) {
  Difference difference;
  bool compared = false;
  if (a.recipe && b.recipe) {
    compared = true;
    difference.recipe = CompareRecipes(*a.recipe, *b.recipe);
    difference.canonical_recipe =
        a.run && b.run ? a.run->recipe_digest != b.run->recipe_digest
                       : learn::RecipeDigest(*a.recipe) != learn::RecipeDigest(*b.recipe);
  }
  if (a.run && b.run) {
    if (a.run->data_manifest != b.run->data_manifest) {
      difference.data = Tr("data: {0} and {1}", a.run->data_manifest, b.run->data_manifest);
    }
    difference.metrics = CompareMetrics(a.run->path, b.run->path);
  }
  if (!a.weights.empty() && !b.weights.empty()) {
    compared = true;
    TATARA_TRY(const auto first, weights::OpenTensorStore(a.weights));
    TATARA_TRY(const auto second, weights::OpenTensorStore(b.weights));
    ThreadPool pool(ThreadPool::HardwareThreads());
    difference.model = weights::CompareModels(*first, *second, pool);
  }
  if (!compared) return Refuse("a recipe can not be compared with a model");
  return difference;
}

std::string ChangeName(weights::TensorChange change) {
  switch (change) {
    case weights::TensorChange::kOnlyInFirst:
      return "only_in_first";
    case weights::TensorChange::kOnlyInSecond:
      return "only_in_second";
    case weights::TensorChange::kShape:
      return "shape";
    case weights::TensorChange::kType:
      return "type";
    case weights::TensorChange::kValues:
      return "values";
  }
  return {};
}

Json Finite(double value) {
  return std::isfinite(value) ? Json(value) : Json();
}

Json Text(const std::string& text) {
  return text.empty() ? Json() : Json(text);
}

void PrintJson(const Difference& d, const std::string& first) {
  Json recipe = Json::array(), tensors = Json::array();
  for (const KeyDifference& key : d.recipe) {
    recipe.push_back({{"key", key.key}, {"first", Text(key.first)}, {"second", Text(key.second)}});
  }
  for (const weights::TensorDifference& t : d.model.tensors) {
    tensors.push_back({{"name", t.name},
                       {"change", ChangeName(t.change)},
                       {"first", Text(t.first_form)},
                       {"second", Text(t.second_form)},
                       {"values", t.n_values},
                       {"changed", t.n_changed},
                       {"max_abs", Finite(t.max_abs)},
                       {"relative_norm", Finite(t.relative_norm)}});
  }
  OutJson({{"ok", first.empty()},
           {"first_difference", Text(first)},
           {"recipe", std::move(recipe)},
           {"same_canonical_recipe", !d.canonical_recipe},
           {"data", Text(d.data)},
           {"metrics", Text(d.metrics)},
           {"tensors", std::move(tensors)},
           {"n_tensors", d.model.n_tensors},
           {"keys", d.model.keys}});
}

void PrintTensors(const weights::ModelDifference& model) {
  std::size_t n_shown = 0;
  for (const weights::TensorDifference& t : model.tensors) {
    if (n_shown++ == kLinesMax) {
      Out(Tr("… and {0} more; --json lists them all", model.tensors.size() - kLinesMax) + "\n");
      break;
    }
    switch (t.change) {
      case weights::TensorChange::kOnlyInFirst:
        Out(Tr("{0}: only in the first ({1})", t.name, t.first_form) + "\n");
        break;
      case weights::TensorChange::kOnlyInSecond:
        Out(Tr("{0}: only in the second ({1})", t.name, t.second_form) + "\n");
        break;
      case weights::TensorChange::kShape:
        Out(Tr("{0}: {1} and {2}", t.name, t.first_form, t.second_form) + "\n");
        break;
      case weights::TensorChange::kType:
      case weights::TensorChange::kValues:
        Out(fmt::format("{:<32} ", t.name) +
            Tr("{0} of {1} values, at most {2}, relative norm {3}", t.n_changed, t.n_values,
               fmt::format("{:.3g}", t.max_abs), fmt::format("{:.3g}", t.relative_norm)) +
            (t.first_form == t.second_form
                 ? ""
                 : fmt::format("  ({}, {})", t.first_form, t.second_form)) +
            "\n");
    }
  }
}

void PrintText(const Difference& d, const std::string& first) {
  for (const KeyDifference& key : d.recipe) {
    Out(fmt::format("{}: {} -> {}\n", key.key, key.first.empty() ? "-" : key.first,
                    key.second.empty() ? "-" : key.second));
  }
  // The recipe's digest says nothing of data: what they are is the manifest's.
  const bool has_data_keys = std::ranges::any_of(
      d.recipe, [](const KeyDifference& key) { return key.key.starts_with("data."); });
  if (!d.recipe.empty() && !d.canonical_recipe && !has_data_keys) {
    Out(Tr("these keys change no weight") + "\n");
  }
  if (!d.data.empty()) Out(d.data + "\n");
  if (!d.metrics.empty()) Out(Tr("first difference of what was measured: {0}", d.metrics) + "\n");
  PrintTensors(d.model);
  if (!d.model.keys.empty()) {
    Out(Tr("other keys: {0}", fmt::format("{}", fmt::join(d.model.keys, ", "))) + "\n");
  }
  if (first.empty()) Out(Tr("no difference: {0} tensors, bit for bit", d.model.n_tensors) + "\n");
}

}  // namespace

Result<int> Diff(const DiffOptions& options) {
  TATARA_TRY(const Side a, Open(options.a));
  TATARA_TRY(const Side b, Open(options.b));
  TATARA_TRY(const Difference difference, Compare(a, b));
  const std::string first = difference.First();
  if (options.json) {
    PrintJson(difference, first);
  } else {
    PrintText(difference, first);
  }
  return first.empty() ? 0 : 1;
}

}  // namespace tatara::cli
