// The kernels of gated.h and delta_rule.h: every instruction set against the oracle bit for bit,
// the oracle against f64 computations of the formulas, and cuts over tokens and columns.
#include "tatara/numerics/gated.h"

#include <cmath>
#include <vector>

#include "gated_kernels.h"
#include "kernel_test_support.h"
#include "tatara/numerics/delta_rule.h"

namespace tatara::numerics {

extern const GatedKernels kGatedKernelsSimde;

namespace {

using test::FirstDifference;
using test::Inputs;
using test::TestValues;

std::vector<std::pair<std::string, const GatedKernels*>> KernelsUnderTest() {
  std::vector<std::pair<std::string, const GatedKernels*>> list;
  for (const Isa isa : AvailableIsas()) {
    if (isa == Isa::kAvx2) list.emplace_back("avx2", &kGatedKernelsAvx2);
    if (isa == Isa::kAvx512) list.emplace_back("avx512", &kGatedKernelsAvx512);
  }
  if (!list.empty()) list.emplace_back("avx512 through SIMDe", &kGatedKernelsSimde);
  return list;
}

// Everything that the row kernels write for rows of n values.
std::vector<float> RunRows(const GatedKernels& k, int n, Inputs inputs) {
  std::vector<float> all = TestValues(n, 1, inputs);
  k.sigmoid_mul(TestValues(n, 2, inputs).data(), n, all.data());
  std::vector<float> y = TestValues(n, 3, inputs);
  const auto up = TestValues(n, 4, inputs);
  k.clamped_swish_mul(y.data(), up.data(), 1.702F, 2.5F, n, y.data());
  all.insert(all.end(), y.begin(), y.end());
  for (const int n_taps : {1, 2, 4, 7}) {
    std::vector<std::vector<float>> rows;
    std::vector<const float*> pointers;
    for (int tap = 0; tap < n_taps; ++tap) {
      rows.push_back(TestValues(n, 10 + static_cast<std::uint64_t>(tap), inputs));
    }
    for (int tap = 0; tap < n_taps; ++tap) {
      pointers.push_back(tap == 0 && n_taps > 2 ? nullptr : rows[tap].data());
    }
    const auto taps = TestValues(static_cast<std::size_t>(n) * n_taps, 20, inputs);
    k.conv_silu(pointers.data(), taps.data(), n_taps, n, y.data());
    all.insert(all.end(), y.begin(), y.end());
  }
  return all;
}

TEST(Gated, EverySetMatchesTheOracleOnRaggedRows) {
  for (const auto& [name, kernels] : KernelsUnderTest()) {
    for (const Inputs inputs : {Inputs::kOrdinary, Inputs::kWild}) {
      for (int n = 0; n <= 150; ++n) {
        ASSERT_EQ(
            FirstDifference(RunRows(kGatedKernelsScalar, n, inputs), RunRows(*kernels, n, inputs)),
            "")
            << name << " n " << n;
      }
    }
  }
}

struct DeltaSizes {
  int n_keys = 0, n_columns = 0;
  std::int64_t n_tokens = 0;
};

struct DeltaInputs {
  std::vector<float> state, q, k, v, decay, beta;
  DeltaInputs(const DeltaSizes& s, Inputs inputs) {
    const auto n_tokens = static_cast<std::size_t>(s.n_tokens);
    state = TestValues(static_cast<std::size_t>(s.n_keys * s.n_columns), 1, inputs);
    q = TestValues(n_tokens * s.n_keys, 2, inputs);
    k = TestValues(n_tokens * s.n_keys, 3, inputs);
    v = TestValues(n_tokens * s.n_columns, 4, inputs);
    decay = TestValues(n_tokens, 5, inputs);
    beta = TestValues(n_tokens, 6, inputs);
    if (inputs == Inputs::kOrdinary) {  // as in a model: keys of length 1, gates in (0, 1)
      for (float& x : k) x *= 0.3F / std::sqrt(static_cast<float>(s.n_keys));
      for (float& x : decay) x = x / 8 + 0.5F;
      for (float& x : beta) x = x / 8 + 0.5F;
    }
  }
};

// The run over columns first_column .. end_column - 1 and tokens first .. end - 1 of everything.
DeltaRuleRun RunOf(DeltaInputs& in, const DeltaSizes& s, std::vector<float>& out, int first_column,
                   int end_column, std::int64_t first, std::int64_t end) {
  return {.state = in.state.data() + first_column,
          .state_stride = s.n_columns,
          .n_keys = s.n_keys,
          .n_columns = end_column - first_column,
          .n_tokens = end - first,
          .q = in.q.data() + first * s.n_keys,
          .k = in.k.data() + first * s.n_keys,
          .key_stride = s.n_keys,
          .v = in.v.data() + first * s.n_columns + first_column,
          .value_stride = s.n_columns,
          .decay = in.decay.data() + first,
          .beta = in.beta.data() + first,
          .gate_stride = 1,
          .out = out.data() + first * s.n_columns + first_column,
          .out_stride = s.n_columns};
}

// Outputs, then the state.
std::vector<float> RunDelta(const GatedKernels& k, const DeltaSizes& s, Inputs inputs) {
  DeltaInputs in(s, inputs);
  std::vector<float> out(in.v.size());
  k.delta_rule(RunOf(in, s, out, 0, s.n_columns, 0, s.n_tokens));
  out.insert(out.end(), in.state.begin(), in.state.end());
  return out;
}

const std::vector<DeltaSizes> kSizes = {{1, 1, 1},   {3, 15, 2},    {16, 16, 5},
                                        {8, 17, 3},  {5, 64, 4},    {24, 70, 3},
                                        {33, 95, 2}, {128, 128, 3}, {16, 200, 2}};

TEST(DeltaRule, EverySetMatchesTheOracle) {
  for (const auto& [name, kernels] : KernelsUnderTest()) {
    for (const DeltaSizes& s : kSizes) {
      for (const Inputs inputs : {Inputs::kOrdinary, Inputs::kWild}) {
        ASSERT_EQ(FirstDifference(RunDelta(kGatedKernelsScalar, s, inputs),
                                  RunDelta(*kernels, s, inputs)),
                  "")
            << name << " keys " << s.n_keys << " columns " << s.n_columns;
      }
    }
  }
}

TEST(DeltaRule, CutsOverColumnsAndTokensChangeNoBit) {
  const DeltaSizes s{24, 150, 9};
  const std::vector<float> want = RunDelta(kGatedKernelsScalar, s, Inputs::kOrdinary);
  DeltaInputs in(s, Inputs::kOrdinary);
  std::vector<float> out(in.v.size());
  for (const auto& [first, end] : {std::pair{64, 128}, {0, 64}, {128, 150}}) {
    for (const auto& [token, end_token] : {std::pair{0, 1}, {1, 6}, {6, 9}}) {
      DeltaRule(RunOf(in, s, out, first, end, token, end_token));
    }
  }
  out.insert(out.end(), in.state.begin(), in.state.end());
  EXPECT_EQ(FirstDifference(want, out), "");
}

TEST(DeltaRule, TheOracleIsTheFormula) {
  const DeltaSizes s{12, 7, 6};
  const std::vector<float> got = RunDelta(kGatedKernelsScalar, s, Inputs::kOrdinary);
  const DeltaInputs in(s, Inputs::kOrdinary);
  std::vector<double> state(in.state.begin(), in.state.end());
  for (int t = 0; t < s.n_tokens; ++t) {
    for (int j = 0; j < s.n_columns; ++j) {
      double seen = 0, out = 0;
      for (int i = 0; i < s.n_keys; ++i) {
        state[i * s.n_columns + j] *= in.decay[t];
        seen += state[i * s.n_columns + j] * in.k[t * s.n_keys + i];
      }
      const double d = (in.v[t * s.n_columns + j] - seen) * in.beta[t];
      for (int i = 0; i < s.n_keys; ++i) {
        state[i * s.n_columns + j] += in.k[t * s.n_keys + i] * d;
        out += state[i * s.n_columns + j] * in.q[t * s.n_keys + i];
      }
      EXPECT_NEAR(got[t * s.n_columns + j], out, 1e-4);
    }
  }
}

TEST(Gated, RowsAreTheirFormulas) {
  const std::vector<float> gate = {-30, -1, 0, 0.5F, 3, 9}, up = {-9, 1, 2, -0.25F, 8, 0};
  std::vector<float> y = up;
  SigmoidMul(gate, y);
  for (std::size_t i = 0; i < y.size(); ++i) {
    EXPECT_NEAR(y[i], up[i] / (1 + std::exp(-double{gate[i]})), 1e-6);
  }
  ClampedSwishMul(gate, up, 1.702F, 7, y);
  for (std::size_t i = 0; i < y.size(); ++i) {
    const double g = std::min(double{gate[i]}, 7.0), u = std::clamp(double{up[i]}, -7.0, 7.0);
    EXPECT_NEAR(y[i], g / (1 + std::exp(-1.702 * g)) * (u + 1), 1e-5);
  }
  const std::vector<float> first = {1, 2, 3}, second = {-1, 0.5F, 4},
                           taps = {1, 2, 3, 0.5F, 0.25F, -1, 2, 1, 0.5F};
  const std::vector<const float*> inputs = {nullptr, first.data(), second.data()};
  std::vector<float> z(3);
  CausalConvSilu(inputs, taps, z);
  for (std::size_t c = 0; c < 3; ++c) {
    const double sum = taps[3 + c] * first[c] + taps[6 + c] * second[c];
    EXPECT_NEAR(z[c], sum / (1 + std::exp(-sum)), 1e-6);
  }
}

}  // namespace
}  // namespace tatara::numerics
