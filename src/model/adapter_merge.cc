// Merged matrices. The order of every sum is that of rule 2: B A as a product of numerics, whose
// chain runs over the rank; DoRA's norm by rule 4.

#include <algorithm>
#include <cmath>
#include <limits>

#include "keys.h"
#include "tatara/base/check.h"
#include "tatara/base/fp_environment.h"
#include "tatara/base/utf8.h"
#include "tatara/model/adapter.h"
#include "tatara/numerics/ops.h"

namespace tatara::model {
namespace {

using numerics::DType;

constexpr std::int64_t kBlock = 32;  // of Q8_0
constexpr float kF16Max = 65504.0F;

std::vector<float> Widened(const weights::AdapterMatrix& m) {
  std::vector<float> values(static_cast<std::size_t>(m.n_rows * m.n_cols));
  numerics::Dequantize(m.dtype, m.data, values);
  return values;
}

numerics::Matrix Transposed(const weights::AdapterMatrix& m, ThreadPool& pool) {
  const std::vector<float> values = Widened(m);
  std::vector<float> turned(values.size());
  const auto n_rows = static_cast<std::size_t>(m.n_rows);
  const auto n_cols = static_cast<std::size_t>(m.n_cols);
  for (std::size_t row = 0; row < n_rows; ++row) {
    for (std::size_t col = 0; col < n_cols; ++col) {
      turned[col * n_rows + row] = values[row * n_cols + col];
    }
  }
  return numerics::Matrix::Pack(DType::kF32, m.n_cols, m.n_rows, std::as_bytes(std::span(turned)),
                                pool);
}

// Nearest whole number, halves away from zero. |x| is below 2^22, so that adding 1/2 is exact where
// it matters: x - trunc(x) is.
float RoundHalfAway(float x) {
  const float whole = std::trunc(x);
  if (std::fabs(x - whole) < 0.5F) return whole;
  return whole + (x < 0 ? -1.0F : 1.0F);
}

// ggml's reference form: d = absmax / 127, q = x * (1 / d) rounded half away from zero; the stored
// scale is d as f16.
void EncodeQ8_0(const float* x, std::byte* out) {
  float largest = 0;
  for (std::int64_t i = 0; i < kBlock; ++i) largest = std::max(largest, std::fabs(x[i]));
  const float d = largest / 127.0F;
  const float inverse = d != 0 ? 1.0F / d : 0.0F;
  if (!(inverse <= std::numeric_limits<float>::max())) {  // so small that f16 has 0 for it anyway
    std::fill_n(out, kBlock + 2, std::byte{0});
    return;
  }
  StoreLe(out, numerics::F32ToF16(d));
  for (std::int64_t i = 0; i < kBlock; ++i) {
    const float q = std::clamp(RoundHalfAway(x[i] * inverse), -128.0F, 127.0F);
    out[2 + i] = static_cast<std::byte>(static_cast<std::int8_t>(q));
  }
}

Error DoesNotFit(std::string_view origin, std::string_view tensor, float value, DType dtype) {
  return Refuse("{0}: merged, tensor '{1}' holds {2}, which {3} can not hold", origin,
                Printable(tensor), value, numerics::TraitsOf(dtype).name);
}

}  // namespace

DType MergedType(DType dtype, bool requantise) {
  if (!requantise) return DType::kF32;
  const bool has_simple_rounding =
      dtype == DType::kF32 || dtype == DType::kF16 || dtype == DType::kBF16;
  if (has_simple_rounding) return dtype;
  return numerics::TraitsOf(dtype).quantised ? DType::kQ8_0 : DType::kF32;
}

RowMerger::RowMerger(const weights::AdapterPart& part, double scale, ThreadPool& pool)
    : part_(part),
      scale_(static_cast<float>(scale * part.scale)),
      pool_(pool),
      n_in_(part.a.n_cols),
      a_transposed_(Transposed(part.a, pool)),
      b_(Widened(part.b)) {}

void RowMerger::AddProduct(const weights::TensorView& tensor, std::int64_t first_row,
                           std::span<float> rows) {
  const ScopedFpEnvironment environment;
  const std::int64_t n_rows = static_cast<std::int64_t>(rows.size()) / n_in_;
  TATARA_CHECK(n_rows * n_in_ == static_cast<std::int64_t>(rows.size()) &&
               tensor.n_cols() == n_in_ && first_row + n_rows <= part_.b.n_rows &&
               first_row + n_rows <= tensor.n_rows());
  const auto row_bytes = static_cast<std::size_t>(numerics::StorageBytes(tensor.dtype, n_in_));
  numerics::Dequantize(tensor.dtype,
                       tensor.data.subspan(static_cast<std::size_t>(first_row) * row_bytes,
                                           static_cast<std::size_t>(n_rows) * row_bytes),
                       rows);
  product_.resize(rows.size());
  rows_.Set(b_.data() + first_row * part_.rank(), n_rows, part_.rank());
  const numerics::MatMulJob job{&a_transposed_, product_.data(), n_in_};
  numerics::MatMul({&job, 1}, rows_, numerics::Activations::kF32, pool_);
  numerics::AddScaled(scale_, std::span(product_).first(rows.size()), rows);
}

Result<float> RowMerger::RatioOf(const weights::TensorView& tensor, std::string_view origin,
                                 std::int64_t row, std::span<const float> merged) const {
  const float norm = std::sqrt(numerics::SumOfSquares(merged));
  const float ratio = part_.magnitude[static_cast<std::size_t>(row)] / norm;
  if (!(norm > 0) || !std::isfinite(norm) || !std::isfinite(ratio)) {
    return Refuse("{0}: row {2} of '{1}' has the norm {3} with the adapter, which DoRA divides by",
                  origin, Printable(tensor.name), row, norm);
  }
  return ratio;
}

Result<> RowMerger::Merge(const weights::TensorView& tensor, std::string_view origin,
                          std::int64_t first_row, std::span<float> out) {
  AddProduct(tensor, first_row, out);
  if (part_.magnitude.empty()) return Ok{};
  for (std::size_t start = 0; start < out.size(); start += static_cast<std::size_t>(n_in_)) {
    const std::span<float> row = out.subspan(start, static_cast<std::size_t>(n_in_));
    const std::int64_t index = first_row + static_cast<std::int64_t>(start) / n_in_;
    TATARA_TRY(const float ratio, RatioOf(tensor, origin, index, row));
    numerics::Scale(ratio, row);
  }
  return Ok{};
}

Result<> RowMerger::Ratios(const weights::TensorView& tensor, std::string_view origin,
                           std::int64_t first_row, std::span<float> out) {
  std::vector<float> rows(out.size() * static_cast<std::size_t>(n_in_));
  AddProduct(tensor, first_row, rows);
  for (std::size_t i = 0; i < out.size(); ++i) {
    const auto row = std::span<const float>(rows).subspan(i * static_cast<std::size_t>(n_in_),
                                                          static_cast<std::size_t>(n_in_));
    TATARA_TRY(out[i], RatioOf(tensor, origin, first_row + static_cast<std::int64_t>(i), row));
  }
  return Ok{};
}

Result<std::vector<std::byte>> EncodeRows(DType dtype, std::span<const float> values,
                                          std::string_view origin, std::string_view tensor) {
  std::vector<std::byte> bytes(static_cast<std::size_t>(
      numerics::StorageBytes(dtype, static_cast<std::int64_t>(values.size()))));
  const bool halves = dtype == DType::kF16 || dtype == DType::kQ8_0;
  const float largest = !halves                 ? std::numeric_limits<float>::max()
                        : dtype == DType::kQ8_0 ? kF16Max * 127.0F
                                                : kF16Max;
  for (const float value : values) {
    if (!(std::fabs(value) <= largest)) return DoesNotFit(origin, tensor, value, dtype);
  }
  if (dtype == DType::kF32) {
    std::ranges::copy(std::as_bytes(values), bytes.begin());
    return bytes;
  }
  if (dtype == DType::kQ8_0) {
    for (std::size_t i = 0; i < values.size(); i += kBlock) {
      EncodeQ8_0(values.data() + i, bytes.data() + i / kBlock * (kBlock + 2));
    }
    return bytes;
  }
  TATARA_CHECK(dtype == DType::kF16 || dtype == DType::kBF16);
  for (std::size_t i = 0; i < values.size(); ++i) {
    StoreLe(bytes.data() + 2 * i,
            dtype == DType::kF16 ? numerics::F32ToF16(values[i]) : numerics::F32ToBF16(values[i]));
  }
  return bytes;
}

}  // namespace tatara::model
