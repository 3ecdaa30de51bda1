#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <fstream>

#include "ggml_types.h"
#include "gguf_builder.h"
#include "gguf_reader.h"
#include "tatara/base/utf8.h"
#include "tatara/weights/tensor_store.h"
#include "test_store.h"

namespace tatara::weights {
namespace {

using test::GgufBuilder;
using test::SmallGguf;
using testing::HasSubstr;
namespace fs = std::filesystem;

// Reads a copy of exactly this size, so that a sanitizer sees any step beyond it.
Result<GgufHead> Read(const std::string& bytes) {
  const std::vector<char> exact(bytes.begin(), bytes.end());
  return ReadGgufHead(std::as_bytes(std::span(exact)), "t.gguf");
}

TEST(Gguf, ReadsEveryTypeOfValueInBothVersions) {
  for (const std::uint32_t version : {2u, 3u}) {
    const auto read = Read(SmallGguf(version).bytes());
    ASSERT_TRUE(read.ok()) << read.error().text();
    const Metadata& m = read->metadata;
    EXPECT_EQ(read->version, version);
    EXPECT_EQ(m.origin(), "t.gguf");
    EXPECT_EQ(m.Int("u8").value(), 200);
    EXPECT_EQ(m.Int("i8").value(), -3);
    EXPECT_EQ(m.Int("u16").value(), 60000);
    EXPECT_EQ(m.Int("i16").value(), -300);
    EXPECT_EQ(m.Int("i32").value(), -70000);
    EXPECT_EQ(m.Float("f32").value(), static_cast<double>(0.1f));
    EXPECT_EQ(m.Bool("yes").value(), true);
    EXPECT_EQ(std::get<std::uint64_t>(m.values().at("u64")), ~std::uint64_t{0});
    EXPECT_EQ(m.Int("i64").value(), -5);
    EXPECT_EQ(m.Float("f64").value(), 2.5);
    EXPECT_EQ(m.String("name").value(), "tiny \xE3\x81\x9F");
    EXPECT_THAT(*m.Strings("tokens"), testing::ElementsAre("a", "\xFF", ""));
    EXPECT_THAT(*m.Floats("scores"), testing::ElementsAre(1.0, -2.0));
    EXPECT_THAT(*m.Floats("doubles"), testing::ElementsAre(1.5));
    EXPECT_THAT(*m.Ints("ids"), testing::ElementsAre(-1, 7));
    EXPECT_THAT(*m.Ints("bytes"), testing::ElementsAre(1, 2, 3, 4));
    EXPECT_THAT(*m.Ints("flags"), testing::ElementsAre(0, 1));
    EXPECT_EQ(m.Strings("none")->size(), 0u);
    EXPECT_FALSE(m.Has("nested")) << "arrays of arrays are checked and left out";
    ASSERT_EQ(read->tensors.size(), 3u);
    EXPECT_EQ(read->tensors[1].name, "q");
    EXPECT_EQ(read->tensors[1].n_bytes, 68u);
    EXPECT_EQ(read->tensors[2].n_dims, 4);
    EXPECT_EQ(read->tensors[2].offset, SmallGguf().At("data") + 1120);
  }
}

TEST(Gguf, AlignmentKeyMovesTheData) {
  for (const std::size_t alignment : {8u, 64u, 4096u}) {
    GgufBuilder b;
    b.Counts(1, 1).Key("general.alignment", 4).Put(static_cast<std::uint32_t>(alignment));
    b.Tensor("w", {2}, 0, 0).Data(8, alignment);
    const auto read = Read(b.bytes());
    ASSERT_TRUE(read.ok()) << read.error().text();
    EXPECT_EQ(read->tensors[0].offset % alignment, 0u);
    EXPECT_EQ(read->tensors[0].offset, b.At("data"));
  }
}

TEST(Gguf, AVocabularyAloneNeedsNoDataSection) {
  GgufBuilder b;
  b.Counts(0, 1).Key("a", 0).Put<std::uint8_t>(1);
  const auto read = Read(b.bytes());
  ASSERT_TRUE(read.ok()) << read.error().text();
  EXPECT_TRUE(read->tensors.empty());
}

TEST(Gguf, EveryTruncationIsRefusedWithTheFilesName) {
  const GgufBuilder b = SmallGguf();
  const std::size_t needed = b.At("data") + 1152;
  ASSERT_EQ(needed, b.bytes().size());
  for (std::size_t n = 0; n < needed; ++n) {
    const auto read = Read(b.bytes().substr(0, n));
    ASSERT_FALSE(read.ok()) << n;
    ASSERT_THAT(read.error().text(), HasSubstr("t.gguf: ")) << n;
  }
}

TEST(Gguf, EveryFlippedBitIsReadOrRefusedButNeverRunsAway) {
  const std::string good = SmallGguf().bytes();
  std::size_t refused = 0;
  for (std::size_t bit = 0; bit < SmallGguf().At("data") * 8; ++bit) {
    std::string bad = good;
    bad[bit / 8] = static_cast<char>(bad[bit / 8] ^ (1 << (bit % 8)));
    const auto read = Read(bad);
    refused += !read.ok();
    if (!read.ok()) continue;
    for (const GgufTensor& tensor : read->tensors) {
      ASSERT_LE(tensor.offset + tensor.n_bytes, bad.size());
    }
  }
  EXPECT_GT(refused, 1000u);
}

struct Hostile {
  const char* name;
  std::string bytes;
  const char* expected;  // in the message, besides the file's name
};

constexpr std::uint64_t kHuge = ~std::uint64_t{0};

// A file with one tensor of these dimensions and type, at this offset, and `n_data` bytes of data.
std::string OneTensor(const std::vector<std::uint64_t>& dims, std::uint32_t type = 0,
                      std::uint64_t offset = 0, std::size_t n_data = 64) {
  GgufBuilder b;
  return b.Counts(1, 0).Tensor("w", dims, type, offset).Data(n_data).bytes();
}

std::string TwoTensors(const std::string& a, const std::string& c, std::uint64_t offset_c) {
  GgufBuilder b;
  return b.Counts(2, 0).Tensor(a, {16}, 0, 0).Tensor(c, {16}, 0, offset_c).Data(128).bytes();
}

// One key of type `type`; whatever `fill` writes is its value.
template <typename Fill>
std::string OneKey(const std::string& key, std::uint32_t type, Fill fill) {
  GgufBuilder b;
  b.Counts(0, 1).Key(key, type);
  fill(b);
  return b.bytes();
}

std::string OneAlignment(std::uint32_t alignment) {
  return OneKey("general.alignment", 4, [=](GgufBuilder& b) { b.Put(alignment); });
}

std::string NestedArrays(int depth) {
  return OneKey("deep", 9, [=](GgufBuilder& b) {
    for (int i = 0; i < depth; ++i) b.Array(9, 1);
    b.Array(4, 0);
  });
}

std::vector<Hostile> HeaderMutations() {
  const GgufBuilder b = SmallGguf();
  const auto magic = [&](const char* text) { return text + b.bytes().substr(4); };
  return {
      {"empty", "", "the file is empty"},
      {"three bytes", "GGU", "474755"},
      {"other magic", magic("ELF!"), "not a model: the file starts with the bytes 454c4621"},
      {"big-endian magic", magic("FUGG"), "big-endian"},
      {"big-endian version", b.With("version", 0x03000000u), "big-endian"},
      {"ggml", magic("lmgg"), "before GGUF ('lmgg')"},
      {"ggjt", magic("tjgg"), "before GGUF ('tjgg')"},
      {"zip", magic("PK\x03\x04"), "zip archive"},
      {"Git LFS pointer", "version https://git-lfs.github.com/spec/v1\n", "Git LFS pointer"},
      {"web page", "<!DOCTYPE html><html>", "3c21444f"},
      {"magic alone", "GGUF", "the file ends inside header.version"},
      {"version 0", b.With("version", 0u), "version 0"},
      {"version 1", b.With("version", 1u), "version 1"},
      {"version 4", b.With("version", 4u), "version 4"},
      {"tensor count 2^64-1", b.With("n_tensors", kHuge), "header.tensor_count"},
      {"tensor count above the limit", b.With("n_tensors", kTensorsMax + 1), "the limit is 262144"},
      {"tensor count above the file", b.With("n_tensors", kTensorsMax), "needs"},
      {"one tensor too many", b.With("n_tensors", std::uint64_t{4}), "tensor[3]"},
      {"key count 2^64-1", b.With("n_keys", kHuge), "header.metadata_kv_count"},
      {"key count above the limit", b.With("n_keys", kMetadataKeysMax + 1), "the limit is 65536"},
      {"key count above the file", b.With("n_keys", kMetadataKeysMax), "needs"},
      {"one key too many", b.With("n_keys", std::uint64_t{22}), "tensor[0].name"},
      {"cut in the counts", GgufBuilder().Put(std::uint64_t{0}).Put(0u).bytes(),
       "the file ends inside header.metadata_kv_count"},
  };
}

std::vector<Hostile> MetadataMutations() {
  const GgufBuilder b = SmallGguf();
  return {
      {"key length 2^64-1", b.With("name.key", kHuge), "metadata[1].key"},
      {"key length above the limit", b.With("name.key", std::uint64_t{65536}),
       "the limit is 65535"},
      {"key length beyond the end", b.With("name.key", std::uint64_t{60000}), "metadata[1].key"},
      {"key length 0", b.With("name.key", std::uint64_t{0}), "empty or not UTF-8"},
      {"key not UTF-8", b.With("name.key", '\xFF', 8), "empty or not UTF-8: '?ame'"},
      {"key with a surrogate", OneKey("\xED\xA0\x80", 0, [](GgufBuilder& k) { k.Put('x'); }),
       "not UTF-8"},
      {"key overlong", OneKey("\xC0\xAF", 0, [](GgufBuilder& k) { k.Put('x'); }), "not UTF-8"},
      {"key twice", b.With("i8.key", 'u', 8), "'u8' is there twice"},
      {"type 13", b.With("u8.type", 13u), "(key 'u8'): type 13"},
      {"type 2^32-1", b.With("u8.type", ~0u), "type 4294967295"},
      {"bool of 2", b.With("yes", std::uint8_t{2}), "(key 'yes'): the byte 2"},
      {"bool of 255 in an array", b.With("flag0", std::uint8_t{255}),
       "(key 'flags'): the byte 255"},
      {"string length 2^64-1", b.With("name", kHuge), "(key 'name')"},
      {"string length above the limit", b.With("name", kStringBytesMax + 1),
       "the limit is 16777216"},
      {"string length beyond the end", b.With("name", std::uint64_t{100000}),
       "the file ends inside metadata[1].value (key 'name')"},
      {"string length 2^63", b.With("name", std::uint64_t{1} << 63), "(key 'name')"},
      {"array of type 13", b.With("tokens", 13u), "(key 'tokens'): type 13"},
      {"array count 2^64-1", b.With("tokens", kHuge, 4), "elements"},
      {"array count above the limit", b.With("bytes", kArrayElementsMax + 1, 4),
       "the limit is 16777216"},
      {"array count beyond the end", b.With("tokens", std::uint64_t{1000000}, 4), "the file has"},
      {"array count whose bytes overflow", b.With("big", std::uint64_t{1} << 61, 4), "elements"},
      {"array count 2^63", b.With("ids", std::uint64_t{1} << 63, 4), "elements"},
      {"string in an array 2^64-1", b.With("token0", kHuge), "value"},
      {"arrays five deep", NestedArrays(5), "go deeper than 4"},
      {"arrays a thousand deep", NestedArrays(1000), "go deeper than 4"},
      {"array in array beyond the end", b.With("nested", kHuge, 16), "elements"},
      {"number cut off", OneKey("u", 10, [](GgufBuilder& k) { k.Put(7).Put('x'); }),
       "metadata[0].value"},
      {"key cut off", b.CutAt("big.key", 9), "metadata[20].key"},
      {"type cut off", b.CutAt("big.type", 2), "metadata[20].type"},
      {"array head cut off", b.CutAt("ids", 6), "metadata[14].value.count"},
      {"array cut off", b.CutAt("ids", 15), "(key 'ids')"},
      {"alignment 0", OneAlignment(0), "general.alignment is 0"},
      {"alignment 4", OneAlignment(4), "general.alignment is 4"},
      {"alignment 24", OneAlignment(24), "general.alignment is 24"},
      {"alignment 8192", OneAlignment(8192), "a power of two from 8 to 4096"},
      {"alignment 2^31", OneAlignment(1u << 31), "general.alignment"},
      {"alignment as text",
       OneKey("general.alignment", 8, [](GgufBuilder& k) { k.PutString("32"); }),
       "general.alignment"},
      {"alignment negative",
       OneKey("general.alignment", 11, [](GgufBuilder& k) { k.Put(std::int64_t{-32}); }),
       "general.alignment is -32"},
  };
}

std::vector<Hostile> TensorMutations() {
  const GgufBuilder b = SmallGguf();
  constexpr std::uint64_t kLarge = std::uint64_t{1} << 62;
  return {
      {"name length 2^64-1", b.With("w.name", kHuge), "tensor[0].name"},
      {"name of 65 bytes", TwoTensors(std::string(65, 'n'), "c", 64), "the limit is 64"},
      {"name empty", TwoTensors("", "c", 64), "empty or not UTF-8"},
      {"name not UTF-8", TwoTensors("\xE3\x81", "c", 64), "empty or not UTF-8: '\?\?'"},
      {"name twice", TwoTensors("a", "a", 64), "tensor[1]: the name 'a' is there twice"},
      {"no dimensions", OneTensor({}), "has 0 dimensions"},
      {"five dimensions", OneTensor({1, 1, 1, 1, 1}), "has 5 dimensions"},
      {"2^32-1 dimensions", b.With("w.n_dims", ~0u), "4294967295 dimensions"},
      {"dimension 0", OneTensor({0}), "dimension 0"},
      {"fourth dimension 0", OneTensor({1, 1, 1, 0}), "dimension 3"},
      {"dimension 2^63", OneTensor({std::uint64_t{1} << 63}), "below 2^63"},
      {"dimension 2^64-1", OneTensor({16, kHuge}), "dimension 1"},
      {"elements overflow", OneTensor({kLarge, 4}), "more than can be counted"},
      {"elements overflow to 0", OneTensor({std::uint64_t{1} << 32, std::uint64_t{1} << 32}),
       "more than can be counted"},
      {"bytes overflow", OneTensor({kLarge}), "more than can be counted"},
      {"bytes overflow late", OneTensor({32, std::uint64_t{1} << 30, std::uint64_t{1} << 28}, 8),
       "w"},
      {"row no multiple of the block", OneTensor({33}, 8), "rows of 33 are no multiple of the 32"},
      {"row below a block of 256", OneTensor({32}, 12),
       "no multiple of the 256 values in a block of Q4_K"},
      {"type 42", OneTensor({16}, 42), "unknown type 42"},
      {"type 2^32-1", OneTensor({16}, ~0u), "unknown type 4294967295"},
      {"type withdrawn", OneTensor({32}, 4), "Q4_2, which ggml withdrew"},
      {"type repacked", OneTensor({32}, 31), "Q4_0_4_4, which ggml withdrew"},
      {"offset unaligned", OneTensor({4}, 0, 4), "offset 4 is no multiple of the alignment 32"},
      {"offset beyond the data", OneTensor({4}, 0, 96), "the data, which has 64 bytes"},
      {"offset 2^64-32", OneTensor({4}, 0, kHuge - 31), "the file is cut off or damaged"},
      {"offset 2^63", OneTensor({4}, 0, std::uint64_t{1} << 63), "the file is cut off or damaged"},
      {"tensor one byte beyond the data", OneTensor({16}, 0, 0, 63), "which has 63 bytes"},
      {"tensor without data", OneTensor({16}, 0, 0, 0), "which has 0 bytes"},
      {"tensor of 2^60 bytes", OneTensor({std::uint64_t{1} << 58}),
       "the file is cut off or damaged"},
      {"tensors at one place", TwoTensors("a", "c", 0), "overlap"},
      {"tensors overlap by half", TwoTensors("a", "c", 32),
       "the tensors 'a' and 'c' overlap at byte"},
      {"offset cut off", b.CutAt("h.offset", 7), "tensor[2].offset"},
      {"dimensions cut off", b.CutAt("w.dims", 12), "tensor[0].dims"},
      {"data cut off", b.CutAt("data", 1151), "tensor 'h'"},
      {"no data section", b.CutAt("data"), "which has 0 bytes"},
  };
}

TEST(Gguf, HostileFilesAreRefusedWithFileAndPlace) {
  ASSERT_TRUE(Read(SmallGguf().bytes()).ok());
  std::size_t count = 0;
  for (const auto& list : {HeaderMutations(), MetadataMutations(), TensorMutations()}) {
    for (const Hostile& hostile : list) {
      ++count;
      const auto read = Read(hostile.bytes);
      ASSERT_FALSE(read.ok()) << hostile.name;
      EXPECT_EQ(read.error().kind(), ErrorKind::kRefused) << hostile.name;
      EXPECT_THAT(read.error().text(), testing::StartsWith("t.gguf: ")) << hostile.name;
      EXPECT_THAT(read.error().text(), HasSubstr(hostile.expected)) << hostile.name;
      EXPECT_TRUE(IsValidUtf8(read.error().text())) << hostile.name;
    }
  }
  EXPECT_GE(count, 60u);
}

TEST(Gguf, MetadataBeyondItsLimitIsRefused) {
  // 17 strings of the longest length: 272 MB in a sparse file.
  const test::ScratchDir dir;
  GgufBuilder head;
  head.Counts(0, 17);
  const fs::path path = dir.path() / "long.gguf";
  std::ofstream out(path, std::ios::binary);
  out << head.bytes();
  for (int i = 0; i < 17; ++i) {
    GgufBuilder key;
    key.Key("k" + std::to_string(i), 8).Put(kStringBytesMax);
    out << key.bytes().substr(8);
    out.seekp(static_cast<std::streamoff>(kStringBytesMax), std::ios::cur);
  }
  out << ' ';
  out.close();
  const auto opened = OpenTensorStore(path);
  ASSERT_FALSE(opened.ok());
  EXPECT_THAT(opened.error().text(), HasSubstr("up to key 'k15'"));
}

TEST(Gguf, TypesWeDoNotComputeWithAreRefusedByName) {
  const test::ScratchDir dir;
  for (std::uint32_t number = 0; number <= 41; ++number) {
    const GgmlType& type = *FindGgmlType(number);
    if (type.block_elements == 0) continue;
    const fs::path path = dir.path() / "t.gguf";
    test::WriteFile(path, OneTensor({type.block_elements}, number, 0, type.block_bytes));
    const auto opened = OpenTensorStore(path);
    ASSERT_EQ(opened.ok(), type.dtype.has_value()) << type.name;
    if (!opened.ok()) {
      EXPECT_THAT(
          opened.error().text(),
          HasSubstr("tensor 'w' has the type " + std::string(type.name) + ", which this version"));
    }
  }
  EXPECT_EQ(FindGgmlType(42), nullptr);
}

TEST(Gguf, OurTypesAreLaidOutAsNumericsReadsThem) {
  int n_types = 0;
  for (std::uint32_t number = 0; number <= 41; ++number) {
    const GgmlType& type = *FindGgmlType(number);
    if (!type.dtype) continue;
    ++n_types;
    const numerics::DTypeTraits& traits = numerics::TraitsOf(*type.dtype);
    EXPECT_EQ(traits.name, type.name);
    EXPECT_EQ(static_cast<std::uint32_t>(traits.block_elements), type.block_elements) << type.name;
    EXPECT_EQ(static_cast<std::uint32_t>(traits.block_bytes), type.block_bytes) << type.name;
  }
  EXPECT_EQ(n_types, numerics::kDTypeCount - 2);  // the 8-bit floats are not ggml's
}

TEST(Gguf, WhatIsNoRegularFileIsRefused) {
  const test::ScratchDir dir;
  EXPECT_EQ(OpenTensorStore(dir.path() / "none").error().kind(), ErrorKind::kNotFound);
  EXPECT_FALSE(OpenTensorStore(dir.path()).ok());
}

TEST(Gguf, OpensTheTinyModelsOfEveryArchitecture) {
  TATARA_REQUIRE_DATA(folder, "golden/arch");
  int n_files = 0;
  for (const auto& entry : fs::directory_iterator(folder)) {
    if (entry.path().extension() != ".gguf") continue;
    ++n_files;
    const auto opened = OpenTensorStore(entry.path());
    ASSERT_TRUE(opened.ok()) << opened.error().text();
    EXPECT_GT((*opened)->tensors().size(), 3u);
    EXPECT_TRUE((*opened)->metadata().String("general.architecture").ok());
  }
  EXPECT_GE(n_files, 40);
}

TEST(Gguf, OpensVocabulariesWithoutTensors) {
  TATARA_REQUIRE_DATA(folder, "tokenizer");
  int n_files = 0;
  for (const auto& entry : fs::directory_iterator(folder)) {
    if (entry.path().extension() != ".gguf") continue;
    ++n_files;
    const auto opened = OpenTensorStore(entry.path());
    ASSERT_TRUE(opened.ok()) << opened.error().text();
    EXPECT_TRUE((*opened)->tensors().empty()) << entry.path();
    EXPECT_GT((*opened)->metadata().Strings("tokenizer.ggml.tokens")->size(), 1000u);
  }
  EXPECT_GE(n_files, 5);
}

TEST(Utf8, AcceptsWellFormedSequencesOnly) {
  for (const char* good :
       {"", "a", "\x7F", "\xC2\x80", "\xDF\xBF", "\xE0\xA0\x80", "\xED\x9F\xBF", "\xEE\x80\x80",
        "\xF0\x90\x80\x80", "\xF4\x8F\xBF\xBF", "\xE3\x81\x9F\xE3\x82\x89"}) {
    EXPECT_TRUE(IsValidUtf8(good)) << good;
  }
  for (const char* bad :
       {"\x80", "\xBF", "\xC0\x80", "\xC1\xBF", "\xC2", "\xC2\x41", "\xE0\x9F\xBF", "\xED\xA0\x80",
        "\xE3\x81", "\xF0\x8F\xBF\xBF", "\xF4\x90\x80\x80", "\xF5\x80\x80\x80", "\xFF"}) {
    EXPECT_FALSE(IsValidUtf8(bad)) << bad;
  }
  EXPECT_EQ(Printable("a\x1B[31m\xFF\xE3\x81\x9F"), "a?[31m?\xE3\x81\x9F");
  EXPECT_EQ(Printable(std::string(200, 'x')), std::string(80, 'x') + "...");
}

}  // namespace
}  // namespace tatara::weights
