// Reading a recipe, section by section; each section has a file of its own (recipe_<section>.cc).
#pragma once

#include <fmt/format.h>
#include <toml++/toml.h>

#include <functional>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "tatara/base/error.h"
#include "tatara/learn/recipe.h"

namespace tatara::learn {

constexpr std::int64_t kStepsMax = (1 << 24) - 1;  // dropout's key has 24 bits

// One section: each Take names a key, reads it where it is there, and Finish refuses the others.
class Section {
 public:
  Section(const toml::table& root, std::string_view path, std::string_view name);
  void Take(std::string_view key, std::string& value);
  void Take(std::string_view key, bool& value);
  void Take(std::string_view key, double& value, double low, double high);
  template <typename Integer>
  void Take(std::string_view key, Integer& value, std::int64_t low, std::int64_t high) {
    value = static_cast<Integer>(TakeWhole(key, static_cast<std::int64_t>(value), low, high));
  }
  // A key that is read elsewhere.
  void Allow(std::string_view key) { known_.push_back(key); }
  Result<> Finish();

 private:
  std::int64_t TakeWhole(std::string_view key, std::int64_t value, std::int64_t low,
                         std::int64_t high);
  const toml::node* Find(std::string_view key);
  void Wrong(std::string_view key, std::string_view expected);
  std::string path_, name_;
  const toml::table* table_ = nullptr;
  std::vector<std::string_view> known_;  // literals
  std::optional<Error> error_;
};

// What the weights depend on besides the first keys of CanonicalRecipe: only what differs from its
// default is written, so that a new key leaves the digests of older recipes as they are.
class CanonicalExtras {
 public:
  template <typename T>
  void Add(std::string_view key, const T& value, const T& otherwise) {
    if (value == otherwise) return;
    text_ += fmt::format("{}\"{}\":", text_.empty() ? "" : ",", key);
    if constexpr (std::is_convertible_v<T, std::string_view>) {
      text_ += fmt::format("\"{}\"", value);
    } else {
      text_ += fmt::format("{}", value);
    }
  }
  // A value that is JSON already.
  void AddJson(std::string_view key, std::string_view json) {
    text_ += fmt::format("{}\"{}\":{}", text_.empty() ? "" : ",", key, json);
  }
  // Empty, or the last member of the object.
  std::string Text() const {
    return text_.empty() ? std::string() : fmt::format(",\"more\":{{{}}}", text_);
  }

 private:
  std::string text_;
};

Result<> TakeData(const toml::table& root, std::string_view path, DataRecipe& d);
using PhaseParser = std::function<Result<Recipe>(const toml::table&, std::string_view path)>;
Result<> TakePhases(const toml::table& root, std::string_view path, const PhaseParser& parse,
                    Recipe& recipe);

Result<> TakeModel(const toml::table& root, std::string_view path, model::TrainableShape& m);
Result<> TakeModel(const toml::table& root, std::string_view path, Recipe& recipe);
void AddModelExtras(const model::TrainableShape& m, CanonicalExtras& extras);

// A text that names one of a few things.
template <typename T>
struct Choice {
  std::string_view name;
  T value;
};
inline constexpr Choice<model::Storage> kStorages[] = {{"f32", model::Storage::kF32},
                                                       {"bf16", model::Storage::kBF16}};
template <typename T, std::size_t n>
Result<T> Choose(std::string_view path, std::string_view key, std::string_view name,
                 const Choice<T> (&choices)[n]) {
  std::string known;
  for (const Choice<T>& choice : choices) {
    if (choice.name == name) return choice.value;
    known += (known.empty() ? "" : ", ") + std::string(choice.name);
  }
  return Refuse("{0}: {1} '{2}' is unknown; there are {3}", path, key, name, known);
}

Result<> TakeOptimizer(const toml::table& root, std::string_view path, OptimizerRecipe& o);
void AddOptimizerExtras(const OptimizerRecipe& o, CanonicalExtras& extras);
std::string_view ScheduleName(Schedule schedule);

Result<> TakeAdapter(const toml::table& root, std::string_view path, AdapterRecipe& a);
Result<> TakeTune(const toml::table& root, std::string_view path, TuneRecipe& t);
void AddBaseExtras(const Recipe& recipe, CanonicalExtras& extras);

Result<> TakeTraining(const toml::table& root, std::string_view path, TrainingRecipe& t);
void AddTrainingExtras(const TrainingRecipe& t, CanonicalExtras& extras);
Result<> TakeRun(const toml::table& root, std::string_view path, RunRecipe& r);
void AddRunExtras(const RunRecipe& r, CanonicalExtras& extras);

Result<> TakeEstimate(const toml::table& root, std::string_view path, EstimateRecipe& e);

}  // namespace tatara::learn
