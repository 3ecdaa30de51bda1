// Tiny random encoders against an independent engine's pooled vectors (data/golden/arch): f32
// activations, 1e-4 of the scale. The vectors are those of the published erf GELU where a file
// gives both forms. And the same bits whatever the batch, the threads and the instruction set.

#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <nlohmann/json.hpp>

#include "arch_models.h"
#include "tatara/base/thread_pool.h"
#include "tatara/model/encoder.h"
#include "tatara/numerics/digest.h"
#include "tatara/numerics/isa.h"
#include "tatara/weights/tensor_store.h"
#include "test_support.h"

namespace tatara::test {
namespace {

constexpr double kOfScale = 1e-4;

std::unique_ptr<model::Encoder> LoadEncoder(const std::filesystem::path& path,
                                            numerics::Activations activations, ThreadPool& pool) {
  auto store = weights::OpenTensorStore(path);
  if (!store.ok()) throw std::runtime_error(store.error().text());
  auto encoder = model::Encoder::Load(std::move(*store), {.activations = activations}, pool);
  if (!encoder.ok()) throw std::runtime_error(encoder.error().text());
  return std::move(*encoder);
}

std::vector<float> Pooled(model::Encoder& encoder, std::span<const model::EncoderInput> inputs,
                          model::Pooling pooling, ThreadPool& pool) {
  const std::int64_t rows = model::Encoder::OutputRows(inputs, pooling);
  std::vector<float> out(static_cast<std::size_t>(rows * encoder.info().n_embd), -1.0F);
  const auto done = encoder.Encode(inputs, pooling, pool, out);
  EXPECT_TRUE(done.ok());
  return out;
}

struct Pinned {
  const char* model;  // "arch/NAME" for a tiny one
  const char* path;   // "int8" or "f32"
  const char* sha256;
};
constexpr Pinned kPinned[] = {
#include "encoder_hashes.inc"
};

// The ids of the tiny model's vector, or of the first golden text.
std::vector<std::int32_t> TokensOf(const std::string& model) {
  const auto json = nlohmann::json::parse(ReadFile(DataDir() / "golden" / (model + ".json")));
  return model.starts_with("arch/") ? json.at("token_ids") : json.at("texts").at(0).at("token_ids");
}

// Our own bits, SHA-256 over the pooled vector as little-endian f32, on every instruction set. A
// change here is a new version of the numerics contract. A failing entry prints its new line.
TEST(EncoderHashes, BitsAreTheGoldenOnes) {
  TATARA_REQUIRE_DATA(folder, "golden/arch");
  for (const Pinned& pinned : kPinned) {
    const std::string model = pinned.model;
    std::filesystem::path file = DataDir() / "golden" / (model + ".gguf");
    if (!model.starts_with("arch/")) {
      TATARA_REQUIRE_MODEL(real, model);
      file = real;
    }
    const auto activations = std::string(pinned.path) == "int8" ? numerics::Activations::kInt8
                                                                : numerics::Activations::kF32;
    const std::vector<std::int32_t> tokens = TokensOf(model);
    for (const numerics::Isa isa : numerics::AvailableIsas()) {
      numerics::SetActiveIsa(isa);
      ThreadPool pool(2);
      auto encoder = LoadEncoder(file, activations, pool);
      const model::EncoderInput input{.tokens = tokens};
      const auto vector = Pooled(*encoder, {&input, 1}, encoder->info().pooling, pool);
      const std::string sha256 = numerics::F32Sha256(vector);
      EXPECT_EQ(sha256, pinned.sha256) << numerics::IsaName(isa) << ": {\"" << model << "\", \""
                                       << pinned.path << "\",\n \"" << sha256 << "\"},";
    }
  }
}

class TinyEncoder : public ::testing::TestWithParam<const char*> {};

TEST_P(TinyEncoder, MeetsTheIndependentEngine) {
  TATARA_REQUIRE_DATA(folder, "golden/arch");
  const std::string name = GetParam();
  const auto golden = nlohmann::json::parse(ReadFile(folder / (name + ".json")));
  const auto tokens = golden.at("token_ids").get<std::vector<std::int32_t>>();
  const auto expected = golden.at("embedding").get<std::vector<double>>();
  const double scale = golden.at("scale").get<double>();
  ThreadPool pool(2);
  auto encoder = LoadEncoder(folder / (name + ".gguf"), numerics::Activations::kF32, pool);
  const model::EncoderInput input{.tokens = tokens};
  const auto vector = Pooled(*encoder, {&input, 1}, encoder->info().pooling, pool);
  ASSERT_EQ(vector.size(), expected.size());
  double worst = 0;
  for (std::size_t i = 0; i < vector.size(); ++i) {
    worst = std::max(worst, std::abs(double{vector[i]} - expected[i]));
  }
  EXPECT_LE(worst, kOfScale * scale) << name;
  RecordEvidence({encoder->info().architecture, "tiny vectors", name, worst / scale});
}

TEST_P(TinyEncoder, GivesTheSameBitsInAnyBatchOnAnyThreadsAndInstructionSet) {
  TATARA_REQUIRE_DATA(folder, "golden/arch");
  const auto path = folder / (std::string(GetParam()) + ".gguf");
  for (const auto activations : {numerics::Activations::kF32, numerics::Activations::kInt8}) {
    std::vector<float> first;
    for (const numerics::Isa isa : numerics::AvailableIsas()) {
      numerics::SetActiveIsa(isa);
      for (const int threads : {1, 3}) {
        ThreadPool pool(threads);
        auto encoder = LoadEncoder(path, activations, pool);
        const int n_ctx = static_cast<int>(std::min<std::int64_t>(200, encoder->info().n_ctx));
        std::vector<std::vector<std::int32_t>> texts;
        for (const int length : {1, 2, n_ctx, 17, n_ctx - 1}) {
          auto& text = texts.emplace_back();
          for (int t = 0; t < length; ++t) text.push_back((t * 37 + length) % 200);
        }
        std::vector<model::EncoderInput> inputs;
        for (const auto& text : texts) inputs.push_back({.tokens = text});
        const auto pooling = threads == 1 ? model::Pooling::kMean : encoder->info().pooling;
        const auto together = Pooled(*encoder, inputs, pooling, pool);
        const auto n_embd = static_cast<std::size_t>(encoder->info().n_embd);
        for (std::size_t i = 0; i < inputs.size(); ++i) {
          const auto one = Pooled(*encoder, {&inputs[i], 1}, pooling, pool);
          EXPECT_TRUE(std::equal(one.begin(), one.end(), together.begin() + i * n_embd))
              << "input " << i << " of a batch";
        }
        const auto states = Pooled(*encoder, inputs, model::Pooling::kNone, pool);
        if (first.empty()) {
          first = states;
        } else {
          EXPECT_EQ(first, states) << numerics::IsaName(isa) << ", threads " << threads;
        }
      }
    }
  }
}

INSTANTIATE_TEST_SUITE_P(Models, TinyEncoder, ::testing::ValuesIn(kEncoderModels),
                         [](const auto& info) {
                           std::string name = info.param;
                           std::ranges::replace(name, '-', '_');
                           return name;
                         });

}  // namespace
}  // namespace tatara::test
