#include "tatara/weights/tensor_store.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "test_support.h"

namespace tatara::weights {
namespace {

using testing::HasSubstr;

TEST(TensorStore, OpensTheRealModels) {
  struct Expected {
    const char* name;
    const char* architecture;
    std::size_t n_tensors;
    std::int64_t n_vocab;
    std::int64_t width;
  };
  for (const Expected& expected : {Expected{"smollm2-135m", "llama", 272, 49152, 576},
                                   Expected{"qwen2.5-coder-0.5b", "qwen2", 291, 151936, 896},
                                   Expected{"qwen2.5-coder-1.5b", "qwen2", 339, 151936, 1536},
                                   Expected{"gemma3-270m", "gemma3", 236, 262144, 640}}) {
    SCOPED_TRACE(expected.name);
    TATARA_REQUIRE_MODEL(path, expected.name);
    const auto opened = OpenTensorStore(path);
    ASSERT_TRUE(opened.ok()) << opened.error().text();
    const TensorStore& store = **opened;
    EXPECT_EQ(store.metadata().String("general.architecture").value(), expected.architecture);
    EXPECT_EQ(store.tensors().size(), expected.n_tensors);
    const auto* tokens = store.metadata().Strings("tokenizer.ggml.tokens");
    ASSERT_NE(tokens, nullptr);
    EXPECT_EQ(static_cast<std::int64_t>(tokens->size()), expected.n_vocab);
    EXPECT_TRUE(store.Get("token_embd.weight", expected.n_vocab, expected.width).ok());
    for (const auto& [name, view] : store.tensors()) {
      EXPECT_EQ(view.name, name);
      EXPECT_EQ(reinterpret_cast<std::uintptr_t>(view.data.data()) % 32, 0u) << name;
    }
  }
}

TEST(TensorStore, OpensTheRealE5Container) {
  TATARA_REQUIRE_MODEL(path, "e5-small");
  const auto opened = OpenTensorStore(path);
  ASSERT_TRUE(opened.ok()) << opened.error().text();
  const TensorStore& store = **opened;
  const Metadata& keys = store.metadata();
  EXPECT_EQ(keys.String("general.architecture").value(), "bert");
  EXPECT_EQ(keys.Int("bert.embedding_length").value(), 384);
  EXPECT_EQ(keys.Float("bert.attention.layer_norm_epsilon").value(), double{1e-12F});
  EXPECT_EQ(store.tensors().size(), 197u);
  EXPECT_EQ(store.Get("token_embd.weight", 250037, 384)->dtype, numerics::DType::kQ4_0);
  EXPECT_TRUE(store.Get("blk.11.ffn_down.weight", 384, 1536).ok());
  const auto& tokens = *keys.Strings("tokenizer.ggml.tokens");
  ASSERT_EQ(tokens.size(), 250002u);
  EXPECT_EQ(tokens[0], "<s>");
  EXPECT_EQ(tokens[3], "<unk>");
  EXPECT_EQ(keys.Ints("tokenizer.ggml.token_type")->at(3), 2);
  EXPECT_EQ(keys.Ints("tokenizer.ggml.token_type")->at(250001), 3);
  EXPECT_EQ(keys.Ints("tokenizer.e5.charmap_from")->size(), 4837u);
}

TEST(TensorStore, GetNamesTheTensorAndBothShapes) {
  TATARA_REQUIRE_DATA(path, "golden/arch/llama.gguf");
  const auto opened = OpenTensorStore(path);
  ASSERT_TRUE(opened.ok()) << opened.error().text();
  const TensorStore& store = **opened;
  EXPECT_EQ(store.Find("no.such"), nullptr);
  EXPECT_THAT(store.Get("no.such", 1, 1).error().text(),
              HasSubstr("llama.gguf: the tensor 'no.such'"));
  const TensorView* view = store.Find("output_norm.weight");
  ASSERT_NE(view, nullptr);
  EXPECT_EQ(view->n_rows(), 1);
  EXPECT_THAT(store.Get("output_norm.weight", 7, 9).error().text(),
              HasSubstr("'output_norm.weight' has 1 rows of 64, expected 7 rows of 9"));
}

}  // namespace
}  // namespace tatara::weights
