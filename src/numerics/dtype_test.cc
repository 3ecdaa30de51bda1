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
      {DType::kMXFP4, "80c81a33b68dc65e178d18ef1133ec17d6e1bc222da2e54671e8d141a3f10e76"},
      {DType::kNVFP4, "c4416ee2f2cee4a75dcc2d62a74aae86b73984725dafe3efd80afad6c1564eda"},
      {DType::kQ2_K, "1de732d8eab2890fd82130d636ddce82468c5eee7725d81fd87d63bca197dc20"},
      {DType::kQ3_K, "73a23175c400ec0dfcf7d82694e679092b19017e6ad342e5f96731e156822ab6"},
      {DType::kIQ1_S, "f5edbc7d5864a919caf46c5dac98278192ce1b6329be4fe2d7b417e9693d9c4e"},
      {DType::kIQ1_M, "24a3e28324e2e9fce771112c64c99779e64c8f63aad19ca2fdda3900766b0dab"},
      {DType::kIQ2_XXS, "a74a7959a42da6b5121e283d159ad2097f62e162bb155126a4d53bd5c175be4e"},
      {DType::kIQ2_XS, "2017f5e586b643d3b0d461e6f2a680bccd33d1c00cabde08284d84592047e0c9"},
      {DType::kIQ2_S, "a48a511071425a1797b445c171de7c1efe80e0958ab3c34c2cf36aa06851a43b"},
      {DType::kIQ3_XXS, "578f2e9f777a98a587ee0a57f2fa1bcdd3156b1525306699cbebf2fa71b199c2"},
      {DType::kIQ3_S, "da3ea12f28d72ffb259312c3be17d07063b8001f4dc729f43475e629f4290fa4"},
      {DType::kIQ4_NL, "9a9183ccbde39afa093f0d4ffcc8e78312eb23dc27ced8a286acacdc58c5eafe"},
      {DType::kIQ4_XS, "2aa9c7cc2f0d79cde8acc39e07e318021f37ae04ea3cbb1e4490bd326bf7d4ce"},
      {DType::kTQ1_0, "5989224701c92b6f2fdaa52fc879f97d9105600a147db90d60791089f98eca96"},
      {DType::kTQ2_0, "f12b3a2e0cf9f9b97ed8022ecf83d6ebe4f116b3e3ae9c66ae6130a256936963"},
      {DType::kQ8_1, "aea9d32f43328d2c1c77deb075007e9553760c21159e07dd7d3550abc0c25b95"},
      {DType::kQ8_K, "3e363a0071f5a626bb65c6e645101731bb4af61ded24e3f869ef7eb1e7d56bf0"},
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

// Every number of e4m3 and e5m2 by the words of the OFP8 specification, in doubles.
TEST(Dequantize, WidensEveryPatternOf8Bits) {
  std::vector<std::uint8_t> patterns(256);
  for (std::size_t i = 0; i < 256; ++i) patterns[i] = static_cast<std::uint8_t>(i);
  const auto expected = [](int bits, int mantissa_bits, int bias) {
    const int exponent = (bits & 127) >> mantissa_bits;
    const double fraction = std::ldexp(bits & ((1 << mantissa_bits) - 1), -mantissa_bits);
    const double size =
        exponent == 0 ? std::ldexp(fraction, 1 - bias) : std::ldexp(1 + fraction, exponent - bias);
    return static_cast<float>(bits >= 128 ? -size : size);
  };
  std::vector<float> out(256);
  Dequantize(DType::kF8_E4M3, std::as_bytes(std::span(patterns)), out);
  for (int i = 0; i < 256; ++i) {
    if ((i & 127) == 127) {
      EXPECT_TRUE(std::isnan(out[i]));
    } else {
      EXPECT_EQ(out[i], expected(i, 3, 7)) << i;
    }
    EXPECT_EQ(std::signbit(out[i]), i >= 128 && (i & 127) != 127) << i;
  }
  EXPECT_EQ(out[0x7e], 448.0F);
  Dequantize(DType::kF8_E5M2, std::as_bytes(std::span(patterns)), out);
  for (int i = 0; i < 256; ++i) {
    const int size = i & 127;
    EXPECT_EQ(std::isinf(out[i]), size == 0x7c);
    EXPECT_EQ(std::isnan(out[i]), size > 0x7c);
    if (size < 0x7c) {
      EXPECT_EQ(out[i], expected(i, 2, 15)) << i;
    }
  }
}

TEST(Dequantize, RoundsWideNumbersToNearest) {
  const double wide[] = {0.1, 16777217.0, -1e300, 1e-46};
  std::vector<float> out(4);
  Dequantize(DType::kF64, std::as_bytes(std::span(wide)), out);
  EXPECT_EQ(out,
            (std::vector<float>{0.1F, 16777216.0F, -std::numeric_limits<float>::infinity(), 0}));
  const std::int64_t whole[] = {-3, 16777219, std::numeric_limits<std::int64_t>::min(), 0};
  Dequantize(DType::kI64, std::as_bytes(std::span(whole)), out);
  EXPECT_EQ(out, (std::vector<float>{-3, 16777220, -0x1p63F, 0}));
  const std::int16_t narrow[] = {-32768, 32767, 1, 0};
  Dequantize(DType::kI16, std::as_bytes(std::span(narrow)), out);
  EXPECT_EQ(out, (std::vector<float>{-32768, 32767, 1, 0}));
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
