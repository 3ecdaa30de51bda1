// The OpenAPI 3.1 document of all routes (spec.openapis.org/oas/v3.1.1), served at /openapi.json.
// Each group of endpoints has a function in a file of its own that describes it; openapi.cc lists
// them. A test compares the document with the table of routes, with the fields that the endpoints
// read and with real answers.
// Thread safety: any thread.
#pragma once

#include <string>
#include <string_view>
#include <vector>

#include "json_fields.h"

namespace tatara::server {

// JSON Schema, draft 2020-12. Fields of requests may be null, which counts as absent.
Json SchemaOf(const NumberField& field);
Json SchemaOf(const IntegerField& field);
Json SchemaOf(const FlagField& field);
Json SchemaOf(const TextField& field);
Json SchemaOf(const ChoiceField& field);
Json TextSchema(std::string_view says = "");
Json WholeSchema(std::string_view says = "");  // a whole number of 0 or more
Json NumberSchema(std::string_view says = "");
Json FlagSchema(std::string_view says = "");
Json ConstSchema(std::string_view text);
Json EnumSchema(std::initializer_list<std::string_view> texts);
Json ListSchema(Json items);
Json OrNull(Json schema);
Json NeverNull(Json schema);        // the contrary; of one without a default
Json Ref(std::string_view schema);  // of the document's components

// An object's schema, property after property. What answers hold is needed unless said otherwise;
// what requests hold is not.
class ObjectSchema {
 public:
  explicit ObjectSchema(std::string_view says = "");
  template <typename Field>
  ObjectSchema& Take(const Field& field) {  // of a request
    return Optional(field.name, SchemaOf(field));
  }
  // Of a request that is refused without it.
  template <typename Field>
  ObjectSchema& Require(const Field& field) {
    return Needed(field.name, NeverNull(SchemaOf(field)));
  }
  ObjectSchema& Optional(std::string_view name, Json schema);
  ObjectSchema& Needed(std::string_view name, Json schema);
  ObjectSchema& Accepted(FieldNames names);  // taken, and of no consequence
  ObjectSchema& Refused(FieldNames names);   // only null is taken
  Json Done() const;

 private:
  Json schema_;
};

// What every answer of an endpoint that writes begins with: id, object, created, model.
ObjectSchema AnswerFrame(std::string_view object);

struct Operation {
  std::string_view method;  // GET, POST, ...
  // As in the table of routes; where a route is a prefix, "{name}" stands for what follows.
  std::string_view path;
  std::string_view id;   // one word, unique
  std::string_view tag;  // its group
  std::string_view says;
  Json request;  // the body's schema; null: none
  Json answer;   // that of a 200; null: not JSON
  std::string_view answer_type = "application/json";
  Json event;  // that of a stream's events, where the answer may be one
};

class OpenApi {
 public:
  OpenApi();
  void Add(const Operation& operation);
  void AddSchema(std::string_view name, Json schema);
  Json Done() const { return document_; }

 private:
  Json document_;
};

// messages, tools and what else ReadConversation takes.
Json ConversationFields(ObjectSchema request, bool needed);

// The groups, each beside its endpoints.
void DescribeGeneration(OpenApi& api);     // openapi_generation.cc
void DescribeVectors(OpenApi& api);        // openapi_vectors.cc
void DescribeTokens(OpenApi& api);         // openapi_tokens.cc
void DescribeState(OpenApi& api);          // openapi_state.cc
void DescribeSession(OpenApi& api);        // openapi_session.cc
void DescribeConversations(OpenApi& api);  // openapi_conversations.cc
void DescribeAsk(OpenApi& api);            // openapi_ask.cc

Json OpenApiDocument();

}  // namespace tatara::server
