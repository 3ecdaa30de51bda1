#include "openapi.h"

#include <gtest/gtest.h>

#include <map>
#include <set>

#include "api.h"
#include "fake_exchange.h"
#include "json_schema.h"

namespace tatara::server {
namespace {

// "messages[3].role" without its numbers.
std::string WithoutIndexes(const std::string& path) {
  std::string out;
  bool inside = false;
  for (const char c : path) {
    if (c == ']') inside = false;
    if (!inside) out += c;
    if (c == '[') inside = true;
  }
  return out;
}

// Paths of all properties of a schema.
void Flatten(const test::SchemaCheck& check, const Json& given, const std::string& path,
             std::set<std::string>& into) {
  const Json& schema = check.Resolve(given);
  for (const char* any : {"anyOf", "allOf"}) {
    if (!schema.contains(any)) continue;
    for (const Json& one : schema[any]) Flatten(check, one, path, into);
  }
  if (schema.contains("items")) Flatten(check, schema["items"], path + "[]", into);
  if (!schema.contains("properties")) return;
  for (const auto& [name, member] : schema["properties"].items()) {
    const std::string at = path.empty() ? name : path + "." + name;
    into.insert(at);
    Flatten(check, member, at, into);
  }
}

class OpenApiTest : public testing::Test {
 protected:
  const Json& RequestSchema(const std::string& path, const std::string& method) {
    return document_["paths"][path][method]["requestBody"]["content"]["application/json"]["schema"];
  }
  HttpResponse Ask(const std::string& path, const std::string& body) {
    const auto exchange = FakeExchange::Of("POST", path, body);
    HandleRequest(context_, exchange);
    exchange->Run();
    return exchange->answer;
  }
  Json document_ = OpenApiDocument();
  test::SchemaCheck check_{document_};
  assistant::Service service_{assistant::ServiceOptions{}};
  std::shared_ptr<const ApiContext> context_ =
      std::make_shared<const ApiContext>(ApiContext{.service = &service_});
};

TEST_F(OpenApiTest, EveryRouteIsDescribedAndNothingElse) {
  std::set<std::string> described, routes, ids;
  for (const auto& [path, item] : document_["paths"].items()) {
    for (const auto& [method, operation] : item.items()) {
      std::string name = method;
      for (char& c : name) c = static_cast<char>(c - 'a' + 'A');
      described.insert(name + " " + path.substr(0, path.find('{')));
      EXPECT_TRUE(ids.insert(operation["operationId"].get<std::string>()).second) << path;
      EXPECT_FALSE(operation["summary"].get<std::string>().empty());
    }
  }
  for (const RouteFacts& route : Routes()) {
    routes.insert(std::string(route.method) + " " + std::string(route.path));
  }
  EXPECT_EQ(described, routes);
}

TEST_F(OpenApiTest, EveryReferenceLeadsToSomething) {
  const std::string text = document_.dump();
  for (std::size_t at = 0; (at = text.find("\"#/", at)) != std::string::npos; ++at) {
    const std::string pointer = text.substr(at + 2, text.find('"', at + 1) - at - 2);
    EXPECT_TRUE(document_.contains(Json::json_pointer(pointer))) << pointer;
  }
}

// A body for each route that leads the endpoint through all that it reads.
const std::map<std::string, std::vector<std::string>>& Probes() {
  static const std::string kTalk = R"("messages":[{"role":"user","content":[{"text":"a"}]},
      {"role":"assistant","tool_calls":[{"function":{"name":"f","arguments":"{}"}}]}],
      "tools":[{"function":{"name":"f"}}])";
  static const std::map<std::string, std::vector<std::string>> probes = {
      {"/v1/chat/completions",
       {"{" + kTalk + R"(,"stream":true,"stream_options":{},"response_format":{"type":"text"}})"}},
      {"/v1/completions", {R"({"prompt":"a","stream":true,"stream_options":{}})"}},
      {"/v1/ask", {R"({"question":"a"})"}},
      {"/v1/embeddings", {R"({"input":"a"})"}},
      {"/v1/rerank", {R"({"query":"q","documents":[{"text":"a"}]})"}},
      {"/tokenize", {R"({"content":"a"})", "{" + kTalk + "}"}},
      {"/detokenize", {R"({"tokens":[1]})"}},
      {"/apply-template", {"{" + kTalk + "}"}},
      {"/v1/session", {R"({"key":"x"})"}},
      {"/v1/conversations", {R"({"title":"a"})"}},
      {"/v1/conversations/search", {R"({"query":"a"})"}},
      {"/v1/conversations/{id}", {R"({"title":"a"})"}},
      {"/v1/conversations/{id}/messages", {R"({"id":"a","content":"b"})"}},
  };
  return probes;
}

TEST_F(OpenApiTest, WhatEndpointsReadIsWhatTheDocumentSays) {
  for (const auto& [path, item] : document_["paths"].items()) {
    for (const auto& [method, operation] : item.items()) {
      if (!operation.contains("requestBody")) continue;
      ASSERT_TRUE(Probes().contains(path)) << path << ": no probe";
      std::set<std::string> asked, described;
      for (const std::string& body : Probes().at(path)) {
        const FieldsWatch watch(
            [&](const std::string& name) { asked.insert(WithoutIndexes(name)); });
        const HttpResponse answer = Ask(path, body);
        // All was right but the model, or the key.
        EXPECT_EQ(answer.status, path == "/v1/session" ? 401 : 404) << path << answer.body;
      }
      Flatten(check_, RequestSchema(path, method), "", described);
      EXPECT_EQ(asked, described) << path;
    }
  }
}

// Values just outside of what a schema allows, and one of another type.
std::vector<Json> Wrong(const Json& schema) {
  std::vector<Json> wrong = {Json::array({Json::object({{"a", 1}})})};
  if (schema.contains("minimum") && schema["minimum"].is_number_float()) {
    wrong.push_back(schema["minimum"].get<double>() - 0.001);
    wrong.push_back(schema["maximum"].get<double>() + 0.001);
  } else if (schema.contains("minimum") && schema["maximum"] < (std::int64_t{1} << 62)) {
    wrong.push_back(schema["minimum"].get<std::int64_t>() - 1);
    wrong.push_back(schema["maximum"].get<std::int64_t>() + 1);
    wrong.push_back(1.5);
  }
  if (schema.contains("enum")) wrong.push_back("no such choice");
  return wrong;
}

TEST_F(OpenApiTest, WhatTheDocumentForbidsIsRefusedByItsPath) {
  for (const auto& [path, item] : document_["paths"].items()) {
    if (!item.contains("post")) continue;
    for (const auto& [name, schema] : RequestSchema(path, "post")["properties"].items()) {
      if (!schema.contains("type") && !schema.contains("enum")) continue;
      for (const Json& value : Wrong(schema)) {
        Json body = Json::parse(Probes().at(path).back());
        body[name] = value;
        const HttpResponse answer = Ask(path, body.dump());
        EXPECT_EQ(answer.status, 400) << path << " " << name << " " << value << answer.body;
        const Json json = Json::parse(answer.body, nullptr, false);
        EXPECT_TRUE(json["error"]["param"].is_string() &&
                    json["error"]["param"].get<std::string>().starts_with(name))
            << path << " " << name << " " << value << answer.body;
        EXPECT_EQ(check_.Check(json, document_["components"]["schemas"]["Error"]), std::nullopt);
      }
    }
  }
}

TEST_F(OpenApiTest, ItIsServed) {
  const auto exchange = FakeExchange::Of("GET", "/openapi.json");
  HandleRequest(context_, exchange);
  EXPECT_EQ(exchange->answer.status, 200);
  EXPECT_EQ(Json::parse(exchange->answer.body, nullptr, false), document_);
}

}  // namespace
}  // namespace tatara::server
