#include "rows.h"

#include <algorithm>
#include <cstdlib>
#include <new>

#include "tatara/base/check.h"
#include "tatara/numerics/gated.h"
#include "tatara/numerics/ops.h"

namespace tatara::model {
namespace {

// Waking the pool costs about a microsecond, in which one core touches some thousand elements.
constexpr std::int64_t kInlineElements = 8192;
constexpr std::int64_t kChunkElements = 4096;

// body(start, length) over pieces of [0, n); pieces start at multiples of 16.
void ForPieces(ThreadPool& pool, std::int64_t n,
               FunctionRef<void(std::int64_t start, std::int64_t length)> body) {
  if (n == 0) return;
  if (n <= kInlineElements) {
    body(0, n);
    return;
  }
  pool.For((n + kChunkElements - 1) / kChunkElements, [&](std::int64_t piece, int) {
    const std::int64_t start = piece * kChunkElements;
    body(start, std::min(kChunkElements, n - start));
  });
}

std::span<float> Piece(Rows x, std::int64_t start, std::int64_t length) {
  return {x.data + start, static_cast<std::size_t>(length)};
}

bool SameShape(Rows a, Rows b) {
  return a.n_rows == b.n_rows && a.n_cols == b.n_cols;
}

}  // namespace

void RowBuffer::Free::operator()(float* p) const {
  ::operator delete[](p, std::align_val_t{64});
}

Rows RowBuffer::Make(std::int64_t n_rows, std::int64_t n_cols) {
  if (const std::int64_t size = n_rows * n_cols; size > capacity_) {
    data_.reset();
    data_.reset(static_cast<float*>(
        ::operator new[](static_cast<std::size_t>(size) * sizeof(float), std::align_val_t{64})));
    capacity_ = size;
  }
  return {data_.get(), n_rows, n_cols};
}

void ForRows(ThreadPool& pool, std::int64_t n_rows, std::int64_t work_per_row,
             FunctionRef<void(std::int64_t row)> body) {
  if (n_rows * work_per_row <= kInlineElements || n_rows == 1) {
    for (std::int64_t row = 0; row < n_rows; ++row) body(row);
    return;
  }
  const std::int64_t rows_per_item =
      std::max<std::int64_t>(1, kChunkElements / std::max<std::int64_t>(1, work_per_row));
  pool.For((n_rows + rows_per_item - 1) / rows_per_item, [&](std::int64_t item, int) {
    const std::int64_t end = std::min(n_rows, (item + 1) * rows_per_item);
    for (std::int64_t row = item * rows_per_item; row < end; ++row) body(row);
  });
}

void NormRows(ThreadPool& pool, Rows x, std::span<const float> weight, float eps, Rows y) {
  TATARA_CHECK(SameShape(x, y));
  ForRows(pool, x.n_rows, 2 * x.n_cols,
          [&](std::int64_t row) { numerics::RmsNorm(x.Row(row), weight, eps, y.Row(row)); });
}

namespace {

void NormHeadsBy(ThreadPool& pool, Rows x, std::int64_t head_dim, std::span<const float> weight,
                 float eps) {
  TATARA_CHECK(head_dim > 0 && x.n_cols % head_dim == 0);
  ForRows(pool, x.n_rows, 2 * x.n_cols, [&](std::int64_t row) {
    for (std::int64_t start = 0; start < x.n_cols; start += head_dim) {
      const std::span<float> head =
          x.Row(row).subspan(static_cast<std::size_t>(start), static_cast<std::size_t>(head_dim));
      numerics::RmsNorm(head, weight, eps, head);
    }
  });
}

}  // namespace

void NormHeads(ThreadPool& pool, Rows x, std::span<const float> weight, float eps) {
  NormHeadsBy(pool, x, static_cast<std::int64_t>(weight.size()), weight, eps);
}

void NormHeads(ThreadPool& pool, Rows x, int head_dim, float eps) {
  NormHeadsBy(pool, x, head_dim, {}, eps);
}

void LayerNormRows(ThreadPool& pool, Rows x, std::span<const float> weight,
                   std::span<const float> bias, float eps, Rows y) {
  TATARA_CHECK(SameShape(x, y));
  ForRows(pool, x.n_rows, 3 * x.n_cols, [&](std::int64_t row) {
    numerics::LayerNorm(x.Row(row), weight, bias, eps, y.Row(row));
  });
}

void LayerNormHeads(ThreadPool& pool, Rows x, std::span<const float> weight, int head_dim,
                    float eps) {
  TATARA_CHECK(head_dim > 0 && x.n_cols % head_dim == 0 &&
               static_cast<std::int64_t>(weight.size()) == x.n_cols);
  const auto n = static_cast<std::size_t>(head_dim);
  ForRows(pool, x.n_rows, 3 * x.n_cols, [&](std::int64_t row) {
    for (std::size_t start = 0; start < weight.size(); start += n) {
      const std::span<float> head = x.Row(row).subspan(start, n);
      numerics::LayerNorm(head, weight.subspan(start, n), {}, eps, head);
    }
  });
}

void AddRows(ThreadPool& pool, Rows x, Rows y) {
  TATARA_CHECK(SameShape(x, y));
  ForPieces(pool, x.size(), [&](std::int64_t start, std::int64_t length) {
    numerics::Add(Piece(x, start, length), Piece(y, start, length));
  });
}

void AddBias(ThreadPool& pool, std::span<const float> bias, Rows y) {
  TATARA_CHECK(static_cast<std::int64_t>(bias.size()) == y.n_cols);
  ForRows(pool, y.n_rows, y.n_cols, [&](std::int64_t row) { numerics::Add(bias, y.Row(row)); });
}

void ScaleRows(ThreadPool& pool, float s, Rows y) {
  ForPieces(pool, y.size(), [&](std::int64_t start, std::int64_t length) {
    numerics::Scale(s, Piece(y, start, length));
  });
}

void SiluMulRows(ThreadPool& pool, Rows gate, Rows up) {
  TATARA_CHECK(SameShape(gate, up));
  ForPieces(pool, gate.size(), [&](std::int64_t start, std::int64_t length) {
    const std::span<float> g = Piece(gate, start, length);
    numerics::SiluMul(g, Piece(up, start, length), g);
  });
}

void ClampedSwishMulRows(ThreadPool& pool, Rows gate, Rows up) {
  constexpr float kAlpha = 1.702F, kLimit = 7.0F;
  TATARA_CHECK(SameShape(gate, up));
  ForPieces(pool, gate.size(), [&](std::int64_t start, std::int64_t length) {
    const std::span<float> g = Piece(gate, start, length);
    numerics::ClampedSwishMul(g, Piece(up, start, length), kAlpha, kLimit, g);
  });
}

void MulRowsBySilu(ThreadPool& pool, Rows gate, Rows y) {
  TATARA_CHECK(SameShape(gate, y));
  ForPieces(pool, y.size(), [&](std::int64_t start, std::int64_t length) {
    const std::span<float> out = Piece(y, start, length);
    numerics::SiluMul(Piece(gate, start, length), out, out);
  });
}

void MulRowsBySigmoid(ThreadPool& pool, Rows gate, Rows y) {
  TATARA_CHECK(SameShape(gate, y));
  ForPieces(pool, y.size(), [&](std::int64_t start, std::int64_t length) {
    numerics::SigmoidMul(Piece(gate, start, length), Piece(y, start, length));
  });
}

void GeluTanhMulRows(ThreadPool& pool, Rows gate, Rows up) {
  TATARA_CHECK(SameShape(gate, up));
  ForPieces(pool, gate.size(), [&](std::int64_t start, std::int64_t length) {
    const std::span<float> g = Piece(gate, start, length);
    numerics::GeluTanhMul(g, Piece(up, start, length), g);
  });
}

void GeluErfMulRows(ThreadPool& pool, Rows gate, Rows up) {
  TATARA_CHECK(SameShape(gate, up));
  ForPieces(pool, gate.size(), [&](std::int64_t start, std::int64_t length) {
    const std::span<float> g = Piece(gate, start, length);
    numerics::GeluErfMul(g, Piece(up, start, length), g);
  });
}

void GeluTanhRows(ThreadPool& pool, Rows y) {
  ForPieces(pool, y.size(), [&](std::int64_t start, std::int64_t length) {
    numerics::GeluTanh(Piece(y, start, length));
  });
}

void GeluErfRows(ThreadPool& pool, Rows y) {
  ForPieces(pool, y.size(), [&](std::int64_t start, std::int64_t length) {
    numerics::GeluErf(Piece(y, start, length));
  });
}

void TanhRows(ThreadPool& pool, Rows y) {
  ForPieces(pool, y.size(), [&](std::int64_t start, std::int64_t length) {
    numerics::TanhRow(Piece(y, start, length));
  });
}

void SoftCapRows(ThreadPool& pool, float cap, Rows y) {
  ForPieces(pool, y.size(), [&](std::int64_t start, std::int64_t length) {
    numerics::SoftCap(cap, Piece(y, start, length));
  });
}

}  // namespace tatara::model
