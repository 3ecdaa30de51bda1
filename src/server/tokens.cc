// POST /tokenize, /detokenize, /apply-template
#include <fmt/format.h>

#include <iterator>

#include "api.h"
#include "request_fields.h"
#include "token_fields.h"

namespace tatara::server {

namespace {

void AnswerTokens(const ApiCall& call, const std::string& model, bool pieces,
                  const Result<std::vector<std::int32_t>>& ids) {
  if (!ids.ok()) return call.Fail(ApiErrorOf(ids.error()));
  if (!pieces) {
    // As Dump would write it; this endpoint is called often, and a number is soon written.
    std::string body = "{\"tokens\":[";
    for (const std::int32_t id : *ids) fmt::format_to(std::back_inserter(body), "{},", id);
    if (!ids->empty()) body.pop_back();
    fmt::format_to(std::back_inserter(body), "],\"count\":{}}}", ids->size());
    return call.exchange->Send({.headers = call.headers, .body = std::move(body)});
  }
  Json texts = Json::array();
  for (const std::int32_t id : *ids) {
    const auto piece = call.context->service->Detokenize(model, {id});
    texts.push_back(piece.ok() ? *piece : "");
  }
  call.Answer({{"tokens", *ids}, {"count", ids->size()}, {"token_strs", std::move(texts)}});
}

}  // namespace

void Tokenize(ApiCall call) {
  Fields fields(call.body);
  const assistant::Service& service = *call.context->service;
  const std::string model = fields.Text(kModel);
  std::optional<assistant::Conversation> chat;
  if (fields.Has("messages")) chat = ReadConversation(fields);
  const std::string content = fields.Text(kContent), prompt = fields.Text(kPrompt);
  const std::string& text = fields.Has(kContent.name) ? content : prompt;
  if (!chat && !fields.Has(kContent.name) && !fields.Has(kPrompt.name)) {
    fields.Wrong("prompt", "is missing");
  }
  const bool special = fields.Flag(kAddSpecial) && fields.Flag(kAddSpecialTokens);
  const bool parse = fields.Flag(kParseSpecial);
  const bool pieces = fields.Flag(kWithPieces) | fields.Flag(kReturnTokenStrs);
  if (!call.Check(fields)) return;
  if (chat) {
    return call.HandOver([call, model, pieces, chat = std::move(*chat)] {
      AnswerTokens(call, model, pieces, call.context->service->TokenizeChat(model, chat));
    });
  }
  AnswerTokens(call, model, pieces,
               service.Tokenize(model, text, {.add_special = special, .parse_special = parse}));
}

void Detokenize(ApiCall call) {
  Fields fields(call.body);
  const std::string model = fields.Text(kModel);
  const Json* tokens = fields.Get("tokens");
  std::vector<std::int32_t> ids;
  if (tokens == nullptr) {
    fields.Wrong("tokens", "is missing");
  } else if (!tokens->is_array()) {
    fields.Wrong("tokens", "expected an array of token ids");
  } else {
    ids = ReadIds(fields, "tokens", *tokens);
  }
  if (!call.Check(fields)) return;
  const auto text = call.context->service->Detokenize(model, ids);
  if (!text.ok()) return call.Fail(ApiErrorOf(text.error()));
  call.Answer({{"prompt", *text}, {"content", *text}});
}

void ApplyTemplate(ApiCall call) {
  Fields fields(call.body);
  const std::string model = fields.Text(kModel);
  const assistant::Conversation chat = ReadConversation(fields);
  if (!call.Check(fields)) return;
  call.HandOver([call, model, chat] {
    const auto prompt = call.context->service->ApplyTemplate(model, chat);
    if (!prompt.ok()) return call.Fail(ApiErrorOf(prompt.error()));
    call.Answer({{"prompt", *prompt}});
  });
}

}  // namespace tatara::server
