// What a server over real models answers, held against what its OpenAPI document says: every
// operation, and every event of streams.
#include <gtest/gtest.h>

#include <set>

#include "json_schema.h"
#include "serving.h"
#include "tatara/search/index.h"

namespace tatara {
namespace {

using test::HttpAnswer;
using test::HttpClient;
using Json = test::OrderedJson;

constexpr char kTalk[] = R"("messages":[{"role":"user","content":"Say three words."}])";

class Held {
 public:
  explicit Held(int port)
      : port_(port),
        document_(Json::parse(HttpClient(port).AskGet("/openapi.json").body, nullptr, false)),
        check_(document_) {}

  // `path` as in the document; `id` stands for its parameter. A stream's events, else the answer.
  Json Ask(const std::string& method, const std::string& path, const std::string& body = "",
           const std::string& id = "") {
    asked_.insert(method + path);
    std::string way = path;
    if (const std::size_t at = way.find('{'); at != way.npos) {
      way.replace(at, way.find('}') - at + 1, id);
    }
    HttpClient client(port_);
    client.Send(method + " " + way + " HTTP/1.1\r\nHost: 127.0.0.1\r\n" +
                (method == "POST" ? "Content-Type: application/json\r\n" : "") +
                "Content-Length: " + std::to_string(body.size()) + "\r\n\r\n" + body);
    const HttpAnswer answer = client.Read();
    EXPECT_EQ(answer.status, 200) << way << body << answer.body;
    std::string name = method;
    for (char& c : name) c = static_cast<char>(c - 'A' + 'a');
    const Json& said = document_.at("paths").at(path).at(name).at("responses").at("200");
    std::string type = answer.headers.at("content-type");
    type = type.substr(0, type.find(';'));
    EXPECT_TRUE(said.at("content").contains(type)) << way << ": " << type;
    for (const auto& [header, value] : answer.headers) {
      if (header.starts_with("x-tatara-"))
        EXPECT_TRUE(said.at("headers").contains(header)) << header;
    }
    if (type == "text/event-stream") return Events(said.at("content").at(type), answer.body, way);
    if (type != "application/json") return answer.body;
    const Json json = Json::parse(answer.body, nullptr, false);
    const auto wrong = check_.Check(json, said.at("content").at(type).at("schema"));
    EXPECT_EQ(wrong, std::nullopt) << way << body << "\n" << answer.body;
    return json;
  }
  // Operations that nobody asked for.
  std::set<std::string> Left() const {
    std::set<std::string> left;
    for (const auto& [path, item] : document_.at("paths").items()) {
      for (const auto& [method, operation] : item.items()) {
        std::string name = method;
        for (char& c : name) c = static_cast<char>(c - 'a' + 'A');
        if (!asked_.contains(name + path)) left.insert(name + path);
      }
    }
    return left;
  }

 private:
  Json Events(const Json& content, const std::string& body, const std::string& way) const {
    Json events = Json::array();
    for (const Json& event : test::Events(body)) {
      const auto wrong = check_.Check(event, content.at("x-event-schema"));
      EXPECT_EQ(wrong, std::nullopt) << way << "\n" << event;
      events.push_back(event);
    }
    EXPECT_FALSE(events.empty());
    return events;
  }
  const int port_;
  const Json document_;
  const test::SchemaCheck check_;
  std::set<std::string> asked_;
};

void AskGeneration(Held& held) {
  const std::string talk = std::string("{") + kTalk + R"(,"max_tokens":8,"seed":1)";
  held.Ask("POST", "/v1/chat/completions",
           talk + R"(,"n":2,"logprobs":true,"top_logprobs":3,"wibble":1})");
  held.Ask("POST", "/v1/chat/completions",
           talk + R"(,"n":2,"logprobs":true,"top_logprobs":3,"stream":true,)"
                  R"("stream_options":{"include_usage":true}})");
  held.Ask("POST", "/v1/chat/completions",
           talk + R"(,"tools":[{"type":"function","function":{"name":"f"}}]})");
  const std::string text = R"({"prompt":["The sea","The sky"],"max_tokens":6)";
  const Json whole = held.Ask("POST", "/v1/completions", text + R"(,"logprobs":2,"n":2})");
  held.Ask("POST", "/v1/completions", text + R"(,"logprobs":0,"stream":true})");
  held.Ask("POST", "/v1/completions", text + R"(,"echo":true,"stop":["e"]})");
  const std::string receipt = whole.at("id").get<std::string>() + ".1";
  held.Ask("GET", "/v1/receipts/{id}", "", receipt);
  held.Ask("DELETE", "/v1/receipts/{id}", "", receipt);
  held.Ask("DELETE", "/v1/receipts");
  held.Ask("POST", "/v1/ask", R"({"question":"When is the form handed in?","max_tokens":24})");
  held.Ask("POST", "/v1/ask",
           R"({"question":"When is the form handed in?","max_tokens":24,"stream":true})");
}

void AskVectorsAndTokens(Held& held) {
  held.Ask("POST", "/v1/embeddings", R"({"input":["a","b"]})");
  held.Ask("POST", "/v1/embeddings", R"({"input":"a","encoding_format":"base64"})");
  held.Ask("POST", "/v1/rerank",
           R"({"query":"a","documents":["b",{"text":"c"}],"return_documents":true})");
  held.Ask("POST", "/tokenize", R"({"model":"tiny","content":"The sea","with_pieces":true})");
  held.Ask("POST", "/tokenize", std::string("{") + kTalk + "}");
  held.Ask("POST", "/detokenize", R"({"model":"tiny","tokens":[100,101]})");
  held.Ask("POST", "/apply-template", std::string("{") + kTalk + "}");
}

void AskState(Held& held) {
  for (const char* path : {"/health", "/ready", "/metrics", "/openapi.json", "/v1/models"}) {
    held.Ask("GET", path);
  }
  held.Ask("GET", "/v1/models/{model}", "", "tiny");
  held.Ask("GET", "/v1/session");
  held.Ask("DELETE", "/v1/session");
}

void AskHistory(Held& held) {
  const Json made = held.Ask("POST", "/v1/conversations", R"({"title":"The sea"})");
  const std::string id = made.at("id");
  const std::string one = "/v1/conversations/{id}";
  held.Ask("POST", one + "/messages", R"({"id":"m1","role":"user","content":"How deep?"})", id);
  held.Ask("POST", one + "/messages",
           R"({"id":"m2","parent":"m1","role":"assistant","content":"Very.","reasoning":"r",)"
           R"("model":"tiny","receipt":"x","finish":"stop","details":{"a":1},"created_at":5})",
           id);
  held.Ask("POST", one, R"({"title":"The deep sea","active":"m2"})", id);
  EXPECT_EQ(held.Ask("GET", one, "", id).at("messages").size(), 2U);
  EXPECT_EQ(held.Ask("GET", "/v1/conversations").at("data").size(), 1U);
  EXPECT_EQ(held.Ask("POST", "/v1/conversations/search", R"({"query":"deep"})").at("data").size(),
            1U);
  held.Ask("GET", one + "/export.md", "", id);
  held.Ask("GET", one + "/export.json", "", id);
  held.Ask("DELETE", one, "", id);
  held.Ask("DELETE", "/v1/conversations");
}

TEST(AnswerSchemas, AnswersOfEveryOperationAreWhatTheDocumentSays) {
  TATARA_REQUIRE_MODEL(model, "smollm2-135m");
  TATARA_REQUIRE_MODEL(vectors, "e5-small");
  test::Serving serving(model);
  serving.AddEmbedder(vectors);
  {
    const auto index = search::Index::Open({.home = serving.home(), .create = true});
    ASSERT_TRUE(index.ok()) << index.error().text();
    const std::filesystem::path folder = TATARA_SOURCE_DIR "/samples/machine-shop";
    ASSERT_TRUE((*index)->Add({&folder, 1}, nullptr, nullptr).ok());
  }
  Held held(serving.port());
  AskState(held);
  AskGeneration(held);
  AskVectorsAndTokens(held);
  AskHistory(held);
  // Signing in wants a server with keys: src/server/access_test.cc.
  EXPECT_EQ(held.Left(), std::set<std::string>{"POST/v1/session"});
}

}  // namespace
}  // namespace tatara
