#include "tatara/numerics/digest.h"

#include <gtest/gtest.h>

#include <bit>
#include <cstdint>
#include <vector>

namespace tatara::numerics {
namespace {

TEST(F32Digest, NansOfAnyPayloadAreEqualAndSignedZerosDiffer) {
  const float payload = std::bit_cast<float>(std::uint32_t{0xffc12345});
  const float quiet = std::bit_cast<float>(std::uint32_t{0x7fc00000});
  EXPECT_EQ(F32Sha256(std::vector<float>{1, payload}), F32Sha256(std::vector<float>{1, quiet}));
  EXPECT_NE(F32Sha256(std::vector<float>{0.0f}), F32Sha256(std::vector<float>{-0.0f}));
}

TEST(F32Digest, IsTheDigestOfTheLittleEndianBytes) {
  std::vector<float> values(3000);
  for (std::size_t i = 0; i < values.size(); ++i) values[i] = static_cast<float>(i) - 0.5f;
  EXPECT_EQ(F32Sha256(values), Sha256Hex(std::as_bytes(std::span(values))));
}

}  // namespace
}  // namespace tatara::numerics
