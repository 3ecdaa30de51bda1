// [[phases]]: stretches of a run, each with a name, a number of steps and, in tables of their own,
// whatever it changes of [model], [training] and [optimizer]. What it does not name is as in the
// recipe's own sections.
#include "recipe_sections.h"

namespace tatara::learn {
namespace {

constexpr std::size_t kPhasesMax = 64;
constexpr std::string_view kSections[] = {"model", "training", "optimizer"};

void Merge(const toml::table& changes, std::string_view section, toml::table& root) {
  const toml::table* from = changes.get_as<toml::table>(section);
  if (from == nullptr) return;
  if (!root.contains(section)) root.insert(section, toml::table{});
  toml::table* const into = root.get_as<toml::table>(section);
  if (into == nullptr) return;  // refused where the section is read
  for (const auto& [key, node] : *from) into->insert_or_assign(key, node);
}

}  // namespace

Result<> TakePhases(const toml::table& root, std::string_view path, const PhaseParser& parse,
                    Recipe& recipe) {
  const toml::node* const node = root.get("phases");
  if (node == nullptr) return Ok{};
  const toml::array* const phases = node->as_array();
  if (phases == nullptr || phases->empty() || phases->size() > kPhasesMax ||
      !phases->is_homogeneous<toml::table>()) {
    return Refuse("{0}: [[phases]] must be 1 to {1} tables", path, kPhasesMax);
  }
  if (root["training"]["steps"]) {
    return Refuse("{0}: with [[phases]] their own steps count, not training.steps", path);
  }
  recipe.training.steps = 0;
  for (const toml::node& one : *phases) {
    const toml::table& phase = *one.as_table();
    toml::table holder;
    holder.insert("phases", phase);
    Section s(holder, path, "phases");
    std::string name;
    std::int64_t steps = 0;
    s.Take("name", name);
    s.Take("steps", steps, 1, kStepsMax);
    for (const std::string_view section : kSections) s.Allow(section);
    TATARA_RETURN_IF_ERROR(s.Finish());
    if (name.empty() || steps == 0) return Refuse("{0}: a phase needs a name and steps", path);
    toml::table merged = root;
    merged.erase("phases");
    for (const std::string_view section : kSections) Merge(phase, section, merged);
    Merge(*toml::table{{"training", toml::table{{"steps", steps}}}}.as_table(), "training", merged);
    merged.insert_or_assign("name", name);
    TATARA_TRY(Recipe parsed, parse(merged, path));
    recipe.phases.push_back(std::move(parsed));
    recipe.training.steps += steps;
  }
  if (recipe.training.steps > kStepsMax) {
    return Refuse("{0}: the phases have {1} steps together, at most {2} are accepted", path,
                  recipe.training.steps, kStepsMax);
  }
  return Ok{};
}

}  // namespace tatara::learn
