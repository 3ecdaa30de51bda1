// Exported folders, loaded as any published one: the same logits. Tiny models of every architecture
// that can be exported, one real model, and a merged adapter.

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>

#include "adapter_files.h"
#include "arch_models.h"
#include "golden_support.h"
#include "tatara/model/encoder.h"
#include "tatara/model/row_changer.h"
#include "tatara/text/tokenizer.h"
#include "tatara/text/tokenizer_json.h"
#include "tatara/weights/adapter_file.h"
#include "tatara/weights/hf_export.h"

namespace tatara::test {
namespace {

using ::testing::HasSubstr;
using weights::ExportHuggingFace;
using weights::HfExportOptions;

std::vector<float> LogitsOf(const std::filesystem::path& path, std::int32_t token_max) {
  ModelRunner runner(path, numerics::Activations::kF32, 2, 64);
  std::vector<std::int32_t> tokens;
  for (std::int32_t i = 0; i < 24; ++i) tokens.push_back((5 * i * i + 3 * i + 7) % token_max);
  std::vector<float> all;
  runner.Run(tokens, 24, 0, [&](std::size_t position, std::span<const float> logits) {
    if (position % 11 == 0 || position == 23) all.insert(all.end(), logits.begin(), logits.end());
  });
  return all;
}

// The largest difference, of the standard deviation of `b`.
double Distance(const std::vector<float>& a, const std::vector<float>& b) {
  EXPECT_EQ(a.size(), b.size());
  double sum = 0, squares = 0, worst = 0;
  for (std::size_t i = 0; i < b.size(); ++i) {
    sum += b[i];
    squares += double{b[i]} * b[i];
    worst = std::max(worst, std::abs(double{a[i]} - b[i]));
  }
  const auto n = static_cast<double>(b.size());
  return worst / std::sqrt(squares / n - sum / n * sum / n);
}

std::unique_ptr<weights::TensorStore> Open(const std::filesystem::path& path) {
  auto store = weights::OpenTensorStore(path);
  EXPECT_TRUE(store.ok()) << store.error().text();
  return std::move(*store);
}

// What published forms change in the numbers: norms as their difference from 1 (Gemma, Qwen's
// hybrids), decays as their logarithm (Qwen's hybrids).
double BoundOf(std::string_view name) {
  const bool rounds = name.starts_with("gemma2") || name.starts_with("gemma3") ||
                      name.starts_with("qwen3next") || name.starts_with("qwen35");
  return rounds ? 1e-5 : 0;
}

class ExportedModel : public ::testing::TestWithParam<const char*> {};

TEST_P(ExportedModel, GivesTheSameLogits) {
  TATARA_REQUIRE_DATA(folder, "golden/arch");
  const auto gguf = folder / (std::string(GetParam()) + ".gguf");
  const ScratchDir scratch;
  const auto store = Open(gguf);
  const auto report = ExportHuggingFace(*store, scratch.path() / "hf", {});
  if (std::string_view(GetParam()) == "llama") {  // divisors that follow from nothing published
    ASSERT_FALSE(report.ok());
    EXPECT_THAT(report.error().text(), HasSubstr("the divisors in 'rope_freqs.weight' follow"));
    return;
  }
  ASSERT_TRUE(report.ok()) << report.error().text();
  EXPECT_LE(Distance(LogitsOf(scratch.path() / "hf", 150), LogitsOf(gguf, 150)),
            BoundOf(GetParam()));
}

INSTANTIATE_TEST_SUITE_P(Models, ExportedModel, ::testing::ValuesIn(kDecoderModels),
                         [](const auto& info) {
                           std::string name = info.param;
                           std::ranges::replace(name, '-', '_');
                           return name;
                         });

std::vector<float> VectorOf(const std::filesystem::path& path) {
  ThreadPool pool(2);
  const auto encoder =
      model::Encoder::Load(Open(path), {.activations = numerics::Activations::kF32}, pool);
  EXPECT_TRUE(encoder.ok()) << encoder.error().text();
  if (!encoder.ok()) return {};
  std::vector<std::int32_t> tokens;
  for (std::int32_t i = 0; i < 24; ++i) tokens.push_back((5 * i * i + 3 * i + 7) % 150);
  const model::EncoderInfo& info = (*encoder)->info();
  const model::EncoderInput input{tokens, 0};
  std::vector<float> out(static_cast<std::size_t>(info.n_embd));
  EXPECT_TRUE((*encoder)->Encode({&input, 1}, info.pooling, pool, out).ok());
  std::vector<float> scores(static_cast<std::size_t>(info.n_classes));
  if (info.n_classes > 0) {
    EXPECT_TRUE((*encoder)->Classify({&input, 1}, pool, scores).ok());
  }
  out.insert(out.end(), scores.begin(), scores.end());
  return out;
}

class ExportedEncoder : public ::testing::TestWithParam<const char*> {};

TEST_P(ExportedEncoder, GivesTheSameVector) {
  TATARA_REQUIRE_DATA(folder, "golden/arch");
  const auto gguf = folder / (std::string(GetParam()) + ".gguf");
  const ScratchDir scratch;
  const auto report = ExportHuggingFace(*Open(gguf), scratch.path() / "hf", {});
  if (std::string_view(GetParam()) == "nomic-bert-moe") {
    ASSERT_FALSE(report.ok());
    EXPECT_THAT(report.error().text(), HasSubstr("'nomic-bert-moe' models cannot be written"));
    return;
  }
  ASSERT_TRUE(report.ok()) << report.error().text();
  EXPECT_EQ(VectorOf(scratch.path() / "hf"), VectorOf(gguf));
}

INSTANTIATE_TEST_SUITE_P(Models, ExportedEncoder, ::testing::ValuesIn(kEncoderModels),
                         [](const auto& info) {
                           std::string name = info.param;
                           std::ranges::replace(name, '-', '_');
                           return name;
                         });

TEST(Export, WritesShardsOfTheSizeAskedForAndHalves) {
  TATARA_REQUIRE_DATA(gguf, "golden/arch/qwen2.gguf");
  const ScratchDir scratch;
  const auto store = Open(gguf);
  const auto report = ExportHuggingFace(
      *store, scratch.path() / "hf", {.dtype = numerics::DType::kBF16, .shard_bytes_max = 40'000});
  ASSERT_TRUE(report.ok()) << report.error().text();
  EXPECT_TRUE(std::filesystem::exists(scratch.path() / "hf" / "model.safetensors.index.json"));
  EXPECT_GT(report->files.size(), 4U);
  EXPECT_LT(Distance(LogitsOf(scratch.path() / "hf", 150), LogitsOf(gguf, 150)), 0.05);
}

TEST(Export, RefusesByNameAndLeavesNothingBehind) {
  TATARA_REQUIRE_DATA(folder, "golden/arch");
  const ScratchDir scratch;
  const auto message = [&](const char* name) {
    const auto store = Open(folder / (std::string(name) + ".gguf"));
    const auto report = ExportHuggingFace(*store, scratch.path() / "hf", {});
    return report.ok() ? "accepted" : report.error().text();
  };
  EXPECT_THAT(message("llama"), HasSubstr("the divisors in 'rope_freqs.weight' follow from no"));
  EXPECT_THAT(message("nomic-bert-moe"), HasSubstr("'nomic-bert-moe' models cannot be written"));
  EXPECT_TRUE(std::filesystem::is_empty(scratch.path()));
  std::filesystem::create_directory(scratch.path() / "hf");
  EXPECT_THAT(message("qwen2"), HasSubstr("exists already"));
  const auto store = Open(folder / "qwen2.gguf");
  const auto report = ExportHuggingFace(
      *store, scratch.path() / "other",
      {.change_rows = [](std::string_view tensor, std::int64_t, std::span<float>) -> Result<> {
        if (tensor == "blk.1.ffn_up.weight") return Refuse("no more");
        return Ok{};
      }});
  EXPECT_THAT(report.error().text(), HasSubstr("no more"));
  EXPECT_FALSE(std::filesystem::exists(scratch.path() / "other"));
  EXPECT_EQ(std::distance(std::filesystem::directory_iterator(scratch.path()), {}), 1);
}

// A tied head that an adapter changes becomes a head of its own.
TEST(Export, MergesAnAdapterAsTheEngineDoes) {
  TATARA_REQUIRE_DATA(gguf, "golden/arch/llama_q8_0.gguf");
  const ScratchDir scratch;
  const std::shared_ptr<const weights::TensorStore> store = Open(gguf);
  ThreadPool pool(2);
  auto base = model::Model::Load(store, {.activations = numerics::Activations::kF32}, pool);
  ASSERT_TRUE(base.ok());
  WriteGgufLora(scratch.path() / "lora.gguf", (*base)->linears(), {});
  const auto file = weights::OpenAdapter(scratch.path() / "lora.gguf", store->metadata());
  ASSERT_TRUE(file.ok()) << file.error().text();
  model::RowChanger changer(*store, *file, 1, pool);
  ASSERT_TRUE(changer.Check().ok() && changer.ChangesHead());
  const auto report = ExportHuggingFace(
      *store, scratch.path() / "hf",
      {.change_rows = [&](std::string_view tensor, std::int64_t row,
                          std::span<float> rows) { return changer.Change(tensor, row, rows); },
       .separate_head = changer.ChangesHead()});
  ASSERT_TRUE(report.ok()) << report.error().text();
  auto merged = model::Model::Load(
      store, {.activations = numerics::Activations::kF32, .merge = {.adapter = &*file}}, pool);
  ASSERT_TRUE(merged.ok());
  const auto logits = [&](model::Model& model) {
    auto kv = model::KvPool::Make(model.info().cache, model.cache_type(), 1);
    const std::vector<std::int32_t> tokens = {3, 1, 4, 1, 5, 9, 2, 6}, rows = {0, 7};
    const std::vector<int> pages = {0};
    const model::SequenceSlice slice{tokens, 0, pages, rows};
    std::vector<float> out(2 * static_cast<std::size_t>(model.info().n_vocab));
    model.Forward({&slice, 1}, **kv, pool, out);
    return out;
  };
  auto back = model::Model::Load(Open(scratch.path() / "hf"),
                                 {.activations = numerics::Activations::kF32}, pool);
  ASSERT_TRUE(back.ok()) << back.error().text();
  EXPECT_EQ(logits(**back), logits(**merged)) << "the same bits";
  EXPECT_NE(logits(**back), logits(**base));
}

TEST(Export, ARealModelGivesTheSameLogits) {
  TATARA_REQUIRE_MODEL(gguf, "smollm2-135m");
  const ScratchDir scratch;
  const auto report = ExportHuggingFace(*Open(gguf), scratch.path() / "hf", {});
  ASSERT_TRUE(report.ok()) << report.error().text();
  EXPECT_EQ(report->model_class, "LlamaForCausalLM");
  EXPECT_EQ(LogitsOf(scratch.path() / "hf", 40000), LogitsOf(gguf, 40000));
}

// Vocabularies of GGUF files as tokenizer.json, read back: the same ids.
TEST(Export, TokenizersGiveTheSameIds) {
  for (const char* name : {"smollm2-135m", "qwen2.5-coder-0.5b"}) {
    TATARA_REQUIRE_MODEL(gguf, name);
    const auto store = Open(gguf);
    const auto json = text::TokenizerJsonOf(store->metadata());
    ASSERT_TRUE(json.ok()) << json.error().text();
    Metadata published("tokenizer.json");
    published.Set("tokenizer.huggingface.json", *json);
    const auto a = text::Tokenizer::FromMetadata(store->metadata());
    const auto b = text::Tokenizer::FromMetadata(published);
    ASSERT_TRUE(a.ok() && b.ok()) << (b.ok() ? "" : b.error().text());
    for (const std::string text :
         {"Hello, world!  It's 2024 - 3.14159\n\n\ttabs", "日本語の文章と、記号「」、半角ｶﾅ。", "",
          "e\u0301 \u00e9 naïve façade 12345", "<|im_start|>user\nhi<|im_end|>", "\xff\xfe broken",
          "    def f(x):\r\n        return x**2  # ok"}) {
      for (const bool special : {false, true}) {
        const text::EncodeOptions options{.add_start = true, .parse_special = special};
        EXPECT_EQ((*a)->Encode(text, options), (*b)->Encode(text, options)) << name << ": " << text;
      }
      const auto ids = (*a)->Encode(text, {});
      EXPECT_EQ((*a)->Decode(ids), (*b)->Decode(ids)) << name;
    }
  }
}

}  // namespace
}  // namespace tatara::test
