// The quantised kernels of AVX2.
#include "quant_kernels.h"

#include "avx2/quant_lanes.h"
#include "vector_product.h"
#include "vector_quantise.h"
#include "vector_unpack.h"

namespace tatara::numerics {
namespace {

// 8-bit weights don't fit 16-bit dots: they are widened, the even values (0, 2) of a lane's four
// apart from the odd ones (1, 3), and multiplied with the activations' int16 copies in that order.
struct BlockQ8_0 {
  static constexpr int kQuantBytes = 8 * kLineBytes;
  static constexpr int kScaleBytes = 32;

  template <int kTokens>
  TATARA_INLINE static void AddLine(const std::uint8_t* line, const std::int16_t* wide,
                                    Ints (&dots)[kTokens]) {
    const Ints w = LoadLine(line);
    const Ints even = AndWord(w, 0x00ff00ff);
    const Ints odd = {_mm256_srli_epi16(w.lo, 8), _mm256_srli_epi16(w.hi, 8)};
    Unroll<kTokens>([&](auto t) TATARA_LAMBDA {
      const Ints a = SplatWord(LoadWord(wide + 4 * t));
      const Ints b = SplatWord(LoadWord(wide + 4 * t + 2));
      dots[t] = AddInts(dots[t], AddHalves(even, a));
      Keep(dots[t]);
      dots[t] = AddInts(dots[t], AddHalves(odd, b));
      Keep(dots[t]);
    });
  }

  template <int kGroups, int kTokens>
  static void Tile(const ProductArgs& args) {
    static_assert(kGroups == 1);
    TileAt<kTokens, 32, kQuantBytes, kScaleBytes> at{args};
    const std::int16_t* wide = args.wide;
    for (std::int64_t b = 0; b < args.n_blocks; ++b, at.NextBlock()) {
      Ints dots[kTokens];
      Unroll<kTokens>([&](auto t) TATARA_LAMBDA { dots[t] = SplatWord(*at.sum(t, kMinus128)); });
      for (int s = 0; s < 8; ++s, wide += 4 * kTokens) {
        AddLine(at.quants + s * kLineBytes, wide, dots);
      }
      const Floats d = LoadHalves(at.scales);
      Unroll<kTokens>([&](auto t) TATARA_LAMBDA { at.Accumulate(0, t, d, dots[t]); });
    }
  }
};

}  // namespace

extern const QuantKernels kQuantKernelsAvx2;
const QuantKernels kQuantKernelsAvx2 = {
    .tile_tokens = kTokenGroup,
    .row_groups = kRowGroups,
    .needs_wide_for_q8_0 = true,
    .quantise = Quantise,
    .product = {nullptr, nullptr, nullptr, Product<BlockQ8_0>, Product<NibbleBlock<0, false>>,
                Product<NibbleBlock<0, true>>, Product<NibbleBlock<1, false>>,
                Product<NibbleBlock<1, true>>, Product<NibbleBlockOfK<0>>,
                Product<NibbleBlockOfK<1>>, Product<BlockQ6_K>},
    .unpack = {nullptr, UnpackF16, UnpackBF16, UnpackQ8_0, UnpackNibbles<0, 8, false>,
               UnpackNibbles<0, 0, true>, UnpackNibbles<1, 16, false>, UnpackNibbles<1, 0, true>,
               UnpackNibblesOfK<0>, UnpackNibblesOfK<1>, UnpackQ6_K},
};

}  // namespace tatara::numerics
