#include "pass.h"

#include <algorithm>
#include <array>

#include "tatara/base/check.h"
#include "tatara/numerics/ops.h"

namespace tatara::model {
namespace {

using numerics::kPageTokens;

constexpr std::size_t kProjectionsMax = 4;
// Page pointers of a pass that need no allocation while sequences grow: 65,536 positions.
constexpr std::size_t kPagesReserved = 1024;

// Tiles of 64 positions that a slice's queries may see.
std::size_t TilesUsed(const SequenceSlice& slice) {
  const std::int64_t end = slice.position + static_cast<std::int64_t>(slice.tokens.size());
  return static_cast<std::size_t>((end + kPageTokens - 1) / kPageTokens);
}

void AddRuns(const SequenceSlice& slice, std::int64_t first_row, const KvPool& kv,
             std::vector<PageRun>& runs) {
  const auto n_tokens = static_cast<std::int64_t>(slice.tokens.size());
  for (std::int64_t done = 0; done < n_tokens;) {
    const std::int64_t position = slice.position + done;
    const std::int64_t length = std::min(n_tokens - done, kPageTokens - position % kPageTokens);
    const auto page = static_cast<std::size_t>(position / kv.page_tokens());
    const std::int64_t in_page = position % kv.page_tokens();
    TATARA_CHECK(page < slice.pages.size());
    PageRun& run =
        runs.emplace_back(PageRun{first_row + done, position, length, slice.pages[page]});
    run.tile = static_cast<int>(in_page / kPageTokens);
    run.state_page = in_page != 0 ? run.page : page == 0 ? kNoPage : slice.pages[page - 1];
    done += length;
  }
}

}  // namespace

Pass::Pass(PassScratch& scratch, std::span<const SequenceSlice> slices, KvPool& kv,
           ThreadPool& pool, numerics::Activations activations)
    : scratch_(scratch), slices_(slices), kv_(kv), pool_(pool), activations_(activations) {
  TATARA_CHECK(FpEnvironmentIsRight());
  scratch_.tokens.clear();
  scratch_.positions.clear();
  scratch_.wanted.clear();
  scratch_.runs.clear();
  scratch_.slice_runs.clear();
  scratch_.row_ends.clear();
  scratch_.wanted_ends.clear();
  for (const SequenceSlice& slice : slices) {
    TATARA_CHECK(!slice.tokens.empty() && slice.position >= 0);
    const auto first_row = static_cast<std::int64_t>(scratch_.tokens.size());
    const auto n_tokens = static_cast<std::int64_t>(slice.tokens.size());
    scratch_.slice_runs.push_back(scratch_.runs.size());
    AddRuns(slice, first_row, kv, scratch_.runs);
    std::int64_t previous = -1;
    for (const std::int32_t row : slice.logit_rows) {
      TATARA_CHECK(row > previous && row < n_tokens);
      scratch_.wanted.push_back(first_row + row);
      previous = row;
    }
    for (std::int64_t t = 0; t < n_tokens; ++t) scratch_.positions.push_back(slice.position + t);
    scratch_.tokens.insert(scratch_.tokens.end(), slice.tokens.begin(), slice.tokens.end());
    n_positions_ = std::max(n_positions_, slice.position + n_tokens);
    scratch_.row_ends.push_back(first_row + n_tokens);
    scratch_.wanted_ends.push_back(n_wanted());
    has_adapters_ = has_adapters_ || slice.adapter != nullptr;
  }
  scratch_.slice_runs.push_back(scratch_.runs.size());
  if (kv_.has_state()) FollowStates();
}

Pass::~Pass() {
  TATARA_CHECK(FpEnvironmentIsRight());
}

// Every run must go on exactly where the state that it starts from ends.
void Pass::FollowStates() {
  for (const PageRun& run : scratch_.runs) {
    TATARA_CHECK(run.state_page == kNoPage ? run.position == 0
                                           : kv_.state_end(run.state_page) == run.position);
    kv_.set_state_end(run.page, run.position + run.n_tokens);
  }
}

void Pass::Embed(const Embedding& embedding, Rows x) {
  ForRows(pool_, x.n_rows, x.n_cols, [&](std::int64_t t) {
    embedding.Row(scratch_.tokens[static_cast<std::size_t>(t)], x.Row(t));
  });
}

void Pass::Project(Rows x, std::initializer_list<Projection> projections) {
  TATARA_CHECK(projections.size() <= kProjectionsMax);
  if (x.n_rows == 0) return;
  scratch_.activations.Set(x.data, x.n_rows, x.n_cols);
  std::array<numerics::MatMulJob, kProjectionsMax> jobs;
  std::size_t n_jobs = 0;
  for (const auto& [linear, y] : projections) {
    TATARA_CHECK(linear->w.n_cols() == x.n_cols && linear->w.n_rows() == y.n_cols &&
                 y.n_rows == x.n_rows);
    jobs[n_jobs++] = {&linear->w, y.data, y.n_cols};
  }
  numerics::MatMul(std::span(jobs).first(n_jobs), scratch_.activations, activations_, pool_);
  for (const Projection& projection : projections) {
    const Linear& linear = *projection.linear;
    if (has_adapters_ && linear.place != kNoPlace) ApplyAdapters(x, projection);
    if (!linear.bias.empty()) AddBias(pool_, linear.bias, projection.y);
  }
}

void Pass::ProjectSegments(Rows x, std::span<const std::int64_t> segment_ends,
                           std::span<const numerics::MatMulJob> jobs) {
  if (x.n_rows == 0) return;
  TATARA_CHECK(!segment_ends.empty() && segment_ends.back() == x.n_rows);
  scratch_.activations.SetSegments(x.data, segment_ends, x.n_cols);
  numerics::MatMul(jobs, scratch_.activations, activations_, pool_);
}

void Pass::Rotate(RotaryTable& table, int head_dim, Rows x) {
  TATARA_CHECK(x.n_cols % head_dim == 0 && x.n_rows == n_tokens());
  table.Reserve(n_positions_);
  const int n_heads = static_cast<int>(x.n_cols / head_dim);
  ForRows(pool_, x.n_rows, x.n_cols, [&](std::int64_t t) {
    const std::int64_t position = scratch_.positions[static_cast<std::size_t>(t)];
    numerics::Rope(x.Row(t), n_heads, head_dim, table.layout(), table.Cosines(position),
                   table.Sines(position));
  });
}

void Pass::Store(int layer, const numerics::AttentionShape& shape, Rows k, Rows v) {
  const auto n_runs = static_cast<std::int64_t>(scratch_.runs.size());
  // A run is the unit, since a page has one writer.
  ForRows(pool_, n_runs, n_tokens() * (k.n_cols + v.n_cols) / n_runs, [&](std::int64_t index) {
    const PageRun& run = scratch_.runs[static_cast<std::size_t>(index)];
    std::byte* k_page = kv_.KeyPage(run.page, layer, run.tile);
    std::byte* v_page = kv_.ValuePage(run.page, layer, run.tile);
    for (std::int64_t t = 0; t < run.n_tokens; ++t) {
      numerics::StoreKeyValue(shape, k.Row(run.row + t).data(), v.Row(run.row + t).data(),
                              static_cast<int>((run.position + t) % kPageTokens), k_page, v_page);
    }
  });
}

void Pass::Attend(int layer, const numerics::AttentionShape& shape, Rows q, Rows k, Rows v,
                  Rows out) {
  Store(layer, shape, k, v);
  AttendStored(layer, shape, q, out);
}

void Pass::AttendStored(int layer, const numerics::AttentionShape& shape, Rows q, Rows out) {
  TATARA_CHECK(q.n_rows == n_tokens() && shape.cache == kv_.type());
  const auto n_tiles_of_page = static_cast<std::size_t>(kv_.tiles_per_page());
  scratch_.k_pages.clear();
  scratch_.v_pages.clear();
  scratch_.k_pages.reserve(kPagesReserved);
  scratch_.v_pages.reserve(kPagesReserved);
  for (const SequenceSlice& slice : slices_) {
    for (std::size_t i = 0; i < TilesUsed(slice); ++i) {
      const int page = slice.pages[i / n_tiles_of_page];
      const auto tile = static_cast<int>(i % n_tiles_of_page);
      scratch_.k_pages.push_back(kv_.KeyPage(page, layer, tile));
      scratch_.v_pages.push_back(kv_.ValuePage(page, layer, tile));
    }
  }
  scratch_.sequences.clear();
  std::int64_t row = 0;
  std::size_t first_tile = 0;
  for (const SequenceSlice& slice : slices_) {
    const auto n_tokens = static_cast<std::int64_t>(slice.tokens.size());
    const std::size_t n_tiles = TilesUsed(slice);
    scratch_.sequences.push_back({
        .queries = q.Row(row).data(),
        .query_stride = q.n_cols,
        .out = out.Row(row).data(),
        .out_stride = out.n_cols,
        .position = slice.position,
        .n_tokens = n_tokens,
        .k_pages = std::span(scratch_.k_pages).subspan(first_tile, n_tiles),
        .v_pages = std::span(scratch_.v_pages).subspan(first_tile, n_tiles),
    });
    row += n_tokens;
    first_tile += n_tiles;
  }
  numerics::Attention(shape, scratch_.sequences, scratch_.attention, pool_);
}

void Pass::KeepWanted(std::initializer_list<Rows*> all) {
  kept_wanted_ = true;
  for (Rows* x : all) {
    std::int64_t kept = 0;
    for (const std::int64_t row : scratch_.wanted) {  // ascending, so that kept <= row
      if (kept != row) std::ranges::copy(x->Row(row), x->Row(kept).begin());
      ++kept;
    }
    x->n_rows = kept;
  }
}

}  // namespace tatara::model
