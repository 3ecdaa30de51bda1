#include "tatara/learn/recipe.h"

#include <fmt/format.h>
#include <fmt/ranges.h>
#include <toml++/toml.h>

#include <algorithm>
#include <functional>
#include <sstream>

#include "recipe_sections.h"
#include "tatara/base/files.h"
#include "tatara/base/nearest.h"
#include "tatara/base/sha256.h"

namespace tatara::learn {
namespace {

constexpr std::uint64_t kRecipeBytesMax = 1 << 20;

// toml::parse_error and, of hostile nesting or sizes, other exceptions end here.
Result<toml::table> Parse(std::string_view text, std::string_view path) {
  try {
    return toml::parse(text);
  } catch (const toml::parse_error& e) {
    return Refuse("{0}:{1}: {2}", path, e.source().begin.line, e.description());
  } catch (const std::exception& e) {
    return Refuse("{0}:{1}: {2}", path, 0, e.what());
  }
}

Result<> Override(toml::table& root, std::string_view path, const std::string& text) {
  const std::size_t equals = text.find('=');
  const std::size_t dot = text.find('.');
  if (equals == std::string::npos) {
    return Refuse("--set {0}: section.key=value is expected", text);
  }
  const bool top = dot == std::string::npos || dot > equals;
  const std::string section = top ? "" : text.substr(0, dot);
  const std::string key = text.substr(top ? 0 : dot + 1, equals - (top ? 0 : dot + 1));
  const std::string value = text.substr(equals + 1);
  if (key.empty() || (!top && section.empty())) {
    return Refuse("--set {0}: section.key=value is expected", text);
  }
  auto parsed = Parse("value = " + value, path);
  toml::table holder;
  if (parsed.ok() && parsed->size() == 1) {
    holder = std::move(*parsed);
  } else {
    holder.insert("value", value);
  }
  toml::table* table = &root;
  if (!top) {
    if (!root.contains(section)) root.insert(section, toml::table{});
    table = root.get(section)->as_table();
    if (table == nullptr) return Refuse("--set {0}: section.key=value is expected", text);
  }
  table->insert_or_assign(key, *holder.get("value"));
  return Ok{};
}

// A folder gets it as its name.
bool IsName(std::string_view name) {
  constexpr std::string_view kLetters = "abcdefghijklmnopqrstuvwxyz0123456789-_.";
  return !name.empty() && name.size() <= 64 && name.front() != '.' &&
         name.find_first_not_of(kLetters) == std::string_view::npos;
}

Result<> CheckTop(const toml::table& root, std::string_view path) {
  constexpr std::string_view kKnown[] = {"name",     "data", "model", "adapter",  "optimizer",
                                         "training", "run",  "tune",  "estimate", "phases"};
  for (const auto& [key, node] : root) {
    if (std::ranges::find(kKnown, key.str()) != std::end(kKnown)) continue;
    const std::string near = Nearest(key.str(), kKnown);
    if (near.empty()) {
      return Refuse("{0}: unknown section '{1}'; there are {2}", path, key.str(),
                    fmt::format("{}", fmt::join(kKnown, ", ")));
    }
    return Refuse("{0}: unknown section '{1}'; did you mean '{2}'?", path, key.str(), near);
  }
  return Ok{};
}

// Everything but phases.
Result<Recipe> ParseSections(const toml::table& root, std::string_view path) {
  Recipe recipe;
  if (const auto name = root["name"].value<std::string>()) recipe.name = *name;
  if (!IsName(recipe.name)) {
    return Refuse("{0}: the name '{1}' must be of small letters, digits, '-', '_' and '.'", path,
                  recipe.name);
  }
  TATARA_RETURN_IF_ERROR(TakeData(root, path, recipe.data));
  TATARA_RETURN_IF_ERROR(TakeModel(root, path, recipe));
  TATARA_RETURN_IF_ERROR(TakeAdapter(root, path, recipe.adapter));
  TATARA_RETURN_IF_ERROR(TakeTune(root, path, recipe.tune));
  TATARA_RETURN_IF_ERROR(TakeOptimizer(root, path, recipe.optimizer));
  TATARA_RETURN_IF_ERROR(TakeTraining(root, path, recipe.training));
  TATARA_RETURN_IF_ERROR(TakeRun(root, path, recipe.run));
  TATARA_RETURN_IF_ERROR(TakeEstimate(root, path, recipe.estimate));
  if (!recipe.base.from.empty()) {
    if (recipe.adapter.kind != AdapterKind::kNone && recipe.base.changes != BaseRecipe::Changes{}) {
      return Refuse("{0}: an adapter stands on its model as that is; [model] changes nothing of it",
                    path);
    }
    return recipe;
  }
  if (recipe.adapter.kind != AdapterKind::kNone) {
    return Refuse("{0}: [adapter] needs a model to stand on: [model] from", path);
  }
  if (recipe.training.context == 0) recipe.training.context = recipe.model.n_ctx;
  if (recipe.training.context > recipe.model.n_ctx) {
    return Refuse("{0}: training.context {1} is longer than the model's {2}", path,
                  recipe.training.context, recipe.model.n_ctx);
  }
  return recipe;
}

}  // namespace

Result<Recipe> ParseRecipe(std::string_view text, std::string_view path,
                           const std::vector<std::string>& overrides) {
  TATARA_TRY(toml::table root, Parse(text, path));
  for (const std::string& one : overrides) TATARA_RETURN_IF_ERROR(Override(root, path, one));
  TATARA_RETURN_IF_ERROR(CheckTop(root, path));
  TATARA_TRY(Recipe recipe, ParseSections(root, path));
  recipe.text = text;
  recipe.overrides = overrides;
  TATARA_RETURN_IF_ERROR(TakePhases(root, path, ParseSections, recipe));
  recipe.file = path;
  for (Recipe& phase : recipe.phases) phase.file = path;
  return recipe;
}

Result<Recipe> ReadRecipe(const std::filesystem::path& path,
                          const std::vector<std::string>& overrides) {
  TATARA_TRY(const std::string text, ReadWholeFile(path, kRecipeBytesMax));
  TATARA_TRY(Recipe recipe, ParseRecipe(text, path.string(), overrides));
  recipe.folder = path.parent_path();
  return recipe;
}

std::map<std::string, std::string> RecipeKeys(const Recipe& recipe) {
  std::map<std::string, std::string> keys;
  auto root = Parse(recipe.text, recipe.name);
  if (!root.ok()) return keys;
  for (const std::string& one : recipe.overrides) {
    if (!Override(*root, recipe.name, one).ok()) return {};
  }
  const std::function<void(const toml::table&, const std::string&)> add =
      [&](const toml::table& table, const std::string& prefix) {
        for (const auto& [key, node] : table) {
          const std::string name = prefix + std::string(key.str());
          if (const toml::table* inner = node.as_table()) {
            add(*inner, name + ".");
            continue;
          }
          std::ostringstream text;
          node.visit([&](const auto& value) { text << value; });
          keys[name] = text.str();
        }
      };
  add(*root, "");
  return keys;
}

namespace {

// The vocabulary, which the data may decide, is the recipe's.
void AddPhases(const Recipe& recipe, CanonicalExtras& extras) {
  std::string list;
  for (Recipe phase : recipe.phases) {
    phase.model.n_vocab = recipe.model.n_vocab;
    list += (list.empty() ? "" : ",") + CanonicalRecipe(phase);
  }
  if (!list.empty()) extras.AddJson("phases", "[" + list + "]");
}

}  // namespace

std::string CanonicalRecipe(const Recipe& r) {
  const model::TrainableShape& m = r.model;
  const OptimizerRecipe& o = r.optimizer;
  const TrainingRecipe& t = r.training;
  CanonicalExtras extras;
  AddModelExtras(m, extras);
  AddOptimizerExtras(o, extras);
  AddTrainingExtras(t, extras);
  AddRunExtras(r.run, extras);
  AddBaseExtras(r, extras);
  AddPhases(r, extras);
  // fmt prints the shortest text that reads back as the same double.
  return fmt::format(
      "{{\"contract\":1,\"model\":[\"{}\",{},{},{},{},{},{},{},{},{},{}],"
      "\"optimizer\":[\"adamw\",\"{}\",{},{},{},{},{},{},{},{},{}],"
      "\"training\":[{},{},{},{},{},{}],\"validation\":{}{}}}",
      m.architecture, m.n_vocab, m.n_layers, m.n_embd, m.n_heads, m.n_kv_heads, m.n_ff, m.n_ctx,
      m.norm_eps, m.rope_base, m.tied, ScheduleName(o.schedule), o.learning_rate,
      o.learning_rate_end, o.warmup_steps, o.decay_steps, o.beta1, o.beta2, o.eps, o.weight_decay,
      o.clip, t.seed, t.steps, t.batch, t.context, t.virtual_shards, t.dropout, r.data.validation,
      extras.Text());
}

std::string RecipeDigest(const Recipe& recipe) {
  return Sha256Hex(CanonicalRecipe(recipe));
}

}  // namespace tatara::learn
