// Row operations: every instruction set against the oracle bit for bit, the oracle against f64
// reference computations, and the floating-point environment of the public entry points.
#include "tatara/numerics/ops.h"

#include <cmath>
#include <functional>
#include <map>

#include "kernel_test_support.h"
#include "tatara/base/fp_environment.h"
#include "tatara/numerics/digest.h"
#include "tatara/numerics/functions.h"

#if defined(__x86_64__)
#include <xmmintrin.h>
#endif

namespace tatara::numerics {
namespace {

using test::Inputs;

// Runs a row operation with the given kernels on the same inputs; returns everything it wrote.
using RowCase = std::function<std::vector<float>(const FloatKernels&, int n, Inputs)>;

struct NamedCase {
  const char* name;
  RowCase run;
};

std::vector<NamedCase> RowCases() {
  using test::TestValues;
  std::vector<NamedCase> cases;
  cases.push_back({"rms_norm", [](const FloatKernels& k, int n, Inputs inputs) {
                     auto y = TestValues(n, 3, inputs);
                     k.rms_norm(TestValues(n, 1, inputs).data(), TestValues(n, 2, inputs).data(), n,
                                1e-5F, y.data());
                     return y;
                   }});
  cases.push_back(
      {"rms_norm in place without weight", [](const FloatKernels& k, int n, Inputs inputs) {
         auto y = TestValues(n, 1, inputs);
         k.rms_norm(y.data(), nullptr, n, 1e-6F, y.data());
         return y;
       }});
  cases.push_back({"softmax", [](const FloatKernels& k, int n, Inputs inputs) {
                     auto y = TestValues(n, 4, inputs);
                     k.softmax(y.data(), n);
                     return y;
                   }});
  cases.push_back({"add", [](const FloatKernels& k, int n, Inputs inputs) {
                     auto y = TestValues(n, 5, inputs);
                     k.add(TestValues(n, 6, inputs).data(), n, y.data());
                     return y;
                   }});
  cases.push_back({"scale", [](const FloatKernels& k, int n, Inputs inputs) {
                     auto y = TestValues(n, 7, inputs);
                     k.scale(0.3F, n, y.data());
                     return y;
                   }});
  cases.push_back({"add_scaled", [](const FloatKernels& k, int n, Inputs inputs) {
                     auto y = TestValues(n, 20, inputs);
                     k.add_scaled(0.7F, TestValues(n, 21, inputs).data(), n, y.data());
                     return y;
                   }});
  cases.push_back({"silu_mul", [](const FloatKernels& k, int n, Inputs inputs) {
                     std::vector<float> y(n);
                     k.silu_mul(TestValues(n, 8, inputs).data(), TestValues(n, 9, inputs).data(), n,
                                y.data());
                     return y;
                   }});
  cases.push_back({"gelu_tanh_mul", [](const FloatKernels& k, int n, Inputs inputs) {
                     std::vector<float> y(n);
                     k.gelu_tanh_mul(TestValues(n, 10, inputs).data(),
                                     TestValues(n, 11, inputs).data(), n, y.data());
                     return y;
                   }});
  cases.push_back({"layer_norm", [](const FloatKernels& k, int n, Inputs inputs) {
                     auto y = TestValues(n, 30, inputs);
                     k.layer_norm(TestValues(n, 31, inputs).data(),
                                  TestValues(n, 32, inputs).data(),
                                  TestValues(n, 33, inputs).data(), n, 1e-12F, y.data());
                     return y;
                   }});
  cases.push_back(
      {"layer_norm in place without bias", [](const FloatKernels& k, int n, Inputs inputs) {
         auto y = TestValues(n, 30, inputs);
         k.layer_norm(y.data(), TestValues(n, 32, inputs).data(), nullptr, n, 1e-5F, y.data());
         return y;
       }});
  cases.push_back({"gelu_erf_mul, relu_mul", [](const FloatKernels& k, int n, Inputs inputs) {
                     const auto gate = TestValues(n, 34, inputs), up = TestValues(n, 35, inputs);
                     std::vector<float> y(2 * n);
                     k.gelu_erf_mul(gate.data(), up.data(), n, y.data());
                     k.relu_mul(gate.data(), up.data(), n, y.data() + n);
                     return y;
                   }});
  cases.push_back({"sigmoid, silu, gelu_tanh, gelu_erf, relu, erf, soft_cap",
                   [](const FloatKernels& k, int n, Inputs inputs) {
                     std::vector<float> all;
                     for (const auto op :
                          {k.sigmoid, k.silu, k.gelu_tanh, k.gelu_erf, k.relu, k.erf}) {
                       auto y = TestValues(n, 36, inputs);
                       op(y.data(), n, y.data());
                       all.insert(all.end(), y.begin(), y.end());
                     }
                     auto y = TestValues(n, 37, inputs);
                     k.soft_cap(1.5F, n, y.data());
                     all.insert(all.end(), y.begin(), y.end());
                     return all;
                   }});
  cases.push_back({"max, sum, sum of squares, position of the largest",
                   [](const FloatKernels& k, int n, Inputs inputs) {
                     const auto x = TestValues(n, 12, inputs);
                     return std::vector<float>{k.max(x.data(), n), k.sum(x.data(), n),
                                               k.sum_of_squares(x.data(), n),
                                               static_cast<float>(k.arg_max(x.data(), n))};
                   }});
  cases.push_back({"rope_pairs", [](const FloatKernels& k, int n, Inputs inputs) {
                     auto x = TestValues(2 * n + 3, 13, inputs);
                     k.rope_pairs(x.data(), n, TestValues(n, 14, inputs).data(),
                                  TestValues(n, 15, inputs).data());
                     return x;
                   }});
  cases.push_back({"rope_halves", [](const FloatKernels& k, int n, Inputs inputs) {
                     auto x = TestValues(2 * n + 3, 16, inputs);
                     k.rope_halves(x.data(), n, TestValues(n, 17, inputs).data(),
                                   TestValues(n, 18, inputs).data());
                     return x;
                   }});
  cases.push_back({"exp and tanh", [](const FloatKernels& k, int n, Inputs inputs) {
                     auto x = TestValues(n, 19, inputs);
                     k.exp(x.data(), n, x.data());
                     k.tanh(x.data(), n, x.data());
                     return x;
                   }});
  return cases;
}

TEST(Ops, EverySetMatchesTheOracleOnRaggedRows) {
  for (const auto& [name, kernels] : test::FloatKernelsUnderTest()) {
    for (const auto& row_case : RowCases()) {
      for (const Inputs inputs : {Inputs::kOrdinary, Inputs::kWild}) {
        for (int n = 0; n <= 200; ++n) {
          const auto want = row_case.run(kFloatKernelsScalar, n, inputs);
          const auto got = row_case.run(*kernels, n, inputs);
          ASSERT_EQ(test::FirstDifference(want, got), "")
              << name << " " << row_case.name << " n " << n;
        }
      }
    }
  }
}

TEST(Ops, EverySetMatchesTheOracleOnLongRows) {
  for (const auto& [name, kernels] : test::FloatKernelsUnderTest()) {
    for (const auto& row_case : RowCases()) {
      const auto want = row_case.run(kFloatKernelsScalar, 10'007, Inputs::kOrdinary);
      ASSERT_EQ(test::FirstDifference(want, row_case.run(*kernels, 10'007, Inputs::kOrdinary)), "")
          << name << " " << row_case.name;
    }
  }
}

// Bits, not tolerances: another compiler or processor must give the same.
TEST(Ops, BitsAreTheGoldenOnes) {
  const std::map<std::string, std::string> golden = {
      {"rms_norm", "4bd63898a4b9dff2bac407ecd6dabec31d8f2193ba74a2098fdf0cb5c94743c0"},
      {"rms_norm in place without weight",
       "ee7f055811cb7194f2b1cd0b04d002a8564218898015615b08025348aabf9c8b"},
      {"softmax", "7df525703810b649c849d90ec64cc7f8e46b4779aa1af371c7e7b14c56e40bf0"},
      {"add", "5e334d345c46ca11a45dbe53b0e064b32412aac98c91cba09df9718baf55d75d"},
      {"scale", "8cf54c0c989ce4d768f454318309d9a1b812a8d94db6204df4482b3b7b371de9"},
      {"add_scaled", "0643027fe1318d087dd148592d1e2a2ab10e814a7da10e94fabf4ec23738a090"},
      {"silu_mul", "ce26b0b3a71489c292dd4461f6d6f7cf803f72602f368ab78621a9f77e453c94"},
      {"gelu_tanh_mul", "ddadd8449036925329c9da31e1fb5a9fad492f5157ffebbdd2295389f8679a15"},
      {"layer_norm", "5abe22c44f2786957c56f559f1aace0c2e7a8ff8a4262e1388fba415482eefad"},
      {"layer_norm in place without bias",
       "15fdc9efdefe504e2390f3e0fb73178bd4b036e0639671b258b1858857df5e4b"},
      {"gelu_erf_mul, relu_mul",
       "fc4dcb0d906d0b16168f097c08b9797d7896b4d64715a4422bc6cc5cb20e92d0"},
      {"sigmoid, silu, gelu_tanh, gelu_erf, relu, erf, soft_cap",
       "fef43cc704ccd11986b7388c7f63e2a6b4ef4ec83312934ac3d165129a3e3630"},
      {"max, sum, sum of squares, position of the largest",
       "e09acd1cd3a320fda6d1b0b545d25b50bde21ba321b231042109f53807b49f52"},
      {"rope_pairs", "5efb006afc0e9618155a34a0d8f14398e949fe599a488c3fc6ebfd3a73f071f0"},
      {"rope_halves", "0eba7ec9b51cb9ef367236b26dbe5fa839466b8ac77c7d1e606313e1cbd9f278"},
      {"exp and tanh", "3e2efb8fe0e4c45ac33afdd5ba6adb3100fa3867e4e3945c347fd4bd3ae292a1"},
  };
  for (const auto& row_case : RowCases()) {
    std::vector<float> all;
    for (const int n : {1, 15, 16, 77, 500}) {
      for (const Inputs inputs : {Inputs::kOrdinary, Inputs::kWild}) {
        const auto y = row_case.run(ActiveFloatKernels(), n, inputs);
        all.insert(all.end(), y.begin(), y.end());
      }
    }
    const auto want = golden.find(row_case.name);
    EXPECT_EQ(F32Sha256(all), want == golden.end() ? "" : want->second) << row_case.name;
  }
  std::vector<double> frequencies(64);
  const std::vector<float> factors = test::TestValues(64, 41);
  RopeInverseFrequencies(1'000'000.0, 128, factors, 4.0, frequencies);
  std::vector<float> table;
  for (const std::int64_t position : {0, 1, 77, 32767, 1 << 20}) {
    std::vector<float> cosines(64), sines(64);
    RopeTable(position, frequencies, cosines, sines);
    table.insert(table.end(), cosines.begin(), cosines.end());
    table.insert(table.end(), sines.begin(), sines.end());
  }
  EXPECT_EQ(F32Sha256(table), "47f5f70456368052aaeabc53994226fa8934980fcd424c4c0fd0b1ccf0db58b9");
}

TEST(Ops, HalfPrecisionConversionsOfEverySetEqualTheOracle) {
  std::vector<std::uint16_t> halves(1 << 16);
  for (std::size_t i = 0; i < halves.size(); ++i) halves[i] = static_cast<std::uint16_t>(i);
  auto values = test::TestValues(1 << 16, 20, Inputs::kWild);
  // Halves, ties between neighbours, and what lies beside them.
  for (std::size_t i = 0; i < halves.size(); i += 3) {
    float wide;
    kFloatKernelsScalar.f16_to_f32(&halves[i], 1, &wide);
    values[i] = std::bit_cast<float>(
        std::bit_cast<std::uint32_t>(wide) +
        (i % 2 == 0 ? 0x1000U : 0xfffU + static_cast<std::uint32_t>(i % 5 == 0)));
  }
  for (const auto& [name, kernels] : test::FloatKernelsUnderTest()) {
    for (const std::int64_t n : {65536, 1, 7, 8, 15, 16, 17, 33}) {
      std::vector<float> want(n), got(n);
      kFloatKernelsScalar.f16_to_f32(halves.data(), n, want.data());
      kernels->f16_to_f32(halves.data(), n, got.data());
      ASSERT_EQ(test::FirstDifference(want, got), "") << name << " n " << n;
      std::vector<std::uint16_t> want_halves(n), got_halves(n);
      kFloatKernelsScalar.f32_to_f16(values.data(), n, want_halves.data());
      kernels->f32_to_f16(values.data(), n, got_halves.data());
      ASSERT_EQ(want_halves, got_halves) << name << " n " << n;
    }
  }
}

TEST(Ops, SumsAreThoseOfSixteenLanesAndATree) {
  // Only lane by lane and then +8, +4, +2, +1 gives these bits.
  const auto x = test::TestValues(1000, 21);
  float lanes[16] = {};
  for (int i = 0; i < 1000; ++i) lanes[i & 15] = lanes[i & 15] + x[i];
  for (int j = 0; j < 8; ++j) lanes[j] = lanes[j] + lanes[j + 8];
  for (int j = 0; j < 4; ++j) lanes[j] = lanes[j] + lanes[j + 4];
  for (int j = 0; j < 2; ++j) lanes[j] = lanes[j] + lanes[j + 2];
  EXPECT_EQ(Sum(x), lanes[0] + lanes[1]);
}

TEST(Ops, NormSoftmaxAndGatesAgreeWithDoublePrecision) {
  const int n = 577;
  const auto x = test::TestValues(n, 22), w = test::TestValues(n, 23);
  double squares = 0, exps = 0;
  for (const float v : x)
    squares += static_cast<double>(v) * v, exps += std::exp(static_cast<double>(v));
  std::vector<float> norm(n), soft(x), silu(n), gelu(n);
  RmsNorm(x, w, 1e-5F, norm);
  Softmax(soft);
  SiluMul(x, w, silu);
  GeluTanhMul(x, w, gelu);
  for (int i = 0; i < n; ++i) {
    const double v = x[i];
    EXPECT_NEAR(norm[i], v / std::sqrt(squares / n + 1e-5) * w[i], 1e-5);
    EXPECT_NEAR(soft[i] / (std::exp(v) / exps), 1.0, 1e-5);
    EXPECT_NEAR(silu[i], v / (1 + std::exp(-v)) * w[i], 4e-6);
    const double inner = std::sqrt(2 / 3.14159265358979323846) * (v + 0.044715 * v * v * v);
    EXPECT_NEAR(gelu[i], 0.5 * v * (1 + std::tanh(inner)) * w[i], 4e-6);
  }
}

TEST(Ops, LayerNormAndActivationsAgreeWithDoublePrecision) {
  const int n = 577;
  auto x = test::TestValues(n, 22);
  const auto w = test::TestValues(n, 23), b = test::TestValues(n, 24);
  for (float& v : x) v += 100.0F;  // one pass over x and x^2 would lose the variance's digits
  double mean = 0, variance = 0;
  for (const float v : x) mean += v;
  mean /= n;
  for (const float v : x) variance += (v - mean) * (v - mean);
  variance /= n;
  std::vector<float> norm(n);
  LayerNorm(x, w, b, 1e-5F, norm);
  for (int i = 0; i < n; ++i) {
    EXPECT_NEAR(norm[i], (x[i] - mean) / std::sqrt(variance + 1e-5) * w[i] + b[i], 5e-5);
  }
  const auto z = test::TestValues(n, 25);
  std::vector<float> silu(z), gelu_tanh(z), gelu_erf(z), relu(z), sigmoid(z), tanh(z), cap(z),
      gelu_gate(n), relu_gate(n);
  Silu(silu), GeluTanh(gelu_tanh), GeluErf(gelu_erf), Relu(relu), Sigmoid(sigmoid), TanhRow(tanh);
  SoftCap(1.25F, cap);
  GeluErfMul(z, w, gelu_gate);
  ReluMul(z, w, relu_gate);
  for (int i = 0; i < n; ++i) {
    const double v = z[i],
                 inner = std::sqrt(2 / 3.14159265358979323846) * (v + 0.044715 * v * v * v);
    const double exact = 0.5 * v * (1 + std::erf(v / std::sqrt(2.0)));
    EXPECT_NEAR(silu[i], v / (1 + std::exp(-v)), 1e-6);
    EXPECT_NEAR(gelu_tanh[i], 0.5 * v * (1 + std::tanh(inner)), 1e-6);
    EXPECT_NEAR(gelu_erf[i], exact, 1e-6);
    EXPECT_NEAR(gelu_gate[i], exact * w[i], 4e-6);
    EXPECT_EQ(relu[i], v < 0 ? 0 : v);
    EXPECT_NEAR(relu_gate[i], std::max(v, 0.0) * w[i], 1e-6);
    EXPECT_NEAR(sigmoid[i], 1 / (1 + std::exp(-v)), 1e-6);
    EXPECT_NEAR(tanh[i], std::tanh(v), 1e-6);
    EXPECT_NEAR(cap[i], 1.25 * std::tanh(v / 1.25), 1e-6);
  }
}

TEST(Ops, NaNWinsTheMaximumAndNeverThePosition) {
  const float nan = std::numeric_limits<float>::quiet_NaN(),
              inf = std::numeric_limits<float>::infinity();
  std::vector<float> x(40, -1.0F);
  x[3] = x[20] = 7.0F;
  EXPECT_EQ(Max(x), 7.0F);
  EXPECT_EQ(ArgMax(x), 3);
  x[39] = nan;
  EXPECT_TRUE(std::isnan(Max(x)));
  EXPECT_EQ(ArgMax(x), 3);
  EXPECT_EQ(ArgMax(std::vector<float>(5, nan)), -1);
  EXPECT_EQ(ArgMax(std::vector<float>{}), -1);
  EXPECT_EQ(ArgMax(std::vector<float>{nan, -inf, -inf}), 1);
  EXPECT_EQ(Max(std::vector<float>{}), -inf);
}

TEST(Ops, LogSumExpAgreesWithDoublePrecision) {
  const auto x = test::TestValues(5000, 24);
  long double sum = 0;
  for (const float v : x) sum += std::exp(static_cast<long double>(v));
  EXPECT_NEAR(LogSumExp(x), static_cast<double>(std::log(sum)), 1e-12);
  const float inf = std::numeric_limits<float>::infinity();
  EXPECT_EQ(LogSumExp(std::vector<float>{-inf, -inf}), -inf);
  EXPECT_EQ(LogSumExp(std::vector<float>{-inf, 2.0F}), 2.0);
}

TEST(Ops, RopeRotatesPairsOrHalvesByPositionTimesFrequency) {
  const int n_rot = 8, head_dim = 10, position = 12345;
  std::vector<double> frequencies(4);
  RopeInverseFrequencies(10000.0, n_rot, {}, 2.0, frequencies);
  std::vector<float> cosines(4), sines(4);
  RopeTable(position, frequencies, cosines, sines);
  const auto x = test::TestValues(2 * head_dim, 25);
  for (const RopeLayout layout : {RopeLayout::kPairs, RopeLayout::kHalves}) {
    auto y = x;
    Rope(y, 2, head_dim, layout, cosines, sines);
    for (int h = 0; h < 2; ++h) {
      for (int i = 0; i < 4; ++i) {
        const int a = h * head_dim + (layout == RopeLayout::kPairs ? 2 * i : i);
        const int b = h * head_dim + (layout == RopeLayout::kPairs ? 2 * i + 1 : i + 4);
        const double angle = position * std::pow(10000.0, -2.0 * i / n_rot) / 2.0;
        EXPECT_NEAR(y[a], x[a] * std::cos(angle) - x[b] * std::sin(angle), 1e-6);
        EXPECT_NEAR(y[b], x[a] * std::sin(angle) + x[b] * std::cos(angle), 1e-6);
      }
      EXPECT_EQ(y[h * head_dim + 8], x[h * head_dim + 8]) << "values beyond the rotated ones stay";
    }
  }
}

#if defined(__x86_64__)
TEST(Ops, FlushToZeroInTheCallerChangesNoBit) {
  // Values whose squares, products and sums are subnormal.
  auto x = test::TestValues(100, 26), w = test::TestValues(100, 27);
  for (float& v : x) v *= 0x1p-130F;
  const auto run = [&] {
    std::vector<float> norm(100), silu(100), gelu(100), sum = {Sum(x), SumOfSquares(w), Max(x)};
    RmsNorm(x, {}, 0x1p-140F, norm);
    SiluMul(x, w, silu);
    GeluTanhMul(x, w, gelu);
    std::vector<float> added = x, scaled = x, soft = w;
    Add(x, added);
    Scale(0.25F, scaled);
    for (float& v : soft) v *= 30.0F;  // the smallest weights are subnormal
    Softmax(soft);
    std::vector<float> all;
    for (const auto* part : {&norm, &silu, &gelu, &sum, &added, &scaled, &soft}) {
      all.insert(all.end(), part->begin(), part->end());
    }
    return all;
  };
  for (const Isa isa : AvailableIsas()) {
    SetActiveIsa(isa);
    const auto want = run();
    const unsigned saved = _mm_getcsr();
    _mm_setcsr(saved | 0x8040);  // FTZ and DAZ
    const auto got = run();
    EXPECT_EQ(_mm_getcsr() & 0x8040, 0x8040u) << "the caller's environment is put back";
    _mm_setcsr(saved);
    EXPECT_EQ(test::FirstDifference(want, got), "") << IsaName(isa);
  }
}
#endif

}  // namespace
}  // namespace tatara::numerics
