// Muon (Jordan et al. 2024, "Muon: An optimizer for hidden layers in neural networks"): momentum
// whose matrix is brought near the closest semi-orthogonal one by five quintic Newton-Schulz
// iterations.
//
//   g = gradient * scale;  m = beta * m + g;  u = fma(beta, m, g);
//   X = u / float(norm(u) + 1e-7), the norm that of SumOfSquaresF64;
//   five times, on the smaller side:  A = X X^T;  B = fma(b, A, c * (A A));  X = fma(a, X, B X);
//   w = fma(-rate * sqrt(max(1, rows / columns)), X, w * (1 - rate * decay)).
//
// Products by rule 2, coefficients in f64 and rounded once; so threads and instruction sets change
// no bit. Thread safety: one caller.
#pragma once

#include <cstdint>
#include <span>
#include <vector>

#include "tatara/base/thread_pool.h"
#include "tatara/numerics/product.h"

namespace tatara::learn {

struct MuonStep {
  std::int64_t n_rows = 0, n_columns = 0;
  double learning_rate = 0;
  double momentum = 0.95;
  double weight_decay = 0;
  float gradient_scale = 1;
};

// Of one update, as numerics/flops.h counts them.
double MuonFlops(std::int64_t n_rows, std::int64_t n_columns);

class Muon {
 public:
  void Update(const MuonStep& step, std::span<const float> gradient, std::span<float> weight,
              std::span<float> momentum, ThreadPool& pool);

 private:
  void Orthogonalise(std::int64_t n_rows, std::int64_t n_columns, ThreadPool& pool);

  std::vector<float> x_, next_;          // the matrix
  std::vector<float> square_, squared_;  // of the smaller side
  numerics::ProductWorkspace products_;
};

}  // namespace tatara::learn
