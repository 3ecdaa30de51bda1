#include "huggingface/layout.h"

#include <algorithm>
#include <cmath>

#include "tatara/numerics/functions.h"

namespace tatara::weights {
namespace {

std::int64_t Count(std::span<const std::int64_t> dimensions) {
  std::int64_t n = 1;
  for (const std::int64_t d : dimensions) n *= d;
  return n;
}

// Without the dimensions of 1, of which there is one at least left.
Shape Squeezed(const Shape& shape) {
  Shape out;
  std::ranges::copy_if(shape, std::back_inserter(out), [](std::int64_t d) { return d != 1; });
  return out.empty() ? Shape{1} : out;
}

}  // namespace

// Fills a layout whose published shape is set; false where the shape does not fit.
struct Layout::Maker {
  Layout& l;
  const FamilySizes& s;
  const Shape& p;

  std::int64_t Last(std::size_t i) const { return p[p.size() - i]; }
  // Numbers of one index of the first dimension.
  std::int64_t Width() const { return Count(std::span(p).subspan(1)); }
  std::int64_t Ratio() const { return s.n_value_heads / s.n_state_heads; }
  bool HasStateHeads() const {
    return s.n_state_heads > 0 && s.state_dim > 0 && s.n_value_heads > 0 &&
           s.n_value_heads % s.n_state_heads == 0;
  }
  // Where GGUF's Qwen3.5 has value head h: there head h reads key head h mod n.
  std::int64_t Tiled(std::int64_t head) const {
    return head % Ratio() * s.n_state_heads + head / Ratio();
  }
  void AddRows(std::int64_t width, std::int64_t from, int part, std::int64_t to, std::int64_t n) {
    l.runs_.push_back({from * width, 1, part, to * width, 1, n * width});
  }
  bool Same(Shape part) {
    l.is_identity_ = true;
    l.n_blocks_ = p.empty() ? 1 : Count(std::span(p).first(p.size() - 1));
    l.runs_ = {{.n = p.empty() ? 1 : p.back()}};
    l.parts_ = {std::move(part)};
    return true;
  }

  bool Pairs(std::int64_t n_heads) {
    const std::int64_t head = s.head_dim;
    if (p.empty() || p.size() > 2 || head < 2 || head % 2 != 0 || p[0] != n_heads * head) {
      return false;
    }
    l.n_blocks_ = n_heads;
    l.parts_ = {p};
    for (std::int64_t r = 0; r < head; ++r) AddRows(Width(), r / 2 + r % 2 * (head / 2), 0, r, 1);
    return true;
  }

  bool Transpose(bool even_odd) {
    if (p.size() < 2 || (even_odd && Last(1) % 2 != 0)) return false;
    const std::int64_t n_parts = even_odd ? 2 : 1, rows = Last(2), cols = Last(1) / n_parts;
    Shape part = p;
    part[p.size() - 2] = cols;
    part[p.size() - 1] = rows;
    l.n_blocks_ = Count(std::span(p).first(p.size() - 2));
    l.parts_.assign(static_cast<std::size_t>(n_parts), part);
    for (std::int64_t r = 0; r < rows; ++r) {
      for (int i = 0; i < n_parts; ++i) {
        l.runs_.push_back({r * Last(1) + i, n_parts, i, r, rows, cols});
      }
    }
    return true;
  }

  bool Halves() {
    if (p.size() < 2 || Last(2) % 2 != 0) return false;
    const std::int64_t half = Last(2) / 2, cols = Last(1);
    Shape part = p;
    part[p.size() - 2] = half;
    l.n_blocks_ = Count(std::span(p).first(p.size() - 2));
    l.parts_ = {part, part};
    AddRows(cols, 0, 0, 0, half);
    AddRows(cols, half, 1, 0, half);
    return true;
  }

  bool EvenOddRows() {
    if (p.size() < 2 || Last(2) % 2 != 0) return false;
    Shape part = p;
    part[p.size() - 2] /= 2;
    l.n_blocks_ = Count(std::span(p).first(p.size() - 1)) / 2;
    l.parts_ = {part, part};
    AddRows(Last(1), 0, 0, 0, 1);
    AddRows(Last(1), 1, 1, 0, 1);
    return true;
  }

  bool EvenOdd() {
    if (p.empty() || Last(1) % 2 != 0) return false;
    Shape part = p;
    part.back() /= 2;
    l.n_blocks_ = Count(std::span(p).first(p.size() - 1));
    l.parts_ = {part, part};
    for (int i = 0; i < 2; ++i) l.runs_.push_back({i, 2, i, 0, 1, part.back()});
    return true;
  }

  bool DropTwoRows() {
    if (p.size() != 2 || p[0] < 3) return false;
    l.parts_ = {{p[0] - 2, p[1]}};
    AddRows(p[1], 2, 0, 0, p[0] - 2);
    return true;
  }

  bool KeysAndValues() {
    const std::int64_t plain = s.plain_dim, value = s.value_dim;
    if (p.size() != 2 || plain < 1 || value < 1 || p[0] != s.n_heads * (plain + value)) {
      return false;
    }
    l.n_blocks_ = s.n_heads;
    l.parts_ = {{s.n_heads, p[1], plain}, {s.n_heads, value, p[1]}};
    for (std::int64_t r = 0; r < plain; ++r) l.runs_.push_back({r * p[1], 1, 0, r, plain, p[1]});
    AddRows(p[1], plain, 1, 0, value);
    return true;
  }

  bool QueriesToGates() {
    if (!HasStateHeads() || p.size() != 2) return false;
    const std::int64_t n = s.n_state_heads, dim = s.state_dim, values = Ratio() * dim;
    if (p[0] != n * 2 * (dim + values)) return false;
    l.parts_ = {{n * (2 * dim + values), p[1]}, {n * values, p[1]}};
    for (std::int64_t head = 0; head < n; ++head) {
      const std::int64_t from = head * 2 * (dim + values);
      AddRows(p[1], from, 0, head * dim, dim);
      AddRows(p[1], from + dim, 0, (n + head) * dim, dim);
      AddRows(p[1], from + 2 * dim, 0, 2 * n * dim + head * values, values);
      AddRows(p[1], from + 2 * dim + values, 1, head * values, values);
    }
    return true;
  }

  // `before`: what lies before the value heads, in state sizes.
  bool ValueHeads(std::int64_t before, Shape part) {
    if (!HasStateHeads() || p.empty()) return false;
    const std::int64_t rest = p[0] - before * s.state_dim;
    if (rest < 1 || rest % s.n_value_heads != 0) return false;
    const std::int64_t unit = rest / s.n_value_heads;
    if (before > 0 && unit != s.state_dim) return false;
    l.parts_ = {std::move(part)};
    const std::int64_t first = before * s.state_dim;
    if (first > 0) AddRows(Width(), 0, 0, 0, first);
    for (std::int64_t head = 0; head < s.n_value_heads; ++head) {
      AddRows(Width(), first + head * unit, 0, first + Tiled(head) * unit, unit);
    }
    return true;
  }

  bool ValueHeadColumns() {
    if (!HasStateHeads() || p.size() != 2 || p[1] != s.n_value_heads * s.state_dim) return false;
    l.n_blocks_ = p[0];
    l.parts_ = {p};
    for (std::int64_t head = 0; head < s.n_value_heads; ++head) {
      AddRows(s.state_dim, head, 0, Tiled(head), 1);
    }
    return true;
  }

  bool Make(Change change) {
    switch (change) {
      case Change::kKeep:
      case Change::kDrop:
      case Change::kDropTied:
      case Change::kPlusOne:
      case Change::kNegativeExp:
        return Same(p);
      case Change::kSqueeze:
      case Change::kOneRow:
        return Same(Squeezed(p));
      case Change::kPairs:
        return Pairs(s.n_heads);
      case Change::kKeyPairs:
        return Pairs(s.n_kv_heads);
      case Change::kTranspose:
        return Transpose(false);
      case Change::kTransposeEvenOdd:
        return Transpose(true);
      case Change::kHalves:
        return Halves();
      case Change::kEvenOddRows:
        return EvenOddRows();
      case Change::kEvenOdd:
        return EvenOdd();
      case Change::kDropTwoRows:
        return DropTwoRows();
      case Change::kKeysAndValues:
        return KeysAndValues();
      case Change::kQueriesToGates:
        return QueriesToGates();
      case Change::kValueHeads:
      case Change::kValueHeadsNegativeExp:
        return ValueHeads(0, p);
      case Change::kAfterKeysValueHeads:
        return ValueHeads(2 * s.n_state_heads, p);
      case Change::kSqueezeAfterKeysValueHeads:
        return ValueHeads(2 * s.n_state_heads, Squeezed(p));
      case Change::kValueHeadColumns:
        return ValueHeadColumns();
    }
    return false;
  }
};

std::int64_t Layout::block_values() const {
  return Count(published_) / std::max<std::int64_t>(1, n_blocks_);
}

std::int64_t Layout::block_values(int part) const {
  return Count(parts_[static_cast<std::size_t>(part)]) / std::max<std::int64_t>(1, n_blocks_);
}

bool Layout::MovesWhole(std::int64_t n) const {
  return n == 1 || std::ranges::all_of(runs_, [&](const Run& run) {
           return run.from_stride == 1 && run.to_stride == 1 && run.from % n == 0 &&
                  run.to % n == 0 && run.n % n == 0;
         });
}

std::optional<Layout> Layout::OfPublished(Change change, const FamilySizes& sizes,
                                          const Shape& published) {
  Layout layout;
  layout.published_ = published;
  if (!Maker{layout, sizes, layout.published_}.Make(change)) return std::nullopt;
  return layout;
}

std::optional<Layout> Layout::OfParts(Change change, const FamilySizes& sizes,
                                      std::span<const Shape> parts) {
  if (parts.empty() || parts[0].empty()) return std::nullopt;
  Shape p = parts[0];
  const auto last = [&](std::size_t i) -> std::int64_t& { return p[p.size() - i]; };
  switch (change) {
    case Change::kOneRow:
      p.insert(p.begin(), 1);
      break;
    case Change::kSqueeze:
    case Change::kSqueezeAfterKeysValueHeads:
      p.insert(p.end() - 1, 1);
      break;
    case Change::kTranspose:
    case Change::kTransposeEvenOdd:
      if (p.size() < 2) return std::nullopt;
      std::swap(last(1), last(2));
      if (change == Change::kTransposeEvenOdd) last(1) *= 2;
      break;
    case Change::kHalves:
    case Change::kEvenOddRows:
      if (p.size() < 2) return std::nullopt;
      last(2) *= 2;
      break;
    case Change::kEvenOdd:
      last(1) *= 2;
      break;
    case Change::kDropTwoRows:
      p[0] += 2;
      break;
    case Change::kKeysAndValues:
      if (p.size() != 3) return std::nullopt;
      p = {sizes.n_heads * (sizes.plain_dim + sizes.value_dim), p[1]};
      break;
    case Change::kQueriesToGates:
      if (parts.size() != 2 || p.size() != 2 || parts[1].empty()) return std::nullopt;
      p[0] += parts[1][0];
      break;
    default:
      break;
  }
  auto layout = OfPublished(change, sizes, p);
  if (!layout || !std::ranges::equal(layout->parts_, parts)) return std::nullopt;
  return layout;
}

ValueChange ValueChangeOf(Change change) {
  if (change == Change::kPlusOne) return ValueChange::kPlusOne;
  const bool negative_exp =
      change == Change::kNegativeExp || change == Change::kValueHeadsNegativeExp;
  return negative_exp ? ValueChange::kNegativeExp : ValueChange::kNone;
}

void FromPublished(ValueChange change, std::span<float> values) {
  if (change == ValueChange::kNone) return;
  for (float& value : values) {
    value =
        change == ValueChange::kPlusOne ? value + 1 : static_cast<float>(-numerics::ExpF64(value));
  }
}

bool ToPublished(ValueChange change, std::span<float> values) {
  if (change == ValueChange::kNone) return true;
  for (float& value : values) {
    if (change == ValueChange::kPlusOne) {
      value -= 1;
    } else if (!(value < 0) || std::isinf(value)) {
      return false;
    } else {
      value = static_cast<float>(numerics::LogF64(-double{value}));
    }
  }
  return true;
}

}  // namespace tatara::weights
