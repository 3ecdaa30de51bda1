// Adapter files: what is read, and by which name everything else is refused.

#include "tatara/weights/adapter_file.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <fstream>
#include <limits>

#include "gguf_builder.h"
#include "test_support.h"

namespace tatara::weights {
namespace {

using test::GgufBuilder;
using ::testing::HasSubstr;

constexpr std::uint32_t kF32 = 0, kF16 = 1, kQ8_0 = 8, kString = 8, kFloat = 6;

struct Spoil {
  std::string type = "adapter", kind = "lora", architecture = "llama", extra_key;
  std::string a = "blk.0.attn_q.weight.lora_a", b = "blk.0.attn_q.weight.lora_b";
  std::vector<std::uint64_t> a_dims = {32, 4}, b_dims = {4, 16};
  std::uint32_t type_a = kF32;
  float alpha = 8, first_value = 1;
};

// A (4 x 32) and B (16 x 4) of one matrix; the first number of A is first_value.
std::string AdapterBytes(const Spoil& s) {
  GgufBuilder b;
  b.Counts(2, 4 + (s.extra_key.empty() ? 0 : 1));
  b.Key("general.type", kString).PutString(s.type);
  b.Key("general.architecture", kString).PutString(s.architecture);
  b.Key("adapter.type", kString).PutString(s.kind);
  b.Key("adapter.lora.alpha", kFloat).Put(s.alpha);
  if (!s.extra_key.empty()) b.Key(s.extra_key, kFloat).Put(1.0F);
  b.Tensor(s.a, s.a_dims, s.type_a, 0);
  b.Tensor(s.b, s.b_dims, kF32, 512);
  b.Data(0);
  std::string bytes = b.bytes();
  std::vector<float> values(128 + 64, 0.5F);
  values[0] = s.first_value;
  bytes.append(reinterpret_cast<const char*>(values.data()), values.size() * sizeof(float));
  return bytes;
}

class AdapterFileTest : public ::testing::Test {
 protected:
  AdapterFileTest() { model_.Set("general.architecture", "llama"); }
  Result<AdapterFile> Open(const std::string& bytes) {
    const auto path = scratch_.path() / "a.gguf";
    std::ofstream(path, std::ios::binary) << bytes;
    return OpenAdapter(path, model_);
  }
  std::string Message(const Spoil& spoil) {
    const auto opened = Open(AdapterBytes(spoil));
    return opened.ok() ? "accepted" : opened.error().text();
  }
  tatara::test::ScratchDir scratch_;
  Metadata model_{"model.gguf"};
};

TEST_F(AdapterFileTest, ReadsFactorsAndScale) {
  const auto file = Open(AdapterBytes({}));
  ASSERT_TRUE(file.ok()) << file.error().text();
  ASSERT_EQ(file->parts.size(), 1U);
  const AdapterPart& part = file->parts.at("blk.0.attn_q.weight");
  EXPECT_EQ(part.a.n_rows, 4);
  EXPECT_EQ(part.a.n_cols, 32);
  EXPECT_EQ(part.b.n_rows, 16);
  EXPECT_EQ(part.scale, 2.0);
  EXPECT_EQ(file->rank_max(), 4);
  EXPECT_FALSE(file->is_dora());
  EXPECT_EQ(file->architecture, "llama");
  EXPECT_EQ(file->sha256.size(), 64U);
  EXPECT_EQ(Open(AdapterBytes({.alpha = 0}))->parts.begin()->second.scale, 1.0);
}

TEST_F(AdapterFileTest, RefusesByKey) {
  EXPECT_THAT(Message({.type = "model"}), HasSubstr("'general.type' is 'model'"));
  EXPECT_THAT(Message({.kind = "ia3"}), HasSubstr("'adapter.type' is 'ia3'"));
  EXPECT_THAT(Message({.architecture = "qwen2"}),
              HasSubstr("an adapter for 'qwen2' models, but model.gguf is a 'llama' model"));
  EXPECT_THAT(Message({.extra_key = "adapter.alora.invocation_tokens"}),
              HasSubstr("'adapter.alora.invocation_tokens' asks for something"));
  EXPECT_THAT(Message({.alpha = std::numeric_limits<float>::infinity()}),
              HasSubstr("'adapter.lora.alpha' is inf"));
}

TEST_F(AdapterFileTest, RefusesByTensor) {
  EXPECT_THAT(Message({.a = "blk.0.attn_q.weight"}),
              HasSubstr("'blk.0.attn_q.weight' is neither '.lora_a' nor '.lora_b'"));
  EXPECT_THAT(Message({.a = "blk.1.attn_q.weight.lora_a"}), HasSubstr("lacks one of its two"));
  EXPECT_THAT(Message({.b_dims = {8, 8}}),
              HasSubstr("has factors of 4 x 32 and 8 x 8; expected rank"));
  EXPECT_THAT(Message({.a_dims = {128}}), HasSubstr("has 1 dimensions"));
  EXPECT_THAT(Message({.a_dims = {16, 4, 2}}), HasSubstr("has 3 dimensions"));
  EXPECT_THAT(Message({.type_a = kQ8_0}), HasSubstr("has the type Q8_0"));
  EXPECT_THAT(Message({.first_value = std::numeric_limits<float>::quiet_NaN()}),
              HasSubstr("'blk.0.attn_q.weight.lora_a' holds a number that is not finite"));
  EXPECT_EQ(Message({.type_a = kF16}), "accepted");
}

TEST_F(AdapterFileTest, RefusesAFileWithoutTensors) {
  GgufBuilder b;
  b.Counts(0, 4);
  b.Key("general.type", kString).PutString("adapter");
  b.Key("general.architecture", kString).PutString("llama");
  b.Key("adapter.type", kString).PutString("lora");
  b.Key("adapter.lora.alpha", kFloat).Put(1.0F);
  EXPECT_THAT(Open(b.Data(0).bytes()).error().text(), HasSubstr("without any tensor"));
}

TEST_F(AdapterFileTest, NoCutFileIsAccepted) {
  const std::string whole = AdapterBytes({});
  for (std::size_t n = 0; n < whole.size(); n += 7) {
    EXPECT_FALSE(Open(whole.substr(0, n)).ok()) << n;
  }
}

}  // namespace
}  // namespace tatara::weights
