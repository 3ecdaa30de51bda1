// The oracle: plain loops in the order the contract states.
#include "float_kernels.h"

#include <cmath>

namespace tatara::numerics {
namespace {

void PanelProduct(const float* panel, std::int64_t n_k, const float* x, std::int64_t x_stride,
                  std::int64_t n_tokens, float* acc, std::int64_t acc_stride) {
  for (std::int64_t t = 0; t < n_tokens; ++t) {
    for (int r = 0; r < 16; ++r) {
      float sum = acc[t * acc_stride + r];
      for (std::int64_t k = 0; k < n_k; ++k) {
        sum = std::fma(panel[k * 16 + r], x[t * x_stride + k], sum);
      }
      acc[t * acc_stride + r] = sum;
    }
  }
}

}  // namespace

const FloatKernels kFloatKernelsScalar = {
    .panel_product = PanelProduct,
};

}  // namespace tatara::numerics
