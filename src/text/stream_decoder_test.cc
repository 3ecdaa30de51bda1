#include <gtest/gtest.h>

#include "tatara/base/utf8.h"
#include "vocabulary_for_test.h"

namespace tatara::text {
namespace {

std::string Joined(StreamDecoder decoder, const std::vector<std::int32_t>& ids) {
  std::string out;
  for (const std::int32_t id : ids) {
    const std::string part = decoder.Push(id);
    EXPECT_TRUE(IsValidUtf8(part));
    out += part;
  }
  return out + decoder.Flush();
}

TEST(StreamDecoder, NeverEmitsAPartOfASequence) {
  const auto tokenizer = MustMake(SmallByteLevel().Build());
  ASSERT_NE(tokenizer, nullptr);
  StreamDecoder decoder(*tokenizer);
  const auto push = [&](unsigned char byte) {
    return decoder.Push(byte);
  };  // ids 0..255 are the bytes
  EXPECT_EQ(push(0xF0), "");
  EXPECT_EQ(push(0x9F), "");
  EXPECT_EQ(push(0x94), "");
  EXPECT_EQ(push(0xA5), "🔥");
  EXPECT_EQ(push(0xE3), "");
  EXPECT_EQ(push('a'), "\uFFFDa");
  EXPECT_EQ(push(0x80), "\uFFFD");
  EXPECT_EQ(push(0xE3), "");
  EXPECT_EQ(push(0x81), "");
  EXPECT_EQ(decoder.Flush(), "\uFFFD");
  EXPECT_EQ(decoder.Flush(), "");
}

TEST(StreamDecoder, JoinedPartsAreTheDecodedText) {
  for (const SmallVocabulary& v : {SmallByteLevel(), SmallSentencePiece()}) {
    const auto tokenizer = MustMake(v.Build());
    ASSERT_NE(tokenizer, nullptr);
    RandomForTest random(17);
    for (int round = 0; round < 2000; ++round) {
      std::vector<std::int32_t> ids;
      for (std::uint32_t n = random.Below(30); n > 0; --n) {
        // Past both ends of the vocabulary too.
        ids.push_back(static_cast<std::int32_t>(
                          random.Below(static_cast<std::uint32_t>(v.tokens.size()) + 4)) -
                      2);
      }
      EXPECT_EQ(Joined(StreamDecoder(*tokenizer), ids), ReplaceInvalidUtf8(tokenizer->Decode(ids)));
    }
  }
}

TEST(StreamDecoder, TheFirstSpaceIsTakenAwayOnceAfterWhateverSaysNothing) {
  const SmallVocabulary v = SmallSentencePiece();
  const auto tokenizer = MustMake(v.Build());
  ASSERT_NE(tokenizer, nullptr);
  const std::vector<std::int32_t> ids = {1, v.Find("▁the"), v.Find("▁the")};
  EXPECT_EQ(Joined(StreamDecoder(*tokenizer), ids), "the the");
  EXPECT_EQ(Joined(StreamDecoder::Continuing(*tokenizer), ids), " the the");
  const std::vector<std::int32_t> spaces = {v.Find("▁"), v.Find("▁the")};
  EXPECT_EQ(Joined(StreamDecoder(*tokenizer), spaces), " the");
}

}  // namespace
}  // namespace tatara::text
