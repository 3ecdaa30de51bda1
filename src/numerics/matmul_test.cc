#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <map>

#include "quant_test_support.h"
#include "tatara/base/fp_environment.h"
#include "tatara/numerics/digest.h"

namespace tatara::numerics {
namespace {

using test::Inputs8;
using test::KernelsUnderTest;
using test::OracleKernels;
using test::QuantisedTypes;
using test::RandomInputs;
using test::RandomWeights;
using test::TestRandom;
using test::Weights;

std::vector<DType> AllTypes() {
  std::vector<DType> types;
  for (int i = 0; i < kDTypeCount; ++i) types.push_back(static_cast<DType>(i));
  return types;
}

std::vector<float> Multiply(const KernelSet& kernels, const Matrix& w, const std::vector<float>& x,
                            Activations activations, ThreadPool& pool) {
  const auto n_tokens = static_cast<std::int64_t>(x.size()) / w.n_cols();
  std::vector<float> y(n_tokens * w.n_rows(), 99.0F);
  ActivationRows rows;
  rows.Set(x.data(), n_tokens, w.n_cols());
  const MatMulJob job = {.w = &w, .y = y.data(), .y_stride = w.n_rows()};
  MatMulWith(kernels, {&job, 1}, rows, activations, pool);
  return y;
}

// The contract's words in doubles: exact weights times what the 8-bit activations stand for.
TEST(QuantisedProduct, OracleAgreesWithExactArithmetic) {
  ThreadPool pool(1);
  for (const DType dtype : QuantisedTypes()) {
    const int block = TraitsOf(dtype).block_elements;
    const std::int64_t n_rows = 21;
    const std::int64_t n_cols = block * 3;
    const std::int64_t n_tokens = 5;
    const auto raw = RandomWeights(dtype, n_rows, n_cols, Weights::kOrdinary, 7);
    const auto x = RandomInputs(n_tokens * n_cols, Inputs8::kOrdinary, 8);
    const Matrix w = Matrix::Pack(dtype, n_rows, n_cols, raw, pool);
    const auto y = Multiply(OracleKernels(), w, x, Activations::kInt8, pool);

    std::vector<float> weights(n_rows * n_cols);
    Dequantize(dtype, raw, weights);
    std::vector<std::int8_t> q(n_cols);
    std::vector<float> scales(n_cols / block);
    for (std::int64_t t = 0; t < n_tokens; ++t) {
      QuantizeRow(std::span(x).subspan(t * n_cols, n_cols), block, q, scales);
      for (std::int64_t r = 0; r < n_rows; ++r) {
        double want = 0;
        double size = 0;
        for (std::int64_t k = 0; k < n_cols; ++k) {
          const double a = static_cast<double>(scales[k / block]) * q[k];
          EXPECT_NEAR(a, x[t * n_cols + k], scales[k / block] * 0.501);
          want += weights[r * n_cols + k] * a;
          size += std::fabs(weights[r * n_cols + k] * a);
        }
        ASSERT_NEAR(y[t * n_rows + r], want, 4e-6 * size) << TraitsOf(dtype).name << " row " << r;
      }
    }
  }
}

// Rule 2 in plain loops over the decoded file.
std::vector<float> Chains(const std::vector<float>& w, const std::vector<float>& x,
                          std::int64_t n_cols) {
  const ScopedFpEnvironment environment;
  const std::size_t n_rows = w.size() / n_cols;
  std::vector<float> y(x.size() / n_cols * n_rows);
  for (std::size_t i = 0; i < y.size(); ++i) {
    float acc = 0;
    for (std::int64_t k = 0; k < n_cols; ++k) {
      acc = std::fma(w[i % n_rows * n_cols + k], x[i / n_rows * n_cols + k], acc);
    }
    y[i] = acc;
  }
  return y;
}

TEST(F32Product, IsOneChainPerOutputOverTheDecodedWeights) {
  ThreadPool pool(2);
  auto sets = KernelsUnderTest();
  sets.push_back({"scalar", OracleKernels()});
  for (const DType dtype : AllTypes()) {
    const int block = TraitsOf(dtype).block_elements;
    for (const auto kind : {Weights::kOrdinary, Weights::kWild}) {
      for (const std::int64_t n_rows : {1, 16, 37}) {
        for (const std::int64_t n_blocks : {1, 3}) {
          const std::int64_t n_cols = block == 1 ? 259 * n_blocks : block * n_blocks;
          const auto raw = RandomWeights(dtype, n_rows, n_cols, kind, 3);
          std::vector<float> weights(n_rows * n_cols);
          Dequantize(dtype, raw, weights);
          const Matrix w = Matrix::Pack(dtype, n_rows, n_cols, raw, pool);
          for (const std::int64_t n_tokens : {1, 7, 100}) {
            const auto x = RandomInputs(n_tokens * n_cols, Inputs8::kOrdinary, 4);
            const auto want = F32Sha256(Chains(weights, x, n_cols));
            for (const auto& [name, set] : sets) {
              ASSERT_EQ(F32Sha256(Multiply(set, w, x, Activations::kF32, pool)), want)
                  << name << " " << TraitsOf(dtype).name << " " << n_rows << "x" << n_cols << " "
                  << n_tokens << " tokens";
            }
          }
        }
      }
    }
  }
}

// Types that are not quantised do not depend on the path.
TEST(F32Product, IsTheDefaultOfTypesThatAreNotQuantised) {
  ThreadPool pool(1);
  for (const DType dtype : AllTypes()) {
    if (TraitsOf(dtype).quantised) continue;
    const std::int64_t n_cols = TraitsOf(dtype).block_elements == 1 ? 70 : 512;
    const auto raw = RandomWeights(dtype, 20, n_cols, Weights::kOrdinary, 1);
    const Matrix w = Matrix::Pack(dtype, 20, n_cols, raw, pool);
    const auto x = RandomInputs(3 * n_cols, Inputs8::kOrdinary, 2);
    EXPECT_EQ(Multiply(OracleKernels(), w, x, Activations::kInt8, pool),
              Multiply(OracleKernels(), w, x, Activations::kF32, pool));
  }
}

void ExpectOracleBits(DType dtype, std::int64_t n_rows, std::int64_t n_blocks,
                      std::int64_t n_tokens, Weights weights, Inputs8 inputs, ThreadPool& pool) {
  const std::int64_t n_cols = TraitsOf(dtype).block_elements * n_blocks;
  const std::uint64_t seed = n_rows * 1'000'003 + n_blocks * 1009 + n_tokens;
  const Matrix w = Matrix::Pack(dtype, n_rows, n_cols,
                                RandomWeights(dtype, n_rows, n_cols, weights, seed), pool);
  const auto x = RandomInputs(n_tokens * n_cols, inputs, seed + 1);
  const auto want = F32Sha256(Multiply(OracleKernels(), w, x, Activations::kInt8, pool));
  for (const auto& [name, set] : KernelsUnderTest()) {
    ASSERT_EQ(F32Sha256(Multiply(set, w, x, Activations::kInt8, pool)), want)
        << name << " " << TraitsOf(dtype).name << " rows " << n_rows << " blocks " << n_blocks
        << " tokens " << n_tokens << " weights " << static_cast<int>(weights) << " inputs "
        << static_cast<int>(inputs);
  }
}

class EveryQuantisedType : public testing::TestWithParam<DType> {};
INSTANTIATE_TEST_SUITE_P(Types, EveryQuantisedType, testing::ValuesIn(QuantisedTypes()),
                         [](const auto& info) { return std::string(TraitsOf(info.param).name); });

TEST_P(EveryQuantisedType, EqualsTheOracleForEveryNumberOfTokens) {
  ThreadPool pool(1);
  for (std::int64_t n_tokens = 1; n_tokens <= 37; ++n_tokens) {
    ExpectOracleBits(GetParam(), 32, 3, n_tokens, Weights::kOrdinary, Inputs8::kOrdinary, pool);
  }
}

TEST_P(EveryQuantisedType, EqualsTheOracleOnRaggedShapes) {
  ThreadPool pool(2);
  for (const std::int64_t n_rows : {1, 15, 16, 17, 150}) {
    for (const std::int64_t n_blocks : {1, 2, 5}) {
      for (const std::int64_t n_tokens : {1, 4, 13, 101}) {
        ExpectOracleBits(GetParam(), n_rows, n_blocks, n_tokens, Weights::kOrdinary,
                         Inputs8::kOrdinary, pool);
      }
    }
  }
  // More values of k than a chunk.
  const std::int64_t n_blocks = 4160 / TraitsOf(GetParam()).block_elements;
  ExpectOracleBits(GetParam(), 16, n_blocks, 25, Weights::kOrdinary, Inputs8::kOrdinary, pool);
}

TEST_P(EveryQuantisedType, EqualsTheOracleOnExtremeWeightsAndInputs) {
  ThreadPool pool(1);
  for (const auto weights :
       {Weights::kOrdinary, Weights::kWild, Weights::kLowest, Weights::kHighest}) {
    for (const auto inputs : {Inputs8::kOrdinary, Inputs8::kWild, Inputs8::kHighest}) {
      for (const std::int64_t n_tokens : {1, 2, 3, 4, 8, 12, 29}) {
        ExpectOracleBits(GetParam(), 48, 4, n_tokens, weights, inputs, pool);
      }
    }
  }
}

TEST_P(EveryQuantisedType, DoesNotDependOnThreadsOrOnTheCutOfTokens) {
  const DType dtype = GetParam();
  const std::int64_t n_rows = 145;
  const std::int64_t n_tokens = 199;
  const std::int64_t n_cols = TraitsOf(dtype).block_elements * 3;
  ThreadPool one(1);
  const Matrix w = Matrix::Pack(dtype, n_rows, n_cols,
                                RandomWeights(dtype, n_rows, n_cols, Weights::kOrdinary, 5), one);
  const auto x = RandomInputs(n_tokens * n_cols, Inputs8::kOrdinary, 6);
  const KernelSet best = {.quant = &QuantKernelsOf(AvailableIsas().back()),
                          .floats = &FloatKernelsOf(AvailableIsas().back())};
  const auto want = Multiply(best, w, x, Activations::kInt8, one);
  for (const int n_threads : {2, 3, 8}) {
    ThreadPool pool(n_threads);
    EXPECT_EQ(Multiply(best, w, x, Activations::kInt8, pool), want) << n_threads << " threads";
  }
  for (const std::int64_t cut : {1, 3, 7, 64}) {
    std::vector<float> y;
    for (std::int64_t t = 0; t < n_tokens; t += cut) {
      const auto end = std::min(n_tokens, t + cut);
      const std::vector<float> part(x.begin() + t * n_cols, x.begin() + end * n_cols);
      const auto out = Multiply(best, w, part, Activations::kInt8, one);
      y.insert(y.end(), out.begin(), out.end());
    }
    EXPECT_EQ(y, want) << "cut of " << cut;
  }
}

// The bits of version 1 of the contract: a change here is a new version of it.
TEST_P(EveryQuantisedType, KeepsItsGoldenDigest) {
  const std::map<DType, std::string> golden = {
      {DType::kQ8_0, "a98c2fc4018bd9c5363289ac66c9afa70106f6276a7b66762c193b23964aab4f"},
      {DType::kQ4_0, "075385803e77347fc727245916e1e8d4d2d8d5173e5d3de62cf758aaea85fc23"},
      {DType::kQ4_1, "37b02ec49d3013a9c8e1f3439f0648405351ea6ba73ae98d16ffde976fe7aa5c"},
      {DType::kQ5_0, "7cbfc1f71d4c475934d7e8f93899c225a8e0f7e899dfc17b810a3550acdc935e"},
      {DType::kQ5_1, "06e287ade3da759d4dee66e7ad8ef7175b9e987fe551f5ebc5157424ab2f1192"},
      {DType::kQ4_K, "a8f76ccfe4ee51d9b7eabdc21ee271cdeadcd79d0c7aad48f3f1dc8610881daa"},
      {DType::kQ5_K, "f3933b4c8019d5aa355e0e4968f83f867d9f3cf3a330b49efd98bbe40ab85b64"},
      {DType::kQ6_K, "14dd6a53dcfb1002fee2b8c6dca8391d8f479eb9fb77fd9bb327840fac5eaaed"},
  };
  const DType dtype = GetParam();
  const std::int64_t n_cols = 1536;
  ThreadPool pool(2);
  const Matrix w = Matrix::Pack(dtype, 40, n_cols,
                                RandomWeights(dtype, 40, n_cols, Weights::kOrdinary, 1), pool);
  const auto x = RandomInputs(9 * n_cols, Inputs8::kOrdinary, 2);
  auto sets = KernelsUnderTest();
  sets.push_back({"scalar", OracleKernels()});
  for (const auto& [name, set] : sets) {
    EXPECT_EQ(F32Sha256(Multiply(set, w, x, Activations::kInt8, pool)), golden.at(dtype))
        << name << " " << TraitsOf(dtype).name;
  }
}

// Jobs of several types and heights in one loop give what each gives alone, and leave alone what
// lies between the rows of y.
TEST(MatMul, RunsSeveralJobsInOneLoop) {
  ThreadPool pool(3);
  const std::int64_t n_cols = 512;
  const std::int64_t n_tokens = 9;
  const auto x = RandomInputs(n_tokens * n_cols, Inputs8::kOrdinary, 1);
  std::vector<Matrix> weights;
  std::vector<std::vector<float>> outputs;
  for (const DType dtype : AllTypes()) {
    const std::int64_t n_rows = 5 + 16 * static_cast<std::int64_t>(weights.size());
    weights.push_back(Matrix::Pack(
        dtype, n_rows, n_cols, RandomWeights(dtype, n_rows, n_cols, Weights::kOrdinary, 2), pool));
    outputs.emplace_back(n_tokens * (n_rows + 3), 77.0F);
  }
  std::vector<MatMulJob> jobs;
  for (std::size_t i = 0; i < weights.size(); ++i) {
    jobs.push_back({&weights[i], outputs[i].data(), weights[i].n_rows() + 3});
  }
  ActivationRows rows;
  rows.Set(x.data(), n_tokens, n_cols);
  MatMul(jobs, rows, Activations::kInt8, pool);
  for (std::size_t i = 0; i < weights.size(); ++i) {
    const std::int64_t n_rows = weights[i].n_rows();
    const auto want = Multiply(OracleKernels(), weights[i], x, Activations::kInt8, pool);
    for (std::int64_t t = 0; t < n_tokens; ++t) {
      const float* y = outputs[i].data() + t * (n_rows + 3);
      EXPECT_TRUE(std::equal(y, y + n_rows, want.begin() + t * n_rows))
          << TraitsOf(weights[i].dtype()).name << " token " << t;
      EXPECT_TRUE(std::all_of(y + n_rows, y + n_rows + 3, [](float v) { return v == 77.0F; }));
    }
  }
}

// Experts of a mixture: each has its own matrix and some of the rows, none of them included.
TEST(MatMul, ASegmentHasTheBitsOfItsRowsAlone) {
  const std::vector<std::int64_t> ends = {3, 3, 4, 11, 127, 128};
  for (const DType dtype : {DType::kF32, DType::kQ8_0, DType::kQ4_K}) {
    const std::int64_t n_cols = 256;
    for (const int n_threads : {1, 3}) {
      ThreadPool pool(n_threads);
      const auto x = RandomInputs(ends.back() * n_cols, Inputs8::kOrdinary, 4);
      std::vector<Matrix> weights;
      for (std::size_t i = 0; i < 2 * ends.size(); ++i) {
        const std::int64_t n_rows = i < ends.size() ? 37 : 64;
        const auto raw =
            RandomWeights(dtype, n_rows, n_cols, Weights::kOrdinary, static_cast<std::uint32_t>(i));
        weights.push_back(Matrix::Pack(dtype, n_rows, n_cols, raw, pool));
      }
      for (const auto& [name, set] : KernelsUnderTest()) {
        ActivationRows rows;
        rows.SetSegments(x.data(), ends, n_cols);
        std::vector<float> narrow(ends.back() * 37, 99.0F), wide(ends.back() * 64, 99.0F);
        std::vector<MatMulJob> jobs;
        for (std::size_t i = 0; i < weights.size(); ++i) {
          const bool first = i < ends.size();
          jobs.push_back({.w = &weights[i],
                          .y = first ? narrow.data() : wide.data(),
                          .y_stride = first ? 37 : 64,
                          .segment = static_cast<int>(i % ends.size())});
        }
        MatMulWith(set, jobs, rows, Activations::kInt8, pool);
        for (std::size_t i = 0; i < weights.size(); ++i) {
          const std::size_t s = i % ends.size();
          const std::int64_t start = s == 0 ? 0 : ends[s - 1];
          const std::vector<float> part(x.begin() + start * n_cols, x.begin() + ends[s] * n_cols);
          if (part.empty()) continue;
          const auto want = Multiply(set, weights[i], part, Activations::kInt8, pool);
          const auto& all = i < ends.size() ? narrow : wide;
          const std::int64_t n_rows = weights[i].n_rows();
          const std::vector<float> got(all.begin() + start * n_rows,
                                       all.begin() + ends[s] * n_rows);
          ASSERT_EQ(F32Sha256(got), F32Sha256(want)) << name << " matrix " << i;
        }
      }
    }
  }
}

TEST(MatMul, HasNothingToDoWithoutRowsOrTokens) {
  ThreadPool pool(2);
  const Matrix none = Matrix::Pack(DType::kQ4_0, 0, 64, {}, pool);
  EXPECT_EQ(none.n_rows(), 0);
  const Matrix some = Matrix::Pack(DType::kQ4_0, 2, 64,
                                   RandomWeights(DType::kQ4_0, 2, 64, Weights::kOrdinary, 1), pool);
  const std::vector<float> x(64, 1.0F);
  EXPECT_TRUE(Multiply(OracleKernels(), none, x, Activations::kInt8, pool).empty());
  EXPECT_TRUE(Multiply(OracleKernels(), some, {}, Activations::kInt8, pool).empty());
}

}  // namespace
}  // namespace tatara::numerics
