#include "tatara/weights/compare.h"

#include <fmt/format.h>

#include <algorithm>
#include <bit>
#include <cmath>
#include <limits>
#include <optional>
#include <set>
#include <span>

namespace tatara::weights {
namespace {

constexpr std::int64_t kValuesAtOnce = 1 << 14;  // a multiple of every block

std::string FormOf(const TensorView& view) {
  std::string shape;
  for (int i = view.n_dims - 1; i >= 0; --i) {
    shape += fmt::format("{}{}", shape.empty() ? "" : "x", view.shape[static_cast<std::size_t>(i)]);
  }
  return fmt::format("{} {}", numerics::TraitsOf(view.dtype).name, shape.empty() ? "1" : shape);
}

bool AreEqual(float a, float b) {
  return std::bit_cast<std::uint32_t>(a) == std::bit_cast<std::uint32_t>(b) ||
         (std::isnan(a) && std::isnan(b));
}

struct Sums {
  double squares_first = 0, squares_difference = 0;
};

void AddPart(std::span<const float> a, std::span<const float> b, TensorDifference& to, Sums& sums) {
  for (std::size_t i = 0; i < a.size(); ++i) {
    sums.squares_first += static_cast<double>(a[i]) * a[i];
    if (AreEqual(a[i], b[i])) continue;
    ++to.n_changed;
    const double difference = static_cast<double>(b[i]) - a[i];
    sums.squares_difference += difference * difference;
    const double size = std::fabs(difference);
    if (!(size <= to.max_abs)) to.max_abs = size;  // a NaN stays
  }
}

// Nothing where both are the same.
std::optional<TensorDifference> Compare(std::string_view name, const TensorView* a,
                                        const TensorView* b) {
  TensorDifference to{.name = std::string(name)};
  if (a != nullptr) to.first_form = FormOf(*a);
  if (b != nullptr) to.second_form = FormOf(*b);
  if (a == nullptr || b == nullptr) {
    to.change = a == nullptr ? TensorChange::kOnlyInSecond : TensorChange::kOnlyInFirst;
    return to;
  }
  if (a->shape != b->shape) {
    to.change = TensorChange::kShape;
    return to;
  }
  const bool one_type = a->dtype == b->dtype;
  if (one_type && std::ranges::equal(a->data, b->data)) return std::nullopt;
  to.n_values = a->n_rows() * a->n_cols();
  std::vector<float> left(static_cast<std::size_t>(kValuesAtOnce)), right(left.size());
  Sums sums;
  for (std::int64_t at = 0; at < to.n_values; at += kValuesAtOnce) {
    const std::int64_t n = std::min(kValuesAtOnce, to.n_values - at);
    const auto part = [&](const TensorView& view, std::vector<float>& values) {
      const std::span<float> out(values.data(), static_cast<std::size_t>(n));
      const auto from = static_cast<std::size_t>(numerics::StorageBytes(view.dtype, at));
      const auto size = static_cast<std::size_t>(numerics::StorageBytes(view.dtype, n));
      numerics::Dequantize(view.dtype, view.data.subspan(from, size), out);
      return out;
    };
    AddPart(part(*a, left), part(*b, right), to, sums);
  }
  to.change = one_type ? TensorChange::kValues : TensorChange::kType;
  // Other bytes of the same values: NaNs' payloads.
  if (one_type && to.n_changed == 0) return std::nullopt;
  const double norm = std::sqrt(sums.squares_difference);
  to.relative_norm = norm == 0                 ? 0
                     : sums.squares_first == 0 ? std::numeric_limits<double>::infinity()
                                               : norm / std::sqrt(sums.squares_first);
  return to;
}

template <typename Map, typename F>
void ForEveryName(const Map& a, const Map& b, F body) {
  std::set<std::string_view> names;
  for (const auto& [name, value] : a) names.insert(name);
  for (const auto& [name, value] : b) names.insert(name);
  for (const std::string_view name : names) body(name);
}

}  // namespace

ModelDifference CompareModels(const TensorStore& first, const TensorStore& second,
                              ThreadPool& pool) {
  ModelDifference difference;
  std::vector<std::string_view> names;
  ForEveryName(first.tensors(), second.tensors(),
               [&](std::string_view name) { names.push_back(name); });
  difference.n_tensors = static_cast<std::int64_t>(names.size());
  std::vector<std::optional<TensorDifference>> found(names.size());
  pool.For(difference.n_tensors, [&](std::int64_t i, int) {
    const auto at = static_cast<std::size_t>(i);
    found[at] = Compare(names[at], first.Find(names[at]), second.Find(names[at]));
  });
  for (auto& one : found) {
    if (one) difference.tensors.push_back(std::move(*one));
  }
  const auto& a = first.metadata().values();
  const auto& b = second.metadata().values();
  ForEveryName(a, b, [&](std::string_view name) {
    const auto left = a.find(name), right = b.find(name);
    if (left == a.end() || right == b.end() || left->second != right->second) {
      difference.keys.emplace_back(name);
    }
  });
  return difference;
}

}  // namespace tatara::weights
