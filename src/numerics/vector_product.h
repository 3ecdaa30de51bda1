// Quantised products over the lanes of an instruction set (its quant_lanes.h): a lane is a row; a
// tile is 1 or kRowGroups groups of 16 rows times 1 to 4 tokens, whose running dots stay in
// registers. Each broadcast of four activations serves all groups of the tile, each line of weights
// all tokens. The arithmetic is the oracle's (scalar/quant_kernels.cc); integers are exact, so that
// only the few f32 steps a block have an order to keep.
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

template <int kGroups, int kTokens, typename F>
TATARA_INLINE void ForTile(F f) {  // f(group, token)
  Unroll<kTokens>([&](auto t)
                      TATARA_LAMBDA { Unroll<kGroups>([&](auto g) TATARA_LAMBDA { f(g, t); }); });
}

// Where a tile's weights, activations and accumulators are, at one block.
template <int kTokens, int kBlock, int kQuantBytes, int kScaleBytes>
struct TileAt {
  const ProductArgs& args;
  const std::uint8_t* quants = args.quants;
  const std::uint8_t* scales = args.scales;
  const std::int8_t* q = args.q;
  const float* d = args.d;
  const std::int32_t* sums = args.sums;

  TATARA_INLINE const std::uint8_t* quants_of(int g) const { return quants + g * args.group_bytes; }
  TATARA_INLINE const std::uint8_t* scales_of(int g) const { return scales + g * args.group_bytes; }
  TATARA_INLINE const std::int8_t* step(int t, int s) const { return q + (s * kTokens + t) * 4; }
  TATARA_INLINE const std::int32_t* sum(int t, int slot) const { return sums + slot * kTokens + t; }
  TATARA_INLINE float* acc(int g, int t) const {
    return args.acc + t * args.acc_stride + g * kGroupRows;
  }
  // acc += scales times d_a times the integers, in the contract's order of rounding.
  TATARA_INLINE Floats Accumulated(int t, Floats weight_scale, Ints sum, Floats acc) const {
    return MultiplyAdd(Multiply(weight_scale, BroadcastFloat(d + t)), ToFloats(sum), acc);
  }
  TATARA_INLINE void Accumulate(int g, int t, Floats weight_scale, Ints sum) const {
    StoreFloats(acc(g, t), Accumulated(t, weight_scale, sum, LoadFloats(acc(g, t))));
  }
  TATARA_INLINE void NextBlock() {
    quants += kQuantBytes;
    scales += kScaleBytes;
    q += kBlock * kTokens;
    d += kTokens;
    sums += (kBlock == 32 ? kSumWords32 : kSumWords256) * kTokens;
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

// The f32 accumulators of a tile of types with blocks of 32: in registers where there are enough of
// them, else left in memory from block to block.
template <int kGroups, int kTokens>
struct TileAccumulators {
  Floats kept[kGroups][kTokens];
  const ProductArgs& args;

  TATARA_INLINE explicit TileAccumulators(const ProductArgs& a) : args(a) {
    if constexpr (kKeepAccumulators) {
      ForTile<kGroups, kTokens>([&](auto g, auto t)
                                    TATARA_LAMBDA { kept[g][t] = LoadFloats(place(g, t)); });
    }
  }
  TATARA_INLINE float* place(int g, int t) const {
    return args.acc + t * args.acc_stride + g * kGroupRows;
  }
  TATARA_INLINE Floats get(int g, int t) const {
    return kKeepAccumulators ? kept[g][t] : LoadFloats(place(g, t));
  }
  TATARA_INLINE void set(int g, int t, Floats value) {
    if constexpr (kKeepAccumulators) kept[g][t] = value;
    if constexpr (!kKeepAccumulators) StoreFloats(place(g, t), value);
  }
  TATARA_INLINE void Finish() const {
    if constexpr (kKeepAccumulators) {
      ForTile<kGroups, kTokens>([&](auto g, auto t)
                                    TATARA_LAMBDA { StoreFloats(place(g, t), kept[g][t]); });
    }
  }
};

// dots += weights times activations over steps kFirst .. kFirst + kSteps - 1 of 32 values. lines:
// of the first group's 32 values; q_step: where in the block's activations their step 0 is.
template <int kHighBits, int kFirst, int kSteps, int kGroups, int kTokens, typename At>
TATARA_INLINE void AddSteps(const std::uint8_t* lines, const At& at, int q_step,
                            Dots (&dots)[kGroups][kTokens]) {
  Unroll<kSteps>([&](auto i) TATARA_LAMBDA {
    constexpr int kStep = kFirst + i.value;
    Ints w[kGroups];
    Unroll<kGroups>([&](auto g) TATARA_LAMBDA {
      w[g] = StepWeights<kHighBits, kStep>(lines + g * at.args.group_bytes);
    });
    Unroll<kTokens>([&](auto t) TATARA_LAMBDA {
      const Splat a = SplatStep(at.step(t, q_step + kStep));
      Unroll<kGroups>([&](auto g) TATARA_LAMBDA { AddDots(dots[g][t], w[g], a); });
    });
  });
}

// Where an instruction set runs its dots in 16 bits (kNarrowDots), five bits without an offset
// would not fit: 16 values of a half lane, 16 * 31 * 127. There the dots start at the offset 16 all
// the same, and what that takes away is given back at the end.
template <int kHighBits, bool kHasMinimum, typename At>
TATARA_INLINE Dots StartNibbleDots(const At& at, int t) {
  if constexpr (kHighBits == 0 && !kHasMinimum) return StartDots(at.sum(t, kStart8));
  if constexpr (kHighBits == 1 && (!kHasMinimum || kNarrowDots))
    return StartDots(at.sum(t, kStart16));
  return StartDots();
}
template <int kHighBits, bool kHasMinimum, typename At>
TATARA_INLINE Ints NibbleDotsToInts(Dots dots, const At& at, int t) {
  if constexpr (kHighBits == 1 && kHasMinimum && kNarrowDots) {
    return AddInts(DotsToInts(dots), SixteenSums(at.sum(t, kMinus128)));
  }
  return DotsToInts(dots);
}

// Blocks of 32 with nibbles: Q4_0, Q4_1, Q5_0, Q5_1.
template <int kHighBits, bool kHasMinimum>
struct NibbleBlock {
  static constexpr int kQuantBytes = (4 + kHighBits) * kLineBytes;
  static constexpr int kScaleBytes = kHasMinimum ? 64 : 32;

  template <int kGroups, int kTokens>
  static void Tile(const ProductArgs& args) {
    TileAt<kTokens, 32, kQuantBytes, kScaleBytes> at{args};
    TileAccumulators<kGroups, kTokens> acc(args);
    for (std::int64_t b = 0; b < args.n_blocks; ++b, at.NextBlock()) {
      Dots dots[kGroups][kTokens];
      ForTile<kGroups, kTokens>([&](auto g, auto t) TATARA_LAMBDA {
        dots[g][t] = StartNibbleDots<kHighBits, kHasMinimum>(at, t);
      });
      AddSteps<kHighBits, 0, 8>(at.quants, at, 0, dots);
      Unroll<kGroups>([&](auto g) TATARA_LAMBDA {
        const Floats d = LoadHalves(at.scales_of(g));
        Floats m = d;
        if constexpr (kHasMinimum) m = LoadHalves(at.scales_of(g) + 32);
        Unroll<kTokens>([&](auto t) TATARA_LAMBDA {
          const Ints isum = NibbleDotsToInts<kHighBits, kHasMinimum>(dots[g][t], at, t);
          Floats sum = at.Accumulated(t, d, isum, acc.get(g, t));
          if constexpr (kHasMinimum) {
            const auto* asum = reinterpret_cast<const float*>(at.sum(t, kFloatSum));
            sum = MultiplyAdd(Multiply(m, BroadcastFloat(at.d + t)), BroadcastFloat(asum), sum);
          }
          acc.set(g, t, sum);
        });
      });
    }
    acc.Finish();
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
template <int kTokens, typename At>
TATARA_INLINE void AddWeightedSums(const Ints (&bytes)[2], const At& at, Ints (&sums)[kTokens]) {
  Unroll<2>([&](auto i) TATARA_LAMBDA {
    const Ints even = AndWord(bytes[i], 0x00ff00ff);
    const Ints odd = AndWord(ShiftRight<8>(bytes[i]), 0x00ff00ff);
    Unroll<kTokens>([&](auto t) TATARA_LAMBDA {
      AddPairs(sums[t], even, at.sum(t, kPairs + 2 * i));
      AddPairs(sums[t], odd, at.sum(t, kPairs + 2 * i + 1));
    });
  });
}

// Q4_K and Q5_K.
template <int kHighBits>
struct NibbleBlockOfK {
  static constexpr int kSubBlockBytes = (4 + kHighBits) * kLineBytes;
  static constexpr int kQuantBytes = 3 * kLineBytes + 8 * kSubBlockBytes;
  static constexpr int kScaleBytes = 64;
  static constexpr bool kGiveBack = kHighBits == 1 && kNarrowDots;  // see StartNibbleDots

  template <int kGroups, int kTokens>
  using At = TileAt<kTokens, 256, kQuantBytes, kScaleBytes>;

  // The sub-blocks' scales, and what the integer sums start with.
  template <int kGroups, int kTokens>
  TATARA_INLINE static void Start(const At<kGroups, kTokens>& at, ScaleLanes (&scale)[8][kGroups],
                                  Ints (&isum)[kGroups][kTokens]) {
    Unroll<kGroups>([&](auto g) TATARA_LAMBDA {
      const ScaleBytes bytes(at.quants_of(g));
      Unroll<8>([&](auto j)
                    TATARA_LAMBDA { scale[j][g] = ScaleOfByte<j.value % 4>(bytes.scales[j / 4]); });
      Unroll<kTokens>([&](auto t) TATARA_LAMBDA { isum[g][t] = ZeroInts(); });
      if constexpr (kGiveBack) {
        AddWeightedSums(bytes.scales, at, isum[g]);
        Unroll<kTokens>([&](auto t) TATARA_LAMBDA { isum[g][t] = ShiftRight<-4>(isum[g][t]); });
      }
    });
  }

  template <int kGroups, int kTokens>
  TATARA_INLINE static void Minima(const At<kGroups, kTokens>& at) {
    Unroll<kGroups>([&](auto g) TATARA_LAMBDA {
      const Floats dmin = LoadHalves(at.scales_of(g) + 32);
      Ints msum[kTokens];
      Unroll<kTokens>([&](auto t) TATARA_LAMBDA { msum[t] = ZeroInts(); });
      AddWeightedSums(ScaleBytes(at.quants_of(g)).minima, at, msum);
      Unroll<kTokens>([&](auto t) TATARA_LAMBDA {
        const Floats m = Multiply(dmin, BroadcastFloat(at.d + t));
        const Floats acc = LoadFloats(at.acc(g, t));
        StoreFloats(at.acc(g, t), NegatedMultiplyAdd(m, ToFloats(msum[t]), acc));
      });
    });
  }

  template <int kGroups, int kTokens>
  static void Tile(const ProductArgs& args) {
    At<kGroups, kTokens> at{args};
    for (std::int64_t b = 0; b < args.n_blocks; ++b, at.NextBlock()) {
      ScaleLanes scale[8][kGroups];
      Ints isum[kGroups][kTokens];
      Start<kGroups, kTokens>(at, scale, isum);
      const std::uint8_t* lines = at.quants + 3 * kLineBytes;
      for (int j = 0; j < 8; ++j, lines += kSubBlockBytes) {
        Dots dots[kGroups][kTokens];
        ForTile<kGroups, kTokens>([&](auto g, auto t) TATARA_LAMBDA {
          dots[g][t] = kGiveBack ? StartDots(at.sum(t, kStart16OfK + j)) : StartDots();
        });
        AddSteps<kHighBits, 0, 8>(lines, at, 8 * j, dots);
        ForTile<kGroups, kTokens>([&](auto g, auto t) TATARA_LAMBDA {
          isum[g][t] = AddInts(isum[g][t], ScaledDots(dots[g][t], scale[j][g]));
        });
      }
      Unroll<kGroups>([&](auto g) TATARA_LAMBDA {
        const Floats d = LoadHalves(at.scales_of(g));
        Unroll<kTokens>([&](auto t) TATARA_LAMBDA { at.Accumulate(g, t, d, isum[g][t]); });
      });
      Minima<kGroups, kTokens>(at);
    }
  }
};

struct BlockQ6_K {
  static constexpr int kPartBytes = 6 * kLineBytes;  // 32 values
  static constexpr int kQuantBytes = 4 * kLineBytes + 8 * kPartBytes;
  static constexpr int kScaleBytes = 32;

  template <int kGroups, int kTokens>
  static void Tile(const ProductArgs& args) {
    TileAt<kTokens, 256, kQuantBytes, kScaleBytes> at{args};
    for (std::int64_t b = 0; b < args.n_blocks; ++b, at.NextBlock()) {
      ScaleLanes scale[16][kGroups];
      ForTile<kGroups, 4>([&](auto g, auto i) TATARA_LAMBDA {
        const Ints bytes = LoadLine(at.quants_of(g) + i * kLineBytes);
        Unroll<4>([&](auto j)
                      TATARA_LAMBDA { scale[4 * i + j][g] = ScaleOfSignedByte<j.value>(bytes); });
      });
      Ints isum[kGroups][kTokens];
      ForTile<kGroups, kTokens>([&](auto g, auto t) TATARA_LAMBDA { isum[g][t] = ZeroInts(); });
      const std::uint8_t* lines = at.quants + 4 * kLineBytes;
      for (int j = 0; j < 8; ++j, lines += kPartBytes) {
        Unroll<2>([&](auto half) TATARA_LAMBDA {
          Dots dots[kGroups][kTokens];
          ForTile<kGroups, kTokens>([&](auto g, auto t) TATARA_LAMBDA {
            dots[g][t] = StartDots(at.sum(t, kStart32 + 2 * j + half));
          });
          AddSteps<2, half.value * 4, 4>(lines, at, 8 * j, dots);
          ForTile<kGroups, kTokens>([&](auto g, auto t) TATARA_LAMBDA {
            isum[g][t] = AddInts(isum[g][t], ScaledDots(dots[g][t], scale[2 * j + half][g]));
          });
        });
      }
      Unroll<kGroups>([&](auto g) TATARA_LAMBDA {
        const Floats d = LoadHalves(at.scales_of(g));
        Unroll<kTokens>([&](auto t) TATARA_LAMBDA { at.Accumulate(g, t, d, isum[g][t]); });
      });
    }
  }
};

template <typename Block, int kGroups>
TATARA_INLINE void ProductOfGroups(const ProductArgs& args) {
  switch (args.n_tokens) {
    case 1:
      return Block::template Tile<kGroups, 1>(args);
    case 2:
      return Block::template Tile<kGroups, 2>(args);
    case 3:
      return Block::template Tile<kGroups, 3>(args);
    default:
      return Block::template Tile<kGroups, 4>(args);
  }
}

template <typename Block>
void Product(const ProductArgs& args) {
  if constexpr (kRowGroups > 1) {
    if (args.n_groups > 1) return ProductOfGroups<Block, kRowGroups>(args);
  }
  ProductOfGroups<Block, 1>(args);
}

}  // namespace
}  // namespace tatara::numerics
