#include "recipe_sections.h"

namespace tatara::learn {
namespace {

// "attn_q, attn_v"; empty: none.
Result<std::vector<std::string>> SplitNames(std::string_view path, std::string_view key,
                                            std::string_view text) {
  constexpr std::size_t kNamesMax = 32;
  std::vector<std::string> names;
  std::string name;
  for (const char c : std::string(text) + ",") {
    if (c == ',') {
      if (!name.empty()) names.push_back(std::move(name));
      name.clear();
    } else if (c != ' ') {
      name += c;
    }
  }
  if (names.size() > kNamesMax) {
    return Refuse("{0}: {1} has {2} names; at most {3} are accepted", path, key, names.size(),
                  kNamesMax);
  }
  return names;
}

}  // namespace

Result<> TakeAdapter(const toml::table& root, std::string_view path, AdapterRecipe& a) {
  constexpr Choice<AdapterKind> kKinds[] = {
      {"none", AdapterKind::kNone}, {"lora", AdapterKind::kLora}, {"dora", AdapterKind::kDora}};
  Section s(root, path, "adapter");
  std::string kind = root.contains("adapter") ? "lora" : "none", targets;
  s.Take("kind", kind);
  s.Take("rank", a.shape.rank, 1, 1024);
  s.Take("alpha", a.shape.alpha, 0, 1e6);
  s.Take("dropout", a.shape.dropout, 0, 0.99);
  s.Take("targets", targets);
  s.Take("quantised_base", a.shape.quantised_base);
  TATARA_RETURN_IF_ERROR(s.Finish());
  TATARA_TRY(a.kind, Choose(path, "adapter.kind", kind, kKinds));
  TATARA_TRY(a.shape.targets, SplitNames(path, "adapter.targets", targets));
  a.shape.dora = a.kind == AdapterKind::kDora;
  return Ok{};
}

void AddBaseExtras(const Recipe& recipe, CanonicalExtras& extras) {
  extras.Add("model.from", recipe.base.sha256, std::string());
  const AdapterRecipe& a = recipe.adapter;
  if (a.kind == AdapterKind::kNone) return;
  std::string targets;
  for (const std::string& target : a.shape.targets)
    targets += (targets.empty() ? "" : ",") + target;
  // Where the frozen matrices are kept changes no bit, so it is not said.
  extras.Add("adapter",
             fmt::format("{} {} {} {} {}", a.shape.dora ? "dora" : "lora", a.shape.rank,
                         a.shape.alpha, a.shape.dropout, targets),
             std::string());
}

Result<> TakeTune(const toml::table& root, std::string_view path, TuneRecipe& t) {
  Section s(root, path, "tune");
  s.Take("held_out", t.held_out);
  s.Take("answer_tokens", t.answer_tokens, 1, 4096);
  s.Take("register", t.registers);
  return s.Finish();
}

}  // namespace tatara::learn
