// Tiny random models against an independent engine's logits (data/golden/arch): f32 activations,
// three positions, in one batch and token by token. A wrong detail of an architecture costs 3e-4 to
// 15 of the scale; what is allowed here is 1e-4.

#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>

#include "arch_models.h"
#include "changed_store.h"
#include "golden_support.h"
#include "tatara/model/encoder.h"

namespace tatara::test {
namespace {

constexpr double kOfScale = 1e-4;

class TinyArchitecture : public ::testing::TestWithParam<const char*> {};

// The largest distance from NAME.json, as a part of its scale.
double WorstOfScale(const std::filesystem::path& folder, const std::string& name,
                    ModelRunner& runner) {
  const auto golden = nlohmann::json::parse(ReadFile(folder / (name + ".json")));
  const auto tokens = golden.at("token_ids").get<std::vector<std::int32_t>>();
  const auto positions = golden.at("positions").get<std::vector<std::size_t>>();
  const auto expected = golden.at("logits").get<std::vector<double>>();
  const auto sums = golden.at("logits_sum_abs").get<std::vector<double>>();
  const double bound = kOfScale * golden.at("scale").get<double>();
  const auto n_vocab = static_cast<std::size_t>(runner.n_vocab());
  EXPECT_EQ(n_vocab, golden.at("n_vocab").get<std::size_t>());
  if (expected.size() != positions.size() * n_vocab) throw std::runtime_error(name);

  double worst_of_all = 0;
  for (const std::size_t chunk : {std::size_t{24}, std::size_t{1}, std::size_t{7}}) {
    double worst = 0;
    runner.Run(tokens, chunk, 0, [&](std::size_t position, std::span<const float> logits) {
      double sum = 0;
      for (const float logit : logits) {
        ASSERT_TRUE(std::isfinite(logit));
        sum += std::abs(double{logit});
      }
      EXPECT_NEAR(sum, sums.at(position), bound * static_cast<double>(n_vocab));
      for (std::size_t i = 0; i < positions.size(); ++i) {
        if (positions[i] != position) continue;
        for (std::size_t id = 0; id < n_vocab; ++id) {
          worst = std::max(worst, std::abs(double{logits[id]} - expected[i * n_vocab + id]));
        }
      }
    });
    EXPECT_LE(worst, bound) << name << " in chunks of " << chunk;
    worst_of_all = std::max(worst_of_all, worst);
  }
  return worst_of_all / bound * kOfScale;
}

TEST_P(TinyArchitecture, MeetsTheIndependentEngine) {
  TATARA_REQUIRE_DATA(folder, "golden/arch");
  const std::string name = GetParam();
  ModelRunner runner(folder / (name + ".gguf"), numerics::Activations::kF32, 1, 64);
  const double worst = WorstOfScale(folder, name, runner);
  RecordEvidence({runner.architecture(), "tiny vectors", name, worst});
}

// The file has Llama 3's scaling as divisors; its authors publish it as these numbers.
TEST(TinyArchitectures, Llama3ScalingByKeysMeetsTheTensor) {
  TATARA_REQUIRE_DATA(folder, "golden/arch");
  auto file = weights::OpenTensorStore(folder / "llama.gguf");
  ASSERT_TRUE(file.ok()) << file.error().text();
  auto store = std::make_shared<ChangedStore>(std::move(*file));
  store->Remove("rope_freqs.weight");
  store->Set("llama.rope.scaling.type", std::string("llama3"));
  store->Set("llama.rope.scaling.factor", 8.0);
  store->Set("llama.rope.scaling.low_freq_factor", 1.0);
  store->Set("llama.rope.scaling.high_freq_factor", 4.0);
  store->Set("llama.rope.scaling.original_context_length", std::uint64_t{64});
  ModelRunner runner(store, numerics::Activations::kF32, 1, 64);
  const double worst = WorstOfScale(folder, "llama", runner);
  RecordEvidence({"llama", "tiny vectors", "llama scaled by keys", worst});
}

std::string TestName(const ::testing::TestParamInfo<const char*>& info) {
  std::string name = info.param;
  for (char& c : name) c = c == '-' ? '_' : c;
  return name;
}

INSTANTIATE_TEST_SUITE_P(Models, TinyArchitecture, ::testing::ValuesIn(kDecoderModels), TestName);

// Every model of the data with logits is either tried above or known to be missing.
TEST(TinyArchitectures, NoModelOfTheDataIsLeftOut) {
  TATARA_REQUIRE_DATA(folder, "golden/arch");
  int n_models = 0;
  for (const auto& entry : std::filesystem::directory_iterator(folder)) {
    if (entry.path().extension() != ".gguf") continue;
    const std::string name = entry.path().stem().string();
    const auto golden = nlohmann::json::parse(ReadFile(folder / (name + ".json")));
    if (!golden.contains("logits")) continue;  // an encoder
    ++n_models;
    const auto is_in = [&](const auto& names) {
      return std::ranges::find(names, name) != names.end();
    };
    EXPECT_EQ(is_in(kDecoderModels) + is_in(kDecoderModelsMissing), 1) << name;
  }
  EXPECT_EQ(n_models, static_cast<int>(kDecoderModels.size() + kDecoderModelsMissing.size()));
}

// Whatever the data hold runs: as a decoder or as an encoder.
TEST(TinyArchitectures, EveryModelOfTheDataLoads) {
  TATARA_REQUIRE_DATA(folder, "golden/arch");
  ThreadPool pool(1);
  for (const auto& entry : std::filesystem::directory_iterator(folder)) {
    if (entry.path().extension() != ".gguf") continue;
    auto opened = weights::OpenTensorStore(entry.path());
    ASSERT_TRUE(opened.ok()) << opened.error().text();
    const std::shared_ptr<const weights::TensorStore> store = std::move(*opened);
    if (model::Encoder::IsEncoder(store->metadata())) {
      const auto encoder = model::Encoder::Load(store, {}, pool);
      EXPECT_TRUE(encoder.ok()) << encoder.error().text();
    } else {
      const auto decoder = model::Model::Load(store, {}, pool);
      EXPECT_TRUE(decoder.ok()) << decoder.error().text();
    }
  }
}

}  // namespace
}  // namespace tatara::test
