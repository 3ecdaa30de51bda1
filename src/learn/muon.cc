#include "muon.h"

#include <algorithm>
#include <cmath>

#include "pieces.h"
#include "tatara/base/check.h"
#include "tatara/numerics/ops.h"
#include "tatara/numerics/training.h"

namespace tatara::learn {
namespace {

// Jordan's coefficients of the quintic; steep at 0, so that five iterations do.
constexpr double kA = 3.4445, kB = -4.7750, kC = 2.0315;
constexpr int kIterations = 5;

using numerics::ChainStart;
using numerics::MatrixView;

template <typename F>
void ForPieces(std::span<const float> like, ThreadPool& pool, F body) {
  learn::ForPieces(static_cast<std::int64_t>(like.size()), pool, body);
}

}  // namespace

double MuonFlops(std::int64_t n_rows, std::int64_t n_columns) {
  const auto side = static_cast<double>(std::min(n_rows, n_columns));
  const auto other = static_cast<double>(std::max(n_rows, n_columns));
  return kIterations * 2 * side * side * (2 * other + side);
}

void Muon::Orthogonalise(std::int64_t n_rows, std::int64_t n_columns, ThreadPool& pool) {
  const bool wide = n_rows <= n_columns;
  const std::int64_t side = std::min(n_rows, n_columns), other = std::max(n_rows, n_columns);
  square_.resize(static_cast<std::size_t>(side * side));
  squared_.resize(square_.size());
  next_.resize(x_.size());
  for (int i = 0; i < kIterations; ++i) {
    const MatrixView x{x_.data(), n_columns, 1};
    const MatrixView a{square_.data(), side, 1}, b{squared_.data(), side, 1};
    const MatrixView left = wide ? x : x.Transposed();
    numerics::Product({side, side, other}, left, left.Transposed(), ChainStart::kFromZero,
                      square_.data(), side, products_, pool);
    numerics::Product({side, side, side}, a, a, ChainStart::kFromZero, squared_.data(), side,
                      products_, pool);
    ForPieces(squared_, pool, [&](std::size_t first, std::size_t size) {
      const std::span<float> to = std::span(squared_).subspan(first, size);
      numerics::Scale(static_cast<float>(kC), to);
      numerics::AddScaled(static_cast<float>(kB), std::span(square_).subspan(first, size), to);
    });
    if (wide) {
      numerics::Product({n_rows, n_columns, side}, b, x, ChainStart::kFromZero, next_.data(),
                        n_columns, products_, pool);
    } else {
      numerics::Product({n_rows, n_columns, side}, x, b, ChainStart::kFromZero, next_.data(),
                        n_columns, products_, pool);
    }
    ForPieces(next_, pool, [&](std::size_t first, std::size_t size) {
      numerics::AddScaled(static_cast<float>(kA), std::span(x_).subspan(first, size),
                          std::span(next_).subspan(first, size));
    });
    std::swap(x_, next_);
  }
}

void Muon::Update(const MuonStep& step, std::span<const float> gradient, std::span<float> weight,
                  std::span<float> momentum, ThreadPool& pool) {
  TATARA_CHECK(static_cast<std::int64_t>(weight.size()) == step.n_rows * step.n_columns);
  TATARA_CHECK(gradient.size() == weight.size() && momentum.size() == weight.size());
  const auto beta = static_cast<float>(step.momentum);
  x_.resize(weight.size());
  ForPieces(weight, pool, [&](std::size_t first, std::size_t size) {
    const std::span<float> u = std::span(x_).subspan(first, size);
    const std::span<float> m = momentum.subspan(first, size);
    std::copy_n(gradient.begin() + static_cast<std::ptrdiff_t>(first), size, u.begin());
    numerics::Scale(step.gradient_scale, u);
    numerics::Scale(beta, m);
    numerics::Add(u, m);
    numerics::AddScaled(beta, m, u);
  });
  const auto norm = static_cast<float>(std::sqrt(numerics::SumOfSquaresF64(x_)) + 1e-7);
  ForPieces(weight, pool, [&](std::size_t first, std::size_t size) {
    numerics::Divide(norm, std::span(x_).subspan(first, size));
  });
  Orthogonalise(step.n_rows, step.n_columns, pool);
  const double shape = static_cast<double>(step.n_rows) / static_cast<double>(step.n_columns);
  const auto rate = static_cast<float>(-step.learning_rate * std::sqrt(std::max(1.0, shape)));
  const auto keep = static_cast<float>(1.0 - step.learning_rate * step.weight_decay);
  ForPieces(weight, pool, [&](std::size_t first, std::size_t size) {
    const std::span<float> w = weight.subspan(first, size);
    numerics::Scale(keep, w);
    numerics::AddScaled(rate, std::span(x_).subspan(first, size), w);
  });
}

}  // namespace tatara::learn
