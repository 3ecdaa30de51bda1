// POST /tokenize, /detokenize, /apply-template
#include "api.h"
#include "request_fields.h"
#include "token_fields.h"

namespace tatara::server {

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
  const auto ids =
      chat ? service.TokenizeChat(model, *chat)
           : service.Tokenize(model, text, {.add_special = special, .parse_special = parse});
  if (!ids.ok()) return call.Fail(ApiErrorOf(ids.error()));
  Json answer = {{"tokens", *ids}, {"count", ids->size()}};
  if (pieces) {
    Json texts = Json::array();
    for (const std::int32_t id : *ids) {
      const auto piece = service.Detokenize(model, {id});
      texts.push_back(piece.ok() ? *piece : "");
    }
    answer["token_strs"] = std::move(texts);
  }
  call.Answer(answer);
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
  const auto prompt = call.context->service->ApplyTemplate(model, chat);
  if (!prompt.ok()) return call.Fail(ApiErrorOf(prompt.error()));
  call.Answer({{"prompt", *prompt}});
}

}  // namespace tatara::server
