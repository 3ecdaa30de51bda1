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

  template <int kTokens>
  static void Tile(const ProductArgs& args) {
    TileInputs<kTokens, 32> in(args);
    const std::uint8_t* quants = args.quants;
    const std::uint8_t* scales = args.scales;
    Floats acc[kTokens];
    Unroll<kTokens>([&](auto t)
                        TATARA_LAMBDA { acc[t] = LoadFloats(args.acc + t * args.acc_stride); });
    for (std::int64_t b = 0; b < args.n_blocks; ++b) {
      Dots dots[kTokens];
      Unroll<kTokens>([&](auto t) TATARA_LAMBDA { dots[t] = StartDots(in.sum(t, kMinus128)); });
      Unroll<8>([&](auto s) TATARA_LAMBDA {
        const Ints w = LoadLine(quants + s * kLineBytes);
        Unroll<kTokens>([&](auto t) TATARA_LAMBDA { AddDots(dots[t], w, in.step(t, s)); });
      });
      const Floats d = LoadHalves(scales);
      Unroll<kTokens>([&](auto t) TATARA_LAMBDA {
        const Floats s = Multiply(d, BroadcastFloat(in.scale(t)));
        acc[t] = MultiplyAdd(s, ToFloats(DotsToInts(dots[t])), acc[t]);
      });
      quants += kQuantBytes;
      scales += kScaleBytes;
      in.NextBlock();
    }
    Unroll<kTokens>([&](auto t)
                        TATARA_LAMBDA { StoreFloats(args.acc + t * args.acc_stride, acc[t]); });
  }
};

}  // namespace

extern const QuantKernels TATARA_AVX512_TABLE(kQuantKernels);
const QuantKernels TATARA_AVX512_TABLE(kQuantKernels) = {
    .tile_tokens = kTileTokens,
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
