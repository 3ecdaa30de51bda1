// /v1/ask: what tatara ask answers, bit for bit, beside other traffic, streamed or not.
#include <gtest/gtest.h>

#include <thread>

#include "serving.h"
#include "tatara/assistant/ask.h"
#include "tatara/ledger/receipt.h"
#include "tatara/search/index.h"

namespace tatara {
namespace {

using test::HttpAnswer;
using test::HttpClient;
using test::OrderedJson;
using test::Serving;

constexpr char kQuestion[] = "ヒヤリハット用紙は何時間以内に出しますか？";

void AddSamples(const std::filesystem::path& home) {
  const auto index = search::Index::Open({.home = home, .create = true});
  ASSERT_TRUE(index.ok()) << index.error().text();
  const std::filesystem::path folder = TATARA_SOURCE_DIR "/samples/machine-shop";
  ASSERT_TRUE((*index)->Add({&folder, 1}, nullptr, nullptr).ok());
}

TEST(ServeAsk, AnswersWithTheBitsOfAnEngineOfItsOwnBesideOtherTraffic) {
  TATARA_REQUIRE_MODEL(model, "qwen2.5-coder-0.5b");
  Serving serving(model, {}, /*context_tokens=*/4096);
  AddSamples(serving.home());
  auto engine = generate::Engine::Open(model.string(), {.n_threads = 2, .context_tokens = 4096});
  ASSERT_TRUE(engine.ok());
  const auto index = search::Index::Open({.home = serving.home()});
  ASSERT_TRUE(index.ok());
  const assistant::AskOptions options{.model_name = "tiny", .model_sha256 = std::string(64, '0')};
  const auto alone = assistant::Ask(kQuestion, options, **engine, **index, {});
  ASSERT_TRUE(alone.ok()) << alone.error().text();
  EXPECT_TRUE(alone->supported) << alone->answer;

  std::thread other([&] {
    serving.Ask("/v1/completions", {{"prompt", "The sea"}, {"max_tokens", 40}, {"n", 2}});
  });
  const OrderedJson whole = serving.Ask("/v1/ask", {{"question", kQuestion}});
  other.join();
  EXPECT_EQ(whole["answer"], alone->answer);
  EXPECT_EQ(whole["supported"], alone->supported);
  ASSERT_EQ(whole["citations"].size(), alone->citations.size());
  for (std::size_t i = 0; i < alone->citations.size(); ++i) {
    EXPECT_EQ(whole["citations"][i]["quote"], alone->citations[i].quote);
    EXPECT_EQ(whole["citations"][i]["document"], alone->citations[i].document);
  }
  const HttpAnswer exported =
      HttpClient(serving.port()).AskGet("/v1/receipts/" + whole["id"].get<std::string>());
  ASSERT_EQ(exported.status, 200) << exported.body;
  const auto keys = ledger::LoadTrustedKeys(serving.home());
  ASSERT_TRUE(keys.ok());
  const auto report = ledger::VerifyReceipt(exported.body, *keys);
  ASSERT_TRUE(report.ok) << report.first_difference;
  RecordFields kept;
  for (const auto& field : report.receipt->fields) {
    if (alone->record.contains(field.name)) kept[field.name] = field.json.value_or("");
  }
  EXPECT_EQ(kept, alone->record);

  const HttpAnswer stream =
      HttpClient(serving.port())
          .AskPost("/v1/ask", OrderedJson({{"question", kQuestion}, {"stream", true}}).dump());
  std::string joined;
  const auto events = test::Events(stream.body);
  for (std::size_t i = 0; i + 1 < events.size(); ++i) joined += events[i]["text"];
  EXPECT_EQ(joined, alone->answer);
  EXPECT_EQ(events.back()["citations"], whole["citations"]);
}

TEST(ServeAsk, WhatCanNotBeAskedIsRefused) {
  TATARA_REQUIRE_MODEL(model, "smollm2-135m");
  Serving serving(model);
  AddSamples(serving.home());
  const auto status = [&](const OrderedJson& body) {
    return HttpClient(serving.port()).AskPost("/v1/ask", body.dump()).status;
  };
  EXPECT_EQ(status({{"question", ""}}), 400);
  EXPECT_EQ(status({{"question", " \n"}}), 400);
  EXPECT_EQ(status({{"question", std::string(5000, 'a')}}), 400);
  EXPECT_EQ(status({{"question", "a"}, {"collection", "../../etc/passwd"}}), 400);
  EXPECT_EQ(status({{"question", "a"}, {"collection", "other"}}), 404);
  EXPECT_EQ(status({{"question", "a"}, {"temperature", 1}}), 400);
  EXPECT_EQ(status({{"question", "a"}, {"model", "other"}}), 404);
}

TEST(ServeAsk, AClientThatLeavesFreesTheModel) {
  TATARA_REQUIRE_MODEL(model, "smollm2-135m");
  Serving serving(model, {}, /*context_tokens=*/4096);
  AddSamples(serving.home());
  const std::string body =
      OrderedJson({{"question", kQuestion}, {"max_tokens", 2000}, {"stream", true}}).dump();
  for (int i = 0; i < 8; ++i) {  // more than are worked on at once
    HttpClient client(serving.port());
    client.Send(HttpClient::Post("/v1/ask", body));
    std::this_thread::sleep_for(std::chrono::milliseconds(20));
  }
  // A question after them is answered, so none of them holds a thread.
  EXPECT_EQ(serving.Ask("/v1/ask", {{"question", "xyzzy"}})["supported"], false);
  for (int i = 0; i < 500 && serving.State().running + serving.State().waiting > 0; ++i) {
    std::this_thread::sleep_for(std::chrono::milliseconds(10));
  }
  EXPECT_EQ(serving.State().running + serving.State().waiting, 0);
}

}  // namespace
}  // namespace tatara
