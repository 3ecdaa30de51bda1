#include "api.h"

#include <gtest/gtest.h>

#include <atomic>

#include "http_client.h"
#include "logprobs.h"
#include "sse.h"
#include "tatara/server/server.h"

namespace tatara::server {
namespace {

using test::HttpAnswer;
using test::HttpClient;

TEST(Sse, LineEndsWithinAnEventBecomeDataLines) {
  EXPECT_EQ(SseEvent("{}"), "data: {}\n\n");
  EXPECT_EQ(SseEvent("a\nb\r\nc\rd"), "data: a\ndata: b\ndata: c\ndata: d\n\n");
}

TEST(Logprobs, OffsetsOfCompletionsCountCharacters) {
  const std::vector<assistant::Logprob> logprobs = {{.token = "あ", .logprob = -1}, {.token = "b"}};
  const Json json = CompletionLogprobs(logprobs, 0);
  EXPECT_EQ(json["text_offset"], Json::array({0, 1}));
}

// One key and whose it is.
class OneKey final : public KeyCheck {
 public:
  std::optional<assistant::Caller> Check(std::string_view secret) override {
    return valid && secret == "tatara-secret"
               ? std::optional(assistant::Caller{.tenant = "factory", .key = "k1"})
               : std::nullopt;
  }
  bool StillValid(std::string_view id) override { return valid && id == "k1"; }
  std::atomic<bool> valid{true};
};

// A server without any model: what is wrong with a request is said before one is looked for.
class Api : public testing::Test {
 protected:
  void Start(ServerOptions options = {}) {
    options.port = 0;
    auto started = Server::Start(service_, options);
    ASSERT_TRUE(started.ok()) << started.error().text();
    server_ = std::move(started).value();
  }
  HttpAnswer Post(std::string_view path, std::string_view body, std::string_view headers = "") {
    return HttpClient(server_->port()).AskPost(path, body, headers);
  }
  std::string Param(std::string_view path, std::string_view body) {
    const HttpAnswer answer = Post(path, body);
    EXPECT_EQ(answer.status, 400) << body << answer.body;
    const Json json = Json::parse(answer.body, nullptr, false);
    EXPECT_EQ(json["error"]["type"], "invalid_request_error");
    return json["error"]["param"].is_string() ? json["error"]["param"].get<std::string>() : "";
  }
  assistant::Service service_{assistant::ServiceOptions{}};
  std::unique_ptr<Server> server_;
};

TEST_F(Api, WrongFieldsAreNamedByTheirPath) {
  Start();
  const auto chat = [&](const std::string& more) {
    return Param("/v1/chat/completions",
                 R"({"messages":[{"role":"user","content":"x"}],)" + more + "}");
  };
  EXPECT_EQ(chat(R"("temperature":"hot")"), "temperature");
  EXPECT_EQ(chat(R"("temperature":-0.1)"), "temperature");
  EXPECT_EQ(chat(R"("temperature":2.1)"), "temperature");
  EXPECT_EQ(chat(R"("top_p":0)"), "top_p");
  EXPECT_EQ(chat(R"("top_k":-2)"), "top_k");
  EXPECT_EQ(chat(R"("n":0)"), "n");
  EXPECT_EQ(chat(R"("n":1000000000000000000000)"), "n");
  EXPECT_EQ(chat(R"("max_tokens":1.5)"), "max_tokens");
  EXPECT_EQ(chat(R"("max_completion_tokens":0)"), "max_completion_tokens");
  EXPECT_EQ(chat(R"("seed":18446744073709551615)"), "seed");
  EXPECT_EQ(chat(R"("stop":["a",3])"), "stop[1]");
  EXPECT_EQ(chat(R"("stop":"")"), "stop");
  EXPECT_EQ(chat(R"("logit_bias":{"x":1})"), "logit_bias");
  EXPECT_EQ(chat(R"("logit_bias":{"-1":1})"), "logit_bias");
  EXPECT_EQ(chat(R"("logit_bias":{"7":101})"), "logit_bias.7");
  EXPECT_EQ(chat(R"("logit_bias":{"7":1,"07":1})"), "logit_bias");
  EXPECT_EQ(chat(R"("top_logprobs":3)"), "top_logprobs");
  EXPECT_EQ(chat(R"("logprobs":true,"top_logprobs":21)"), "top_logprobs");
  EXPECT_EQ(chat(R"("stream":"yes")"), "stream");
  EXPECT_EQ(chat(R"("stream_options":{"include_usage":true})"), "stream_options");
  EXPECT_EQ(chat(R"("stream":true,"stream_options":{"include_usage":1})"),
            "stream_options.include_usage");
  EXPECT_EQ(chat(R"("tools":[{"type":"function"}])"), "tools[0].function");
  EXPECT_EQ(chat(R"("model":7)"), "model");
  EXPECT_EQ(Param("/v1/chat/completions", "{}"), "messages");
  EXPECT_EQ(Param("/v1/chat/completions", R"({"messages":[]})"), "messages");
  EXPECT_EQ(Param("/v1/chat/completions", R"({"messages":[{"role":"king","content":"x"}]})"),
            "messages[0].role");
  EXPECT_EQ(Param("/v1/chat/completions",
                  R"({"messages":[{"role":"user","content":[{"type":"image_url"}]}]})"),
            "messages[0].content[0].type");
  EXPECT_EQ(Param("/v1/completions", R"({"prompt":[1,-2]})"), "prompt[1]");
  EXPECT_EQ(Param("/v1/completions", R"({"prompt":["a",[1]]})"), "prompt[1]");
  EXPECT_EQ(Param("/v1/completions", R"({"prompt":[1],"suffix":"b"})"), "suffix");
  EXPECT_EQ(Param("/v1/completions", R"({"prompt":"a","echo":true,"logprobs":1,"stream":true})"),
            "stream");
  EXPECT_EQ(Param("/v1/completions", R"({"prompt":"a","echo":true,"max_tokens":0})"), "max_tokens");
  EXPECT_EQ(Param("/v1/embeddings", R"({"input":[]})"), "input");
  EXPECT_EQ(Param("/v1/embeddings", R"({"input":"x","encoding_format":"hex"})"), "encoding_format");
  EXPECT_EQ(Param("/v1/rerank", R"({"query":"q","documents":[1]})"), "documents[0]");
  EXPECT_EQ(Param("/detokenize", R"({"tokens":[1,99999999999]})"), "tokens[1]");
}

TEST_F(Api, ImagesAndOtherPartsThatAreNotOfferedAreRefusedByNameAndPath) {
  Start();
  for (const std::string part :
       {R"({"type":"image_url","image_url":{"url":"http://127.0.0.1:9/x.png"}})",
        R"({"type":"input_audio","input_audio":{"data":"AA==","format":"wav"}})",
        R"({"type":"file","file":{"file_id":"f"}})"}) {
    const std::string name = Json::parse(part)["type"];
    const HttpAnswer answer =
        Post("/v1/chat/completions",
             R"({"messages":[{"role":"user","content":"a"},{"role":"user","content":[)"
             R"({"type":"text","text":"what is this?"},)" +
                 part + "]}]}");
    EXPECT_EQ(answer.status, 400);
    const Json error = Json::parse(answer.body)["error"];
    EXPECT_EQ(error["param"], "messages[1].content[1].type");
    EXPECT_NE(error["message"].get<std::string>().find("'" + name + "'"), std::string::npos);
  }
}

TEST_F(Api, NumbersBeyondSenseAreRefusedByTheirPath) {
  Start();
  const std::string body_start = R"({"messages":[{"role":"user","content":"x"}],)";
  for (const std::string field :
       {"temperature", "top_p", "min_p", "presence_penalty", "frequency_penalty",
        "repetition_penalty", "top_k", "n", "max_tokens", "seed", "top_logprobs"}) {
    for (const char* value : {"-1e300", "1e300", "-1e18", "99999999999999999999", "true", "[1]"}) {
      EXPECT_EQ(Param("/v1/chat/completions", body_start + '"' + field + "\":" + value + "}"),
                field)
          << value;
    }
    // No JSON, so nothing has a path: NaN and the infinities, also as overflow.
    for (const char* value : {"NaN", "Infinity", "-Infinity", "nan", "inf", "1e999", "-1e999"}) {
      EXPECT_EQ(Param("/v1/chat/completions", body_start + '"' + field + "\":" + value + "}"), "")
          << field << value;
    }
  }
  EXPECT_EQ(Param("/v1/completions", R"({"prompt":"a","n":1000000000})"), "n");
  EXPECT_EQ(Param("/v1/completions", R"({"prompt":[1,-1]})"), "prompt[1]");
  EXPECT_EQ(Param("/v1/completions", R"({"prompt":[[1],[1,2147483648]]})"), "prompt[1][1]");
  EXPECT_EQ(Param("/v1/completions", R"({"prompt":[1,1.5]})"), "prompt[1]");
  EXPECT_EQ(Param("/v1/embeddings", R"({"input":[-1]})"), "input[0]");
  EXPECT_EQ(Param("/detokenize", R"({"tokens":[1,-9223372036854775808]})"), "tokens[1]");
}

TEST_F(Api, AWholeNumberMayBeWrittenWithAPoint) {
  Start();
  const auto status = [&](std::string_view path, const char* body) {
    return Post(path, body).status;
  };
  EXPECT_EQ(status("/detokenize", R"({"tokens":[1.0,2e3]})"), 404);  // but for the model
  EXPECT_EQ(status("/v1/completions", R"({"prompt":"a","n":2.0,"seed":-7.0})"), 404);
  EXPECT_EQ(Param("/v1/completions", R"({"prompt":"a","n":2.5})"), "n");
  EXPECT_EQ(Param("/v1/completions", R"({"prompt":"a","seed":1e17})"), "seed");
}

TEST_F(Api, KnownFieldsThatWouldChangeTheAnswerAreRefusedByName) {
  Start();
  for (const char* field :
       {R"("response_format":{"type":"json_object"})", R"("tool_choice":"required")",
        R"("parallel_tool_calls":false)", R"("guided_json":{})", R"("functions":[])",
        R"("modalities":["audio"])", R"("verbosity":"low")", R"("grammar":"x")"}) {
    const std::string name = std::string(field).substr(1, std::string(field).find(':') - 2);
    EXPECT_EQ(Param("/v1/chat/completions",
                    R"({"messages":[{"role":"user","content":"x"}],)" + std::string(field) + "}"),
              name);
  }
}

TEST_F(Api, NamesThatNoApiHasAreListedAndUnderStrictRefused) {
  Start();
  const char* body = R"({"messages":[{"role":"user","content":"x"}],"wibble":1,"a\r\nb":2})";
  const HttpAnswer answer = Post("/v1/chat/completions", body);
  EXPECT_EQ(answer.status, 404);  // there is no model
  EXPECT_EQ(answer.headers.at("x-tatara-ignored"), "wibble, a??b");
  Start({.strict = true});
  EXPECT_EQ(Param("/v1/chat/completions", body), "wibble");
}

TEST_F(Api, WhatIsNotJsonIsRefused) {
  Start();
  for (const std::string& body :
       {std::string(), std::string("{"), std::string("[]"), std::string("nul"),
        std::string(R"({"model":1e999})"), std::string("{\"model\":\"\xff\"}"),
        "{\"messages\":" + std::string(100'000, '[') + "}"}) {
    EXPECT_EQ(Post("/v1/chat/completions", body).status, 400) << body.substr(0, 40);
  }
  HttpClient client(server_->port());
  client.Send(
      "POST /v1/chat/completions HTTP/1.1\r\nHost: localhost\r\nContent-Type: text/plain\r\n"
      "Content-Length: 2\r\n\r\n{}");
  EXPECT_EQ(client.Read().status, 415);
}

TEST_F(Api, PathsAndMethodsThatAreNotThereAreSaidSo) {
  Start();
  HttpClient client(server_->port());
  EXPECT_EQ(client.AskGet("/v1/nothing").status, 404);
  for (const char* path :
       {"/v1/receipts/../../etc/passwd", "/v1/receipts/..%2f..%2fetc%2fpasswd", "/v1/receipts/..",
        "/v1/receipts/%2e%2e/keys", "/v1/receipts/cmpl-1%00.json", "/v1/receipts//etc/passwd",
        "/v1/models/..%2f..%2fetc", "/v1/models/../../etc/passwd", "/v1/models/sha256:..",
        "/assets/../../etc/passwd", "/assets/..%2f..%2fetc%2fpasswd", "//etc/passwd", "/../home",
        "/v1/conversations/../receipts/x/export.md"}) {
    const HttpAnswer answer = client.AskGet(path);
    EXPECT_EQ(answer.status, 404) << path;
    EXPECT_EQ(answer.body.find("root:"), std::string::npos) << path;
  }
  const HttpAnswer method = client.AskGet("/v1/chat/completions");
  EXPECT_EQ(method.status, 405);
  EXPECT_EQ(method.headers.at("allow"), "POST");
  EXPECT_EQ(client.AskGet("/health").status, 200);
  EXPECT_EQ(client.AskGet("/v1/models").status, 200);
  EXPECT_EQ(client.AskGet("/metrics").status, 200);
}

TEST_F(Api, AKeyIsWantedWholeAndOnlyHealthGoesWithout) {
  Start({.keys = std::make_shared<OneKey>(), .require_key = true});
  HttpClient client(server_->port());
  EXPECT_EQ(client.AskGet("/health").status, 200);
  EXPECT_EQ(client.AskGet("/v1/models").status, 401);
  EXPECT_EQ(client.AskGet("/nothing").status, 401);
  EXPECT_EQ(client.AskGet("/v1/models", "Authorization: Bearer tatara-secre\r\n").status, 401);
  EXPECT_EQ(client.AskGet("/v1/models", "Authorization: Bearer tatara-secret1\r\n").status, 401);
  EXPECT_EQ(client.AskGet("/v1/models", "Authorization: Bearer tatara-secret\r\n").status, 200);
  EXPECT_EQ(client.AskGet("/v1/models", "X-Api-Key: tatara-secret\r\n").status, 200);
}

TEST_F(Api, OtherSitesPagesAndNamesAreTurnedAway) {
  Start();
  HttpClient client(server_->port());
  client.Send("GET /v1/models HTTP/1.1\r\nHost: evil.example\r\n\r\n");
  EXPECT_EQ(client.Read().status, 421);
  EXPECT_EQ(client.AskGet("/v1/models", "Origin: http://evil.example\r\n").status, 403);
  EXPECT_EQ(client.AskGet("/v1/models", "Origin: null\r\n").status, 403);
  EXPECT_EQ(client.AskGet("/v1/models", "Origin: http://127.0.0.1\r\n").status, 200);
}

TEST(Server, ListensBeyondLoopbackOnlyWithAKey) {
  assistant::Service service({});
  const auto server = Server::Start(service, {.host = "0.0.0.0", .port = 0});
  ASSERT_FALSE(server.ok());
  EXPECT_NE(server.error().text().find("key"), std::string::npos);
  EXPECT_TRUE(IsLoopback("127.0.0.1") && IsLoopback("::1") && IsLoopback("localhost"));
  EXPECT_FALSE(IsLoopback("127.evil.example") || IsLoopback("0.0.0.0") || IsLoopback(""));
}

}  // namespace
}  // namespace tatara::server
