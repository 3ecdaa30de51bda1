// Muon against its published formula in f64, and that it pulls singular values towards 1; averages
// of weights.
#include "optimizer.h"

#include <gtest/gtest.h>

#include <cmath>

#include "tatara/base/philox.h"
#include "tatara/numerics/isa.h"
#include "test_support.h"

namespace tatara::learn {
namespace {

std::vector<float> Drawn(std::size_t n, std::uint32_t stream) {
  std::vector<float> values(n);
  for (std::size_t i = 0; i < n; ++i) {
    values[i] =
        static_cast<float>(RandomUnit({.seed = 1, .choice = stream, .position = i}) * 2 - 1);
  }
  return values;
}

// The formulas of muon.h in f64, element by element.
std::vector<double> PlainMuon(std::vector<double> x, std::int64_t rows, std::int64_t columns) {
  double norm = 0;
  for (const double v : x) norm += v * v;
  for (double& v : x) v /= std::sqrt(norm) + 1e-7;
  for (int i = 0; i < 5; ++i) {
    std::vector<double> a(static_cast<std::size_t>(rows * rows)), next(x.size());
    for (std::int64_t r = 0; r < rows; ++r)
      for (std::int64_t c = 0; c < rows; ++c)
        for (std::int64_t k = 0; k < columns; ++k)
          a[static_cast<std::size_t>(r * rows + c)] +=
              x[static_cast<std::size_t>(r * columns + k)] *
              x[static_cast<std::size_t>(c * columns + k)];
    for (std::int64_t r = 0; r < rows; ++r) {
      for (std::int64_t c = 0; c < rows; ++c) {
        double b = -4.7750 * a[static_cast<std::size_t>(r * rows + c)];
        for (std::int64_t k = 0; k < rows; ++k)
          b += 2.0315 * a[static_cast<std::size_t>(r * rows + k)] *
               a[static_cast<std::size_t>(k * rows + c)];
        for (std::int64_t k = 0; k < columns; ++k)
          next[static_cast<std::size_t>(r * columns + k)] +=
              b * x[static_cast<std::size_t>(c * columns + k)];
      }
    }
    for (std::size_t j = 0; j < x.size(); ++j) x[j] = 3.4445 * x[j] + next[j];
  }
  return x;
}

std::vector<double> TransposedOf(const std::vector<double>& x, std::int64_t rows,
                                 std::int64_t columns) {
  std::vector<double> y(x.size());
  for (std::int64_t r = 0; r < rows; ++r)
    for (std::int64_t c = 0; c < columns; ++c)
      y[static_cast<std::size_t>(c * rows + r)] = x[static_cast<std::size_t>(r * columns + c)];
  return y;
}

TEST(Muon, FollowsItsFormulaOnBothKindsOfMatrices) {
  ThreadPool pool(2);
  for (const auto& [rows, columns] : {std::pair{8, 24}, {24, 8}, {12, 12}}) {
    const std::size_t n = static_cast<std::size_t>(rows) * static_cast<std::size_t>(columns);
    const std::vector<float> gradient = Drawn(n, 1), start = Drawn(n, 2), before = Drawn(n, 3);
    std::vector<float> weight = start, momentum = before;
    Muon muon;
    muon.Update({.n_rows = rows,
                 .n_columns = columns,
                 .learning_rate = 0.1,
                 .momentum = 0.9,
                 .weight_decay = 0.2,
                 .gradient_scale = 0.5F},
                gradient, weight, momentum, pool);
    std::vector<double> u(n);
    for (std::size_t i = 0; i < n; ++i) {
      const double m = 0.9 * before[i] + 0.5 * gradient[i];
      EXPECT_NEAR(momentum[i], m, 1e-6);
      u[i] = 0.9 * m + 0.5 * gradient[i];
    }
    std::vector<double> x =
        rows <= columns
            ? PlainMuon(u, rows, columns)
            : TransposedOf(PlainMuon(TransposedOf(u, rows, columns), columns, rows), columns, rows);
    const double rate = 0.1 * std::sqrt(std::max(1.0, static_cast<double>(rows) / columns));
    for (std::size_t i = 0; i < n; ++i) {
      EXPECT_NEAR(weight[i], start[i] * (1 - 0.1 * 0.2) - rate * x[i], 1e-5) << rows;
    }
  }
}

TEST(Muon, BitsDependOnNeitherSetNorThreads) {
  const numerics::Isa before = numerics::ActiveIsa();
  std::vector<float> want;
  for (const numerics::Isa isa : numerics::AvailableIsas()) {
    numerics::SetActiveIsa(isa);
    for (const int n_threads : {1, 3}) {
      ThreadPool pool(n_threads);
      std::vector<float> weight = Drawn(40 * 70, 1), momentum = Drawn(40 * 70, 2);
      Muon muon;
      muon.Update({.n_rows = 40, .n_columns = 70, .learning_rate = 0.1}, Drawn(40 * 70, 3), weight,
                  momentum, pool);
      if (want.empty()) want = weight;
      EXPECT_EQ(want, weight) << numerics::IsaName(isa);
    }
  }
  numerics::SetActiveIsa(before);
}

TEST(Average, OfLawaIsTheMeanOfTheLastCopies) {
  ThreadPool pool(1);
  const OptimizerRecipe recipe{.average = Average::kLawa, .average_every = 2, .average_count = 3};
  TrainerState state;
  state.weights = state.average = {0.0F};
  std::vector<float> averages;
  for (int step = 1; step <= 9; ++step) {
    state.weights[0] = static_cast<float>(step);
    UpdateAverage(recipe, step, state, pool);
    averages.push_back(state.average[0]);
  }
  EXPECT_EQ(averages, (std::vector<float>{1, 2, 2, 3, 3, 4, 4, 6, 6}));
  EXPECT_EQ(state.copies.size(), 3U);
}

TEST(Average, OfEmaFollowsSlowly) {
  ThreadPool pool(1);
  const OptimizerRecipe recipe{.average = Average::kEma, .average_decay = 0.5};
  TrainerState state;
  state.weights = {4.0F};
  state.average = {0.0F};
  UpdateAverage(recipe, 1, state, pool);
  EXPECT_EQ(state.average[0], 2);
  UpdateAverage(recipe, 2, state, pool);
  EXPECT_EQ(state.average[0], 3);
}

}  // namespace
}  // namespace tatara::learn
