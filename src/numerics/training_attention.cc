#include "tatara/numerics/training_attention.h"

#include <algorithm>
#include <limits>
#include <vector>

#include "aligned_buffer.h"
#include "float_dispatch.h"
#include "tatara/base/check.h"
#include "tatara/numerics/flops.h"
#include "training_dispatch.h"

namespace tatara::numerics {
namespace {

constexpr std::int64_t kKeys = AttentionTile::kKeys;
constexpr std::int64_t kQueries = 64;  // of a block of the backward pass
constexpr int kRowsMax = 16;

// One thread's memory, cut up by Take.
class Scratch {
 public:
  explicit Scratch(AlignedBuffer& buffer) : buffer_(buffer) {}
  void Reserve(std::int64_t n_floats) {
    buffer_.Grow(static_cast<std::size_t>(n_floats) * sizeof(float));
    used_ = 0;
    size_ = n_floats;
  }
  float* Take(std::int64_t n_floats) {
    TATARA_CHECK(used_ + n_floats <= size_);
    float* const here = buffer_.as<float>() + used_;
    used_ += n_floats;
    return here;
  }

 private:
  AlignedBuffer& buffer_;
  std::int64_t used_ = 0, size_ = 0;
};

std::int64_t Clamp(std::int64_t x, std::int64_t low, std::int64_t high) {
  return std::clamp(x, low, high);
}

// What a work item, one key head of one sequence, looks at.
struct Place {
  const TrainingAttention& a;
  std::int64_t sequence;
  int kv_head;

  std::int64_t row(std::int64_t token) const { return sequence * a.n_tokens + token; }
  int group() const { return a.n_heads / a.n_kv_heads; }
  const float* q(std::int64_t token, int head) const {
    return a.q + row(token) * a.q_stride + static_cast<std::int64_t>(head) * a.head_dim;
  }
  std::int64_t kv_offset(std::int64_t token, std::int64_t stride) const {
    return row(token) * stride + static_cast<std::int64_t>(kv_head) * a.head_dim;
  }
  std::int64_t out_stride() const { return static_cast<std::int64_t>(a.n_heads) * a.head_dim; }
  std::int64_t out_offset(std::int64_t token, int head) const {
    return row(token) * out_stride() + static_cast<std::int64_t>(head) * a.head_dim;
  }
  std::int64_t statistic(std::int64_t token, int head) const {
    return (sequence * a.n_heads + head) * a.n_tokens + token;
  }
  std::int64_t first_key(std::int64_t token) const {
    const std::int64_t document = a.first_keys == nullptr ? 0 : a.first_keys[row(token)];
    return a.window == 0 ? document : std::max(document, token - a.window + 1);
  }
  std::uint64_t weight(std::int64_t token, int head, std::int64_t key) const {
    const std::int64_t at = ((a.first_sequence + sequence) * a.n_heads + head) * a.n_tokens + token;
    return static_cast<std::uint64_t>(at * a.n_tokens + key);
  }
};

void CheckShape(const TrainingAttention& a) {
  TATARA_CHECK(a.n_sequences >= 0 && a.n_tokens > 0 && a.head_dim > 0 && a.n_kv_heads > 0);
  TATARA_CHECK(a.n_heads % a.n_kv_heads == 0 && a.window >= 0 && a.soft_cap >= 0);
}

// ---- forward

struct PackedKeys {
  float* k;  // tiles of head_dim x 64
  float* v;  // tiles of 64 x value_stride
  std::int64_t value_stride;
};

PackedKeys Pack(const Place& place, Scratch& scratch) {
  const TrainingAttention& a = place.a;
  const std::int64_t n_tiles = (a.n_tokens + kKeys - 1) / kKeys;
  PackedKeys packed{};
  packed.value_stride = (a.head_dim + 15) / 16 * 16;
  packed.k = scratch.Take(n_tiles * kKeys * a.head_dim);
  packed.v = scratch.Take(n_tiles * kKeys * packed.value_stride);
  std::fill_n(packed.v, n_tiles * kKeys * packed.value_stride, 0.0F);
  std::fill_n(packed.k, n_tiles * kKeys * a.head_dim, 0.0F);
  for (std::int64_t token = 0; token < a.n_tokens; ++token) {
    const float* k = a.k + place.kv_offset(token, a.k_stride);
    float* to = packed.k + token / kKeys * kKeys * a.head_dim + token % kKeys;
    for (int d = 0; d < a.head_dim; ++d) to[d * kKeys] = k[d];
    std::copy_n(a.v + place.kv_offset(token, a.v_stride), a.head_dim,
                packed.v + token * packed.value_stride);
  }
  return packed;
}

// Rows first .. first + n - 1 of one head against all tiles that they see.
void AttendRows(const Place& place, int head, std::int64_t first, int n, const PackedKeys& keys,
                float* q, const TileResult& partial, const TileResult& running,
                const AttentionOutput& output) {
  const TrainingAttention& a = place.a;
  const FloatKernels& kernels = ActiveFloatKernels();
  std::int64_t lowest = first;
  for (int r = 0; r < n; ++r) {
    std::copy_n(place.q(first + r, head), a.head_dim,
                q + static_cast<std::int64_t>(r) * a.head_dim);
    lowest = std::min(lowest, place.first_key(first + r));
  }
  std::fill_n(running.m, n, -std::numeric_limits<float>::infinity());
  std::fill_n(running.l, n, 0.0F);
  std::fill_n(running.o, n * keys.value_stride, 0.0F);
  for (std::int64_t t = lowest / kKeys; t <= (first + n - 1) / kKeys; ++t) {
    std::int32_t lo[kRowsMax], hi[kRowsMax];
    for (int r = 0; r < n; ++r) {
      lo[r] = static_cast<std::int32_t>(Clamp(place.first_key(first + r) - t * kKeys, 0, kKeys));
      hi[r] = static_cast<std::int32_t>(Clamp(first + r + 1 - t * kKeys, 0, kKeys));
    }
    AttentionTile tile;
    tile.k = keys.k + t * kKeys * a.head_dim;
    tile.v = keys.v + t * kKeys * keys.value_stride;
    tile.head_dim = a.head_dim;
    tile.value_stride = static_cast<int>(keys.value_stride);
    tile.scale = a.scale;
    tile.soft_cap = a.soft_cap;
    tile.n_rows = n;
    tile.q = q;
    tile.lo = lo;
    tile.hi = hi;
    kernels.attention_tile(tile, partial);
    kernels.attention_merge(tile, partial, running);
  }
  for (int r = 0; r < n; ++r) {
    kernels.attention_finish(running.o + r * keys.value_stride, running.l[r], a.head_dim,
                             output.out + place.out_offset(first + r, head));
    output.maxima[place.statistic(first + r, head)] = running.m[r];
    output.sums[place.statistic(first + r, head)] = running.l[r];
  }
}

void Attend(const Place& place, const AttentionOutput& output, Scratch& scratch) {
  const TrainingAttention& a = place.a;
  const int rows = std::min(ActiveFloatKernels().attention_rows, kRowsMax);
  const std::int64_t tokens = (a.n_tokens + kKeys - 1) / kKeys * kKeys;
  const std::int64_t stride = (a.head_dim + 15) / 16 * 16;
  scratch.Reserve(tokens * (a.head_dim + stride) + kRowsMax * (a.head_dim + 2 * stride + 4));
  const PackedKeys keys = Pack(place, scratch);
  float* const q = scratch.Take(static_cast<std::int64_t>(kRowsMax) * a.head_dim);
  const auto result = [&] {
    return TileResult{scratch.Take(kRowsMax), scratch.Take(kRowsMax),
                      scratch.Take(kRowsMax * stride)};
  };
  const TileResult partial = result(), running = result();
  for (int i = 0; i < place.group(); ++i) {
    const int head = place.kv_head * place.group() + i;
    for (std::int64_t first = 0; first < a.n_tokens; first += rows) {
      const int n = static_cast<int>(std::min<std::int64_t>(rows, a.n_tokens - first));
      AttendRows(place, head, first, n, keys, q, partial, running, output);
    }
  }
}

// Scores and weighted values of the keys that are seen.
void Count(const Place& place) {
  std::int64_t n_seen = 0;
  for (std::int64_t token = 0; token < place.a.n_tokens; ++token) {
    n_seen += token + 1 - place.first_key(token);
  }
  AddFlops(static_cast<std::uint64_t>(4 * n_seen * place.a.head_dim * place.group()));
}

// ---- weights of a block of queries

struct BlockItem {
  const Place& place;
  const AttentionOutput& output;
  ProductWorkspace& products;
  int thread;
  float* p;      // kQueries x n_tokens
  float* dp;     // the same; of the backward pass
  float* slope;  // n_tokens; of the soft cap

  void Multiply(const ProductSize& size, const MatrixView& x, const MatrixView& y, ChainStart start,
                float* c, std::int64_t stride) const {
    ProductOnThread(size, x, y, start, c, stride, products, thread);
  }
};

// Queries first .. first + n - 1 of a head and the keys that one of them sees.
struct Block {
  int head = 0;
  std::int64_t query = 0, n = 0;
  std::int64_t first = 0, n_keys = 0;
};

Block BlockAt(const Place& place, int head, std::int64_t query) {
  Block b{.head = head, .query = query, .n = std::min(kQueries, place.a.n_tokens - query)};
  b.first = query;
  for (std::int64_t r = 0; r < b.n; ++r) b.first = std::min(b.first, place.first_key(query + r));
  b.n_keys = query + b.n - b.first;
  return b;
}

MatrixView Queries(const Place& place, const Block& b) {
  return {place.q(b.query, b.head), place.a.q_stride, 1};
}
MatrixView Keys(const Place& place, const Block& b) {
  return {place.a.k + place.kv_offset(b.first, place.a.k_stride), place.a.k_stride, 1};
}
MatrixView Values(const Place& place, const Block& b) {
  return {place.a.v + place.kv_offset(b.first, place.a.v_stride), place.a.v_stride, 1};
}

// A row's part of p that its query sees.
struct RowPart {
  std::int64_t lo = 0, end = 0;
};
RowPart PartOf(const Place& place, const Block& b, std::int64_t r) {
  return {place.first_key(b.query + r) - b.first, b.query + r + 1 - b.first};
}

// A row of scores becomes weights; with a soft cap `slope` gets 1 - t * t.
void WeightsOfRow(const BlockItem& item, const Block& b, std::int64_t r) {
  const TrainingAttention& a = item.place.a;
  const FloatKernels& floats = ActiveFloatKernels();
  const auto [lo, end] = PartOf(item.place, b, r);
  float* const p = item.p + r * b.n_keys;
  const std::int64_t at = item.place.statistic(b.query + r, b.head);
  floats.scale(a.scale, end - lo, p + lo);
  if (a.soft_cap != 0) {
    floats.soft_cap(a.soft_cap, end - lo, p + lo);
    for (std::int64_t i = lo; i < end; ++i) {
      const float t = p[i] / a.soft_cap;
      item.slope[i] = 1.0F - t * t;
    }
  }
  ActiveTrainingKernels().exp_shifted(p + lo, item.output.maxima[at], end - lo, p + lo);
  floats.attention_finish(p + lo, item.output.sums[at], end - lo, p + lo);
}

void DropRow(const BlockItem& item, const Block& b, std::int64_t r, float* row) {
  const TrainingAttention& a = item.place.a;
  if (a.dropout.rate == 0) return;
  const auto [lo, end] = PartOf(item.place, b, r);
  Dropout(a.dropout, item.place.weight(b.query + r, b.head, b.first + lo),
          {row + lo, static_cast<std::size_t>(end - lo)});
}

void ClearUnseen(const BlockItem& item, const Block& b, std::int64_t r, float* row) {
  const auto [lo, end] = PartOf(item.place, b, r);
  std::fill_n(row, lo, 0.0F);
  std::fill_n(row + end, b.n_keys - end, 0.0F);
}

// Where weights are dropped: the output again, of the weights that are left. Maxima and sums are
// those of all.
void AttendDropped(const BlockItem& item) {
  const Place& place = item.place;
  const TrainingAttention& a = place.a;
  for (int i = 0; i < place.group(); ++i) {
    for (std::int64_t query = 0; query < a.n_tokens; query += kQueries) {
      const Block b = BlockAt(place, place.kv_head * place.group() + i, query);
      item.Multiply({b.n, b.n_keys, a.head_dim}, Queries(place, b), Keys(place, b).Transposed(),
                    ChainStart::kFromZero, item.p, b.n_keys);
      for (std::int64_t r = 0; r < b.n; ++r) {
        WeightsOfRow(item, b, r);
        DropRow(item, b, r, item.p + r * b.n_keys);
        ClearUnseen(item, b, r, item.p + r * b.n_keys);
      }
      item.Multiply({b.n, a.head_dim, b.n_keys}, {item.p, b.n_keys, 1}, Values(place, b),
                    ChainStart::kFromZero, item.output.out + place.out_offset(query, b.head),
                    place.out_stride());
    }
  }
}

// ---- backward

// p becomes (dropped) weights, dp becomes ds.
void ScoresBackward(const BlockItem& item, const AttentionGradients& gradients, const Block& b) {
  const Place& place = item.place;
  const TrainingAttention& a = place.a;
  const TrainingKernels& kernels = ActiveTrainingKernels();
  for (std::int64_t r = 0; r < b.n; ++r) {
    float* const p = item.p + r * b.n_keys;
    float* const dp = item.dp + r * b.n_keys;
    const auto [lo, end] = PartOf(place, b, r);
    const std::int64_t out = place.out_offset(b.query + r, b.head);
    WeightsOfRow(item, b, r);
    DropRow(item, b, r, dp);
    const float d = kernels.dot(gradients.dout + out, item.output.out + out, a.head_dim);
    kernels.softmax_backward(p + lo, d, a.scale, end - lo, dp + lo);
    if (a.soft_cap != 0) {
      for (std::int64_t i = lo; i < end; ++i) dp[i] *= item.slope[i];
    }
    DropRow(item, b, r, p);
    for (float* row : {p, dp}) ClearUnseen(item, b, r, row);
  }
}

void BackwardBlock(const BlockItem& item, const AttentionGradients& gradients, const Block& b) {
  const Place& place = item.place;
  const TrainingAttention& a = place.a;
  const MatrixView q = Queries(place, b), k = Keys(place, b), v = Values(place, b);
  const MatrixView dout{gradients.dout + place.out_offset(b.query, b.head), place.out_stride(), 1};
  item.Multiply({b.n, b.n_keys, a.head_dim}, q, k.Transposed(), ChainStart::kFromZero, item.p,
                b.n_keys);
  item.Multiply({b.n, b.n_keys, a.head_dim}, dout, v.Transposed(), ChainStart::kFromZero, item.dp,
                b.n_keys);
  ScoresBackward(item, gradients, b);
  const MatrixView p{item.p, b.n_keys, 1}, ds{item.dp, b.n_keys, 1};
  item.Multiply({b.n, a.head_dim, b.n_keys}, ds, k, ChainStart::kFromZero,
                gradients.dq + (place.q(b.query, b.head) - a.q), a.q_stride);
  item.Multiply({b.n_keys, a.head_dim, b.n}, ds.Transposed(), q, ChainStart::kFromOutput,
                gradients.dk + place.kv_offset(b.first, a.k_stride), a.k_stride);
  item.Multiply({b.n_keys, a.head_dim, b.n}, p.Transposed(), dout, ChainStart::kFromOutput,
                gradients.dv + place.kv_offset(b.first, a.v_stride), a.v_stride);
}

void Backward(const BlockItem& item, const AttentionGradients& gradients) {
  const Place& place = item.place;
  const TrainingAttention& a = place.a;
  for (std::int64_t token = 0; token < a.n_tokens; ++token) {
    std::fill_n(gradients.dk + place.kv_offset(token, a.k_stride), a.head_dim, 0.0F);
    std::fill_n(gradients.dv + place.kv_offset(token, a.v_stride), a.head_dim, 0.0F);
  }
  for (int i = 0; i < place.group(); ++i) {
    for (std::int64_t query = 0; query < a.n_tokens; query += kQueries) {
      BackwardBlock(item, gradients, BlockAt(place, place.kv_head * place.group() + i, query));
    }
  }
}

}  // namespace

struct AttentionWorkspace::State {
  std::vector<AlignedBuffer> threads;
  ProductWorkspace products;
  void Prepare(int n_threads) {
    const auto n = static_cast<std::size_t>(n_threads);
    if (threads.size() < n) threads.resize(n);
    PrepareProducts(products, n_threads);
  }
};

AttentionWorkspace::AttentionWorkspace() : state_(std::make_unique<State>()) {}
AttentionWorkspace::~AttentionWorkspace() = default;
AttentionWorkspace::AttentionWorkspace(AttentionWorkspace&&) noexcept = default;
AttentionWorkspace& AttentionWorkspace::operator=(AttentionWorkspace&&) noexcept = default;

void CausalAttention(const TrainingAttention& attention, const AttentionOutput& output,
                     AttentionWorkspace& workspace, ThreadPool& pool) {
  CheckShape(attention);
  AttentionWorkspace::State& state = workspace.state();
  state.Prepare(pool.n_threads());
  pool.For(attention.n_sequences * attention.n_kv_heads, [&](std::int64_t item, int thread) {
    Scratch scratch(state.threads[static_cast<std::size_t>(thread)]);
    const Place place{attention, item / attention.n_kv_heads,
                      static_cast<int>(item % attention.n_kv_heads)};
    Attend(place, output, scratch);
    Count(place);
    if (attention.dropout.rate == 0) return;
    scratch.Reserve((kQueries + 1) * attention.n_tokens);
    float* const p = scratch.Take(kQueries * attention.n_tokens);
    AttendDropped(
        {place, output, state.products, thread, p, nullptr, scratch.Take(attention.n_tokens)});
  });
}

void CausalAttentionBackward(const TrainingAttention& attention, const AttentionOutput& output,
                             const AttentionGradients& gradients, AttentionWorkspace& workspace,
                             ThreadPool& pool) {
  CheckShape(attention);
  AttentionWorkspace::State& state = workspace.state();
  state.Prepare(pool.n_threads());
  pool.For(attention.n_sequences * attention.n_kv_heads, [&](std::int64_t item, int thread) {
    Scratch scratch(state.threads[static_cast<std::size_t>(thread)]);
    scratch.Reserve((2 * kQueries + 1) * attention.n_tokens);
    const Place place{attention, item / attention.n_kv_heads,
                      static_cast<int>(item % attention.n_kv_heads)};
    float* const p = scratch.Take(kQueries * attention.n_tokens);
    float* const dp = scratch.Take(kQueries * attention.n_tokens);
    Backward({place, output, state.products, thread, p, dp, scratch.Take(attention.n_tokens)},
             gradients);
  });
}

}  // namespace tatara::numerics
