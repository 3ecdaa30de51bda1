// Adapters through the engine: in batches, beside a shared prefix, added and dropped while requests
// run, and in records that replay.

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cmath>

#include "adapter_files.h"
#include "golden_support.h"
#include "tatara/generate/engine.h"
#include "tatara/generate/run_record.h"
#include "tatara/numerics/digest.h"

namespace tatara::test {
namespace {

using generate::AdapterSpec;
using generate::Completion;
using generate::Engine;
using generate::EngineOptions;
using generate::Request;
using ::testing::HasSubstr;

class AdapterEngine : public ::testing::Test {
 protected:
  void SetUp() override {
    TATARA_REQUIRE_DATA(file, "golden/arch/llama_q8_0.gguf");
    model_ = file.string();
    ThreadPool pool(1);
    auto store = weights::OpenTensorStore(model_);
    ASSERT_TRUE(store.ok());
    auto loaded = model::Model::Load(std::move(*store), {}, pool);
    ASSERT_TRUE(loaded.ok());
    for (const std::uint64_t seed : {1U, 2U}) {
      WriteGgufLora(Path(seed), (*loaded)->linears(), {.seed = seed});
    }
    WriteGgufLora(Path(9), (*loaded)->linears(), {.rank = 9, .seed = 9});
  }
  std::filesystem::path Path(std::uint64_t seed) const {
    return scratch_.path() / ("lora" + std::to_string(seed) + ".gguf");
  }
  std::unique_ptr<Engine> Open(EngineOptions options = {}) const {
    options.n_threads = 2;
    options.context_tokens = 256;
    auto engine = Engine::Open(model_, options);
    if (!engine.ok()) {
      ADD_FAILURE() << engine.error().text();
      return nullptr;
    }
    return std::move(*engine);
  }
  void Add(Engine& engine, const std::string& name, std::uint64_t seed, double scale = 1) const {
    const auto added = engine.AddAdapter({name, Path(seed).string(), scale});
    ASSERT_TRUE(added.ok()) << added.error().text();
    EXPECT_EQ(added->sha256.size(), 64U);
  }
  static Request Ask(const std::string& adapter, int n_prompt = 100) {
    Request request;
    for (int i = 0; i < n_prompt; ++i) request.prompt.push_back(3 + (i * i + i) % 150);
    request.tokens_max = 12;
    request.ignore_end = true;
    request.digest_logits = true;
    request.sampling.seed = 1;
    request.adapter = adapter;
    return request;
  }
  std::string model_;
  ScratchDir scratch_;
};

TEST_F(AdapterEngine, OneBatchServesSeveralAndNoneAsEachAlone) {
  std::vector<std::string> alone;
  const std::vector<std::string> names = {"", "a", "b", "nine", "half"};
  const auto add_all = [&](Engine& engine) {
    Add(engine, "a", 1);
    Add(engine, "b", 2);
    Add(engine, "nine", 9);
    Add(engine, "half", 1, 0.5);
  };
  for (const std::string& name : names) {
    const auto engine = Open({.prefix_cache = false});
    add_all(*engine);
    const auto done = engine->Generate(Ask(name));
    ASSERT_TRUE(done.ok()) << done.error().text();
    EXPECT_EQ(done->adapter.has_value(), !name.empty());
    for (const std::string& other : alone) EXPECT_NE(done->logits_sha256, other) << name;
    alone.push_back(done->logits_sha256);
  }
  // All prompts begin alike, so that a shared page would be taken at once; chunks so short that
  // some sequences of a pass want logits and others do not.
  const auto engine = Open({.cache_tokens = 2048, .chunk_tokens = 150});
  add_all(*engine);
  for (int round = 0; round < 2; ++round) {
    std::vector<std::string> together(names.size());
    for (std::size_t i = 0; i < names.size(); ++i) {
      const auto id = engine->Submit(Ask(names[i]), {}, [&together, i](Result<Completion> done) {
        together[i] = done.ok() ? done->logits_sha256 : done.error().text();
      });
      ASSERT_TRUE(id.ok()) << id.error().text();
    }
    while (engine->Step()) {
    }
    EXPECT_EQ(together, alone) << "round " << round;
  }
  EXPECT_GE(engine->counters().pass_sequences_most, 5);
  EXPECT_GT(engine->counters().prefix_hits, 0) << "the second round reuses its own pages";
}

TEST_F(AdapterEngine, AddingAndDroppingLeavesRunningRequestsAlone) {
  const auto engine = Open();
  Add(*engine, "a", 1);
  const std::string expected = engine->Generate(Ask("a"))->logits_sha256;
  std::string got;
  ASSERT_TRUE(engine
                  ->Submit(Ask("a"), {},
                           [&](Result<Completion> done) {
                             got = done.ok() ? done->logits_sha256 : done.error().text();
                           })
                  .ok());
  ASSERT_TRUE(engine->Step());
  ASSERT_TRUE(engine->RemoveAdapter("a").ok());
  Add(*engine, "a", 2);  // another of the same name, whose pages are others
  EXPECT_NE(engine->Generate(Ask("a"))->logits_sha256, expected);
  while (engine->Step()) {
  }
  EXPECT_EQ(got, expected);
  EXPECT_THAT(engine->AddAdapter({"a", Path(1).string()}).error().text(),
              HasSubstr("named 'a' is loaded already"));
  EXPECT_THAT(engine->RemoveAdapter("z").error().text(), HasSubstr("no adapter named 'z'"));
  EXPECT_THAT(engine->Generate(Ask("z")).error().text(), HasSubstr("no adapter named 'z'"));
  EXPECT_THAT(engine->AddAdapter({"n", Path(1).string(), NAN}).error().text(),
              HasSubstr("the adapter's scale is nan"));
  EXPECT_FALSE(engine->AddAdapter({"m", model_}).ok());
}

TEST_F(AdapterEngine, MergedIsTheHotOneUpToRounding) {
  const auto hot = Open({.f32_activations = true});
  Add(*hot, "a", 1, 0.7);
  const auto tokens = Ask("").prompt;
  const std::vector<float> beside = *hot->LogitsWith(tokens, "a");
  const AdapterSpec spec{"a", Path(1).string(), 0.7};
  const auto merged = Open({.f32_activations = true, .merge = spec});
  ASSERT_TRUE(merged->facts().merged.has_value());
  EXPECT_EQ(AdapterFormName(merged->facts().merged->form), "merged");
  const std::vector<float> inside = *merged->Logits(tokens);
  double worst = 0, largest = 0;
  for (std::size_t i = 0; i < beside.size(); ++i) {
    worst = std::max(worst, std::abs(double{beside[i]} - inside[i]));
    largest = std::max(largest, std::abs(double{beside[i]}));
  }
  EXPECT_LT(worst, 1e-4 * largest);
}

// Rule 6 in its bits, the same on every instruction set (TATARA_ISA forces one). A change is a new
// version of the numerics contract.
TEST_F(AdapterEngine, BitsArePinned) {
  const auto tokens = Ask("", 70).prompt;
  const auto digest = [&](const EngineOptions& options, const std::string& name) {
    const auto engine = Open(options);
    if (!name.empty()) Add(*engine, name, 9, 0.7);
    return numerics::F32Sha256(*engine->LogitsWith(tokens, name)).substr(0, 16);
  };
  const AdapterSpec spec{"nine", Path(9).string(), 0.7};
  AdapterSpec requantised = spec;
  requantised.requantise = true;
  EXPECT_EQ(digest({}, "nine"), "48fa75eb2935bf16");
  EXPECT_EQ(digest({.f32_activations = true}, "nine"), "375842d2a0e913f2");
  EXPECT_EQ(digest({.merge = spec}, ""), "99f73a0b214e85dc");
  EXPECT_EQ(digest({.merge = requantised}, ""), "cce4556ce5f439c9");
}

TEST_F(AdapterEngine, RecordsReplayAndNameAnotherAdapter) {
  for (const bool merge : {false, true}) {
    const AdapterSpec spec{"a", Path(1).string(), 0.5};
    const auto open = [&](const AdapterSpec& with) {
      EngineOptions options;
      if (merge) options.merge = with;
      auto engine = Open(options);
      if (!merge) {
        EXPECT_TRUE(engine->AddAdapter(with).ok());
      }
      return engine;
    };
    const auto engine = open(spec);
    const Request request = Ask(merge ? "" : "a");
    const auto done = engine->Generate(request);
    ASSERT_TRUE(done.ok());
    const RecordFields record =
        generate::RunFields(*engine, request, {"m", "00", generate::PromptForm::kIds, ""}, *done);
    const std::string field = merge ? "input.merged_adapter" : "input.adapter";
    EXPECT_THAT(record.at(field), HasSubstr(merge ? "\"form\":\"merged\"" : "\"form\":\"hot\""));
    EXPECT_THAT(record.at(field), HasSubstr("\"scale\":0.5"));

    const auto replay = [&](const std::unique_ptr<Engine>& on) {
      return generate::RunReplayer(*on).Replay(record);
    };
    const auto again = replay(open(spec));
    ASSERT_TRUE(again.ok()) << again.error().text();
    EXPECT_EQ(again->at("output.logits_sha256"), record.at("output.logits_sha256"));
    EXPECT_THAT(replay(open({"a", Path(2).string(), 0.5})).error().text(),
                HasSubstr("made with the adapter 'a' of SHA-256"));
    EXPECT_THAT(replay(open({"a", Path(1).string(), 0.25})).error().text(),
                HasSubstr("at scale 0.5, but it is"));
    EXPECT_FALSE(replay(Open()).ok());
    RecordFields spoiled = record;
    spoiled[field] = "{\"name\":3}";
    EXPECT_THAT(generate::RunReplayer(*engine).Replay(spoiled).error().text(), HasSubstr(field));
  }
}

}  // namespace
}  // namespace tatara::test
