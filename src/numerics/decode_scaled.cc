// Decoders of the types with one scale for 32 values, and of the K types.
#include <cstring>

#include "decode_blocks.h"

namespace tatara::numerics {
namespace {

void Decode(const RawQ8_0& b, float* y) {
  const float d = F16ToF32(b.d);
  for (int i = 0; i < 32; ++i) y[i] = d * static_cast<float>(b.q[i]);
}

void Decode(const RawQ4_0& b, float* y) {
  const float d = F16ToF32(b.d);
  for (int i = 0; i < 16; ++i) {
    y[i] = d * static_cast<float>((b.q[i] & 15) - 8);
    y[i + 16] = d * static_cast<float>((b.q[i] >> 4) - 8);
  }
}

void Decode(const RawQ4_1& b, float* y) {
  const float d = F16ToF32(b.d);
  const float m = F16ToF32(b.m);
  for (int i = 0; i < 16; ++i) {
    y[i] = d * static_cast<float>(b.q[i] & 15) + m;
    y[i + 16] = d * static_cast<float>(b.q[i] >> 4) + m;
  }
}

// The unsigned 5-bit values of a block of 32.
template <typename Block>
void FiveBits(const Block& b, int* q) {
  const auto high = LoadLe<std::uint32_t>(b.high);
  for (int i = 0; i < 16; ++i) {
    q[i] = (b.q[i] & 15) | static_cast<int>((high >> i) & 1) << 4;
    q[i + 16] = (b.q[i] >> 4) | static_cast<int>((high >> (i + 16)) & 1) << 4;
  }
}

void Decode(const RawQ5_0& b, float* y) {
  const float d = F16ToF32(b.d);
  int q[32];
  FiveBits(b, q);
  for (int i = 0; i < 32; ++i) y[i] = d * static_cast<float>(q[i] - 16);
}

void Decode(const RawQ5_1& b, float* y) {
  const float d = F16ToF32(b.d);
  const float m = F16ToF32(b.m);
  int q[32];
  FiveBits(b, q);
  for (int i = 0; i < 32; ++i) y[i] = d * static_cast<float>(q[i]) + m;
}

struct ScaleAndMin {
  int scale, min;
};
ScaleAndMin SubBlockScale(const std::uint8_t* scales, int j) {
  if (j < 4) return {scales[j] & 63, scales[j + 4] & 63};
  return {(scales[j + 4] & 15) | (scales[j - 4] >> 6) << 4, (scales[j + 4] >> 4) | (scales[j] >> 6)
                                                                                       << 4};
}

// One sub-block of a K type with minima; q(i) is its unsigned value i.
template <typename Block, typename Values>
void DecodeSubBlock(const Block& b, int j, Values q, float* y) {
  const auto [scale, min] = SubBlockScale(b.scales, j);
  const float d = F16ToF32(b.d) * static_cast<float>(scale);
  const float m = F16ToF32(b.dmin) * static_cast<float>(min);
  for (int i = 0; i < 32; ++i) y[32 * j + i] = d * static_cast<float>(q(i)) - m;
}

void Decode(const RawQ4_K& b, float* y) {
  for (int j = 0; j < 8; ++j) {
    const auto q = [&](int i) { return (b.q[j / 2 * 32 + i] >> (j % 2 * 4)) & 15; };
    DecodeSubBlock(b, j, q, y);
  }
}

void Decode(const RawQ5_K& b, float* y) {
  for (int j = 0; j < 8; ++j) {
    const auto q = [&](int i) {
      return ((b.q[j / 2 * 32 + i] >> (j % 2 * 4)) & 15) | ((b.high[i] >> j) & 1) << 4;
    };
    DecodeSubBlock(b, j, q, y);
  }
}

// Value i (0..31) of the j-th 32 values (0..7): half h = j / 4, quarter c = j % 4 of that half. Its
// low nibble is in byte 64 h + 32 (c % 2) + i, low for c < 2; its two high bits at bit 2 c of byte
// 32 h + i.
int SixBits(const RawQ6_K& b, int j, int i) {
  const int h = j / 4;
  const int c = j % 4;
  const int low = (b.low[64 * h + 32 * (c % 2) + i] >> (c / 2 * 4)) & 15;
  return low | ((b.high[32 * h + i] >> (2 * c)) & 3) << 4;
}

void Decode(const RawQ6_K& b, float* y) {
  const float d = F16ToF32(b.d);
  for (int k = 0; k < 256; ++k) {
    const float scale = d * static_cast<float>(b.scales[k / 16]);
    y[k] = scale * static_cast<float>(SixBits(b, k / 32, k % 32) - 32);
  }
}

void Decode(const RawQ8_1& b, float* y) {
  const float d = F16ToF32(b.d);
  for (int i = 0; i < 32; ++i) y[i] = d * static_cast<float>(b.q[i]);
}

void Decode(const RawQ8_K& b, float* y) {
  for (int i = 0; i < 256; ++i) y[i] = b.d * static_cast<float>(b.q[i]);
}

// Value k of the types that keep two bits a value: halves of 128 values, each in 32 bytes.
int TwoBits(const std::uint8_t* q, int k) {
  return q[k / 128 * 32 + k % 32] >> (k % 128 / 32 * 2) & 3;
}

void Decode(const RawQ2_K& b, float* y) {
  const float d = F16ToF32(b.d);
  const float dmin = F16ToF32(b.dmin);
  for (int k = 0; k < 256; ++k) {
    const int both = b.scales[k / 16];
    const float scale = d * static_cast<float>(both & 15);
    y[k] = scale * static_cast<float>(TwoBits(b.q, k)) - dmin * static_cast<float>(both >> 4);
  }
}

void Decode(const RawQ3_K& b, float* y) {
  const float d = F16ToF32(b.d);
  for (int j = 0; j < 16; ++j) {
    const int low = b.scales[j % 8] >> (j / 8 * 4) & 15;
    const int high = b.scales[8 + j % 4] >> (j / 4 * 2) & 3;
    const float scale = d * static_cast<float>((low | high << 4) - 32);
    for (int k = 16 * j; k < 16 * j + 16; ++k) {
      const int third = b.high[k % 32] >> (k / 32) & 1;
      y[k] = scale * static_cast<float>(TwoBits(b.q, k) + 4 * third - 4);
    }
  }
}

void Decode(const RawTQ2_0& b, float* y) {
  const float d = F16ToF32(b.d);
  for (int k = 0; k < 256; ++k) y[k] = d * static_cast<float>(TwoBits(b.q, k) - 1);
}

}  // namespace

DecodeFn DecoderOfScaledBlocks(DType dtype) {
  switch (dtype) {
    case DType::kQ8_0:
      return DecodeBlocks<RawQ8_0, Decode, 32>;
    case DType::kQ4_0:
      return DecodeBlocks<RawQ4_0, Decode, 32>;
    case DType::kQ4_1:
      return DecodeBlocks<RawQ4_1, Decode, 32>;
    case DType::kQ5_0:
      return DecodeBlocks<RawQ5_0, Decode, 32>;
    case DType::kQ5_1:
      return DecodeBlocks<RawQ5_1, Decode, 32>;
    case DType::kQ4_K:
      return DecodeBlocks<RawQ4_K, Decode, 256>;
    case DType::kQ5_K:
      return DecodeBlocks<RawQ5_K, Decode, 256>;
    case DType::kQ6_K:
      return DecodeBlocks<RawQ6_K, Decode, 256>;
    case DType::kQ8_1:
      return DecodeBlocks<RawQ8_1, Decode, 32>;
    case DType::kQ8_K:
      return DecodeBlocks<RawQ8_K, Decode, 256>;
    case DType::kQ2_K:
      return DecodeBlocks<RawQ2_K, Decode, 256>;
    case DType::kQ3_K:
      return DecodeBlocks<RawQ3_K, Decode, 256>;
    case DType::kTQ2_0:
      return DecodeBlocks<RawTQ2_0, Decode, 256>;
    default:
      return nullptr;
  }
}

}  // namespace tatara::numerics
