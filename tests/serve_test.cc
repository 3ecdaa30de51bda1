// The server over a real model: the same answers alone and in a crowd, streamed or not; clients
// that leave; receipts that replay.
#include <gtest/gtest.h>

#include <chrono>
#include <nlohmann/json.hpp>
#include <thread>

#include "serving.h"
#include "tatara/generate/engine.h"
#include "tatara/generate/run_record.h"
#include "tatara/ledger/receipt.h"

namespace tatara {
namespace {

using Json = nlohmann::ordered_json;
using test::Events;
using test::HttpAnswer;
using test::HttpClient;
using test::Serving;

Json ChatBody(int i) {
  Json body = {{"model", "tiny"},
               {"messages", {{{"role", "user"}, {"content", "Count from " + std::to_string(i)}}}},
               {"max_tokens", 12},
               {"logprobs", true},
               {"top_logprobs", 2},
               {"temperature", i % 2 == 0 ? 0.0 : 0.9},
               {"seed", 7 + i}};
  return body;
}

// What must be the same: text, reason, log-probabilities.
std::string Essence(const Json& answer) {
  return answer["choices"].dump() + answer["usage"]["completion_tokens"].dump();
}

TEST(Serve, AnswersAreTheSameAloneAndInACrowd) {
  TATARA_REQUIRE_MODEL(model, "smollm2-135m");
  constexpr int kRequests = 10;
  std::vector<std::string> alone;
  {
    Serving serving(model);
    for (int i = 0; i < kRequests; ++i) {
      alone.push_back(Essence(serving.Ask("/v1/chat/completions", ChatBody(i))));
    }
  }
  Serving serving(model);
  std::vector<std::string> together(kRequests);
  std::vector<std::thread> threads;
  for (int i = kRequests - 1; i >= 0; --i) {
    threads.emplace_back([&, i] {
      together[static_cast<std::size_t>(i)] =
          Essence(serving.Ask("/v1/chat/completions", ChatBody(i)));
    });
  }
  for (std::thread& thread : threads) thread.join();
  EXPECT_EQ(together, alone);
  // An answer is on its way before the owner thread has counted it.
  for (int i = 0; i < 500 && serving.State().finished < kRequests; ++i) {
    std::this_thread::sleep_for(std::chrono::milliseconds(10));
  }
  EXPECT_EQ(serving.State().finished, kRequests);
}

TEST(Serve, AStreamJoinedIsTheWholeAnswer) {
  TATARA_REQUIRE_MODEL(model, "smollm2-135m");
  Serving serving(model);
  Json body = ChatBody(3);
  body["n"] = 2;
  const Json whole = serving.Ask("/v1/chat/completions", body);
  body["stream"] = true;
  body["stream_options"] = {{"include_usage", true}};
  const HttpAnswer answer = HttpClient(serving.port()).AskPost("/v1/chat/completions", body.dump());
  EXPECT_EQ(answer.headers.at("content-type"), "text/event-stream");
  std::vector<std::string> texts(2), reasons(2);
  std::vector<Json> logprobs(2);
  const std::vector<Json> events = Events(answer.body);
  for (const Json& event : events) {
    for (const Json& choice : event["choices"]) {
      const auto at = choice["index"].get<std::size_t>();
      if (choice["delta"].contains("content")) {
        texts[at] += choice["delta"]["content"].get<std::string>();
      }
      // Each chunk has those of the tokens whose text it brings.
      if (!choice["logprobs"].is_null()) {
        std::string text;
        for (const Json& one : choice["logprobs"]["content"]) {
          text += one["token"].get<std::string>();
          logprobs[at].push_back(one);
        }
        if (choice["finish_reason"].is_null()) {
          EXPECT_EQ(text, choice["delta"].value("content", ""));
        }
      }
      if (choice["finish_reason"].is_null()) continue;
      reasons[at] = choice["finish_reason"].get<std::string>();
    }
  }
  for (std::size_t i = 0; i < 2; ++i) {
    EXPECT_EQ(texts[i], whole["choices"][i]["message"]["content"]);
    EXPECT_EQ(reasons[i], whole["choices"][i]["finish_reason"]);
    EXPECT_EQ(logprobs[i], whole["choices"][i]["logprobs"]["content"]);
  }
  EXPECT_NE(texts[0], texts[1]);
  EXPECT_TRUE(events.back()["choices"].empty());
  EXPECT_EQ(events.back()["usage"]["completion_tokens"], whole["usage"]["completion_tokens"]);
}

TEST(Serve, AClientThatLeavesFreesItsSequence) {
  TATARA_REQUIRE_MODEL(model, "smollm2-135m");
  Serving serving(model);
  const Json body = {{"prompt", "Once upon a time"},
                     {"max_tokens", 900},
                     {"stream", true},
                     {"logit_bias", {{"2", -100}, {"0", -100}}}};
  {
    HttpClient client(serving.port());
    client.Send(HttpClient::Post("/v1/completions", body.dump()));
    while (client.unread().find("data: ") == std::string::npos) ASSERT_TRUE(client.More());
  }
  for (int i = 0; i < 500 && serving.State().cancelled == 0; ++i) {
    std::this_thread::sleep_for(std::chrono::milliseconds(10));
  }
  const assistant::ModelState state = serving.State();
  EXPECT_EQ(state.cancelled, 1);
  EXPECT_EQ(state.running + state.waiting, 0);
  EXPECT_EQ(state.pages_in_use, 0);
  EXPECT_LT(state.generated_tokens, 900);
}

TEST(Serve, AFullQueueAnswers429WithRetryAfterAndADeadline504) {
  TATARA_REQUIRE_MODEL(model, "smollm2-135m");
  Serving serving(model, {.sequences_max = 1, .queue_max = 1, .deadline_seconds = 0.5});
  const HttpAnswer full =
      HttpClient(serving.port()).AskPost("/v1/completions", R"({"prompt":["a","b","c"]})");
  EXPECT_EQ(full.status, 429) << full.body;
  EXPECT_EQ(full.headers.at("retry-after"), "1");
  const HttpAnswer late = HttpClient(serving.port())
                              .AskPost("/v1/completions", R"({"prompt":"a","max_tokens":1000,)"
                                                          R"("logit_bias":{"2":-100,"0":-100}})");
  EXPECT_EQ(late.status, 504) << late.body;
}

TEST(Serve, PromptsOfEveryFormAndTheirEcho) {
  TATARA_REQUIRE_MODEL(model, "smollm2-135m");
  Serving serving(model);
  const Json tokens = serving.Ask("/tokenize", {{"content", "The sea"}, {"add_special", false}});
  EXPECT_EQ(serving.Ask("/detokenize", {{"tokens", tokens["tokens"]}})["content"], "The sea");
  const Json by_text = serving.Ask(
      "/v1/completions",
      {{"prompt", {"The sea", "The sky"}}, {"temperature", 0}, {"echo", true}, {"max_tokens", 4}});
  EXPECT_EQ(by_text["choices"].size(), 2u);
  EXPECT_TRUE(by_text["choices"][1]["text"].get<std::string>().starts_with("The sky"));
  const Json by_ids = serving.Ask(
      "/v1/completions",
      {{"prompt", tokens["tokens"]}, {"temperature", 0}, {"echo", true}, {"max_tokens", 4}});
  EXPECT_EQ(by_ids["choices"][0]["text"], by_text["choices"][0]["text"]);
  const Json rendered = serving.Ask(
      "/apply-template", {{"messages", {{{"role", "user"}, {"content", "Hi <|im_end|>"}}}}});
  EXPECT_NE(rendered["prompt"].get<std::string>().find("Hi <|im_end|>"), std::string::npos);
}

TEST(Serve, RequestsThatTheModelCanNotTakeAreRefused) {
  TATARA_REQUIRE_MODEL(model, "smollm2-135m");
  Serving serving(model);
  const auto status = [&](std::string_view path, const char* body) {
    return HttpClient(serving.port()).AskPost(path, body).status;
  };
  EXPECT_EQ(status("/v1/completions", R"({"model":"other","prompt":"a"})"), 404);
  EXPECT_EQ(status("/v1/completions", R"({"prompt":"a","max_tokens":5000})"), 400);
  EXPECT_EQ(status("/v1/completions", R"({"prompt":[99999999]})"), 400);
  EXPECT_EQ(status("/v1/completions", R"({"prompt":"a","logit_bias":{"99999999":1}})"), 400);
  EXPECT_EQ(status("/v1/embeddings", R"({"input":"a"})"), 400);
  EXPECT_EQ(status("/v1/embeddings", R"({"model":"tiny","input":"a"})"), 400);
  EXPECT_EQ(status("/detokenize", R"({"tokens":[99999999]})"), 400);
  EXPECT_EQ(HttpClient(serving.port()).AskGet("/v1/receipts/cmpl-0").status, 404);
}

TEST(Serve, AnAnswersReceiptReplaysToTheBit) {
  TATARA_REQUIRE_MODEL(model, "smollm2-135m");
  Serving serving(model);
  Json body = ChatBody(1);
  body.erase("seed");
  const Json answer = serving.Ask("/v1/chat/completions", body);
  const HttpAnswer exported =
      HttpClient(serving.port()).AskGet("/v1/receipts/" + answer["id"].get<std::string>());
  ASSERT_EQ(exported.status, 200) << exported.body;
  const auto keys = ledger::LoadTrustedKeys(serving.home());
  ASSERT_TRUE(keys.ok());
  const auto report = ledger::VerifyReceipt(exported.body, *keys);
  ASSERT_TRUE(report.ok) << report.first_difference;
  auto engine = generate::Engine::Open(model.string(), {.n_threads = 1, .context_tokens = 512});
  ASSERT_TRUE(engine.ok());
  generate::RunReplayer replayer(**engine);
  const auto replayed = ledger::ReplayReceipt(*report.receipt, {}, replayer);
  ASSERT_TRUE(replayed.ok()) << replayed.error().text();
  EXPECT_TRUE(replayed->ok) << replayed->first_difference;
}

TEST(Serve, ReceiptsAreDeletedOneByOneAndAllTogether) {
  TATARA_REQUIRE_MODEL(model, "smollm2-135m");
  Serving serving(model);
  const auto id = [&](int i) {
    return serving.Ask("/v1/chat/completions", ChatBody(i))["id"].get<std::string>();
  };
  const auto status = [&](const std::string& method, const std::string& path) {
    HttpClient client(serving.port());
    client.Send(method + " " + path + " HTTP/1.1\r\nHost: 127.0.0.1\r\n\r\n");
    return client.Read().status;
  };
  const std::string one = "/v1/receipts/" + id(1), two = "/v1/receipts/" + id(2);
  EXPECT_EQ(status("GET", one), 200);
  EXPECT_EQ(status("DELETE", one), 200);
  EXPECT_EQ(status("GET", one), 404);
  EXPECT_EQ(status("DELETE", one), 404);
  EXPECT_EQ(status("GET", two), 200);
  EXPECT_EQ(status("DELETE", "/v1/receipts"), 200);
  EXPECT_EQ(status("GET", two), 404);
}

}  // namespace
}  // namespace tatara
