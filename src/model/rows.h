// Activations of a pass: rows of numbers, one row a token, and the operations on them that work row
// by row or element by element. Large ones are cut over the pool, small ones (a decode step) run at
// once in the caller; either way the same bits, since no sum crosses a row.
//
// Thread safety: one pass at a time per RowBuffer; functions use the pool of the caller.
#pragma once

#include <cstdint>
#include <memory>
#include <span>

#include "tatara/base/thread_pool.h"

namespace tatara::model {

// A borrowed matrix, row after row without gaps.
struct Rows {
  float* data = nullptr;
  std::int64_t n_rows = 0;
  std::int64_t n_cols = 0;

  std::span<float> Row(std::int64_t row) const {
    return {data + row * n_cols, static_cast<std::size_t>(n_cols)};
  }
  std::int64_t size() const { return n_rows * n_cols; }
};

// Memory for one Rows, 64-byte aligned; grows to the largest that was asked for and stays.
class RowBuffer {
 public:
  // Content is unspecified. Invalidates what was returned before.
  Rows Make(std::int64_t n_rows, std::int64_t n_cols);

 private:
  struct Free {
    void operator()(float* p) const;
  };
  std::unique_ptr<float[], Free> data_;
  std::int64_t capacity_ = 0;
};

// body(row) for every row; over the pool where n_rows x work_per_row is worth it. work_per_row is
// in elements touched.
void ForRows(ThreadPool& pool, std::int64_t n_rows, std::int64_t work_per_row,
             FunctionRef<void(std::int64_t row)> body);

// y = RmsNorm(x) * weight, row by row. y may be x.
void NormRows(ThreadPool& pool, Rows x, std::span<const float> weight, float eps, Rows y);
// The same over every head: x is (T, heads x weight.size()), normed in place.
void NormHeads(ThreadPool& pool, Rows x, std::span<const float> weight, float eps);
// y = LayerNorm(x) * weight + bias, row by row; bias may be empty. y may be x.
void LayerNormRows(ThreadPool& pool, Rows x, std::span<const float> weight,
                   std::span<const float> bias, float eps, Rows y);
// The same over every head, each with its own weights (heads x head_dim), in place.
void LayerNormHeads(ThreadPool& pool, Rows x, std::span<const float> weight, int head_dim,
                    float eps);
// Heads of head_dim, without a weight.
void NormHeads(ThreadPool& pool, Rows x, int head_dim, float eps);
// y += x.
void AddRows(ThreadPool& pool, Rows x, Rows y);
// Every row of y += bias.
void AddBias(ThreadPool& pool, std::span<const float> bias, Rows y);
void ScaleRows(ThreadPool& pool, float s, Rows y);
// gate = silu(gate) * up; gate = gelu_tanh(gate) * up.
void SiluMulRows(ThreadPool& pool, Rows gate, Rows up);
void GeluTanhMulRows(ThreadPool& pool, Rows gate, Rows up);
void GeluErfMulRows(ThreadPool& pool, Rows gate, Rows up);
// y = f(y), numerics/ops.h.
void GeluTanhRows(ThreadPool& pool, Rows y);
void GeluErfRows(ThreadPool& pool, Rows y);
void TanhRows(ThreadPool& pool, Rows y);
void SoftCapRows(ThreadPool& pool, float cap, Rows y);
// gpt-oss's gate: numerics/gated.h, alpha 1.702 and limit 7.
void ClampedSwishMulRows(ThreadPool& pool, Rows gate, Rows up);
// y = silu(gate) * y;  y = y / (1 + exp(-gate)).
void MulRowsBySilu(ThreadPool& pool, Rows gate, Rows y);
void MulRowsBySigmoid(ThreadPool& pool, Rows gate, Rows y);

}  // namespace tatara::model
