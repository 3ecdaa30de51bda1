// What the document says of /v1/chat/completions and /v1/completions.
#include "generate_fields.h"
#include "openapi.h"

namespace tatara::server {
namespace {

Json StopSchema() {
  const Json one = {{"type", "string"}, {"minLength", 1}, {"maxLength", kStopBytesMax}};
  Json many = ListSchema(one);
  many["maxItems"] = kStopsMax;
  return {{"anyOf", Json::array({one, many, {{"type", "null"}}})},
          {"description", "The answer ends before these texts."}};
}

Json LogitBiasSchema() {
  return {{"type", Json::array({"object", "null"})},
          {"description", "Token ids and what is added to their logits."},
          {"propertyNames", {{"pattern", "^[0-9]+$"}}},
          {"maxProperties", kLogitBiasMax},
          {"additionalProperties",
           {{"type", "number"}, {"minimum", -kLogitBiasMost}, {"maximum", kLogitBiasMost}}}};
}

void TakeSampling(ObjectSchema& request) {
  Json seed = SchemaOf(kSeed);
  seed.erase("default");  // absent, it is drawn
  request.Take(kModel)
      .Take(kTemperature)
      .Take(kTopP)
      .Take(kTopK)
      .Take(kMinP)
      .Take(kPresencePenalty)
      .Take(kFrequencyPenalty)
      .Take(kRepetitionPenalty)
      .Optional(kSeed.name, std::move(seed))
      .Optional("logit_bias", LogitBiasSchema())
      .Optional("stop", StopSchema())
      .Take(kN)
      .Take(kIgnoreEos)
      .Take(kStream)
      .Optional("stream_options", OrNull(ObjectSchema("Only with streams.")
                                             .Take(kIncludeUsage)
                                             .Take(kIncludeObfuscation)
                                             .Done()))
      .Take(kUser)
      .Accepted(kSamplingAccepted)
      .Refused(kSamplingRefused);
}

Json MessageSchema() {
  const Json part = ObjectSchema().Take(kPartType).Needed("text", TextSchema()).Done();
  const Json call =
      ObjectSchema()
          .Optional("id", OrNull(TextSchema()))
          .Take(kToolType)
          .Needed("function",
                  ObjectSchema()
                      .Needed("name", TextSchema())
                      .Optional("arguments", {{"type", Json::array({"string", "object", "null"})},
                                              {"description", "An object, or the text of one."}})
                      .Done())
          .Done();
  Json calls = ListSchema(call);
  calls["maxItems"] = kToolsMax;
  ObjectSchema message;
  message.Require(kRole)
      .Optional("content",
                {{"anyOf", Json::array({TextSchema(), ListSchema(part), {{"type", "null"}}})}})
      .Optional("tool_calls", OrNull(std::move(calls)));
  for (const TextField& field : kMessageTexts) message.Take(field);
  return message.Accepted(kMessageAccepted).Refused(kMessageRefused).Done();
}

Json ToolSchema() {
  return ObjectSchema()
      .Take(kToolType)
      .Needed("function", ObjectSchema()
                              .Needed("name", TextSchema())
                              .Optional("description", OrNull(TextSchema()))
                              .Optional("parameters", {{"type", Json::array({"object", "null"})},
                                                       {"description", "A JSON schema."}})
                              .Optional("strict", {{"enum", Json::array({false, nullptr})}})
                              .Done())
      .Done();
}

Json ChatRequest() {
  ObjectSchema request;
  TakeSampling(request);
  request.Take(kMaxCompletionTokens)
      .Take(kChatMaxTokens)
      .Take(kChatLogprobs)
      .Take(kTopLogprobs)
      .Optional("response_format",
                OrNull(ObjectSchema().Needed("type", ConstSchema("text")).Done()))
      .Optional("modalities", {{"enum", Json::array({Json::array({"text"}), nullptr})}})
      .Accepted(kChatAccepted)
      .Refused(kChatRefused);
  return ConversationFields(std::move(request), /*needed=*/true);
}

Json PromptSchema() {
  Json ids = ListSchema(Ref("TokenId"));
  ids["maxItems"] = kPromptIdsMax;
  return {{"anyOf", Json::array({TextSchema(), ListSchema(TextSchema()), ids, ListSchema(ids)})},
          {"description", "A text, texts, token ids, or lists of them."}};
}

Json CompletionRequest() {
  ObjectSchema request;
  TakeSampling(request);
  return request.Needed("prompt", Ref("Prompt"))
      .Take(kMaxTokens)
      .Take(kLogprobs)
      .Take(kEcho)
      .Take(kSuffix)
      .Take(kBestOf)
      .Refused(kCompletionsRefused)
      .Done();
}

Json LogprobSchema(bool with_top) {
  ObjectSchema one;
  one.Needed("token", TextSchema())
      .Needed("logprob", NumberSchema("Of the model's own logits."))
      .Needed("bytes", ListSchema(WholeSchema()));
  if (with_top) one.Needed("top_logprobs", ListSchema(LogprobSchema(false)));
  return one.Done();
}

Json ChatLogprobsSchema() {
  return OrNull(ObjectSchema()
                    .Needed("content", ListSchema(LogprobSchema(true)))
                    .Needed("refusal", {{"type", "null"}})
                    .Done());
}

Json CompletionLogprobsSchema() {
  const Json top = {{"type", Json::array({"object", "null"})},
                    {"additionalProperties", NumberSchema()}};
  return OrNull(ObjectSchema()
                    .Needed("tokens", ListSchema(TextSchema()))
                    .Needed("token_logprobs", ListSchema(OrNull(NumberSchema())))
                    .Needed("top_logprobs", ListSchema(top))
                    .Needed("text_offset", ListSchema(WholeSchema("In characters.")))
                    .Done());
}

Json UsageSchema() {
  return ObjectSchema()
      .Needed("prompt_tokens", WholeSchema())
      .Needed("completion_tokens", WholeSchema())
      .Needed("total_tokens", WholeSchema())
      .Needed("prompt_tokens_details",
              ObjectSchema()
                  .Needed("cached_tokens", WholeSchema("Taken from the prefix cache."))
                  .Done())
      .Done();
}

Json MoreSchema() {
  return ObjectSchema()
      .Needed("seed", WholeSchema("What was used."))
      .Needed("receipt", TextSchema("Of choice 0; choice k has this and \".k\"."))
      .Done();
}

// What all answers and chunks have.
ObjectSchema Frame(std::string_view object) {
  return AnswerFrame(object).Needed("system_fingerprint", TextSchema());
}

Json AnswerSchema(std::string_view object, Json choice) {
  return Frame(object)
      .Needed("choices", ListSchema(std::move(choice)))
      .Needed("usage", Ref("Usage"))
      .Needed("tatara", Ref("AnswerOrigin"))
      .Done();
}

Json ChunkSchema(std::string_view object, Json choice) {
  return {{"anyOf", Json::array({Frame(object)
                                     .Needed("choices", ListSchema(std::move(choice)))
                                     .Optional("usage", OrNull(Ref("Usage")))
                                     .Optional("tatara", Ref("AnswerOrigin"))
                                     .Done(),
                                 Ref("Error")})}};
}

Json ReasonSchema() {
  return EnumSchema({"stop", "length", "tool_calls"});
}

Json CallSchema(bool with_index) {
  ObjectSchema call;
  if (with_index) call.Needed("index", WholeSchema());
  return call.Needed("id", TextSchema())
      .Needed("type", ConstSchema("function"))
      .Needed("function", ObjectSchema()
                              .Needed("name", TextSchema())
                              .Needed("arguments", TextSchema("The text of a JSON object."))
                              .Done())
      .Done();
}

Json ChatChoice() {
  return ObjectSchema()
      .Needed("index", WholeSchema())
      .Needed("message", ObjectSchema()
                             .Needed("role", ConstSchema("assistant"))
                             .Needed("content", OrNull(TextSchema()))
                             .Needed("refusal", {{"type", "null"}})
                             .Optional("reasoning_content", TextSchema("What it thought first."))
                             .Optional("tool_calls", ListSchema(CallSchema(false)))
                             .Done())
      .Needed("logprobs", ChatLogprobsSchema())
      .Needed("finish_reason", ReasonSchema())
      .Done();
}

Json ChatChunkChoice() {
  return ObjectSchema()
      .Needed("index", WholeSchema())
      .Needed("delta", ObjectSchema()
                           .Optional("role", ConstSchema("assistant"))
                           .Optional("content", TextSchema())
                           .Optional("reasoning_content", TextSchema())
                           .Optional("tool_calls", ListSchema(CallSchema(true)))
                           .Done())
      .Needed("logprobs", ChatLogprobsSchema())
      .Needed("finish_reason", OrNull(ReasonSchema()))
      .Done();
}

Json CompletionChoice(bool chunk) {
  return ObjectSchema()
      .Needed("index", WholeSchema())
      .Needed("text", TextSchema())
      .Needed("logprobs", CompletionLogprobsSchema())
      .Needed("finish_reason", chunk ? OrNull(ReasonSchema()) : ReasonSchema())
      .Done();
}

}  // namespace

Json ConversationFields(ObjectSchema request, bool needed) {
  Json messages = ListSchema(Ref("Message"));
  messages["minItems"] = 1;
  messages["maxItems"] = kMessagesMax;
  Json tools = ListSchema(Ref("Tool"));
  tools["maxItems"] = kToolsMax;
  if (needed) {
    request.Needed("messages", std::move(messages));
  } else {
    request.Optional("messages", OrNull(std::move(messages)));
  }
  return request.Optional("tools", OrNull(std::move(tools)))
      .Optional("tool_choice", {{"enum", Json::array({"auto", "none", nullptr})}})
      .Optional("parallel_tool_calls", {{"enum", Json::array({true, nullptr})}})
      .Optional("chat_template_kwargs",
                {{"type", Json::array({"object", "null"})},
                 {"description", "Further variables of the model's template."}})
      .Take(kReasoningEffort)
      .Done();
}

void DescribeGeneration(OpenApi& api) {
  api.AddSchema("TokenId", {{"type", "integer"}, {"minimum", 0}, {"maximum", 2147483647}});
  api.AddSchema("Message", MessageSchema());
  api.AddSchema("Tool", ToolSchema());
  api.AddSchema("Prompt", PromptSchema());
  api.AddSchema("Usage", UsageSchema());
  api.AddSchema("AnswerOrigin", MoreSchema());
  api.Add({.method = "POST",
           .path = "/v1/chat/completions",
           .id = "createChatCompletion",
           .tag = "generate",
           .says = "The next message of a conversation.",
           .request = ChatRequest(),
           .answer = AnswerSchema("chat.completion", ChatChoice()),
           .event = ChunkSchema("chat.completion.chunk", ChatChunkChoice())});
  api.Add({.method = "POST",
           .path = "/v1/completions",
           .id = "createCompletion",
           .tag = "generate",
           .says = "How a text goes on.",
           .request = CompletionRequest(),
           .answer = AnswerSchema("text_completion", CompletionChoice(false)),
           .event = ChunkSchema("text_completion", CompletionChoice(true))});
}

}  // namespace tatara::server
