#include "huggingface/four_bits.h"

#include <algorithm>

namespace tatara::weights {
namespace {

using numerics::DType;

constexpr SafetensorsType kMadeQ4 = {"Q4_0", 0, DType::kQ4_0};
constexpr std::int64_t kBlock = 32;
constexpr std::size_t kBlockBytes = 18;

bool IsHalf(float value) {
  return numerics::F16ToF32(numerics::F32ToF16(value)) == value;
}

// Every block of 32 along a row lies in one group, codes are around 8, scales fit.
bool FitsQ4(const FourBits& m) {
  if (m.n_in % kBlock != 0) return false;
  for (std::int64_t k = 0; k < m.n_in; ++k) {
    const auto first = static_cast<std::size_t>(k / kBlock * kBlock);
    if (m.group[static_cast<std::size_t>(k)] != m.group[first]) return false;
  }
  return std::ranges::all_of(m.zeros, [](std::int16_t zero) { return zero == 8; }) &&
         std::ranges::all_of(m.scales, IsHalf);
}

void WriteQ4(const FourBits& m, std::byte* out) {
  for (std::int64_t o = 0; o < m.n_out; ++o) {
    for (std::int64_t k = 0; k < m.n_in; k += kBlock, out += kBlockBytes) {
      const std::size_t at = static_cast<std::size_t>(o * m.n_groups) +
                             static_cast<std::size_t>(m.group[static_cast<std::size_t>(k)]);
      StoreLe(out, numerics::F32ToF16(m.scales[at]));
      const std::uint8_t* codes = m.codes.data() + o * m.n_in + k;
      for (int i = 0; i < 16; ++i) {
        out[2 + i] = static_cast<std::byte>(codes[i] | codes[i + 16] << 4);
      }
    }
  }
}

void WriteF32(const FourBits& m, std::byte* out) {
  for (std::int64_t o = 0; o < m.n_out; ++o) {
    for (std::int64_t k = 0; k < m.n_in; ++k, out += sizeof(float)) {
      const std::size_t at = static_cast<std::size_t>(o * m.n_groups) +
                             static_cast<std::size_t>(m.group[static_cast<std::size_t>(k)]);
      const int code = m.codes[static_cast<std::size_t>(o * m.n_in + k)] - m.zeros[at];
      StoreLe(out, m.scales[at] * static_cast<float>(code));
    }
  }
}

}  // namespace

constexpr SafetensorsType kMadeF32Value = {"F32", 32, DType::kF32};
const SafetensorsType kMadeF32 = kMadeF32Value;

SourceTensor MadeOf(const FourBits& m, HeldStore& store) {
  SourceTensor tensor{.type = &kMadeF32, .shape = {m.n_out, m.n_in}, .data = {}};
  const bool q4 = FitsQ4(m);
  const auto n = static_cast<std::size_t>(m.n_out * m.n_in);
  const std::span<std::byte> room =
      store.Allocate(q4 ? n / static_cast<std::size_t>(kBlock) * kBlockBytes : n * sizeof(float));
  if (q4) {
    tensor.type = &kMadeQ4;
    WriteQ4(m, room.data());
  } else {
    WriteF32(m, room.data());
  }
  tensor.data = room;
  return tensor;
}

}  // namespace tatara::weights
