// Cuts attention into work for threads. A block is some consecutive queries with all heads that
// share a key head; one thread walks its tiles in ascending order and merges as it goes. Where
// there are too few blocks for the threads (one query over a long context), the tiles of a block
// are dealt to several threads, each tile's own result is kept, and a second loop merges them in
// the same ascending order: the same operations, hence the same bits.
#include "tatara/numerics/attention.h"

#include <algorithm>
#include <cstring>
#include <limits>
#include <numeric>

#include "float_dispatch.h"
#include "tatara/base/check.h"
#include "tatara/numerics/dtype.h"

namespace tatara::numerics {
namespace {

using Block = AttentionScratch::Block;
using Work = AttentionScratch::Work;

// Rows (query x head) of a block: enough to pay for widening a tile's keys and values once, few
// enough to stay in the caches and to leave blocks for every thread; where it can be, a multiple of
// the 12 (or 6) rows that the kernels work on at once.
constexpr std::int64_t kBlockRowsMin = 48, kBlockRowsMax = 96, kRowsAtOnce = 12;

// For `group` rows a token.
std::int64_t BlockTokens(std::int64_t group) {
  const std::int64_t whole = kRowsAtOnce / std::gcd(group, kRowsAtOnce);
  const std::int64_t tokens = (kBlockRowsMin + whole * group - 1) / (whole * group) * whole;
  if (tokens * group <= kBlockRowsMax) return tokens;
  return std::max<std::int64_t>(1, kBlockRowsMin / group);
}

// Blocks per thread above which the tiles of a block are not dealt out.
constexpr std::int64_t kBlocksPerThread = 4;
// Tiles below which a block is not worth a second loop.
constexpr std::int64_t kSplitTilesMin = 8;
// Most floats that the kept results of single tiles may take (64 MiB).
constexpr std::int64_t kPartialFloatsMax = std::int64_t{1} << 24;

// Distances are whole f32 numbers.
constexpr std::int64_t kAlibiPositionsMax = std::int64_t{1} << 24;

std::int64_t RoundUp16(std::int64_t n) {
  return (n + 15) / 16 * 16;
}

// Everything that follows from the shape.
struct Layout {
  explicit Layout(const AttentionShape& s)
      : group(s.n_heads / s.n_kv_heads),
        block_tokens(BlockTokens(group)),
        block_rows(block_tokens * group),
        value_stride(RoundUp16(s.value_dim)),
        k_head_bytes(s.head_dim * kPageTokens *
                     static_cast<std::int64_t>(CacheElementBytes(s.cache))),
        v_head_bytes(s.value_dim * kPageTokens *
                     static_cast<std::int64_t>(CacheElementBytes(s.cache))),
        tile_k(RoundUp16(static_cast<std::int64_t>(s.head_dim) * kPageTokens)),
        tile_v(value_stride * kPageTokens),
        rows_q(RoundUp16(block_rows * s.head_dim)),
        rows_o(block_rows * value_stride),
        rows_ml(RoundUp16(block_rows)) {}

  std::int64_t group;  // query heads per key head
  std::int64_t block_tokens, block_rows;
  std::int64_t value_stride;                             // floats between rows of o
  std::int64_t k_head_bytes, v_head_bytes;               // of one head in a page
  std::int64_t tile_k, tile_v, rows_q, rows_o, rows_ml;  // floats of a thread's buffers

  // K, V, q; then o, m, l twice: the tile's own and the running ones.
  // Then a slope, a position and one relative to a tile for each row.
  std::int64_t thread_floats() const {
    return tile_k + tile_v + rows_q + 2 * result_floats() + 3 * rows_ml;
  }
  std::int64_t result_floats() const { return rows_o + 2 * rows_ml; }
  TileResult ResultAt(float* p) const { return {p + rows_o, p + rows_o + rows_ml, p}; }
};

TileResult RowsFrom(const TileResult& result, std::int64_t row, std::int64_t value_stride) {
  return {result.m + row, result.l + row, result.o + row * value_stride};
}

struct Call {
  const AttentionShape& shape;
  std::span<const AttentionSequence> sequences;
  AttentionScratch& scratch;
  const Layout layout;
  const FloatKernels& kernels;
};

// What rows of a block need, in one thread's buffers.
struct Buffers {
  float *k, *v, *q;
  TileResult tile, running;
  float *slopes, *positions, *relative;  // with ALiBi
  std::int32_t *lo, *hi;
};

Buffers BuffersOf(const Call& call, int thread) {
  const Layout& layout = call.layout;
  float* p = call.scratch.buffer.data() + thread * layout.thread_floats();
  Buffers buffers;
  buffers.k = p;
  buffers.v = buffers.k + layout.tile_k;
  buffers.q = buffers.v + layout.tile_v;
  float* results = buffers.q + layout.rows_q;
  buffers.tile = layout.ResultAt(results);
  buffers.running = layout.ResultAt(results + layout.result_floats());
  buffers.slopes = results + 2 * layout.result_floats();
  buffers.positions = buffers.slopes + layout.rows_ml;
  buffers.relative = buffers.positions + layout.rows_ml;
  buffers.lo = call.scratch.ranges.data() + thread * 2 * layout.block_rows;
  buffers.hi = buffers.lo + layout.block_rows;
  return buffers;
}

// First key that the query at `position` sees, and the one after the last.
std::int64_t FirstKey(const AttentionShape& shape, std::int64_t position) {
  if (shape.window == 0) return 0;
  const std::int64_t back = shape.bidirectional ? shape.window / 2 : shape.window - 1;
  return std::max<std::int64_t>(0, position - back);
}
std::int64_t EndKey(const AttentionShape& shape, const AttentionSequence& sequence,
                    std::int64_t position) {
  if (!shape.bidirectional) return position + 1;
  const std::int64_t end = sequence.position + sequence.n_tokens;
  return shape.window == 0 ? end : std::min(end, position + shape.window / 2 + 1);
}

void GatherQueries(const Call& call, const Block& block, float* q) {
  const AttentionSequence& sequence = call.sequences[block.sequence];
  const std::int64_t floats = call.layout.group * call.shape.head_dim;
  for (std::int64_t t = 0; t < block.n_tokens; ++t) {
    const float* from =
        sequence.queries + (block.first_token + t) * sequence.query_stride + block.kv_head * floats;
    std::copy_n(from, floats, q + t * floats);
  }
}

// The slope and the position of each row.
void GatherSlopes(const Call& call, const Block& block, const Buffers& buffers) {
  const std::int64_t group = call.layout.group;
  const std::int64_t position = call.sequences[block.sequence].position + block.first_token;
  for (std::int64_t t = 0; t < block.n_tokens; ++t) {
    std::copy_n(call.shape.alibi_slopes.data() + block.kv_head * group, group,
                buffers.slopes + t * group);
    std::fill_n(buffers.positions + t * group, group, static_cast<float>(position + t));
  }
}

void GatherRows(const Call& call, const Block& block, const Buffers& buffers) {
  GatherQueries(call, block, buffers.q);
  if (!call.shape.alibi_slopes.empty()) GatherSlopes(call, block, buffers);
}

// The keys of a tile that each row sees. Returns those that some row sees.
struct KeyRange {
  std::int32_t lo, hi;
};
KeyRange RangesOf(const Call& call, const Block& block, std::int64_t tile, const Buffers& buffers) {
  const std::int64_t base = tile * kPageTokens;
  const AttentionSequence& sequence = call.sequences[block.sequence];
  const std::int64_t position = sequence.position + block.first_token;
  KeyRange seen{kPageTokens, 0};
  for (std::int64_t t = 0; t < block.n_tokens; ++t) {
    const std::int64_t first = FirstKey(call.shape, position + t) - base;
    const std::int64_t end = EndKey(call.shape, sequence, position + t) - base;
    const auto lo = static_cast<std::int32_t>(std::clamp<std::int64_t>(first, 0, kPageTokens));
    const auto hi = static_cast<std::int32_t>(std::clamp<std::int64_t>(end, 0, kPageTokens));
    if (lo < hi) seen = {std::min(seen.lo, lo), std::max(seen.hi, hi)};
    std::fill_n(buffers.lo + t * call.layout.group, call.layout.group, lo);
    std::fill_n(buffers.hi + t * call.layout.group, call.layout.group, hi);
  }
  return seen;
}

// The tile's keys and values in f32: the page's own memory where it already is so, else a copy.
const float* KeysOf(const Call& call, const std::byte* page, const Block& block,
                    const Buffers& buffers) {
  const std::byte* from = page + block.kv_head * call.layout.k_head_bytes;
  if (call.shape.cache == CacheType::kF32) return reinterpret_cast<const float*>(from);
  call.kernels.f16_to_f32(reinterpret_cast<const std::uint16_t*>(from),
                          static_cast<std::int64_t>(call.shape.head_dim) * kPageTokens, buffers.k);
  return buffers.k;
}

const float* ValuesOf(const Call& call, const std::byte* page, const Block& block, KeyRange seen,
                      const Buffers& buffers) {
  const std::byte* from = page + block.kv_head * call.layout.v_head_bytes;
  const std::int64_t value_dim = call.shape.value_dim, stride = call.layout.value_stride;
  const bool f32 = call.shape.cache == CacheType::kF32;
  if (f32 && stride == value_dim) return reinterpret_cast<const float*>(from);
  if (stride == value_dim) {
    call.kernels.f16_to_f32(reinterpret_cast<const std::uint16_t*>(from) + seen.lo * stride,
                            (seen.hi - seen.lo) * stride, buffers.v + seen.lo * stride);
    return buffers.v;
  }
  for (std::int64_t key = seen.lo; key < seen.hi; ++key) {
    float* row = buffers.v + key * stride;
    if (f32) {
      std::copy_n(reinterpret_cast<const float*>(from) + key * value_dim, value_dim, row);
    } else {
      call.kernels.f16_to_f32(reinterpret_cast<const std::uint16_t*>(from) + key * value_dim,
                              value_dim, row);
    }
    std::fill(row + value_dim, row + stride, 0.0F);
  }
  return buffers.v;
}

// One tile of a block. With `keep` the tile's own results go there, else they are merged into the
// running.
void DoTile(const Call& call, const Block& block, std::int64_t tile, const Buffers& buffers,
            const TileResult* keep) {
  const AttentionSequence& sequence = call.sequences[block.sequence];
  const KeyRange seen = RangesOf(call, block, tile, buffers);
  if (seen.hi <= seen.lo) return;
  AttentionTile job{.k = KeysOf(call, sequence.k_pages[tile], block, buffers),
                    .v = ValuesOf(call, sequence.v_pages[tile], block, seen, buffers),
                    .head_dim = call.shape.head_dim,
                    .value_stride = static_cast<int>(call.layout.value_stride),
                    .scale = call.shape.scale,
                    .soft_cap = call.shape.soft_cap};
  const std::int64_t n_rows = block.n_tokens * call.layout.group;
  const bool alibi = !call.shape.alibi_slopes.empty();
  const auto first_key = static_cast<float>(tile * kPageTokens);
  for (std::int64_t row = 0; alibi && row < n_rows; ++row) {
    buffers.relative[row] = buffers.positions[row] - first_key;
  }
  const int rows_at_once = call.kernels.attention_rows;
  for (std::int64_t row = 0; row < n_rows; row += rows_at_once) {
    job.n_rows = static_cast<int>(std::min<std::int64_t>(rows_at_once, n_rows - row));
    job.q = buffers.q + row * call.shape.head_dim;
    job.lo = buffers.lo + row;
    job.hi = buffers.hi + row;
    if (alibi) {
      job.slopes = buffers.slopes + row;
      job.positions = buffers.relative + row;
    }
    if (keep != nullptr) {
      call.kernels.attention_tile(job, RowsFrom(*keep, row, job.value_stride));
    } else {
      call.kernels.attention_tile(job, buffers.tile);
      call.kernels.attention_merge(job, buffers.tile,
                                   RowsFrom(buffers.running, row, job.value_stride));
    }
  }
}

void ResetRunning(const Call& call, const Block& block, const Buffers& buffers) {
  const std::int64_t n_rows = block.n_tokens * call.layout.group;
  std::fill_n(buffers.running.m, n_rows, -std::numeric_limits<float>::infinity());
  std::fill_n(buffers.running.l, n_rows, 0.0F);
  std::fill_n(buffers.running.o, n_rows * call.layout.value_stride, 0.0F);
}

// The sinks as the last tile of every row. Overwrites buffers.tile.
void MergeSinks(const Call& call, const Block& block, const Buffers& buffers) {
  const std::int64_t group = call.layout.group, n_rows = block.n_tokens * group;
  for (std::int64_t t = 0; t < block.n_tokens; ++t) {
    std::copy_n(call.shape.sinks.data() + block.kv_head * group, group, buffers.tile.m + t * group);
  }
  std::fill_n(buffers.tile.l, n_rows, 1.0F);
  std::fill_n(buffers.tile.o, n_rows * call.layout.value_stride, 0.0F);
  std::fill_n(buffers.lo, n_rows, 0);
  std::fill_n(buffers.hi, n_rows, 1);
  const AttentionTile job{.value_stride = static_cast<int>(call.layout.value_stride),
                          .n_rows = static_cast<int>(n_rows),
                          .lo = buffers.lo,
                          .hi = buffers.hi};
  call.kernels.attention_merge(job, buffers.tile, buffers.running);
}

void WriteOut(const Call& call, const Block& block, const Buffers& buffers) {
  const AttentionSequence& sequence = call.sequences[block.sequence];
  if (!call.shape.sinks.empty()) MergeSinks(call, block, buffers);
  for (std::int64_t t = 0; t < block.n_tokens; ++t) {
    for (std::int64_t g = 0; g < call.layout.group; ++g) {
      const std::int64_t row = t * call.layout.group + g;
      float* out = sequence.out + (block.first_token + t) * sequence.out_stride +
                   (block.kv_head * call.layout.group + g) * call.shape.value_dim;
      call.kernels.attention_finish(buffers.running.o + row * call.layout.value_stride,
                                    buffers.running.l[row], call.shape.value_dim, out);
    }
  }
}

TileResult PartialOf(const Call& call, const Block& block, std::int64_t tile) {
  return call.layout.ResultAt(call.scratch.partials.data() + block.partial +
                              (tile - block.first_tile) * call.layout.result_floats());
}

void WholeBlock(const Call& call, const Block& block, int thread) {
  const Buffers buffers = BuffersOf(call, thread);
  GatherRows(call, block, buffers);
  ResetRunning(call, block, buffers);
  for (std::int64_t tile = block.first_tile; tile < block.end_tile; ++tile) {
    DoTile(call, block, tile, buffers, nullptr);
  }
  WriteOut(call, block, buffers);
}

void SomeTiles(const Call& call, const Work& work, int thread) {
  const Block& block = call.scratch.blocks[work.block];
  const Buffers buffers = BuffersOf(call, thread);
  GatherRows(call, block, buffers);
  for (std::int64_t tile = work.first_tile; tile < work.end_tile; ++tile) {
    const TileResult keep = PartialOf(call, block, tile);
    DoTile(call, block, tile, buffers, &keep);
  }
}

void MergeBlock(const Call& call, const Block& block, int thread) {
  const Buffers buffers = BuffersOf(call, thread);
  ResetRunning(call, block, buffers);
  for (std::int64_t tile = block.first_tile; tile < block.end_tile; ++tile) {
    RangesOf(call, block, tile, buffers);
    const AttentionTile job{.value_stride = static_cast<int>(call.layout.value_stride),
                            .n_rows = static_cast<int>(block.n_tokens * call.layout.group),
                            .lo = buffers.lo,
                            .hi = buffers.hi};
    call.kernels.attention_merge(job, PartialOf(call, block, tile), buffers.running);
  }
  WriteOut(call, block, buffers);
}

// Lists the blocks, the costliest of a sequence (its last) first. Returns the number of tiles in
// all.
std::int64_t ListBlocks(const Call& call) {
  std::vector<Block>& blocks = call.scratch.blocks;
  blocks.clear();
  std::int64_t tiles = 0;
  for (std::size_t s = 0; s < call.sequences.size(); ++s) {
    const AttentionSequence& sequence = call.sequences[s];
    TATARA_CHECK(sequence.position >= 0 && sequence.n_tokens >= 0);
    const std::int64_t end = sequence.position + sequence.n_tokens;
    TATARA_CHECK(call.shape.alibi_slopes.empty() || end <= kAlibiPositionsMax);
    const auto pages = static_cast<std::size_t>((end + kPageTokens - 1) / kPageTokens);
    TATARA_CHECK(sequence.n_tokens == 0 ||
                 (sequence.k_pages.size() >= pages && sequence.v_pages.size() >= pages));
    const std::int64_t step = call.layout.block_tokens;
    for (std::int64_t first = (sequence.n_tokens - 1) / step * step;
         first >= 0 && sequence.n_tokens > 0; first -= step) {
      const std::int64_t n_tokens = std::min(step, sequence.n_tokens - first);
      const std::int64_t position = sequence.position + first;
      const std::int64_t last_end = EndKey(call.shape, sequence, position + n_tokens - 1);
      for (int kv_head = 0; kv_head < call.shape.n_kv_heads; ++kv_head) {
        blocks.push_back({.first_token = first,
                          .n_tokens = n_tokens,
                          .first_tile = FirstKey(call.shape, position) / kPageTokens,
                          .end_tile = (last_end - 1) / kPageTokens + 1,
                          .partial = 0,
                          .sequence = static_cast<std::int32_t>(s),
                          .kv_head = kv_head});
        tiles += blocks.back().end_tile - blocks.back().first_tile;
      }
    }
  }
  return tiles;
}

// Deals the tiles of all blocks to threads, or returns false where whole blocks serve as well.
bool DealTiles(const Call& call, std::int64_t n_tiles, int n_threads) {
  AttentionScratch& scratch = call.scratch;
  const auto n_blocks = static_cast<std::int64_t>(scratch.blocks.size());
  if (n_threads == 1 || n_blocks >= kBlocksPerThread * n_threads || n_blocks % n_threads == 0)
    return false;
  if (n_tiles < kSplitTilesMin || n_tiles * call.layout.result_floats() > kPartialFloatsMax)
    return false;
  const std::int64_t tiles_at_once =
      std::max<std::int64_t>(1, n_tiles / (kBlocksPerThread * n_threads));
  scratch.work.clear();
  std::int64_t partial = 0;
  for (std::int64_t b = 0; b < n_blocks; ++b) {
    Block& block = scratch.blocks[b];
    block.partial = partial;
    partial += (block.end_tile - block.first_tile) * call.layout.result_floats();
    for (std::int64_t tile = block.first_tile; tile < block.end_tile; tile += tiles_at_once) {
      scratch.work.push_back({b, tile, std::min(tile + tiles_at_once, block.end_tile)});
    }
  }
  if (scratch.partials.size() < static_cast<std::size_t>(partial)) scratch.partials.resize(partial);
  return true;
}

}  // namespace

std::size_t CacheElementBytes(CacheType type) {
  return type == CacheType::kF32 ? 4 : 2;
}

void StoreKeyValue(const AttentionShape& shape, const float* key, const float* value, int slot,
                   std::byte* k_page, std::byte* v_page) {
  TATARA_CHECK(slot >= 0 && slot < kPageTokens);
  const std::int64_t n_keys = static_cast<std::int64_t>(shape.n_kv_heads) * shape.head_dim;
  const std::int64_t value_dim = shape.value_dim;
  if (shape.cache == CacheType::kF32) {
    auto* k = reinterpret_cast<float*>(k_page);
    auto* v = reinterpret_cast<float*>(v_page);
    for (std::int64_t i = 0; i < n_keys; ++i) k[i * kPageTokens + slot] = key[i];
    for (std::int64_t head = 0; head < shape.n_kv_heads; ++head) {
      std::copy_n(value + head * value_dim, value_dim, v + (head * kPageTokens + slot) * value_dim);
    }
    return;
  }
  const FloatKernels& kernels = ActiveFloatKernels();
  auto* k = reinterpret_cast<std::uint16_t*>(k_page);
  auto* v = reinterpret_cast<std::uint16_t*>(v_page);
  std::uint16_t halves[256];
  for (std::int64_t first = 0; first < n_keys; first += 256) {
    const std::int64_t n = std::min<std::int64_t>(256, n_keys - first);
    kernels.f32_to_f16(key + first, n, halves);
    for (std::int64_t i = 0; i < n; ++i) k[(first + i) * kPageTokens + slot] = halves[i];
  }
  for (std::int64_t head = 0; head < shape.n_kv_heads; ++head) {
    kernels.f32_to_f16(value + head * value_dim, value_dim,
                       v + (head * kPageTokens + slot) * value_dim);
  }
}

void Attention(const AttentionShape& shape, std::span<const AttentionSequence> sequences,
               AttentionScratch& scratch, ThreadPool& pool) {
  TATARA_CHECK(shape.n_kv_heads > 0 && shape.n_heads > 0 && shape.n_heads % shape.n_kv_heads == 0);
  TATARA_CHECK(shape.head_dim > 0 && shape.value_dim > 0 && shape.window >= 0);
  const auto per_head = [&](std::span<const float> values) {
    return values.empty() || values.size() == static_cast<std::size_t>(shape.n_heads);
  };
  TATARA_CHECK(shape.soft_cap >= 0 && per_head(shape.sinks) && per_head(shape.alibi_slopes));
  const Call call{shape, sequences, scratch, Layout(shape), ActiveFloatKernels()};
  const std::int64_t n_tiles = ListBlocks(call);
  const auto n_floats = static_cast<std::size_t>(pool.n_threads() * call.layout.thread_floats());
  const auto n_ranges = static_cast<std::size_t>(pool.n_threads() * 2 * call.layout.block_rows);
  if (scratch.buffer.size() < n_floats) scratch.buffer.resize(n_floats);
  if (scratch.ranges.size() < n_ranges) scratch.ranges.resize(n_ranges);

  const auto n_blocks = static_cast<std::int64_t>(scratch.blocks.size());
  if (!DealTiles(call, n_tiles, pool.n_threads())) {
    pool.For(n_blocks,
             [&](std::int64_t i, int thread) { WholeBlock(call, scratch.blocks[i], thread); });
    return;
  }
  pool.For(static_cast<std::int64_t>(scratch.work.size()),
           [&](std::int64_t i, int thread) { SomeTiles(call, scratch.work[i], thread); });
  pool.For(n_blocks,
           [&](std::int64_t i, int thread) { MergeBlock(call, scratch.blocks[i], thread); });
}

}  // namespace tatara::numerics
