// The f32 panel product of every instruction set against the oracle.
#include "kernel_test_support.h"

namespace tatara::numerics {
namespace {

using test::Inputs;

TEST(PanelProduct, EverySetMatchesTheOracleOnRaggedShapes) {
  for (const auto& [name, kernels] : test::FloatKernelsUnderTest()) {
    for (const Inputs inputs : {Inputs::kOrdinary, Inputs::kWild}) {
      for (const int n_k : {0, 1, 2, 7, 33, 200}) {
        for (int n_tokens = 0; n_tokens <= 30; ++n_tokens) {
          const int x_stride = n_k + 3, acc_stride = 19;
          const auto panel = test::TestValues(n_k * 16, 1, inputs);
          const auto x = test::TestValues(n_tokens * x_stride, 2, inputs);
          auto want = test::TestValues(n_tokens * acc_stride, 3, inputs);
          auto got = want;
          kFloatKernelsScalar.panel_product(panel.data(), n_k, x.data(), x_stride, n_tokens,
                                            want.data(), acc_stride);
          kernels->panel_product(panel.data(), n_k, x.data(), x_stride, n_tokens, got.data(),
                                 acc_stride);
          ASSERT_EQ(test::FirstDifference(want, got), "")
              << name << " n_k " << n_k << " tokens " << n_tokens;
        }
      }
    }
  }
}

TEST(PanelProduct, CuttingKIntoPiecesChangesNoBit) {
  const int n_k = 301;
  const auto panel = test::TestValues(n_k * 16, 4);
  const auto x = test::TestValues(n_k, 5);
  std::vector<float> whole(16), pieces(16);
  kFloatKernelsScalar.panel_product(panel.data(), n_k, x.data(), n_k, 1, whole.data(), 16);
  for (int k = 0; k < n_k; k += 37) {
    ActiveFloatKernels().panel_product(panel.data() + k * 16, std::min(37, n_k - k), x.data() + k,
                                       n_k, 1, pieces.data(), 16);
  }
  EXPECT_EQ(test::FirstDifference(whole, pieces), "");
}

}  // namespace
}  // namespace tatara::numerics
