// Quantised products over the lanes of an instruction set (its quant_lanes.h): a lane is a row, a
// tile is 16 rows times up to kTileTokens tokens, the running dots of a tile stay in registers. The
// arithmetic is the oracle's (scalar/quant_kernels.cc); integers are exact, so that only the few
// f32 steps a block have an order to keep.
#pragma once

#include <cstdint>

#include "packed_layout.h"
#include "quant_kernels.h"
#include "vector_common.h"

namespace tatara::numerics {
namespace {

// Slots of the words that prepared activations carry (vector_quantise.h). Per block of 32:
constexpr int kStart8 = 0;    // dots start at -8 times the activations' sum: offset of Q4_0
constexpr int kStart16 = 1;   // offset 16
constexpr int kMinus128 = 2;  // int32: -128 times the sum
constexpr int kFloatSum = 3;  // f32: the sum
// Per block of 256:
constexpr int kStart32 = 0;      // 16 words, one for each 16 values: offset of Q6_K
constexpr int kStart16OfK = 16;  // 8 words, one for each 32 values
constexpr int kPairs = 24;       // int16 sums of sub-blocks (0, 2), (1, 3), (4, 6), (5, 7)

// Where a tile's tokens lie: groups of four, or one group of kTokens < 4.
template <int kTokens>
struct TileShape {
  static constexpr int kWidth = kTokens < kTokenGroup ? kTokens : kTokenGroup;
  static constexpr int kGroups = (kTokens + kTokenGroup - 1) / kTokenGroup;
};

// Token t's activations of step s, its scale and its sums, at `block` of the call.
template <int kTokens, int kBlock>
struct TileInputs {
  using Shape = TileShape<kTokens>;
  static constexpr int kSums = kBlock == 32 ? kSumWords32 : kSumWords256;
  const std::int8_t* q[Shape::kGroups];
  const float* d[Shape::kGroups];
  const std::int32_t* sums[Shape::kGroups];

  TATARA_INLINE explicit TileInputs(const ProductArgs& args) {
    Unroll<Shape::kGroups>([&](auto g) TATARA_LAMBDA {
      q[g] = args.q + g * args.q_stride;
      d[g] = args.d + g * args.d_stride;
      sums[g] = args.sums + g * args.sums_stride;
    });
  }
  TATARA_INLINE const std::int8_t* step(int t, int s) const {
    return q[t / 4] + (s * Shape::kWidth + t % 4) * 4;
  }
  TATARA_INLINE const float* scale(int t) const { return d[t / 4] + t % 4; }
  TATARA_INLINE const std::int32_t* sum(int t, int slot) const {
    return sums[t / 4] + slot * Shape::kWidth + t % 4;
  }
  TATARA_INLINE void NextBlock() {
    Unroll<Shape::kGroups>([&](auto g) TATARA_LAMBDA {
      q[g] += kBlock * Shape::kWidth;
      d[g] += Shape::kWidth;
      sums[g] += kSums * Shape::kWidth;
    });
  }
};

constexpr std::int32_t kNibbles = 0x0f0f0f0f;

// The unsigned weights of step kStep of 32 values whose nibbles are at `lines`, with kHighBits more
// bits a weight in the lines behind them.
template <int kHighBits, int kStep>
TATARA_INLINE Ints StepWeights(const std::uint8_t* lines) {
  const Ints line = LoadLine(lines + kStep % 4 * kLineBytes);
  const Ints w = AndWord(ShiftRight<kStep / 4 * 4>(line), kNibbles);
  if constexpr (kHighBits == 1) {
    const Ints high = LoadLine(lines + 4 * kLineBytes);
    return OrMasked(w, ShiftRight<kStep - 4>(high), 0x10101010);
  }
  if constexpr (kHighBits == 2) {
    const Ints high = LoadLine(lines + (4 + kStep / 4) * kLineBytes);
    return OrMasked(w, ShiftRight<kStep % 4 * 2 - 4>(high), 0x30303030);
  }
  return w;
}

// dots[t] += weights times activations over steps kFirst .. kFirst + kSteps - 1 of 32 values;
// q_step is where in the block's activations step 0 is.
template <int kHighBits, int kFirst, int kSteps, int kTokens, typename Inputs>
TATARA_INLINE void AddSteps(const std::uint8_t* lines, const Inputs& in, int q_step,
                            Dots (&dots)[kTokens]) {
  Unroll<kSteps>([&](auto i) TATARA_LAMBDA {
    constexpr int kStep = kFirst + i.value;
    const Ints w = StepWeights<kHighBits, kStep>(lines);
    Unroll<kTokens>([&](auto t) TATARA_LAMBDA { AddDots(dots[t], w, in.step(t, q_step + kStep)); });
  });
}

// Where an instruction set runs its dots in 16 bits (kNarrowDots), five bits without an offset
// would not fit: 16 values of a half lane, 16 * 31 * 127. There the dots start at the offset 16 all
// the same, and what that takes away is given back at the end.
template <int kHighBits, bool kHasMinimum, typename Inputs>
TATARA_INLINE Dots StartNibbleDots(const Inputs& in, int t) {
  if constexpr (kHighBits == 0 && !kHasMinimum) return StartDots(in.sum(t, kStart8));
  if constexpr (kHighBits == 1 && (!kHasMinimum || kNarrowDots))
    return StartDots(in.sum(t, kStart16));
  return StartDots();
}
template <int kHighBits, bool kHasMinimum, typename Inputs>
TATARA_INLINE Ints NibbleDotsToInts(Dots dots, const Inputs& in, int t) {
  if constexpr (kHighBits == 1 && kHasMinimum && kNarrowDots) {
    return AddInts(DotsToInts(dots), SixteenSums(in.sum(t, kMinus128)));
  }
  return DotsToInts(dots);
}

// Blocks of 32 with nibbles: Q4_0, Q4_1, Q5_0, Q5_1.
template <int kHighBits, bool kHasMinimum>
struct NibbleBlock {
  static constexpr int kQuantBytes = (4 + kHighBits) * kLineBytes;
  static constexpr int kScaleBytes = kHasMinimum ? 64 : 32;

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
      Unroll<kTokens>(
          [&](auto t) TATARA_LAMBDA { dots[t] = StartNibbleDots<kHighBits, kHasMinimum>(in, t); });
      AddSteps<kHighBits, 0, 8>(quants, in, 0, dots);
      const Floats d = LoadHalves(scales);
      Unroll<kTokens>([&](auto t) TATARA_LAMBDA {
        const Ints isum = NibbleDotsToInts<kHighBits, kHasMinimum>(dots[t], in, t);
        acc[t] = MultiplyAdd(Multiply(d, BroadcastFloat(in.scale(t))), ToFloats(isum), acc[t]);
      });
      if constexpr (kHasMinimum) {
        const Floats m = LoadHalves(scales + 32);
        Unroll<kTokens>([&](auto t) TATARA_LAMBDA {
          const auto* sum = reinterpret_cast<const float*>(in.sum(t, kFloatSum));
          acc[t] =
              MultiplyAdd(Multiply(m, BroadcastFloat(in.scale(t))), BroadcastFloat(sum), acc[t]);
        });
      }
      quants += kQuantBytes;
      scales += kScaleBytes;
      in.NextBlock();
    }
    Unroll<kTokens>([&](auto t)
                        TATARA_LAMBDA { StoreFloats(args.acc + t * args.acc_stride, acc[t]); });
  }
};

// The 6-bit scales and minima of a K block (raw_blocks.h says how they lie in the three words), as
// four bytes a lane: scales 0-3, 4-7, minima 0-3, 4-7.
struct ScaleBytes {
  Ints scales[2], minima[2];
  TATARA_INLINE explicit ScaleBytes(const std::uint8_t* lines) {
    const Ints a = LoadLine(lines);
    const Ints b = LoadLine(lines + kLineBytes);
    const Ints c = LoadLine(lines + 2 * kLineBytes);
    scales[0] = AndWord(a, 0x3f3f3f3f);
    minima[0] = AndWord(b, 0x3f3f3f3f);
    scales[1] = OrMasked(AndWord(c, kNibbles), ShiftRight<2>(a), 0x30303030);
    minima[1] = OrMasked(AndWord(ShiftRight<4>(c), kNibbles), ShiftRight<2>(b), 0x30303030);
  }
};

// Adds sum_j bytes_j sum_j(a) over the eight sub-blocks, by pairs of int16.
template <int kTokens, typename Inputs>
TATARA_INLINE void AddWeightedSums(const Ints (&bytes)[2], const Inputs& in,
                                   Ints (&sums)[kTokens]) {
  Unroll<2>([&](auto i) TATARA_LAMBDA {
    const Ints even = AndWord(bytes[i], 0x00ff00ff);
    const Ints odd = AndWord(ShiftRight<8>(bytes[i]), 0x00ff00ff);
    Unroll<kTokens>([&](auto t) TATARA_LAMBDA {
      AddPairs(sums[t], even, in.sum(t, kPairs + 2 * i));
      AddPairs(sums[t], odd, in.sum(t, kPairs + 2 * i + 1));
    });
  });
}

// Q4_K and Q5_K.
template <int kHighBits>
struct NibbleBlockOfK {
  static constexpr int kSubBlockBytes = (4 + kHighBits) * kLineBytes;
  static constexpr int kQuantBytes = 3 * kLineBytes + 8 * kSubBlockBytes;
  static constexpr bool kGiveBack = kHighBits == 1 && kNarrowDots;  // see StartNibbleDots
  static constexpr int kScaleBytes = 64;

  template <int kTokens>
  static void Tile(const ProductArgs& args) {
    TileInputs<kTokens, 256> in(args);
    const std::uint8_t* quants = args.quants;
    const std::uint8_t* scales = args.scales;
    for (std::int64_t b = 0; b < args.n_blocks; ++b) {
      Ints isum[kTokens];
      Unroll<kTokens>([&](auto t) TATARA_LAMBDA { isum[t] = ZeroInts(); });
      {
        const ScaleBytes bytes(quants);
        if constexpr (kGiveBack) {
          AddWeightedSums(bytes.scales, in, isum);
          Unroll<kTokens>([&](auto t) TATARA_LAMBDA { isum[t] = ShiftRight<-4>(isum[t]); });
        }
        ScaleLanes scale[8];
        Unroll<8>([&](auto j)
                      TATARA_LAMBDA { scale[j] = ScaleOfByte<j.value % 4>(bytes.scales[j / 4]); });
        const std::uint8_t* lines = quants + 3 * kLineBytes;
        for (int j = 0; j < 8; ++j, lines += kSubBlockBytes) {
          Dots dots[kTokens];
          Unroll<kTokens>([&](auto t) TATARA_LAMBDA {
            dots[t] = kGiveBack ? StartDots(in.sum(t, kStart16OfK + j)) : StartDots();
          });
          AddSteps<kHighBits, 0, 8>(lines, in, 8 * j, dots);
          Unroll<kTokens>([&](auto t) TATARA_LAMBDA {
            isum[t] = AddInts(isum[t], ScaledDots(dots[t], scale[j]));
          });
        }
      }
      const Floats d = LoadHalves(scales);
      Unroll<kTokens>([&](auto t) TATARA_LAMBDA {
        float* acc = args.acc + t * args.acc_stride;
        const Floats s = Multiply(d, BroadcastFloat(in.scale(t)));
        StoreFloats(acc, MultiplyAdd(s, ToFloats(isum[t]), LoadFloats(acc)));
      });
      const Floats dmin = LoadHalves(scales + 32);
      Ints msum[kTokens];
      Unroll<kTokens>([&](auto t) TATARA_LAMBDA { msum[t] = ZeroInts(); });
      AddWeightedSums(ScaleBytes(quants).minima, in, msum);
      Unroll<kTokens>([&](auto t) TATARA_LAMBDA {
        float* acc = args.acc + t * args.acc_stride;
        const Floats m = Multiply(dmin, BroadcastFloat(in.scale(t)));
        StoreFloats(acc, NegatedMultiplyAdd(m, ToFloats(msum[t]), LoadFloats(acc)));
      });
      quants += kQuantBytes;
      scales += kScaleBytes;
      in.NextBlock();
    }
  }
};

struct BlockQ6_K {
  static constexpr int kPartBytes = 6 * kLineBytes;  // 32 values
  static constexpr int kQuantBytes = 4 * kLineBytes + 8 * kPartBytes;
  static constexpr int kScaleBytes = 32;

  template <int kTokens>
  static void Tile(const ProductArgs& args) {
    TileInputs<kTokens, 256> in(args);
    const std::uint8_t* quants = args.quants;
    const std::uint8_t* scales = args.scales;
    for (std::int64_t b = 0; b < args.n_blocks; ++b) {
      ScaleLanes scale[16];
      Unroll<4>([&](auto i) TATARA_LAMBDA {
        const Ints bytes = LoadLine(quants + i * kLineBytes);
        Unroll<4>([&](auto j)
                      TATARA_LAMBDA { scale[4 * i + j] = ScaleOfSignedByte<j.value>(bytes); });
      });
      Ints isum[kTokens];
      Unroll<kTokens>([&](auto t) TATARA_LAMBDA { isum[t] = ZeroInts(); });
      const std::uint8_t* lines = quants + 4 * kLineBytes;
      for (int j = 0; j < 8; ++j, lines += kPartBytes) {
        Unroll<2>([&](auto half) TATARA_LAMBDA {
          Dots dots[kTokens];
          Unroll<kTokens>([&](auto t) TATARA_LAMBDA {
            dots[t] = StartDots(in.sum(t, kStart32 + 2 * j + half));
          });
          AddSteps<2, half.value * 4, 4>(lines, in, 8 * j, dots);
          Unroll<kTokens>([&](auto t) TATARA_LAMBDA {
            isum[t] = AddInts(isum[t], ScaledDots(dots[t], scale[2 * j + half]));
          });
        });
      }
      const Floats d = LoadHalves(scales);
      Unroll<kTokens>([&](auto t) TATARA_LAMBDA {
        float* acc = args.acc + t * args.acc_stride;
        const Floats s = Multiply(d, BroadcastFloat(in.scale(t)));
        StoreFloats(acc, MultiplyAdd(s, ToFloats(isum[t]), LoadFloats(acc)));
      });
      quants += kQuantBytes;
      scales += kScaleBytes;
      in.NextBlock();
    }
  }
};

// The tile of as many tokens as the call has; only these numbers occur (quant_kernels.h).
template <typename Block>
void Product(const ProductArgs& args) {
  switch (args.n_tokens) {
    case 1:
      return Block::template Tile<1>(args);
    case 2:
      return Block::template Tile<2>(args);
    case 3:
      return Block::template Tile<3>(args);
    case 4:
      return Block::template Tile<4>(args);
  }
  if constexpr (kTileTokens >= 8) {
    if (args.n_tokens == 8) return Block::template Tile<8>(args);
  }
  if constexpr (kTileTokens >= 12) {
    if (args.n_tokens == 12) return Block::template Tile<12>(args);
  }
}

}  // namespace
}  // namespace tatara::numerics
