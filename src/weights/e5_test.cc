#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "e5_builder.h"
#include "e5_reader.h"

namespace tatara::weights {
namespace {

using test::E5Builder;
using testing::HasSubstr;

std::string Refusal(const std::string& bytes) {
  const auto head = ReadE5(AsBytes(bytes), "t.bin");
  return head.ok() ? "read" : head.error().text();
}

TEST(E5, ReadsTheSmallFile) {
  const E5Builder b;
  const auto head = ReadE5(AsBytes(b.bytes()), "t.bin");
  ASSERT_TRUE(head.ok()) << head.error().text();
  EXPECT_EQ(head->tensors.size(), 21u);
  EXPECT_EQ(head->metadata.Strings("tokenizer.ggml.tokens")->at(4), "\xE2\x96\x81");
  EXPECT_EQ(*head->metadata.Ints("tokenizer.e5.charmap_from"),
            (std::vector<std::int64_t>{7, 0xFF71}));
  EXPECT_EQ(*head->metadata.Ints("tokenizer.e5.charmap_count"), (std::vector<std::int64_t>{0, 1}));
  EXPECT_EQ(*head->metadata.Ints("tokenizer.e5.charmap_to"), (std::vector<std::int64_t>{0x30A2}));
}

TEST(E5, RefusesEveryCut) {
  const E5Builder b;
  for (std::size_t n = 4; n < b.bytes().size(); n += n < 1200 ? 1 : 97) {
    EXPECT_NE(Refusal(b.bytes().substr(0, n)), "read") << n;
  }
  EXPECT_THAT(Refusal(b.bytes() + "x"), HasSubstr("1 bytes after the last tensor"));
}

TEST(E5, RefusesWrongFields) {
  const E5Builder b;
  const auto i32 = [&](const char* mark, std::int32_t value) {
    return Refusal(b.With(mark, value));
  };
  EXPECT_THAT(i32("version", 2), HasSubstr("E5S1 version 2"));
  EXPECT_THAT(i32("hidden", -1), HasSubstr("header.hidden_size at byte 8 is -1"));
  EXPECT_THAT(i32("hidden", 48), HasSubstr("no multiples"));
  EXPECT_THAT(i32("heads", 5), HasSubstr("no multiples"));
  EXPECT_THAT(i32("heads", 0), HasSubstr("header.heads"));
  EXPECT_THAT(i32("layers", 2000000000), HasSubstr("header.layers"));
  EXPECT_THAT(i32("rows", 4), HasSubstr("header.pieces"));
  EXPECT_THAT(i32("block", 64), HasSubstr("header.block_size"));
  EXPECT_THAT(i32("bos", 5), HasSubstr("header.bos"));
  EXPECT_THAT(Refusal(b.With("epsilon", 0.0F)), HasSubstr("epsilon"));
  EXPECT_THAT(Refusal(b.With("text_bytes", ~std::uint64_t{0})), HasSubstr("the limit is"));
  EXPECT_THAT(Refusal(b.With("offsets", std::uint32_t{1})), HasSubstr("run from 1 to 20"));
  EXPECT_THAT(Refusal(b.With("offsets", std::uint32_t{2}, 8)), HasSubstr("piece 1 goes from"));
  EXPECT_THAT(Refusal(b.With("offsets", std::uint32_t{18}, 16)), HasSubstr("is not UTF-8"));
  EXPECT_THAT(Refusal(b.With("scores", std::uint32_t{0x7fc00000})),
              HasSubstr("the score of piece 0"));
}

TEST(E5, RefusesDamagedCharacterMaps) {
  const E5Builder b;
  EXPECT_THAT(Refusal(b.With("map_entries", -1)), HasSubstr("map_entries"));
  EXPECT_THAT(Refusal(b.With("map_bytes", std::uint32_t{13})), HasSubstr("the character map ends"));
  EXPECT_THAT(Refusal(b.With("map", std::uint32_t{0xFF71})), HasSubstr("U+FF71 after U+FF71"));
  EXPECT_THAT(Refusal(b.With("map", std::uint32_t{0xD800})), HasSubstr("U+D800"));
  EXPECT_THAT(Refusal(b.With("map1", std::uint32_t{0x110000}, 5)), HasSubstr("no character"));
  EXPECT_NE(Refusal(b.With("map1", std::uint8_t{255}, 4)), "read");
}

TEST(E5, RefusesDamagedDirectories) {
  const E5Builder b;
  EXPECT_THAT(Refusal(b.With("tensors", 20)), HasSubstr("header.tensors"));
  EXPECT_THAT(Refusal(b.With("emb.pos", 'x', 2)), HasSubstr("'xmb.pos' is unknown"));
  std::string twice = b.bytes();
  twice.replace(b.At("l0.k.w") + 2, 6, "l0.q.w");
  EXPECT_THAT(Refusal(twice), HasSubstr("'l0.q.w' is unknown or there twice"));
  EXPECT_THAT(Refusal(b.With("emb.word.dtype", std::uint8_t{2})), HasSubstr("unknown type 2"));
  EXPECT_THAT(Refusal(b.With("emb.ln.w.dtype", std::uint8_t{1})), HasSubstr("unknown type 1"));
  EXPECT_THAT(Refusal(b.With("emb.word.elements", std::uint32_t{64})), HasSubstr("has 64 values"));
  EXPECT_THAT(Refusal(b.With("emb.word.bytes", std::uint64_t{1})), HasSubstr("in 1 bytes"));
  for (const std::uint64_t offset :
       {std::uint64_t{0}, std::uint64_t{63}, std::uint64_t{1} << 62, ~std::uint64_t{63}}) {
    EXPECT_NE(Refusal(b.With("emb.word.offset", offset)), "read") << offset;
    EXPECT_NE(Refusal(b.With("emb.ln.b.offset", offset)), "read") << offset;
  }
}

}  // namespace
}  // namespace tatara::weights
