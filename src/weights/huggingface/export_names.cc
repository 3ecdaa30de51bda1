#include "huggingface/export_names.h"

#include <algorithm>

namespace tatara::weights {
namespace {

// The layer in `name` where it meets `pattern`, whose '#' stands for it; empty where it has none.
bool MeetsPattern(std::string_view pattern, std::string_view name, std::string& layer) {
  if (pattern.empty()) return false;
  const std::size_t at = pattern.find('#');
  if (at == std::string_view::npos) return pattern == name;
  const std::string_view before = pattern.substr(0, at), after = pattern.substr(at + 1);
  if (!name.starts_with(before) || !name.ends_with(after) ||
      name.size() <= before.size() + after.size()) {
    return false;
  }
  const std::string_view number =
      name.substr(before.size(), name.size() - before.size() - after.size());
  if (!std::ranges::all_of(number, [](char c) { return c >= '0' && c <= '9'; })) return false;
  layer = number;
  return true;
}

}  // namespace

std::string Filled(std::string_view pattern, char sign, const std::string& with) {
  std::string out(pattern);
  if (const std::size_t at = out.find(sign); at != std::string::npos) out.replace(at, 1, with);
  return out;
}

FoundRule FindRule(const Family& family, std::string_view name) {
  for (const std::span<const Rename> rules : family.renames) {
    for (const Rename& rule : rules) {
      FoundRule found{&rule, false, {}};
      if (MeetsPattern(rule.to, name, found.layer)) return found;
      found.as_second = true;
      if (MeetsPattern(rule.second, name, found.layer)) return found;
    }
  }
  return {};
}

}  // namespace tatara::weights
