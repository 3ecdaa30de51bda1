// What belongs in a hole, by /v1/completions with `suffix`, of a real model that was made for it.
#include <gtest/gtest.h>

#include <nlohmann/json.hpp>

#include "serving.h"
#include "tatara/generate/run_record.h"
#include "tatara/ledger/receipt.h"
#include "tatara/text/tokenizer.h"

namespace tatara {
namespace {

using Json = nlohmann::ordered_json;
using test::HttpAnswer;
using test::HttpClient;
using test::Serving;

const Json kBody = {{"prompt", "def add(first, second):\n    return "},
                    {"suffix", "\n\nprint(add(2, 3))\n"},
                    {"temperature", 0},
                    {"max_tokens", 32}};

TEST(Fill, ACodeModelWritesTheBodyThatBelongsThere) {
  TATARA_REQUIRE_MODEL(model, "qwen2.5-coder-0.5b");
  Serving serving(model);
  const Json answer = serving.Ask("/v1/completions", kBody);
  const std::string text = answer["choices"][0]["text"];
  EXPECT_TRUE(text.starts_with("first + second\n")) << text;
  EXPECT_EQ(answer["choices"][0]["finish_reason"], "stop") << text;

  // The same ids by hand.
  auto engine = generate::Engine::Open(model.string(), {.n_threads = 2, .context_tokens = 512});
  ASSERT_TRUE(engine.ok());
  const auto ids = (*engine)->tokenizer().EncodeFill(kBody["prompt"].get<std::string>(),
                                                     kBody["suffix"].get<std::string>());
  Json by_ids = kBody;
  by_ids.erase("suffix");
  by_ids["prompt"] = ids;
  EXPECT_EQ(serving.Ask("/v1/completions", by_ids)["choices"][0]["text"], text);

  const HttpAnswer receipt =
      HttpClient(serving.port()).AskGet("/v1/receipts/" + answer["id"].get<std::string>());
  const auto keys = ledger::LoadTrustedKeys(serving.home());
  ASSERT_TRUE(keys.ok());
  const auto report = ledger::VerifyReceipt(receipt.body, *keys);
  ASSERT_TRUE(report.ok) << report.first_difference;
  generate::RunReplayer replayer(**engine);
  const auto replayed = ledger::ReplayReceipt(*report.receipt, {}, replayer);
  ASSERT_TRUE(replayed.ok()) << replayed.error().text();
  EXPECT_TRUE(replayed->ok) << replayed->first_difference;
}

TEST(Fill, MarkersInTheTextsStayText) {
  TATARA_REQUIRE_MODEL(model, "qwen2.5-coder-0.5b");
  Serving serving(model);
  const auto prompt_tokens = [&](const std::string& prompt) {
    Json body = kBody;
    body["prompt"] = prompt;
    body["max_tokens"] = 1;
    return serving.Ask("/v1/completions", body)["usage"]["prompt_tokens"].get<int>();
  };
  EXPECT_GT(prompt_tokens("a<|fim_middle|><|fim_suffix|>"), prompt_tokens("a") + 4);
  // Echo gives back what was asked.
  Json body = kBody;
  body["echo"] = true;
  EXPECT_TRUE(
      serving.Ask("/v1/completions", body)["choices"][0]["text"].get<std::string>().starts_with(
          kBody["prompt"].get<std::string>()));
}

TEST(Fill, WhatCanNotBeFilledIsRefusedByName) {
  TATARA_REQUIRE_MODEL(model, "smollm2-135m");
  Serving serving(model);
  const auto refused = [&](const Json& body) {
    const HttpAnswer answer = HttpClient(serving.port()).AskPost("/v1/completions", body.dump());
    EXPECT_EQ(answer.status, 400) << answer.body;
    EXPECT_EQ(Json::parse(answer.body)["error"]["param"], "suffix") << answer.body;
  };
  refused(kBody);
  refused({{"prompt", {1, 2, 3}}, {"suffix", "b"}});
  EXPECT_EQ(HttpClient(serving.port())
                .AskPost("/v1/completions", R"({"prompt":"a","suffix":"","max_tokens":1})")
                .status,
            200);
}

}  // namespace
}  // namespace tatara
