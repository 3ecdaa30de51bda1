// f32 matrix products in the forms that training needs (rule 2): every output is one chain
// acc = fma(a[i][k], b[k][j], acc), k ascending, from +0 or from the value that is there. So a sum
// over tokens goes on across calls, and where tokens are cut changes no bit; neither do the
// instruction set, the number of threads, or the sizes of tiles.
//
// Matrices are read in place, row after row or column after column; panels are copied while
// multiplying, nothing is prepared.
// Thread safety: free functions; a ProductWorkspace belongs to one caller.
#pragma once

#include <cstdint>
#include <memory>
#include <span>

#include "tatara/base/thread_pool.h"

namespace tatara::numerics {

// Element (i, j) is data[i * row_stride + j * column_stride]; one of the strides is 1.
struct MatrixView {
  const float* data = nullptr;
  std::int64_t row_stride = 0;
  std::int64_t column_stride = 1;

  MatrixView Transposed() const { return {data, column_stride, row_stride}; }
};

enum class ChainStart { kFromZero, kFromOutput };

struct ProductSize {
  std::int64_t n_rows = 0;     // of a and c
  std::int64_t n_columns = 0;  // of b and c
  std::int64_t n_inner = 0;    // columns of a, rows of b; 0 leaves c, or makes it +0
};

// Buffers for the panels of each thread; keeps its memory between calls.
class ProductWorkspace {
 public:
  ProductWorkspace();
  ~ProductWorkspace();
  ProductWorkspace(ProductWorkspace&&) noexcept;
  ProductWorkspace& operator=(ProductWorkspace&&) noexcept;

  struct State;
  State& state() { return *state_; }

 private:
  std::unique_ptr<State> state_;
};

// c[i][j], c_stride floats between rows; c overlaps neither a nor b.
void Product(const ProductSize& size, const MatrixView& a, const MatrixView& b, ChainStart start,
             float* c, std::int64_t c_stride, ProductWorkspace& workspace, ThreadPool& pool);
// Inner steps in runs ("shards"), run i ends before ends[i]: a power of two of them, at most
// kShardsMax, the last one at n_inner. c[i][j] is the sum of the runs' chains, each from +0, over
// the tree of neighbours, ((0 + 1) + (2 + 3)) + ...: gradients are added while they are in a cache.
constexpr std::int64_t kShardsMax = 1024;
struct ShardSums {
  std::span<const std::int64_t> ends;
  bool adds_zero = false;  // each sum is added to +0 at last, so that none is -0
  // Where places is not empty: the chains of row i are kept too where places[i] >= 0, before they
  // are added: those of a shard at kept[(shard * n_kept + places[i]) * n_columns].
  std::span<const std::int32_t> places = {};
  std::int64_t n_kept = 0;
  float* kept = nullptr;
};
void ProductOfShards(const ProductSize& size, const MatrixView& a, const MatrixView& b,
                     const ShardSums& shards, float* c, std::int64_t c_stride,
                     ProductWorkspace& workspace, ThreadPool& pool);
// The same on the calling thread, for callers inside a parallel loop. `thread` chooses the buffers;
// Prepare them for all threads beforehand.
void PrepareProducts(ProductWorkspace& workspace, int n_threads);
void ProductOnThread(const ProductSize& size, const MatrixView& a, const MatrixView& b,
                     ChainStart start, float* c, std::int64_t c_stride, ProductWorkspace& workspace,
                     int thread);

// The three products of a linear layer w of n_outputs x n_inputs: rows of x and dx have n_inputs
// values, rows of y and dy n_outputs, all without gaps.
struct LinearSize {
  std::int64_t n_tokens = 0;
  std::int64_t n_inputs = 0;
  std::int64_t n_outputs = 0;
};
// y = x w^T, chains over inputs.
void LinearForward(const LinearSize& size, const float* x, const float* w, float* y,
                   ProductWorkspace& workspace, ThreadPool& pool);
// dx = dy w, chains over outputs, from +0 or from dx.
void LinearBackward(const LinearSize& size, const float* dy, const float* w, ChainStart start,
                    float* dx, ProductWorkspace& workspace, ThreadPool& pool);
// dw = dy^T x added onto dw, chains over tokens.
void LinearWeightGradient(const LinearSize& size, const float* dy, const float* x, float* dw,
                          ProductWorkspace& workspace, ThreadPool& pool);

}  // namespace tatara::numerics
