#include "tatara/numerics/training_attention.h"

#include <algorithm>
#include <limits>
#include <vector>

#include "aligned_buffer.h"
#include "float_dispatch.h"
#include "tatara/base/check.h"
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
    return a.first_keys == nullptr ? 0 : a.first_keys[row(token)];
  }
};

void CheckShape(const TrainingAttention& a) {
  TATARA_CHECK(a.n_sequences >= 0 && a.n_tokens > 0 && a.head_dim > 0 && a.n_kv_heads > 0);
  TATARA_CHECK(a.n_heads % a.n_kv_heads == 0);
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

// ---- backward

struct BackwardItem {
  const Place& place;
  const AttentionOutput& output;
  const AttentionGradients& gradients;
  ProductWorkspace& products;
  int thread;
  float* p;   // kQueries x n_tokens
  float* dp;  // the same
};

// p becomes weights, dp becomes ds, for keys first .. first + n_keys - 1.
void ScoresBackward(const BackwardItem& item, int head, std::int64_t query, std::int64_t n,
                    std::int64_t first, std::int64_t n_keys) {
  const Place& place = item.place;
  const TrainingAttention& a = place.a;
  const FloatKernels& floats = ActiveFloatKernels();
  const TrainingKernels& kernels = ActiveTrainingKernels();
  for (std::int64_t r = 0; r < n; ++r) {
    float* const p = item.p + r * n_keys;
    float* const dp = item.dp + r * n_keys;
    const std::int64_t lo = place.first_key(query + r) - first, end = query + r + 1 - first;
    const std::int64_t at = place.statistic(query + r, head);
    const std::int64_t out = place.out_offset(query + r, head);
    floats.scale(a.scale, end - lo, p + lo);
    kernels.exp_shifted(p + lo, item.output.maxima[at], end - lo, p + lo);
    floats.attention_finish(p + lo, item.output.sums[at], end - lo, p + lo);
    const float d = kernels.dot(item.gradients.dout + out, item.output.out + out, a.head_dim);
    kernels.softmax_backward(p + lo, d, a.scale, end - lo, dp + lo);
    for (float* row : {p, dp}) {
      std::fill_n(row, lo, 0.0F);
      std::fill_n(row + end, n_keys - end, 0.0F);
    }
  }
}

void BackwardBlock(const BackwardItem& item, int head, std::int64_t query) {
  const Place& place = item.place;
  const TrainingAttention& a = place.a;
  const std::int64_t n = std::min(kQueries, a.n_tokens - query);
  std::int64_t first = query;
  for (std::int64_t r = 0; r < n; ++r) first = std::min(first, place.first_key(query + r));
  const std::int64_t n_keys = query + n - first;

  const MatrixView q{place.q(query, head), a.q_stride, 1};
  const MatrixView k{a.k + place.kv_offset(first, a.k_stride), a.k_stride, 1};
  const MatrixView v{a.v + place.kv_offset(first, a.v_stride), a.v_stride, 1};
  const MatrixView dout{item.gradients.dout + place.out_offset(query, head), place.out_stride(), 1};
  const auto multiply = [&](const ProductSize& size, const MatrixView& x, const MatrixView& y,
                            ChainStart start, float* c, std::int64_t stride) {
    ProductOnThread(size, x, y, start, c, stride, item.products, item.thread);
  };
  multiply({n, n_keys, a.head_dim}, q, k.Transposed(), ChainStart::kFromZero, item.p, n_keys);
  multiply({n, n_keys, a.head_dim}, dout, v.Transposed(), ChainStart::kFromZero, item.dp, n_keys);
  ScoresBackward(item, head, query, n, first, n_keys);
  const MatrixView p{item.p, n_keys, 1}, ds{item.dp, n_keys, 1};
  multiply({n, a.head_dim, n_keys}, ds, k, ChainStart::kFromZero,
           item.gradients.dq + (place.q(query, head) - a.q), a.q_stride);
  multiply({n_keys, a.head_dim, n}, ds.Transposed(), q, ChainStart::kFromOutput,
           item.gradients.dk + place.kv_offset(first, a.k_stride), a.k_stride);
  multiply({n_keys, a.head_dim, n}, p.Transposed(), dout, ChainStart::kFromOutput,
           item.gradients.dv + place.kv_offset(first, a.v_stride), a.v_stride);
}

void Backward(const BackwardItem& item) {
  const Place& place = item.place;
  const TrainingAttention& a = place.a;
  for (std::int64_t token = 0; token < a.n_tokens; ++token) {
    std::fill_n(item.gradients.dk + place.kv_offset(token, a.k_stride), a.head_dim, 0.0F);
    std::fill_n(item.gradients.dv + place.kv_offset(token, a.v_stride), a.head_dim, 0.0F);
  }
  for (int i = 0; i < place.group(); ++i) {
    for (std::int64_t query = 0; query < a.n_tokens; query += kQueries) {
      BackwardBlock(item, place.kv_head * place.group() + i, query);
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
    Attend({attention, item / attention.n_kv_heads, static_cast<int>(item % attention.n_kv_heads)},
           output, scratch);
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
    scratch.Reserve(2 * kQueries * attention.n_tokens);
    const Place place{attention, item / attention.n_kv_heads,
                      static_cast<int>(item % attention.n_kv_heads)};
    float* const p = scratch.Take(kQueries * attention.n_tokens);
    float* const dp = scratch.Take(kQueries * attention.n_tokens);
    Backward({place, output, gradients, state.products, thread, p, dp});
  });
}

}  // namespace tatara::numerics
