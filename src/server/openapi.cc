#include "openapi.h"

#include "api.h"
#include "tatara/base/version.h"

namespace tatara::server {
namespace {

Json Described(Json schema, std::string_view says) {
  if (!says.empty()) schema["description"] = says;
  return schema;
}

Json Type(std::string_view type) {
  return {{"type", type}};
}

template <typename Field>
Json Ranged(const Field& field, std::string_view type) {
  Json schema = OrNull(Type(type));
  schema["minimum"] = field.least;
  schema["maximum"] = field.most;
  if (field.otherwise >= field.least && field.otherwise <= field.most) {
    schema["default"] = field.otherwise;
  }
  return Described(std::move(schema), field.says);
}

Json ErrorSchema() {
  return ObjectSchema()
      .Needed("error", ObjectSchema()
                           .Needed("message", TextSchema())
                           .Needed("type", EnumSchema({"invalid_request_error",
                                                       "authentication_error", "permission_error",
                                                       "rate_limit_error", "server_error"}))
                           .Needed("param", OrNull(TextSchema("Path of the field that is wrong.")))
                           .Needed("code", OrNull(TextSchema()))
                           .Done())
      .Done();
}

Json HeaderRef(std::string_view name) {
  return {{"$ref", std::string("#/components/headers/") + std::string(name)}};
}

Json Header(std::string_view says) {
  return {{"description", says}, {"schema", Type("string")}};
}

// "{id}" of a path: what its parameter is called; empty where it has none.
std::string_view PathParameter(std::string_view path) {
  const std::size_t open = path.find('{'), close = path.find('}');
  return open == path.npos ? "" : path.substr(open + 1, close - open - 1);
}

}  // namespace

Json TextSchema(std::string_view says) {
  return Described(Type("string"), says);
}
Json WholeSchema(std::string_view says) {
  Json schema = Type("integer");
  schema["minimum"] = 0;
  return Described(std::move(schema), says);
}
Json NumberSchema(std::string_view says) {
  return Described(Type("number"), says);
}
Json FlagSchema(std::string_view says) {
  return Described(Type("boolean"), says);
}
Json ConstSchema(std::string_view text) {
  return {{"const", text}};
}
Json EnumSchema(std::initializer_list<std::string_view> texts) {
  Json values = Json::array();
  for (const std::string_view text : texts) values.push_back(text);
  return {{"enum", std::move(values)}};
}
Json ListSchema(Json items) {
  return {{"type", "array"}, {"items", std::move(items)}};
}
Json OrNull(Json schema) {
  if (schema.contains("type") && schema["type"].is_string()) {
    schema["type"] = Json::array({schema["type"], "null"});
    if (schema.contains("enum")) schema["enum"].push_back(nullptr);
    return schema;
  }
  return {{"anyOf", Json::array({std::move(schema), Type("null")})}};
}
Json NeverNull(Json schema) {
  schema["type"] = schema["type"].front();
  if (schema.contains("enum")) schema["enum"].erase(schema["enum"].size() - 1);
  schema.erase("default");
  return schema;
}
Json Ref(std::string_view schema) {
  return {{"$ref", "#/components/schemas/" + std::string(schema)}};
}

Json SchemaOf(const NumberField& field) {
  return Ranged(field, "number");
}
Json SchemaOf(const IntegerField& field) {
  return Ranged(field, "integer");
}
Json SchemaOf(const FlagField& field) {
  Json schema = OrNull(Type("boolean"));
  schema["default"] = field.otherwise;
  return Described(std::move(schema), field.says);
}
Json SchemaOf(const TextField& field) {
  return Described(OrNull(Type("string")), field.says);
}
Json SchemaOf(const ChoiceField& field) {
  Json schema = Type("string");
  schema["enum"] = Json::array();
  for (const std::string_view value : field.values) schema["enum"].push_back(value);
  schema = OrNull(std::move(schema));
  schema["default"] = field.values.front();
  return Described(std::move(schema), field.says);
}

ObjectSchema::ObjectSchema(std::string_view says) : schema_(Described(Type("object"), says)) {
  schema_["properties"] = Json::object();
}
ObjectSchema& ObjectSchema::Optional(std::string_view name, Json schema) {
  schema_["properties"][std::string(name)] = std::move(schema);
  return *this;
}
ObjectSchema& ObjectSchema::Needed(std::string_view name, Json schema) {
  schema_["required"].push_back(name);
  return Optional(name, std::move(schema));
}
ObjectSchema& ObjectSchema::Accepted(FieldNames names) {
  for (const std::string_view name : names) {
    Optional(name, {{"description", "Taken; changes nothing."}});
  }
  return *this;
}
ObjectSchema& ObjectSchema::Refused(FieldNames names) {
  for (const std::string_view name : names) {
    Optional(name, Described(Type("null"), "Not offered: refused by name."));
  }
  return *this;
}
Json ObjectSchema::Done() const {
  return schema_;
}

ObjectSchema AnswerFrame(std::string_view object) {
  ObjectSchema frame;
  frame.Needed("id", TextSchema())
      .Needed("object", ConstSchema(object))
      .Needed("created", WholeSchema("Seconds since 1970."))
      .Needed("model", TextSchema());
  return frame;
}

OpenApi::OpenApi() {
  document_ = {
      {"openapi", "3.1.0"},
      {"info",
       {{"title", "Tatara"},
        {"version", kVersion},
        {"description",
         "Open models over HTTP. Fields that no API has are named in x-tatara-ignored, or refused "
         "where the server runs strictly."},
        {"license", {{"name", "Apache-2.0"}, {"identifier", "Apache-2.0"}}}}},
      {"servers", Json::array({{{"url", "/"}}})},
      {"paths", Json::object()},
      {"components",
       {{"securitySchemes",
         {{"bearer", {{"type", "http"}, {"scheme", "bearer"}}},
          {"key", {{"type", "apiKey"}, {"in", "header"}, {"name", "X-Api-Key"}}}}},
        {"headers",
         {{"request-id", Header("Of this request, for the operator's logs.")},
          {"ignored", Header("Fields of the request that no API has.")},
          {"receipt", Header("The answer's receipt: GET /v1/receipts/{id}.")}}},
        {"responses",
         {{"Error",
           {{"description", "What is wrong, and where."},
            {"headers", {{"x-request-id", HeaderRef("request-id")}}},
            {"content", {{"application/json", {{"schema", Ref("Error")}}}}}}}}},
        {"schemas", Json::object()}}}};
  AddSchema("Error", ErrorSchema());
}

void OpenApi::AddSchema(std::string_view name, Json schema) {
  document_["components"]["schemas"][std::string(name)] = std::move(schema);
}

void OpenApi::Add(const Operation& operation) {
  Json entry = {{"operationId", operation.id},
                {"tags", Json::array({operation.tag})},
                {"summary", operation.says}};
  if (const std::string_view name = PathParameter(operation.path); !name.empty()) {
    entry["parameters"] = Json::array(
        {{{"name", name}, {"in", "path"}, {"required", true}, {"schema", Type("string")}}});
  }
  if (!operation.request.is_null()) {
    entry["requestBody"] = {{"required", true},
                            {"content", {{"application/json", {{"schema", operation.request}}}}}};
  }
  Json headers = {{"x-request-id", HeaderRef("request-id")}};
  if (!operation.request.is_null()) headers["x-tatara-ignored"] = HeaderRef("ignored");
  const std::string type(operation.answer_type);
  Json content = {{type, {{"schema", operation.answer}}}};
  if (operation.answer.is_null()) content[type]["schema"] = Type("string");
  if (!operation.event.is_null()) {
    headers["x-tatara-receipt"] = HeaderRef("receipt");
    content["text/event-stream"] = {
        {"schema", TextSchema("Events whose data is JSON, the last one [DONE].")},
        {"x-event-schema", operation.event}};
  }
  entry["responses"] = {{"200",
                         {{"description", "The answer."},
                          {"headers", std::move(headers)},
                          {"content", std::move(content)}}},
                        {"default", {{"$ref", "#/components/responses/Error"}}}};
  const bool open = IsOpenRoute(operation.method, operation.path);
  entry["security"] =
      open ? Json::array() : Json::array({{{"bearer", Json::array()}}, {{"key", Json::array()}}});
  std::string method(operation.method);
  for (char& c : method) c = static_cast<char>(c - 'A' + 'a');
  document_["paths"][std::string(operation.path)][method] = std::move(entry);
}

Json OpenApiDocument() {
  OpenApi api;
  DescribeGeneration(api);
  DescribeVectors(api);
  DescribeTokens(api);
  DescribeState(api);
  DescribeSession(api);
  DescribeConversations(api);
  DescribeAsk(api);
  return api.Done();
}

void OpenApiJson(ApiCall call) {
  static const std::string text = Dump(OpenApiDocument());
  call.exchange->Send({.headers = call.headers, .body = text});
}

}  // namespace tatara::server
