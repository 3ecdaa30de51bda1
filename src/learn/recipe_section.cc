#include "recipe_sections.h"

#include <algorithm>
#include <sstream>

#include "tatara/base/localise.h"
#include "tatara/base/nearest.h"
#include "tatara/base/utf8.h"

namespace tatara::learn {

Section::Section(const toml::table& root, std::string_view path, std::string_view name)
    : path_(path), name_(name) {
  if (const toml::node* node = root.get(name)) {
    table_ = node->as_table();
    if (table_ == nullptr) error_ = Refuse("{0}: [{1}] is no table", path_, name_);
  }
}

void Section::Take(std::string_view key, std::string& value) {
  if (const toml::node* node = Find(key)) {
    if (!node->is_string()) return Wrong(key, Tr("a text"));
    value = node->as_string()->get();
  }
}

void Section::Take(std::string_view key, bool& value) {
  if (const toml::node* node = Find(key)) {
    if (!node->is_boolean()) return Wrong(key, Tr("true or false"));
    value = node->as_boolean()->get();
  }
}

void Section::Take(std::string_view key, double& value, double low, double high) {
  if (const toml::node* node = Find(key)) {
    const auto number = node->value<double>();
    if (!node->is_number() || !number || !(*number >= low && *number <= high)) {
      return Wrong(key, fmt::format("{} .. {}", low, high));
    }
    value = *number;
  }
}

std::int64_t Section::TakeWhole(std::string_view key, std::int64_t value, std::int64_t low,
                                std::int64_t high) {
  const toml::node* node = Find(key);
  if (node == nullptr) return value;
  if (!node->is_integer() || node->as_integer()->get() < low || node->as_integer()->get() > high) {
    Wrong(key, fmt::format("{} .. {}", low, high));
    return value;
  }
  return node->as_integer()->get();
}

Result<> Section::Finish() {
  if (error_) return *error_;
  if (table_ == nullptr) return Ok{};
  for (const auto& [key, node] : *table_) {
    if (std::ranges::find(known_, key.str()) != known_.end()) continue;
    const std::string near = Nearest(key.str(), known_);
    if (near.empty()) {
      return Refuse("{0}: [{1}] has the unknown key '{2}'", path_, name_, key.str());
    }
    return Refuse("{0}: [{1}] has the unknown key '{2}'; did you mean '{3}'?", path_, name_,
                  key.str(), near);
  }
  return Ok{};
}

const toml::node* Section::Find(std::string_view key) {
  known_.push_back(key);
  return table_ == nullptr ? nullptr : table_->get(key);
}

void Section::Wrong(std::string_view key, std::string_view expected) {
  if (error_) return;
  std::ostringstream found;
  table_->get(key)->visit([&](const auto& value) { found << value; });
  error_ = Refuse("{0}: {1}.{2} is {3}; expected: {4}", path_, name_, key, Printable(found.str()),
                  expected);
}

}  // namespace tatara::learn
