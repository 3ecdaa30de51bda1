#include "recipe_sections.h"

namespace tatara::learn {

Result<> TakeModel(const toml::table& root, std::string_view path, Recipe& recipe) {
  constexpr std::int64_t kMax = 1 << 24;
  model::TrainableShape& m = recipe.model;
  Section s(root, path, "model");
  s.Take("from", recipe.base.from);
  if (!recipe.base.from.empty() && root.get("model")->as_table()->size() > 1) {
    return Refuse("{0}: [model] has 'from' and a shape; the shape is that of '{1}'", path,
                  recipe.base.from);
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
