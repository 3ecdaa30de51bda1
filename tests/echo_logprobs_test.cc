// /v1/completions with echo and logprobs: what scoring clients read.
#include <gtest/gtest.h>

#include <nlohmann/json.hpp>
#include <thread>

#include "serving.h"
#include "tatara/generate/run_record.h"
#include "tatara/ledger/receipt.h"
#include "tatara/numerics/ops.h"

namespace tatara {
namespace {

using Json = nlohmann::ordered_json;
using test::HttpClient;
using test::Serving;

Json Body(const std::vector<std::int32_t>& ids, int max_tokens) {
  return {{"prompt", ids},
          {"echo", true},
          {"logprobs", 1},
          {"temperature", 0},
          {"max_tokens", max_tokens}};
}

TEST(EchoLogprobs, AreThoseOfAllLogitsAloneAndInACrowd) {
  TATARA_REQUIRE_MODEL(model, "smollm2-135m");
  Serving serving(model);
  const std::string text = "The sea is wide. 海は広い。 The sky is blue and wide.";
  const Json tokens = serving.Ask("/tokenize", {{"content", text}, {"add_special", false}});
  const auto ids = tokens["tokens"].get<std::vector<std::int32_t>>();
  const Json alone = serving.Ask("/v1/completions", Body(ids, 0))["choices"][0];
  EXPECT_EQ(alone["text"], text);
  EXPECT_EQ(alone["finish_reason"], "length");
  const Json& found = alone["logprobs"];
  ASSERT_EQ(found["token_logprobs"].size(), ids.size());
  EXPECT_TRUE(found["token_logprobs"][0].is_null());
  EXPECT_TRUE(found["top_logprobs"][0].is_null());
  EXPECT_EQ(found["text_offset"][0], 0);

  auto engine = generate::Engine::Open(model.string(), {.n_threads = 1, .context_tokens = 512});
  ASSERT_TRUE(engine.ok());
  const auto logits = (*engine)->AllLogits(ids);
  ASSERT_TRUE(logits.ok());
  const auto n_vocab = static_cast<std::size_t>((*engine)->facts().n_vocab);
  for (std::size_t i = 0; i + 1 < ids.size(); ++i) {
    const auto row = std::span(*logits).subspan(i * n_vocab, n_vocab);
    EXPECT_EQ(
        found["token_logprobs"][i + 1].get<double>(),
        static_cast<double>(row[static_cast<std::size_t>(ids[i + 1])]) - numerics::LogSumExp(row));
    EXPECT_GE(found["top_logprobs"][i + 1].front().get<double>(),
              found["token_logprobs"][i + 1].get<double>());
  }

  std::vector<std::thread> crowd;
  for (int i = 0; i < 3; ++i) {
    crowd.emplace_back(
        [&] { EXPECT_EQ(serving.Ask("/v1/completions", Body(ids, 0))["choices"][0], alone); });
  }
  for (std::thread& thread : crowd) thread.join();

  // An answer's tokens follow the prompt's.
  const Json longer = serving.Ask("/v1/completions", Body(ids, 3));
  const Json& more = longer["choices"][0]["logprobs"];
  ASSERT_EQ(more["tokens"].size(), ids.size() + 3);
  EXPECT_EQ(more["token_logprobs"][ids.size() - 1], found["token_logprobs"].back());
  std::size_t characters = 0;
  for (const char c : text) characters += (static_cast<unsigned char>(c) & 0xC0) != 0x80;
  EXPECT_EQ(more["text_offset"][ids.size()], characters);
}

TEST(EchoLogprobs, AReceiptOfAScoredPromptReplays) {
  TATARA_REQUIRE_MODEL(model, "smollm2-135m");
  Serving serving(model);
  const Json answer = serving.Ask(
      "/v1/completions",
      {{"prompt", "The sea is wide."}, {"echo", true}, {"logprobs", 0}, {"max_tokens", 0}});
  const auto receipt =
      HttpClient(serving.port()).AskGet("/v1/receipts/" + answer["id"].get<std::string>());
  const auto keys = ledger::LoadTrustedKeys(serving.home());
  ASSERT_TRUE(keys.ok());
  const auto report = ledger::VerifyReceipt(receipt.body, *keys);
  ASSERT_TRUE(report.ok) << report.first_difference;
  auto engine = generate::Engine::Open(model.string(), {.n_threads = 1, .context_tokens = 512});
  ASSERT_TRUE(engine.ok());
  generate::RunReplayer replayer(**engine);
  const auto replayed = ledger::ReplayReceipt(*report.receipt, {}, replayer);
  ASSERT_TRUE(replayed.ok()) << replayed.error().text();
  EXPECT_TRUE(replayed->ok) << replayed->first_difference;
}

}  // namespace
}  // namespace tatara
