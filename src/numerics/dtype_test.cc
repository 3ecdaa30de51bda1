#include "tatara/numerics/dtype.h"

#include <gtest/gtest.h>

#include <bit>
#include <cmath>
#include <limits>
#include <utility>
#include <vector>

#include "tatara/numerics/digest.h"

namespace tatara::numerics {
namespace {

constexpr std::uint32_t kQuietNan = 0x7fc00000;

// The stream of tools/make_dtype_cases.py.
std::vector<std::byte> Stream(std::size_t n) {
  std::vector<std::byte> bytes(n);
  std::uint64_t state = 1;
  for (std::byte& byte : bytes) {
    state = state * 6364136223846793005U + 1442695040888963407U;
    byte = static_cast<std::byte>(state >> 56);
  }
  return bytes;
}

// Digests of 256 blocks of the stream by the `gguf` Python package (tools/make_dtype_cases.py).
TEST(Dequantize, EqualsAnIndependentDecoderBitForBit) {
  const std::pair<DType, const char*> cases[] = {
      {DType::kQ8_0, "524b1ba7ddbe915465fa368d308b45d48e6e7031694eeede412c9289677a3ead"},
      {DType::kQ4_0, "dc1a090731d07058680c5edb3257adc27aa2d786ce07cb3751a128a4c73eee8c"},
      {DType::kQ4_1, "241ba47b7f3677340c5cf1e378a59252a58bdb5f2f606a197bc7accce82340c0"},
      {DType::kQ5_0, "e486e1b4ef69c307a4aa04bab164da691f16736fa354b59239fbf8ccca7c2b29"},
      {DType::kQ5_1, "64068ae47eb0b4990d3c9706072a3a680b2cb73ebc751c2b8bd80c3e1192ba99"},
      {DType::kQ4_K, "0633af5b2c8086dea292258746dbf6bbe66fc4ef68445a964f26c1116119b053"},
      {DType::kQ5_K, "c036168c31bc8b5cb86c9ba8d8eb77e120fe081e7b196604f8f47a721b84a413"},
      {DType::kQ6_K, "c924937db6df772721b0f32b70c43c0bb9933c293d975d25fda39c639b9bd814"},
  };
  for (const auto& [dtype, digest] : cases) {
    std::vector<float> out(256 * static_cast<std::size_t>(TraitsOf(dtype).block_elements));
    Dequantize(dtype, Stream(256 * static_cast<std::size_t>(TraitsOf(dtype).block_bytes)), out);
    EXPECT_EQ(F32Sha256(out), digest) << TraitsOf(dtype).name;
  }
}

TEST(Dequantize, WidensEveryPatternOf16Bits) {
  std::vector<std::uint16_t> patterns(65536);
  for (std::size_t i = 0; i < patterns.size(); ++i) patterns[i] = static_cast<std::uint16_t>(i);
  std::vector<float> out(patterns.size());
  Dequantize(DType::kF16, std::as_bytes(std::span(patterns)), out);
  EXPECT_EQ(F32Sha256(out), "385ff5fe69182797cda5f1827e20cf423f4416bc9246f27d0eec27cac9039259");
  Dequantize(DType::kBF16, std::as_bytes(std::span(patterns)), out);
  EXPECT_EQ(F32Sha256(out), "f12e27efe34841dfd6391497b86f389096b03a376586e1d9691bba0a8de3980a");
}

TEST(Dequantize, CopiesF32AtAnyAlignment) {
  const std::vector<float> values = {1.5F, -0.0F, std::numeric_limits<float>::infinity()};
  std::vector<std::byte> bytes(1 + values.size() * 4);
  std::memcpy(bytes.data() + 1, values.data(), values.size() * 4);
  std::vector<float> out(values.size());
  Dequantize(DType::kF32, ByteSpan(bytes).subspan(1), out);
  EXPECT_EQ(F32Sha256(out), F32Sha256(values));
}

// For neighbours a < b of the format: their midpoint goes to the even one, what is just beside the
// midpoint to the nearer one, and the negatives mirror it. The last neighbour of the largest value
// is infinity, which stands for the value one step further.
template <typename Widen, typename Narrow>
void ExpectNearestEven(std::uint16_t infinity, double step_to_infinity, Widen widen,
                       Narrow narrow) {
  const float kInf = std::numeric_limits<float>::infinity();
  for (std::uint16_t a = 0; a < infinity; ++a) {
    const auto b = static_cast<std::uint16_t>(a + 1);
    const double high = b == infinity ? widen(a) + step_to_infinity : widen(b);
    const auto middle = static_cast<float>((widen(a) + high) / 2);
    ASSERT_EQ(narrow(widen(a)), a);
    ASSERT_EQ(narrow(middle), a % 2 == 0 ? a : b) << a;
    ASSERT_EQ(narrow(std::nextafter(middle, 0.0F)), a);
    ASSERT_EQ(narrow(std::nextafter(middle, kInf)), b);
    ASSERT_EQ(narrow(-middle), 0x8000 | (a % 2 == 0 ? a : b));
  }
  EXPECT_EQ(narrow(kInf), infinity);
  EXPECT_EQ(narrow(-kInf), 0x8000 | infinity);
  EXPECT_EQ(narrow(std::numeric_limits<float>::max()), infinity);
}

TEST(HalfPrecision, RoundsToNearestEvenOverTheWholeRange) {
  ExpectNearestEven(0x7c00, 32, [](std::uint16_t h) { return F16ToF32(h); }, F32ToF16);
}

TEST(Bfloat16, RoundsToNearestEvenOverTheWholeRange) {
  ExpectNearestEven(0x7f80, 0x1p120, [](std::uint16_t h) { return BF16ToF32(h); }, F32ToBF16);
}

TEST(HalfPrecision, KeepsNanQuiet) {
  for (const std::uint32_t bits : {0x7f800001U, 0xff800001U, kQuietNan, 0xffffffffU}) {
    const auto value = std::bit_cast<float>(bits);
    EXPECT_TRUE(std::isnan(F16ToF32(F32ToF16(value))));
    EXPECT_TRUE(std::isnan(BF16ToF32(F32ToBF16(value))));
    EXPECT_EQ(F32ToF16(value) & 0x7e00, 0x7e00);
    EXPECT_EQ(F32ToBF16(value) & 0x7fc0, 0x7fc0);
  }
  EXPECT_EQ(std::bit_cast<std::uint32_t>(F16ToF32(0x7c01)), 0x7fc02000U);
}

}  // namespace
}  // namespace tatara::numerics
