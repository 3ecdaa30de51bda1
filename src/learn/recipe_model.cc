#include <algorithm>
#include <type_traits>

#include "recipe_sections.h"

namespace tatara::learn {

namespace {

constexpr std::int64_t kMax = 1 << 24;

// Of a model that is there, only what another phase of its training may change.
Result<> TakeChanges(Section& s, std::string_view path, const toml::table& section,
                     BaseRecipe& base) {
  constexpr std::string_view kKnown[] = {"from",          "n_layers",  "n_ctx",           "window",
                                         "window_period", "rope_base", "rope_base_window"};
  for (const auto& [key, node] : section) {
    if (std::ranges::find(kKnown, key.str()) != std::end(kKnown)) continue;
    return Refuse(
        "{0}: [model] has 'from' and '{1}'; the shape is that of '{2}', but for n_layers, n_ctx, "
        "window, window_period, rope_base and rope_base_window",
        path, key.str(), base.from);
  }
  const auto take = [&](const char* key, auto& change, auto... range) {
    typename std::remove_reference_t<decltype(change)>::value_type value{};
    s.Take(key, value, range...);
    if (section.contains(key)) change = value;
  };
  take("n_layers", base.changes.n_layers, 1, kMax);
  take("n_ctx", base.changes.n_ctx, 1, kMax);
  take("window", base.changes.window, 0, kMax);
  take("window_period", base.changes.window_period, 0, kMax);
  take("rope_base", base.changes.rope_base, 2.0, 1e9);
  take("rope_base_window", base.changes.rope_base_window, 2.0, 1e9);
  return s.Finish();
}

}  // namespace

Result<> TakeModel(const toml::table& root, std::string_view path, Recipe& recipe) {
  model::TrainableShape& m = recipe.model;
  Section s(root, path, "model");
  s.Take("from", recipe.base.from);
  if (!recipe.base.from.empty()) {
    return TakeChanges(s, path, *root.get("model")->as_table(), recipe.base);
  }
  s.Take("architecture", m.architecture);
  s.Take("n_vocab", m.n_vocab, 1, kMax);
  s.Take("n_layers", m.n_layers, 1, kMax);
  s.Take("n_embd", m.n_embd, 1, kMax);
  s.Take("n_heads", m.n_heads, 1, kMax);
  s.Take("n_kv_heads", m.n_kv_heads, 1, kMax);
  s.Take("n_ff", m.n_ff, 1, kMax);
  s.Take("n_ctx", m.n_ctx, 1, kMax);
  s.Take("norm_eps", m.norm_eps, 1e-12, 0.1);
  s.Take("rope_base", m.rope_base, 2, 1e9);
  s.Take("tied", m.tied);
  s.Take("head_dim", m.head_dim, 1, kMax);
  s.Take("window", m.window, 0, kMax);
  s.Take("window_period", m.window_period, 0, kMax);
  s.Take("rope_base_window", m.rope_base_window, 2, 1e9);
  s.Take("score_cap", m.score_cap, 0, 1e6);
  s.Take("logit_cap", m.logit_cap, 0, 1e6);
  return s.Finish();
}

void AddModelExtras(const model::TrainableShape& m, CanonicalExtras& extras) {
  const model::TrainableShape none;
  extras.Add("model.head_dim", m.head_dim, none.head_dim);
  extras.Add("model.window", m.window, none.window);
  extras.Add("model.window_period", m.window_period, none.window_period);
  extras.Add("model.rope_base_window", m.rope_base_window, none.rope_base_window);
  extras.Add("model.score_cap", m.score_cap, none.score_cap);
  extras.Add("model.logit_cap", m.logit_cap, none.logit_cap);
}

}  // namespace tatara::learn
