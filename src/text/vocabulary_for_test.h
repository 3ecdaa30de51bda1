// What the tokenizers' tests share.
#pragma once

#include <gtest/gtest.h>

#include <cstdint>
#include <memory>
#include <string>
#include <vector>

#include "small_vocabularies.h"
#include "tatara/base/philox.h"
#include "tatara/base/utf8.h"
#include "tatara/text/tokenizer.h"

namespace tatara::text {

inline std::unique_ptr<Tokenizer> MustMake(const Metadata& metadata) {
  auto made = Tokenizer::FromMetadata(metadata);
  if (made.ok()) return std::move(made).value();
  ADD_FAILURE() << made.error().text();
  return nullptr;
}

// Numbers that a test can repeat.
class RandomForTest {
 public:
  explicit RandomForTest(std::uint64_t seed) : seed_(seed) {}
  std::uint32_t Below(std::uint32_t n) {
    return RandomWords(
               {.seed = seed_, .purpose = RandomPurpose::kTest, .position = position_++})[0] %
           n;
  }
  std::string Bytes(std::size_t length_max) {
    std::string out;
    for (std::size_t n = Below(static_cast<std::uint32_t>(length_max + 1)); n > 0; --n) {
      out.push_back(static_cast<char>(Below(256)));
    }
    return out;
  }
  std::string Unicode(std::size_t length_max) {
    std::string out;
    for (std::size_t n = Below(static_cast<std::uint32_t>(length_max + 1)); n > 0; --n) {
      const char32_t c = Below(3) == 0 ? Below(0x110000) : Below(0x3100);
      if (c < 0xD800 || c > 0xDFFF) AppendUtf8(out, c);
    }
    return out;
  }
  // `n` characters of `alphabet`, each an entry.
  std::string From(const std::vector<std::string>& alphabet, std::size_t n) {
    std::string out;
    for (; n > 0; --n) out += alphabet[Below(static_cast<std::uint32_t>(alphabet.size()))];
    return out;
  }

 private:
  std::uint64_t seed_, position_ = 0;
};

}  // namespace tatara::text
