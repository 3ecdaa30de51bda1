// The quantised kernels of AVX-512 with VNNI.
#include "quant_kernels.h"

#include "avx512/quant_lanes.h"
#include "vector_product.h"
#include "vector_quantise.h"
#include "vector_unpack.h"

namespace tatara::numerics {
namespace {

struct BlockQ8_0 {
  static constexpr int kQuantBytes = 8 * kLineBytes;
  static constexpr int kScaleBytes = 32;

  template <int kGroups, int kTokens>
  static void Tile(const ProductArgs& args) {
    TileAt<kTokens, 32, kQuantBytes, kScaleBytes> at{args};
    TileAccumulators<kGroups, kTokens> acc(args);
    for (std::int64_t b = 0; b < args.n_blocks; ++b, at.NextBlock()) {
      Dots dots[kGroups][kTokens];
      ForTile<kGroups, kTokens>(
          [&](auto g, auto t) TATARA_LAMBDA { dots[g][t] = StartDots(at.sum(t, kMinus128)); });
      Unroll<8>([&](auto s) TATARA_LAMBDA {
        Ints w[kGroups];
        Unroll<kGroups>([&](auto g)
                            TATARA_LAMBDA { w[g] = LoadLine(at.quants_of(g) + s * kLineBytes); });
        Unroll<kTokens>([&](auto t) TATARA_LAMBDA {
          const Splat a = SplatStep(at.step(t, s));
          Unroll<kGroups>([&](auto g) TATARA_LAMBDA { AddDots(dots[g][t], w[g], a); });
        });
      });
      Unroll<kGroups>([&](auto g) TATARA_LAMBDA {
        const Floats d = LoadHalves(at.scales_of(g));
        Unroll<kTokens>([&](auto t) TATARA_LAMBDA {
          acc.set(g, t, at.Accumulated(t, d, dots[g][t], acc.get(g, t)));
        });
      });
    }
    acc.Finish();
  }
};

}  // namespace

extern const QuantKernels TATARA_AVX512_TABLE(kQuantKernels);
const QuantKernels TATARA_AVX512_TABLE(kQuantKernels) = {
    .tile_tokens = kTokenGroup,
    .row_groups = kRowGroups,
    .needs_wide_for_q8_0 = false,
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
