// The engine on real weights: greedy text against the reference's, records that replay, chats,
// benchmark.

#include "tatara/generate/engine.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <nlohmann/json.hpp>

#include "golden_support.h"
#include "tatara/generate/bench.h"
#include "tatara/generate/run_record.h"
#include "tatara/numerics/digest.h"
#include "tatara/text/tokenizer.h"

namespace tatara::test {
namespace {

using generate::Completion;
using generate::Engine;
using generate::EngineOptions;
using generate::Request;
using ::testing::HasSubstr;

std::unique_ptr<Engine> OpenEngine(const std::filesystem::path& path,
                                   const EngineOptions& options) {
  auto engine = Engine::Open(path.string(), options);
  if (!engine.ok()) {
    ADD_FAILURE() << engine.error().text();
    return nullptr;
  }
  return std::move(engine).value();
}

// Greedy tokens equal the reference's until its lead falls below `margin_min`.
void CheckGreedy(Engine& engine, const GoldenCase& c, double margin_min) {
  Request request{.prompt = c.token_ids, .ignore_end = true};
  request.tokens_max = static_cast<int>(c.greedy.size());
  const auto got = engine.Generate(request);
  ASSERT_TRUE(got.ok()) << got.error().text();
  ASSERT_EQ(got->token_ids.size(), c.greedy.size());
  for (std::size_t i = 0; i < c.greedy.size() && c.greedy[i].second >= margin_min; ++i) {
    ASSERT_EQ(got->token_ids[i], c.greedy[i].first) << c.name << ", step " << i;
  }
}

constexpr double kMarginExact = 4e-3;
constexpr double kMarginRounded = 0.5;
constexpr double kMarginRoundedGemma = 0.6;  // docs/decisions/0004-gemma-greedy-margin.md

void CheckGreedyOfAllCases(const std::filesystem::path& model, const std::filesystem::path& golden,
                           double margin_min) {
  const bool f32 = margin_min == kMarginExact;
  const auto engine =
      OpenEngine(model, {.n_threads = 2, .f32_activations = f32, .context_tokens = 1024});
  ASSERT_NE(engine, nullptr);
  for (const GoldenCase& c : ReadGoldenCases(golden)) {
    if (!c.greedy.empty()) CheckGreedy(*engine, c, margin_min);
  }
}

TEST(EngineGolden, SmolLm2GreedyFollowsTheReference) {
  TATARA_REQUIRE_DATA(golden, "golden/SmolLM2-135M-Instruct.Q4_1.json");
  TATARA_REQUIRE_MODEL(model, "smollm2-135m");
  CheckGreedyOfAllCases(model, golden, kMarginRounded);
}

TEST(EngineGolden, SmolLm2GreedyEqualsTheReferenceWithF32Activations) {
  if (!RunAll()) GTEST_SKIP() << "slow: TATARA_TEST_ALL=1 runs it";
  TATARA_REQUIRE_DATA(golden, "golden/SmolLM2-135M-Instruct.Q4_1.json");
  TATARA_REQUIRE_MODEL(model, "smollm2-135m");
  CheckGreedyOfAllCases(model, golden, kMarginExact);
}

TEST(EngineGolden, QwenCoderGreedyFollowsTheReference) {
  if (!RunAll()) GTEST_SKIP() << "slow: TATARA_TEST_ALL=1 runs it";
  TATARA_REQUIRE_DATA(golden, "golden/qwen2.5-coder-0.5b-instruct-q4_k_m.json");
  TATARA_REQUIRE_MODEL(model, "qwen2.5-coder-0.5b");
  CheckGreedyOfAllCases(model, golden, kMarginRounded);
}

TEST(EngineGolden, Gemma3GreedyFollowsTheReference) {
  if (!RunAll()) GTEST_SKIP() << "slow: TATARA_TEST_ALL=1 runs it";
  TATARA_REQUIRE_DATA(golden, "golden/gemma-3-270m-q4_k_m.json");
  TATARA_REQUIRE_MODEL(model, "gemma3-270m");
  CheckGreedyOfAllCases(model, golden, kMarginRoundedGemma);
}

TEST(Engine, RendersAndEncodesAChatAsTheReferenceDoes) {
  TATARA_REQUIRE_DATA(golden, "golden/SmolLM2-135M-Instruct.Q4_1.json");
  TATARA_REQUIRE_MODEL(model, "smollm2-135m");
  const auto engine = OpenEngine(model, {.n_threads = 1, .context_tokens = 256});
  ASSERT_NE(engine, nullptr);
  const auto json = nlohmann::json::parse(ReadFile(golden));
  for (const auto& c : json.at("cases")) {
    if (c.at("name") != "chat_en") continue;
    const auto rendered = engine->RenderChat(
        R"([{"role":"user","content":"What is the difference between a list and a tuple in Python? )"
        R"(Answer in two sentences."}])",
        "");
    ASSERT_TRUE(rendered.ok()) << rendered.error().text();
    EXPECT_EQ(*rendered, c.at("text").get<std::string>());
    EXPECT_EQ(engine->EncodeRendered(*rendered),
              c.at("token_ids").get<std::vector<std::int32_t>>());
  }
  EXPECT_FALSE(engine->RenderChat("{}", "").ok());
  EXPECT_FALSE(engine->RenderChat(R"([{"content":"no role"}])", "").ok());
}

TEST(Engine, ABaseModelRefusesAChatByName) {
  TATARA_REQUIRE_DATA(model, "golden/arch/gemma3.gguf");
  const auto engine = OpenEngine(model, {.n_threads = 1});
  ASSERT_NE(engine, nullptr);
  const auto rendered = engine->RenderChat(R"([{"role":"user","content":"x"}])", "");
  ASSERT_FALSE(rendered.ok());
  EXPECT_THAT(rendered.error().text(), HasSubstr("gemma3.gguf"));
  EXPECT_FALSE(engine->facts().has_chat_template);
}

TEST(Engine, SaysWhatIsWrongWithAFile) {
  EXPECT_FALSE(Engine::Open("/does/not/exist.gguf", {}).ok());
  TATARA_REQUIRE_DATA(model, "golden/arch/llama.gguf");
  EXPECT_FALSE(Engine::Open(model.string(), {.n_threads = -1}).ok());
  EXPECT_FALSE(Engine::Open(model.string(), {.context_tokens = 100000}).ok());
}

TEST(Engine, TheDigestOfOneLogitRowIsThatOfLogits) {
  TATARA_REQUIRE_DATA(model, "golden/arch/llama_q8_0.gguf");
  const auto engine = OpenEngine(model, {.n_threads = 2});
  ASSERT_NE(engine, nullptr);
  const std::vector<std::int32_t> prompt = {3, 1, 4, 1, 5, 9, 2, 6};
  Request request{.prompt = prompt, .tokens_max = 1, .digest_logits = true};
  EXPECT_EQ(engine->Generate(request)->logits_sha256, numerics::F32Sha256(*engine->Logits(prompt)));
}

class RunRecord : public ::testing::Test {
 protected:
  void SetUp() override {
    TATARA_REQUIRE_DATA(model, "golden/arch/llama_q8_0.gguf");
    path_ = model;
    engine_ = OpenEngine(path_, {.n_threads = 1});
    ASSERT_NE(engine_, nullptr);
    request_.prompt = engine_->tokenizer().Encode(kPrompt, {.add_start = true});
    request_.sampling = {.temperature = 0.9, .top_k = 50, .top_p = 0.95, .repetition_penalty = 1.1};
    request_.tokens_max = 40;
    request_.stop = {"never to be seen"};
    request_.ignore_end = true;
    request_.digest_logits = true;
    auto completion = engine_->Generate(request_);
    ASSERT_TRUE(completion.ok()) << completion.error().text();
    record_ = generate::RunFields(*engine_, request_,
                                  {.model_name = "tiny",
                                   .model_sha256 = std::string(64, 'a'),
                                   .form = generate::PromptForm::kText,
                                   .prompt = kPrompt},
                                  *completion);
  }

  // The record with one field changed is refused with these words.
  void ExpectRefused(std::string_view field, std::string value, std::string_view words) {
    RecordFields record = record_;
    record.insert_or_assign(std::string(field), std::move(value));
    const auto got = generate::RunReplayer(*engine_).Replay(record);
    ASSERT_FALSE(got.ok()) << field;
    EXPECT_THAT(got.error().text(), HasSubstr(words));
  }

  static constexpr const char* kPrompt = "hello \"world\"\n";
  std::filesystem::path path_;
  std::unique_ptr<Engine> engine_;
  Request request_;
  RecordFields record_;
};

TEST_F(RunRecord, ReplaysEqualWithOtherThreadsAndCacheState) {
  for (const int n_threads : {1, 3}) {
    const auto other = OpenEngine(path_, {.n_threads = n_threads, .chunk_tokens = 3});
    generate::RunReplayer replayer(*other);
    for (int again = 0; again < 2; ++again) {
      const auto outputs = replayer.Replay(record_);
      ASSERT_TRUE(outputs.ok()) << outputs.error().text();
      EXPECT_EQ(outputs->size(), 4u);
      for (const auto& [field, value] : *outputs) EXPECT_EQ(value, record_.at(field)) << field;
    }
  }
}

TEST_F(RunRecord, EveryFieldIsJson) {
  for (const auto& [field, value] : record_) {
    EXPECT_TRUE(nlohmann::json::accept(value)) << field << ": " << value;
  }
  EXPECT_EQ(record_.at("input.prompt"), R"("hello \"world\"\n")");
  EXPECT_EQ(record_.at("input.activations"), R"("int8")");
  EXPECT_NE(nlohmann::json::parse(record_.at("input.sampling")).at("seed"), nullptr);
}

TEST_F(RunRecord, AnotherSeedOrPromptGivesOtherOutputs) {
  RecordFields record = record_;
  auto sampling = nlohmann::json::parse(record["input.sampling"]);
  sampling["seed"] = 12345;
  record["input.sampling"] = sampling.dump();
  EXPECT_NE(generate::RunReplayer(*engine_).Replay(record)->at("output.token_ids"),
            record_.at("output.token_ids"));
}

TEST_F(RunRecord, RefusesWhatDoesNotFitByName) {
  ExpectRefused("input.activations", R"("f32")", "f32 activations");
  ExpectRefused("input.prompt", R"("hello")", "other token ids");
  ExpectRefused("input.prompt_form", R"("poem")", "input.prompt_form");
  ExpectRefused("input.token_ids", "[1,-2]", "input.token_ids");
  ExpectRefused("input.token_ids", "{", "input.token_ids");
  ExpectRefused("input.tokens_max", "1000", "context of 256 tokens");
  ExpectRefused("input.tokens_max", "1e9", "input.tokens_max");
  ExpectRefused("input.stop", R"("x")", "input.stop");
  ExpectRefused("input.choice", "-1", "input.choice");
  ExpectRefused("input.ignore_end", "0", "input.ignore_end");
  ExpectRefused("input.sampling", R"({"temperature":1})", "seed");
  ExpectRefused("input.chat_template_sha256", R"("00")", "chat template");
  RecordFields missing = record_;
  missing.erase("input.token_ids");
  EXPECT_THAT(generate::RunReplayer(*engine_).Replay(missing).error().text(),
              HasSubstr("input.token_ids"));
}

TEST_F(RunRecord, ReplaysWithoutThePromptWhereItWasLeftOut) {
  RecordFields record = record_;
  record.erase("input.prompt");
  EXPECT_EQ(generate::RunReplayer(*engine_).Replay(record)->at("output.text"),
            record_.at("output.text"));
  EXPECT_TRUE(generate::RevealsText("input.prompt"));
  EXPECT_TRUE(generate::RevealsText("output.token_ids"));
  EXPECT_FALSE(generate::RevealsText("output.logits_sha256"));
}

TEST(Bench, ABatchTakesAsManyPassesAsOneSequence) {
  TATARA_REQUIRE_DATA(model, "golden/arch/llama.gguf");
  for (const int batch : {1, 8}) {
    const auto got = generate::RunBench(model.string(), {.prompt_tokens = 50,
                                                         .generate_tokens = 20,
                                                         .batch = batch,
                                                         .repetitions = 2,
                                                         .engine = {.n_threads = 2}});
    ASSERT_TRUE(got.ok()) << got.error().text();
    EXPECT_EQ(got->passes_per_decode, 20);
    EXPECT_GT(got->prefill_tokens_per_s, 0);
    EXPECT_GE(got->prefill_tokens_per_s_best, got->prefill_tokens_per_s);
    EXPECT_GT(got->decode_tokens_per_s, 0);
    EXPECT_GT(got->load_seconds, 0);
  }
  EXPECT_FALSE(generate::RunBench(model.string(), {.batch = 0}).ok());
  EXPECT_FALSE(generate::RunBench(model.string(), {.prompt_tokens = 5000}).ok());
}

}  // namespace
}  // namespace tatara::test
