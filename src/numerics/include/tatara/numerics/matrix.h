// Weight matrices in the layout the kernels read, and products with rows of activations.
//
// y[t][r] = sum_k w[r][k] * x[t][k], under rules 2 and 3 of the numerics contract: one chain per
// output, k (or blocks of k) ascending; the same bits for every instruction set, thread count,
// number of rows of x in one call and cutting of the work.
//
// Thread safety: a Matrix is immutable after Pack and may be shared. ActivationRows belongs to one
// caller.
#pragma once

#include <cstdint>
#include <memory>
#include <span>
#include <vector>

#include "tatara/base/bytes.h"
#include "tatara/base/thread_pool.h"
#include "tatara/numerics/dtype.h"

namespace tatara::numerics {

// kInt8: the default path; rows of x are rounded to 8 bits for quantised types, kept in f32 for
// others. kF32: weights dequantised exactly, activations in f32; slower, the proof that a model is
// right.
enum class Activations { kInt8, kF32 };

// A matrix of n_rows x n_cols (outputs x inputs), rows interleaved in groups of 16.
class Matrix {
 public:
  Matrix();
  ~Matrix();
  Matrix(Matrix&&) noexcept;
  Matrix& operator=(Matrix&&) noexcept;

  // raw: n_rows rows of n_cols values as the file stores them, any alignment; n_cols is a multiple
  // of the type's block. Copies and re-lays them. The same packed form serves both paths.
  static Matrix Pack(DType dtype, std::int64_t n_rows, std::int64_t n_cols, ByteSpan raw,
                     ThreadPool& pool);

  DType dtype() const;
  std::int64_t n_rows() const;
  std::int64_t n_cols() const;
  std::int64_t packed_bytes() const;
  bool empty() const;

  struct Packed;
  const Packed& packed() const { return *packed_; }

 private:
  std::unique_ptr<Packed> packed_;
};

// Rows of activations prepared for products: f32 rows, and on demand their 8-bit forms with one
// scale per 32 or per 256 values (rule 3). Keeps its memory between uses.
class ActivationRows {
 public:
  ActivationRows();
  ~ActivationRows();
  ActivationRows(ActivationRows&&) noexcept;
  ActivationRows& operator=(ActivationRows&&) noexcept;

  // x: n_rows x n_cols, row after row, borrowed until the next Set. Drops the prepared forms.
  void Set(const float* x, std::int64_t n_rows, std::int64_t n_cols);
  // The same, cut into segments of consecutive rows, each of which a job may take alone: segment i
  // ends before row ends[i], ascending; segments may be empty. `ends` is not kept.
  void SetSegments(const float* x, std::span<const std::int64_t> ends, std::int64_t n_cols);

  struct State;
  State& state() { return *state_; }

 private:
  std::unique_ptr<State> state_;
};

// One of several products of the same activations, done in one parallel loop (Q, K, V; gate and
// up).
struct MatMulJob {
  const Matrix* w;
  float* y;               // x.n_rows x w->n_rows
  std::int64_t y_stride;  // floats between rows of y, >= w->n_rows
  // Only the rows of this segment of x are multiplied, into the same rows of y; -1: all rows. In
  // one call either every job has a segment or none has.
  int segment = -1;
};

// Every w has n_cols equal to x's. Overwrites y. Bias and residual are the caller's separate steps.
void MatMul(std::span<const MatMulJob> jobs, ActivationRows& x, Activations activations,
            ThreadPool& pool);

// Rule 3's rounding of one row, exposed for tests and for other modules' oracles: n_cols a multiple
// of `block` (32 or 256); q holds n_cols values, scales n_cols / block.
void QuantizeRow(std::span<const float> x, int block, std::span<std::int8_t> q,
                 std::span<float> scales);

}  // namespace tatara::numerics
