// The oracle of quantised products. Its arithmetic is the contract's (rule 3), written out.
//
// Activations, per block of 32 (types with blocks of 32) or 256 (K types) values x:
//   absmax = max |x|;  inverse = 127 / absmax;  d_a = absmax / 127;
//   a = rint(x * inverse), ties to even, clamped to -127..127
//   d_a = 0, a = 0 where absmax is 0 or inverse overflows; d_a = NaN, a = 0 where some x is not
//   finite.
//
// Products, per output acc = +0, then for the blocks ascending, every written operation rounded
// once, integers exact, float(integer) rounded to nearest even:
//   Q8_0 Q4_0 Q5_0 Q6_K   acc = fma(d * d_a, float(isum), acc)
//   Q4_1 Q5_1             acc = fma(d * d_a, float(isum), acc);  acc = fma(m * d_a, float(asum),
//   acc) Q4_K Q5_K             acc = fma(d * d_a, float(isum), acc);  acc = fma(-(dmin * d_a),
//   float(msum), acc)
// with isum = sum w a for blocks of 32 and sum_j scale_j sum w a over the sub-blocks j of a K type,
// w the signed quant (q - 8 for Q4_0, q - 16 for Q5_0, q - 32 for Q6_K, q as it is for Q8_0,
// unsigned for the others), asum = sum a, msum = sum_j min_j sum a. All fit 32 bits: |isum| <=
// 256*128*32*127.
#include "quant_kernels.h"

#include <bit>
#include <cmath>
#include <limits>

#include "packed_layout.h"
#include "tatara/base/bytes.h"
#include "tatara/numerics/dtype.h"
#include "tatara/numerics/matrix.h"

namespace tatara::numerics {
namespace {

// One row's block of a group, taken out of the packed layout.
struct BlockRow {
  float d = 0;
  float m = 0;    // m or dmin
  int w[256];     // signed quants
  int scale[16];  // of each sub-block; K types only
  int min[8];
};

std::uint32_t WordOf(const std::uint8_t* lines, int line, int row) {
  return LoadLe<std::uint32_t>(lines + line * kLineBytes + 4 * row);
}
float ScaleOf(const std::uint8_t* scales, int index, int row) {
  return F16ToF32(LoadLe<std::uint16_t>(scales + (index * kGroupRows + row) * 2));
}
int ByteOf(std::uint32_t word, int b) {
  return static_cast<int>(word >> (8 * b) & 255);
}

// 32 values with `n_high_bits` (0, 1 or 2) above their nibbles.
void ReadNibbles(const std::uint8_t* lines, int row, int n_high_bits, int offset, int* w) {
  for (int k = 0; k < 32; ++k) {
    const int s = k / 4;
    const int b = k % 4;
    int value = ByteOf(WordOf(lines, s % 4, row), b) >> (s / 4 * 4) & 15;
    if (n_high_bits == 1) value |= (ByteOf(WordOf(lines, 4, row), b) >> s & 1) << 4;
    if (n_high_bits == 2) {
      value |= (ByteOf(WordOf(lines, 4 + s / 4, row), b) >> (2 * (s % 4)) & 3) << 4;
    }
    w[k] = value - offset;
  }
}

// 8 scales and 8 minima of 6 bits in three words (raw_blocks.h says how).
void ReadScalesOfK(const std::uint8_t* lines, int row, BlockRow& out) {
  const std::uint32_t word[3] = {WordOf(lines, 0, row), WordOf(lines, 1, row),
                                 WordOf(lines, 2, row)};
  for (int j = 0; j < 4; ++j) {
    out.scale[j] = ByteOf(word[0], j) & 63;
    out.min[j] = ByteOf(word[1], j) & 63;
    out.scale[j + 4] = (ByteOf(word[2], j) & 15) | ByteOf(word[0], j) >> 6 << 4;
    out.min[j + 4] = ByteOf(word[2], j) >> 4 | ByteOf(word[1], j) >> 6 << 4;
  }
}

constexpr bool HasMinimum(DType type) {
  return type == DType::kQ4_1 || type == DType::kQ5_1 || type == DType::kQ4_K ||
         type == DType::kQ5_K;
}
constexpr bool IsK(DType type) {
  return type == DType::kQ4_K || type == DType::kQ5_K || type == DType::kQ6_K;
}

template <DType kType>
void ReadBlock(const std::uint8_t* quants, const std::uint8_t* scales, int row, BlockRow& out) {
  out.d = ScaleOf(scales, 0, row);
  if constexpr (HasMinimum(kType)) out.m = ScaleOf(scales, 1, row);
  if constexpr (kType == DType::kQ8_0) {
    for (int k = 0; k < 32; ++k) out.w[k] = ByteOf(WordOf(quants, k / 4, row), k % 4) - 128;
  } else if constexpr (kType == DType::kQ4_0) {
    ReadNibbles(quants, row, 0, 8, out.w);
  } else if constexpr (kType == DType::kQ4_1) {
    ReadNibbles(quants, row, 0, 0, out.w);
  } else if constexpr (kType == DType::kQ5_0) {
    ReadNibbles(quants, row, 1, 16, out.w);
  } else if constexpr (kType == DType::kQ5_1) {
    ReadNibbles(quants, row, 1, 0, out.w);
  } else if constexpr (kType == DType::kQ6_K) {
    for (int j = 0; j < 16; ++j) {
      out.scale[j] = static_cast<std::int8_t>(ByteOf(WordOf(quants, j / 4, row), j % 4));
    }
    for (int j = 0; j < 8; ++j) {
      ReadNibbles(quants + (4 + 6 * j) * kLineBytes, row, 2, 32, out.w + 32 * j);
    }
  } else {
    constexpr int kHigh = kType == DType::kQ5_K ? 1 : 0;
    ReadScalesOfK(quants, row, out);
    for (int j = 0; j < 8; ++j) {
      ReadNibbles(quants + (3 + (4 + kHigh) * j) * kLineBytes, row, kHigh, 0, out.w + 32 * j);
    }
  }
}

// Values of one sub-block; the whole block where the type has none.
constexpr int SubBlock(DType type) {
  return type == DType::kQ6_K ? 16 : 32;
}

// One block's step of the chain. a: the block's activations of one token, `stride` bytes between
// the four of one step and those of the next.
template <DType kType>
float Accumulate(const BlockRow& block, const std::int8_t* a, std::int64_t stride, float d_a,
                 float acc) {
  constexpr int kSize = kPackedTraits[static_cast<int>(kType)].block_elements;
  constexpr int kSub = SubBlock(kType);
  std::int32_t isum = 0;
  std::int32_t msum = 0;
  for (int j = 0; j < kSize / kSub; ++j) {
    std::int32_t dot = 0;
    std::int32_t asum = 0;
    for (int k = j * kSub; k < (j + 1) * kSub; ++k) {
      const int value = a[k / 4 * stride + k % 4];
      dot += block.w[k] * value;
      asum += value;
    }
    isum += IsK(kType) ? block.scale[j] * dot : dot;
    if constexpr (HasMinimum(kType)) msum += IsK(kType) ? block.min[j] * asum : asum;
  }
  acc = std::fma(block.d * d_a, static_cast<float>(isum), acc);
  if constexpr (HasMinimum(kType)) {
    const float m = block.m * d_a;
    acc = std::fma(IsK(kType) ? -m : m, static_cast<float>(msum), acc);
  }
  return acc;
}

template <DType kType>
void Product(const ProductArgs& args) {
  constexpr PackedTraits kTraits = kPackedTraits[static_cast<int>(kType)];
  const std::int64_t width = args.n_tokens < kTokenGroup ? args.n_tokens : kTokenGroup;
  for (std::int64_t b = 0; b < args.n_blocks; ++b) {
    for (int r = 0; r < kGroupRows; ++r) {
      BlockRow block;
      ReadBlock<kType>(args.quants + b * kTraits.quant_bytes, args.scales + b * kTraits.scale_bytes,
                       r, block);
      for (int t = 0; t < args.n_tokens; ++t) {
        const std::int64_t group = t / kTokenGroup;
        const int lane = t % kTokenGroup;
        const std::int8_t* a =
            args.q + group * args.q_stride + b * kTraits.block_elements * width + 4 * lane;
        float& acc = args.acc[t * args.acc_stride + r];
        acc = Accumulate<kType>(block, a, 4 * width,
                                args.d[group * args.d_stride + b * width + lane], acc);
      }
    }
  }
}

// The exact f32 values (dtype.cc) of a block.
template <DType kType>
void Unpack(const std::uint8_t* quants, const std::uint8_t* scales, std::int64_t n_k,
            float* panel) {
  constexpr PackedTraits kTraits = kPackedTraits[static_cast<int>(kType)];
  constexpr int kSub = SubBlock(kType);
  for (std::int64_t b = 0; b < n_k / kTraits.block_elements; ++b) {
    for (int r = 0; r < kGroupRows; ++r) {
      BlockRow block;
      ReadBlock<kType>(quants + b * kTraits.quant_bytes, scales + b * kTraits.scale_bytes, r,
                       block);
      for (int k = 0; k < kTraits.block_elements; ++k) {
        const auto w = static_cast<float>(block.w[k]);
        float value;
        if constexpr (!IsK(kType)) {
          value = HasMinimum(kType) ? block.d * w + block.m : block.d * w;
        } else {
          value = block.d * static_cast<float>(block.scale[k / kSub]) * w;
          if (HasMinimum(kType)) value -= block.m * static_cast<float>(block.min[k / kSub]);
        }
        panel[(b * kTraits.block_elements + k) * kGroupRows + r] = value;
      }
    }
  }
}

void UnpackF16(const std::uint8_t* quants, const std::uint8_t*, std::int64_t n_k, float* panel) {
  for (std::int64_t i = 0; i < n_k * kGroupRows; ++i) {
    panel[i] = F16ToF32(LoadLe<std::uint16_t>(quants + 2 * i));
  }
}
void UnpackBF16(const std::uint8_t* quants, const std::uint8_t*, std::int64_t n_k, float* panel) {
  for (std::int64_t i = 0; i < n_k * kGroupRows; ++i) {
    panel[i] = BF16ToF32(LoadLe<std::uint16_t>(quants + 2 * i));
  }
}

// One block of one row; value i of it goes to q[i / 4 * stride + i % 4]. Returns d_a.
float QuantiseBlock(const float* x, int block, std::int8_t* q, std::int64_t stride) {
  std::uint32_t absmax_bits = 0;  // as integers: the order of magnitudes, with inf and NaN on top
  for (int i = 0; i < block; ++i) {
    const std::uint32_t bits = std::bit_cast<std::uint32_t>(x[i]) & 0x7fffffff;
    if (bits > absmax_bits) absmax_bits = bits;
  }
  const float absmax = std::bit_cast<float>(absmax_bits);
  const float inverse = 127.0F / absmax;
  float d = absmax / 127.0F;
  bool zero = false;
  if (absmax_bits >= 0x7f800000) {
    d = std::numeric_limits<float>::quiet_NaN();
    zero = true;
  } else if (inverse > std::numeric_limits<float>::max()) {
    d = 0;
    zero = true;
  }
  for (int i = 0; i < block; ++i) {
    float value = zero ? 0.0F : std::rint(x[i] * inverse);
    if (value > 127.0F) value = 127.0F;
    if (value < -127.0F) value = -127.0F;
    q[i / 4 * stride + i % 4] = static_cast<std::int8_t>(value);
  }
  return d;
}

void Quantise(const QuantiseArgs& args) {
  for (int t = 0; t < args.width; ++t) {
    for (std::int64_t b = 0; b < args.n_k / args.block; ++b) {
      args.d[b * args.width + t] =
          QuantiseBlock(args.x + t * args.x_stride + b * args.block, args.block,
                        args.q + b * args.block * args.width + 4 * t, 4 * args.width);
    }
  }
}

}  // namespace

void QuantizeRow(std::span<const float> x, int block, std::span<std::int8_t> q,
                 std::span<float> scales) {
  for (std::size_t b = 0; b * block < x.size(); ++b) {
    scales[b] = QuantiseBlock(x.data() + b * block, block, q.data() + b * block, 4);
  }
}

const QuantKernels kQuantKernelsScalar = {
    .tile_tokens = 16,
    .row_groups = 1,
    .needs_wide_for_q8_0 = false,
    .quantise = Quantise,
    .product = {nullptr, nullptr, nullptr, Product<DType::kQ8_0>, Product<DType::kQ4_0>,
                Product<DType::kQ4_1>, Product<DType::kQ5_0>, Product<DType::kQ5_1>,
                Product<DType::kQ4_K>, Product<DType::kQ5_K>, Product<DType::kQ6_K>},
    .unpack = {nullptr, UnpackF16, UnpackBF16, Unpack<DType::kQ8_0>, Unpack<DType::kQ4_0>,
               Unpack<DType::kQ4_1>, Unpack<DType::kQ5_0>, Unpack<DType::kQ5_1>,
               Unpack<DType::kQ4_K>, Unpack<DType::kQ5_K>, Unpack<DType::kQ6_K>},
};

}  // namespace tatara::numerics
