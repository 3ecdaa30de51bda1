#include "jinja/filters.h"

#include <map>

namespace tatara::text::jinja {

FilterFunction FindFilter(std::string_view name) {
  static const auto* table = [] {
    auto* all = new std::map<std::string_view, FilterFunction>;
    for (const auto entries : {TextFilters(), NumberFilters(), SequenceFilters(), OrderFilters()}) {
      all->insert(entries.begin(), entries.end());
    }
    return all;
  }();
  const auto it = table->find(name);
  return it == table->end() ? nullptr : it->second;
}

}  // namespace tatara::text::jinja
