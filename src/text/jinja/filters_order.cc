// Filters that compare: sort, dictsort, unique, groupby, min, max.
#include <algorithm>

#include "jinja/arguments.h"
#include "jinja/attribute_path.h"
#include "jinja/filters.h"
#include "jinja/methods.h"
#include "jinja/operators.h"

namespace tatara::text::jinja {
namespace {

struct Keyed {
  Value key;
  Value item;
};

// A merge sort of our own: std::stable_sort may not see its comparison throw or contradict itself
// (NaN).
void SortKeyed(Run& run, std::vector<Keyed>& all, bool reverse) {
  const auto before = [&](const Keyed& a, const Keyed& b) {
    return reverse ? Less(run, b.key, a.key) : Less(run, a.key, b.key);
  };
  std::vector<Keyed> other(all.size());
  for (std::size_t width = 1; width < all.size(); width *= 2) {
    for (std::size_t low = 0; low < all.size(); low += 2 * width) {
      const std::size_t middle = std::min(low + width, all.size());
      const std::size_t high = std::min(low + 2 * width, all.size());
      std::size_t i = low, j = middle;
      for (std::size_t k = low; k < high; ++k) {
        const bool right = i == middle || (j < high && before(all[j], all[i]));
        other[k] = right ? all[j++] : all[i++];
      }
    }
    all.swap(other);
  }
}

Value KeyOf(Run& run, const Value& item, const Value& path, bool case_sensitive) {
  const Value key = FollowPath(run, item, path);
  return case_sensitive ? key : IgnoreCase(run, key);
}

// Keys by "a,b": one per attribute, compared in turn.
Value MultiKeyOf(Run& run, const Value& item, const Value& paths, bool case_sensitive) {
  if (!paths.IsString()) return run.List({KeyOf(run, item, paths, case_sensitive)});
  std::vector<Value> keys;
  std::string_view rest = paths.text();
  for (;;) {
    const std::size_t end = std::min(rest.find(','), rest.size());
    keys.push_back(KeyOf(run, item, run.String(std::string(rest.substr(0, end))), case_sensitive));
    if (end == rest.size()) return run.List(std::move(keys));
    rest.remove_prefix(end + 1);
  }
}

std::vector<Value> ItemsOf(const std::vector<Keyed>& all) {
  std::vector<Value> out;
  out.reserve(all.size());
  for (const Keyed& entry : all) out.push_back(entry.item);
  return out;
}

Value Sort(Run& run, const Value& input, const Arguments& arguments) {
  const Bound bound(run, "sort", arguments, {"reverse", "case_sensitive", "attribute"});
  std::vector<Keyed> all;
  for (const Value& item : Iterate(run, input, "sort")) {
    all.push_back({MultiKeyOf(run, item, bound.Or(2, Value::None()), bound.Flag(1)), item});
  }
  SortKeyed(run, all, bound.Flag(0));
  return run.List(ItemsOf(all));
}

Value DictSort(Run& run, const Value& input, const Arguments& arguments) {
  const Bound bound(run, "dictsort", arguments, {"case_sensitive", "by", "reverse"});
  if (!input.Is(Kind::kDict)) run.FailType("dictsort", "dict", input);
  const std::string by = bound.Has(1) ? bound.Text(1) : "key";
  if (by != "key" && by != "value") run.FailType("dictsort", "key or value", bound[1]);
  std::vector<Keyed> all;
  for (const auto& [key, value] : input.as<DictObject>().entries) {
    const Value& sorted_by = by == "key" ? key : value;
    all.push_back(
        {bound.Flag(0) ? sorted_by : IgnoreCase(run, sorted_by), run.Tuple({key, value})});
  }
  SortKeyed(run, all, bound.Flag(2));
  return run.List(ItemsOf(all));
}

Value Unique(Run& run, const Value& input, const Arguments& arguments) {
  const Bound bound(run, "unique", arguments, {"case_sensitive", "attribute"});
  auto* seen = run.Make<DictObject>();
  std::vector<Value> out;
  for (const Value& item : Iterate(run, input, "unique")) {
    const Value key = KeyOf(run, item, bound.Or(1, Value::None()), bound.Flag(0));
    RequireHashable(run, key);
    if (seen->Find(key) != nullptr) continue;
    run.Charge(128);
    seen->Set(key, item);
    out.push_back(item);
  }
  return run.Generator(std::move(out));
}

Value GroupBy(Run& run, const Value& input, const Arguments& arguments) {
  const Bound bound(run, "groupby", arguments, {"attribute", "default", "case_sensitive"}, 1);
  const auto grouper = [&](const Value& item) {
    const Value key = FollowPath(run, item, bound[0]);
    return key.IsUndefined() && bound.HasAndNotNone(1) ? bound[1] : key;
  };
  const auto fold = [&](const Value& key) { return bound.Flag(2) ? key : IgnoreCase(run, key); };
  std::vector<Keyed> all;
  for (const Value& item : Iterate(run, input, "groupby"))
    all.push_back({fold(grouper(item)), item});
  SortKeyed(run, all, false);
  std::vector<Value> out;
  for (std::size_t i = 0; i < all.size();) {
    std::vector<Value> group;
    std::size_t end = i;
    while (end < all.size() && Equals(run, all[end].key, all[i].key))
      group.push_back(all[end++].item);
    if (end == i) group.push_back(all[end++].item);  // NaN equals nothing
    const Value pair = run.Tuple({grouper(all[i].item), run.List(std::move(group))});
    pair.as<ListObject>().is_group = true;
    out.push_back(pair);
    i = end;
  }
  return run.List(std::move(out));
}

template <bool kMax>
Value Extreme(Run& run, const Value& input, const Arguments& arguments) {
  const std::string_view name = kMax ? "max" : "min";
  const Bound bound(run, name, arguments, {"case_sensitive", "attribute"});
  const std::vector<Value> items = Iterate(run, input, name);
  if (items.empty()) return run.Undefined(UndefinedObject::Why::kEmpty, std::string(name));
  Value best = items[0];
  Value best_key = KeyOf(run, best, bound.Or(1, Value::None()), bound.Flag(0));
  for (std::size_t i = 1; i < items.size(); ++i) {
    const Value key = KeyOf(run, items[i], bound.Or(1, Value::None()), bound.Flag(0));
    if (kMax ? Less(run, best_key, key, ">") : Less(run, key, best_key)) {
      best = items[i];
      best_key = key;
    }
  }
  return best;
}

constexpr FilterEntry kFilters[] = {
    {"dictsort", DictSort},  {"groupby", GroupBy}, {"max", Extreme<true>},
    {"min", Extreme<false>}, {"sort", Sort},       {"unique", Unique},
};

}  // namespace

std::span<const FilterEntry> OrderFilters() {
  return kFilters;
}

}  // namespace tatara::text::jinja
