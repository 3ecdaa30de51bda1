// Hot adapters: rule 6 of the numerics contract. Every slice's rows are multiplied by themselves,
// by its own adapter's factors; all slices whose factors have one rank share a parallel loop.

#include <algorithm>

#include "pass.h"
#include "tatara/base/check.h"
#include "tatara/numerics/ops.h"

namespace tatara::model {

// y: rows of W x. Adds to each slice's rows what its adapter says.
void Pass::ApplyAdapters(Rows x, const Projection& projection) {
  AdapterScratch& s = scratch_.adapters;
  const std::vector<std::int64_t>& ends = kept_wanted_ ? scratch_.wanted_ends : scratch_.row_ends;
  TATARA_CHECK(ends.back() > 0 && x.n_rows % ends.back() == 0);
  const std::int64_t rows_of_one = x.n_rows / ends.back();
  s.ends.clear();
  s.parts.clear();
  for (std::size_t i = 0; i < slices_.size(); ++i) {
    const Adapter* adapter = slices_[i].adapter;
    s.ends.push_back(ends[i] * rows_of_one);
    s.parts.push_back(adapter == nullptr ? nullptr : adapter->PartOf(projection.linear->place));
  }
  for (std::int64_t rank = 0;;) {
    std::int64_t next = 0;  // the smallest rank above the last one
    for (const Adapter::Part* part : s.parts) {
      if (part == nullptr || part->a.n_rows() <= rank) continue;
      next = next == 0 ? part->a.n_rows() : std::min(next, part->a.n_rows());
    }
    if (next == 0) return;
    rank = next;
    AddLowRank(x, projection.y, rank);
  }
}

// The slices whose factors have this rank: y = fma(s, B (A x), y), and DoRA's ratio.
void Pass::AddLowRank(Rows x, Rows y, std::int64_t rank) {
  AdapterScratch& s = scratch_.adapters;
  const Rows low = s.low.Make(x.n_rows, rank);            // (rows, rank)
  const Rows change = s.change.Make(x.n_rows, y.n_cols);  // (rows, n_out)
  const auto multiply = [&](Rows in, Rows out, numerics::Matrix Adapter::Part::* factor) {
    s.jobs.clear();
    for (std::size_t i = 0; i < s.parts.size(); ++i) {
      const Adapter::Part* part = s.parts[i];
      if (part == nullptr || part->a.n_rows() != rank) continue;
      TATARA_CHECK((part->*factor).n_rows() == out.n_cols);
      s.jobs.push_back({&(part->*factor), out.data, out.n_cols, static_cast<int>(i)});
    }
    s.rows.SetSegments(in.data, s.ends, in.n_cols);
    numerics::MatMul(s.jobs, s.rows, numerics::Activations::kF32, pool_);
  };
  multiply(x, low, &Adapter::Part::a);
  multiply(low, change, &Adapter::Part::b);
  std::int64_t first = 0;
  for (std::size_t i = 0; i < s.parts.size(); first = s.ends[i++]) {
    const Adapter::Part* part = s.parts[i];
    if (part == nullptr || part->a.n_rows() != rank) continue;
    ForRows(pool_, s.ends[i] - first, 2 * y.n_cols, [&](std::int64_t row) {
      const std::span<float> out = y.Row(first + row);
      numerics::AddScaled(part->scale, change.Row(first + row), out);
      for (std::size_t k = 0; k < part->ratio.size(); ++k) out[k] = part->ratio[k] * out[k];
    });
  }
}

}  // namespace tatara::model
