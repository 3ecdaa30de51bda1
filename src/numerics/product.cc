// A product goes region by region: panels of a and b are copied into the order in which a tile
// reads them (third-level cache), then blocks of tiles run over them. A block's rows (about 200
// KiB) and a panel of b (up to 96 KiB) stay in the second-level cache, as in Goto and van de Geijn
// (ACM TOMS 34(3), 2008).
#include "tatara/numerics/product.h"

#include <algorithm>
#include <bit>
#include <cstring>
#include <span>
#include <vector>

#include "aligned_buffer.h"
#include "float_dispatch.h"
#include "fp_guard.h"
#include "tatara/base/check.h"
#include "tatara/numerics/flops.h"
#include "training_dispatch.h"

namespace tatara::numerics {
namespace {

// Inner steps of a region; longer chains go on in pieces of one size. Of shards all are in one.
constexpr std::int64_t kInnerMax = 768;
constexpr std::int64_t kInnerStep = 16;
// Values of a, and of b, that are copied at a time.
constexpr std::int64_t kRegionFloats = 2048 * 768;
constexpr std::int64_t kRowBlockMax = 72;
constexpr std::int64_t kColumnBlockMax = 1024;
constexpr std::int64_t kItemsOfThread = 16;  // what one is late by at the end is small then
constexpr std::int64_t kGroup = 6;           // tiles side by side that are run one after the other
constexpr std::int64_t kBlockMin = 48;
constexpr std::int64_t kCopied = 96;  // rows or columns of an item of copying
constexpr std::int64_t kTileFloatsMax = 16 * 64;

std::int64_t CeilDiv(std::int64_t n, std::int64_t by) {
  return (n + by - 1) / by;
}
std::int64_t RoundUp(std::int64_t n, std::int64_t to) {
  return CeilDiv(n, to) * to;
}

struct Buffers {
  AlignedBuffer a, b, tile;
};

// Panels of rows of `view`, first .. end - 1, over inner steps k .. k + n - 1.
void CopyRowPanels(const TrainingKernels& kernels, const MatrixView& view, std::int64_t first,
                   std::int64_t end, std::int64_t k, std::int64_t n, std::int64_t width,
                   float* out) {
  kernels.copy_panels(view.data + first * view.row_stride + k * view.column_stride, view.row_stride,
                      view.column_stride, end - first, n, width, out);
}

struct Call {
  const ProductSize& size;
  const MatrixView& a;
  const MatrixView& b;
  ChainStart start;
  float* c;
  std::int64_t c_stride;
  const TrainingKernels& kernels;
  ShardSums shards = {};  // none: one chain
};

// Rows and columns of c, and the inner steps k .. k + n_k - 1, whose panels are in the buffers.
struct Region {
  std::int64_t first_row, end_row, first_column, end_column, k, n_k;
  // The region before has left these panels where they are wanted.
  bool has_rows = false, has_columns = false;
};
// A part of a region: what one item of parallel work multiplies.
struct Block {
  std::int64_t first_row, end_row, first_column, end_column;
};

// Of a tile of shard `shard`, the rows that are kept.
void KeepRows(const Call& call, std::int64_t shard, const float* tile, std::int64_t row,
              std::int64_t n_rows, std::int64_t column, std::int64_t n_columns) {
  const ShardSums& shards = call.shards;
  if (shards.places.empty()) return;
  for (std::int64_t i = 0; i < n_rows; ++i) {
    const std::int32_t place = shards.places[static_cast<std::size_t>(row + i)];
    if (place < 0) continue;
    const std::int64_t at = (shard * shards.n_kept + place) * call.size.n_columns + column;
    std::copy_n(tile + i * call.kernels.tile_columns, n_columns, shards.kept + at);
  }
}

// A chain for each shard, added as its neighbours are there. A region of such a call has all inner
// steps.
void RunTileOfShards(const Call& call, const float* a, const float* b, std::int64_t row,
                     std::int64_t column, const Block& block, float* spare) {
  const TrainingKernels& kernels = call.kernels;
  const FloatKernels& floats = ActiveFloatKernels();
  const std::int64_t n_rows = std::min<std::int64_t>(kernels.tile_rows, block.end_row - row);
  const std::int64_t width = kernels.tile_columns;
  const std::int64_t n_columns = std::min(width, block.end_column - column);
  const std::int64_t n_run = RoundUp(n_rows, kernels.tile_row_step);
  std::int64_t k = 0;
  float* top = spare;  // of the stack of partial sums
  for (std::int64_t shard = 0; shard < std::ssize(call.shards.ends); ++shard) {
    const std::int64_t end = call.shards.ends[static_cast<std::size_t>(shard)];
    kernels.product_tile(a + k * kernels.tile_rows, b + k * width, end - k, static_cast<int>(n_run),
                         top, width, true);
    KeepRows(call, shard, top, row, n_rows, column, n_columns);
    for (int merges = std::countr_zero(static_cast<std::uint64_t>(shard) + 1); merges > 0;
         --merges) {
      floats.add(top, n_run * width, top - kTileFloatsMax);
      top -= kTileFloatsMax;
    }
    top += kTileFloatsMax;
    k = end;
  }
  for (std::int64_t i = 0; i < n_rows; ++i) {
    const float* const sums = spare + i * width;
    float* const to = call.c + (row + i) * call.c_stride + column;
    if (call.shards.adds_zero) {
      for (std::int64_t j = 0; j < n_columns; ++j) to[j] = sums[j] + 0.0F;
    } else {
      std::copy_n(sums, n_columns, to);
    }
  }
}

void RunTile(const Call& call, const float* a, const float* b, std::int64_t n_k, bool from_zero,
             std::int64_t row, std::int64_t column, const Block& block, float* spare) {
  const TrainingKernels& kernels = call.kernels;
  const std::int64_t n_rows = std::min<std::int64_t>(kernels.tile_rows, block.end_row - row);
  const std::int64_t width = kernels.tile_columns;
  const std::int64_t n_columns = std::min(width, block.end_column - column);
  const auto n_run = static_cast<int>(RoundUp(n_rows, kernels.tile_row_step));
  float* c = call.c + row * call.c_stride + column;
  if (n_rows == n_run && n_columns == width) {
    kernels.product_tile(a, b, n_k, n_run, c, call.c_stride, from_zero);
    return;
  }
  if (!from_zero) {
    for (std::int64_t i = 0; i < n_rows; ++i)
      std::copy_n(c + i * call.c_stride, n_columns, spare + i * width);
  }
  kernels.product_tile(a, b, n_k, n_run, spare, width, from_zero);
  for (std::int64_t i = 0; i < n_rows; ++i)
    std::copy_n(spare + i * width, n_columns, c + i * call.c_stride);
}

// The tiles of a block, some columns wide, in an order in which no tile lies below the one before:
// where rows of c are pages apart, its values would have the addresses of those that are just being
// stored, but for their page, and the processor would wait.
class TileOrder {
 public:
  TileOrder(const Block& block, const TrainingKernels& kernels)
      : block_(block),
        rows_(kernels.tile_rows),
        columns_(kernels.tile_columns),
        group_(block.first_column),
        row_(block.first_row),
        column_(block.first_column) {}

  std::int64_t row() const { return row_; }
  std::int64_t column() const { return column_; }
  bool IsEnd() const { return column_ >= block_.end_column; }
  void Next() {
    column_ += columns_;
    if (column_ < std::min(group_ + kGroup * columns_, block_.end_column)) return;
    row_ += rows_;
    if (row_ >= block_.end_row) {
      row_ = block_.first_row;
      group_ += kGroup * columns_;
    }
    column_ = group_;
  }

 private:
  const Block& block_;
  std::int64_t rows_, columns_;
  std::int64_t group_;  // its first column
  std::int64_t row_, column_;
};

// A tile starts with these values; they may be far away.
void PrefetchTile(const Call& call, const TileOrder& tile, const Block& block) {
  constexpr std::int64_t kLineFloats = 16;
  if (tile.IsEnd()) return;
  const std::int64_t end = std::min(tile.row() + call.kernels.tile_rows, block.end_row);
  for (std::int64_t i = tile.row(); i < end; ++i) {
    const float* const c = call.c + i * call.c_stride + tile.column();
    for (std::int64_t j = 0; j < call.kernels.tile_columns; j += kLineFloats) {
      __builtin_prefetch(c + j, 1);
    }
  }
}

void RunBlock(const Call& call, const Region& region, const Block& block, const Buffers& buffers,
              float* spare) {
  const bool from_zero = region.k == 0 && call.start == ChainStart::kFromZero;
  const float* a = buffers.a.as<float>();
  const float* b = buffers.b.as<float>();
  TileOrder next(block, call.kernels);
  while (!next.IsEnd()) {
    const std::int64_t row = next.row(), column = next.column();
    next.Next();
    PrefetchTile(call, next, block);
    const float* const a_panel = a + (row - region.first_row) * region.n_k;
    const float* const b_panel = b + (column - region.first_column) * region.n_k;
    if (!call.shards.ends.empty()) {
      RunTileOfShards(call, a_panel, b_panel, row, column, block, spare);
    } else {
      RunTile(call, a_panel, b_panel, region.n_k, from_zero, row, column, block, spare);
    }
  }
}

// Items of copying: groups of row panels and groups of column panels, mixed evenly, so that a
// thread of the pool, whose items are neighbours, copies the rows, or columns, that it multiplies
// afterwards.
struct Copies {
  const Call& call;
  const Region& region;
  std::int64_t rows_each, columns_each;

  std::int64_t n_row_items() const {
    return region.has_rows ? 0 : CeilDiv(region.end_row - region.first_row, rows_each);
  }
  std::int64_t n_column_items() const {
    return region.has_columns ? 0 : CeilDiv(region.end_column - region.first_column, columns_each);
  }
  std::int64_t n_items() const { return n_row_items() + n_column_items(); }

  void Run(std::int64_t item, const Buffers& buffers) const {
    const auto rows_before = [&](std::int64_t i) { return i * n_row_items() / n_items(); };
    const std::int64_t row_item = rows_before(item);
    if (rows_before(item + 1) > row_item) return CopyRows(row_item, buffers);
    CopyColumns(item - row_item, buffers);
  }

 private:
  void CopyRows(std::int64_t item, const Buffers& buffers) const {
    const std::int64_t first = region.first_row + item * rows_each;
    CopyRowPanels(call.kernels, call.a, first, std::min(first + rows_each, region.end_row),
                  region.k, region.n_k, call.kernels.tile_rows,
                  buffers.a.as<float>() + item * rows_each * region.n_k);
  }
  void CopyColumns(std::int64_t item, const Buffers& buffers) const {
    const std::int64_t first = region.first_column + item * columns_each;
    CopyRowPanels(call.kernels, call.b.Transposed(), first,
                  std::min(first + columns_each, region.end_column), region.k, region.n_k,
                  call.kernels.tile_columns,
                  buffers.b.as<float>() + item * columns_each * region.n_k);
  }
};

void EmptyChains(const ProductSize& size, ChainStart start, float* c, std::int64_t c_stride) {
  if (start == ChainStart::kFromOutput) return;
  for (std::int64_t i = 0; i < size.n_rows; ++i)
    std::fill_n(c + i * c_stride, size.n_columns, 0.0F);
}

// Sizes of blocks: as large as the second-level cache likes, smaller where threads would have
// nothing to do.
struct Cut {
  std::int64_t rows, columns, n_row_blocks, n_column_blocks;
  bool by_columns;  // neighbouring blocks, which are one thread's, have the same columns
};

// What another core has written is far. Where threads share the rows, each reads the panels of b
// that the others copied: n_columns * n_inner values in all, but for its own part. Where they share
// the columns, those of a, n_rows * n_inner, and the next operation, which goes by rows, reads c,
// n_rows * n_columns.
bool IsCutByColumns(std::int64_t n_rows, std::int64_t n_columns, std::int64_t n_inner) {
  return n_columns * n_inner > n_rows * n_inner + n_rows * n_columns;
}

Cut CutFor(std::int64_t n_rows, std::int64_t n_columns, std::int64_t n_inner,
           const TrainingKernels& kernels, int n_threads) {
  const std::int64_t tile_rows = kernels.tile_rows, tile_columns = kernels.tile_columns;
  Cut cut{};
  cut.by_columns = n_threads > 1 && IsCutByColumns(n_rows, n_columns, n_inner);
  cut.rows = RoundUp(std::min(kRowBlockMax, n_rows), tile_rows);
  cut.columns = RoundUp(std::min(kColumnBlockMax, n_columns), tile_columns);
  const auto count = [&] {
    cut.n_row_blocks = (n_rows + cut.rows - 1) / cut.rows;
    cut.n_column_blocks = (n_columns + cut.columns - 1) / cut.columns;
    return cut.n_row_blocks * cut.n_column_blocks;
  };
  const std::int64_t wanted = n_threads == 1 ? 1 : kItemsOfThread * n_threads;
  while (count() < wanted) {
    if (cut.columns >= 2 * kBlockMin && cut.columns >= cut.rows) {
      cut.columns = RoundUp(cut.columns / 2, tile_columns);
    } else if (cut.rows >= 2 * kBlockMin) {
      cut.rows = RoundUp(cut.rows / 2, tile_rows);
    } else {
      break;
    }
  }
  return cut;
}

Block BlockAt(const Region& region, const Cut& cut, std::int64_t item) {
  const std::int64_t i = cut.by_columns ? item % cut.n_row_blocks : item / cut.n_column_blocks;
  const std::int64_t j = cut.by_columns ? item / cut.n_row_blocks : item % cut.n_column_blocks;
  const std::int64_t row = region.first_row + i * cut.rows;
  const std::int64_t column = region.first_column + j * cut.columns;
  return {row, std::min(row + cut.rows, region.end_row), column,
          std::min(column + cut.columns, region.end_column)};
}

// One tile, or of shards the stack of their sums.
float* SpareTile(const Call& call, Buffers& buffers) {
  const auto n_tiles = static_cast<std::size_t>(std::bit_width(call.shards.ends.size()) + 1);
  const std::size_t n = n_tiles * kTileFloatsMax;
  if (buffers.tile.size() < n * sizeof(float)) {
    buffers.tile.Grow(n * sizeof(float));
    std::fill_n(buffers.tile.as<float>(), n, 0.0F);
  }
  return buffers.tile.as<float>();
}

// for_items(n, body(item, thread)) runs all items; `shared` has the panels, threads[i] the spare
// tile of thread i.
template <typename ForItems>
void RunRegion(const Call& call, const Region& region, int n_threads, Buffers& shared,
               std::span<Buffers> threads, ForItems for_items) {
  const TrainingKernels& kernels = call.kernels;
  const std::int64_t n_rows = region.end_row - region.first_row;
  const std::int64_t n_columns = region.end_column - region.first_column;
  const auto bytes = [&](std::int64_t n, int width) {
    return static_cast<std::size_t>(RoundUp(n, width) * region.n_k) * sizeof(float);
  };
  shared.a.Grow(bytes(n_rows, kernels.tile_rows));
  shared.b.Grow(bytes(n_columns, kernels.tile_columns));
  const Copies copies{call, region, RoundUp(kCopied, kernels.tile_rows),
                      RoundUp(kCopied, kernels.tile_columns)};
  for_items(copies.n_items(), [&](std::int64_t item, int) { copies.Run(item, shared); });
  const Cut cut = CutFor(n_rows, n_columns, region.n_k, kernels, n_threads);
  for_items(cut.n_row_blocks * cut.n_column_blocks, [&](std::int64_t item, int thread) {
    RunBlock(call, region, BlockAt(region, cut, item), shared,
             SpareTile(call, threads[static_cast<std::size_t>(thread)]));
  });
}

template <typename ForItems>
void RunProduct(const Call& call, int n_threads, Buffers& shared, std::span<Buffers> threads,
                ForItems for_items) {
  const ProductSize& size = call.size;
  // The tree over shards needs all inner steps at once; then regions are smaller.
  const bool whole = !call.shards.ends.empty();
  const std::int64_t n_pieces = whole ? 1 : (size.n_inner + kInnerMax - 1) / kInnerMax;
  const std::int64_t inner = RoundUp((size.n_inner + n_pieces - 1) / n_pieces, kInnerStep);
  const std::int64_t most = std::max(kCopied, kRegionFloats / inner / kCopied * kCopied);
  for (std::int64_t row = 0; row < size.n_rows; row += most) {
    for (std::int64_t column = 0; column < size.n_columns; column += most) {
      for (std::int64_t k = 0; k < size.n_inner; k += inner) {
        const Region region{.first_row = row,
                            .end_row = std::min(row + most, size.n_rows),
                            .first_column = column,
                            .end_column = std::min(column + most, size.n_columns),
                            .k = k,
                            .n_k = std::min(inner, size.n_inner - k),
                            .has_rows = n_pieces == 1 && column > 0,
                            .has_columns = n_pieces == 1 && row > 0 && size.n_columns <= most};
        RunRegion(call, region, n_threads, shared, threads, for_items);
      }
    }
  }
}

void CheckCall(const ProductSize& size, const MatrixView& a, const MatrixView& b,
               std::int64_t c_stride) {
  TATARA_CHECK(size.n_rows >= 0 && size.n_columns >= 0 && size.n_inner >= 0);
  TATARA_CHECK(a.row_stride == 1 || a.column_stride == 1);
  TATARA_CHECK(b.row_stride == 1 || b.column_stride == 1);
  TATARA_CHECK(c_stride >= size.n_columns);
}

void Count(const ProductSize& size) {
  AddFlops(2 * static_cast<std::uint64_t>(size.n_rows) *
           static_cast<std::uint64_t>(size.n_columns) * static_cast<std::uint64_t>(size.n_inner));
}

}  // namespace

struct ProductWorkspace::State {
  std::vector<Buffers> threads;
};

ProductWorkspace::ProductWorkspace() : state_(std::make_unique<State>()) {}
ProductWorkspace::~ProductWorkspace() = default;
ProductWorkspace::ProductWorkspace(ProductWorkspace&&) noexcept = default;
ProductWorkspace& ProductWorkspace::operator=(ProductWorkspace&&) noexcept = default;

void PrepareProducts(ProductWorkspace& workspace, int n_threads) {
  auto& threads = workspace.state().threads;
  if (threads.size() < static_cast<std::size_t>(n_threads)) {
    threads.resize(static_cast<std::size_t>(n_threads));
  }
}

void ProductOnThread(const ProductSize& size, const MatrixView& a, const MatrixView& b,
                     ChainStart start, float* c, std::int64_t c_stride, ProductWorkspace& workspace,
                     int thread) {
  CheckCall(size, a, b, c_stride);
  if (size.n_inner == 0) return EmptyChains(size, start, c, c_stride);
  Count(size);
  const FpGuard guard;
  Buffers& own = workspace.state().threads[static_cast<std::size_t>(thread)];
  RunProduct({size, a, b, start, c, c_stride, ActiveTrainingKernels()}, 1, own, {&own, 1},
             [](std::int64_t n_items, auto body) {
               for (std::int64_t item = 0; item < n_items; ++item) body(item, 0);
             });
}

void Product(const ProductSize& size, const MatrixView& a, const MatrixView& b, ChainStart start,
             float* c, std::int64_t c_stride, ProductWorkspace& workspace, ThreadPool& pool) {
  CheckCall(size, a, b, c_stride);
  if (size.n_inner == 0) return EmptyChains(size, start, c, c_stride);
  Count(size);
  PrepareProducts(workspace, pool.n_threads());
  auto& threads = workspace.state().threads;
  RunProduct({size, a, b, start, c, c_stride, ActiveTrainingKernels()}, pool.n_threads(),
             threads[0], threads,
             [&](std::int64_t n_items, auto body) { pool.For(n_items, body); });
}

void ProductOfShards(const ProductSize& size, const MatrixView& a, const MatrixView& b,
                     const ShardSums& shards, float* c, std::int64_t c_stride,
                     ProductWorkspace& workspace, ThreadPool& pool) {
  CheckCall(size, a, b, c_stride);
  const std::span<const std::int64_t> ends = shards.ends;
  TATARA_CHECK(std::has_single_bit(ends.size()) && std::ssize(ends) <= kShardsMax);
  TATARA_CHECK(ends.front() >= 0 && std::ranges::is_sorted(ends) && ends.back() == size.n_inner);
  TATARA_CHECK(size.n_inner > 0 &&
               (shards.places.empty() || std::ssize(shards.places) == size.n_rows));
  Count(size);
  PrepareProducts(workspace, pool.n_threads());
  auto& threads = workspace.state().threads;
  RunProduct({size, a, b, ChainStart::kFromZero, c, c_stride, ActiveTrainingKernels(), shards},
             pool.n_threads(), threads[0], threads,
             [&](std::int64_t n_items, auto body) { pool.For(n_items, body); });
}

void LinearForward(const LinearSize& size, const float* x, const float* w, float* y,
                   ProductWorkspace& workspace, ThreadPool& pool) {
  Product({size.n_tokens, size.n_outputs, size.n_inputs}, {x, size.n_inputs, 1},
          {w, 1, size.n_inputs}, ChainStart::kFromZero, y, size.n_outputs, workspace, pool);
}

void LinearBackward(const LinearSize& size, const float* dy, const float* w, ChainStart start,
                    float* dx, ProductWorkspace& workspace, ThreadPool& pool) {
  Product({size.n_tokens, size.n_inputs, size.n_outputs}, {dy, size.n_outputs, 1},
          {w, size.n_inputs, 1}, start, dx, size.n_inputs, workspace, pool);
}

void LinearWeightGradient(const LinearSize& size, const float* dy, const float* x, float* dw,
                          ProductWorkspace& workspace, ThreadPool& pool) {
  Product({size.n_outputs, size.n_inputs, size.n_tokens}, {dy, 1, size.n_outputs},
          {x, size.n_inputs, 1}, ChainStart::kFromOutput, dw, size.n_inputs, workspace, pool);
}

}  // namespace tatara::numerics
