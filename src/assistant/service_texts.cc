// Texts and tokens without a model's work: tokenizing, templates.

#include <nlohmann/json.hpp>

#include "service_model.h"
#include "tatara/text/tokenizer.h"

namespace tatara::assistant {
namespace {

using Json = nlohmann::ordered_json;

// The template's further variables, with the tools among them.
Result<std::string> Variables(const Conversation& chat) {
  if (chat.tools_json.empty()) return chat.variables_json;
  Json variables = chat.variables_json.empty()
                       ? Json::object()
                       : Json::parse(chat.variables_json, nullptr, /*allow_exceptions=*/false);
  Json tools = Json::parse(chat.tools_json, nullptr, /*allow_exceptions=*/false);
  if (!variables.is_object() || !tools.is_array()) {
    return Refuse("the tools or template variables are not JSON");
  }
  variables["tools"] = std::move(tools);
  return variables.dump(-1, ' ', false, Json::error_handler_t::replace);
}

}  // namespace

Result<std::string> Render(const generate::Engine& engine, const Conversation& chat) {
  TATARA_TRY(const std::string variables, Variables(chat));
  return engine.RenderChat(chat.messages_json, variables);
}

Result<std::vector<std::int32_t>> Service::Tokenize(std::string_view name, std::string_view text,
                                                    const TokenizeWish& wish) const {
  TATARA_TRY(const Model* model, FindModel(name));
  return model->tokenizer().Encode(text, {.add_start = wish.add_special,
                                          .add_end = wish.add_special && model->embedder,
                                          .parse_special = wish.parse_special});
}

Result<std::vector<std::int32_t>> Service::TokenizeChat(std::string_view name,
                                                        const Conversation& chat) const {
  TATARA_TRY(const ModelInfo info, Find(name, ModelKind::kGenerates));
  TATARA_TRY(const Model* model, FindModel(info.name));
  TATARA_TRY(const std::string rendered, Render(model->engine->engine(), chat));
  return model->engine->engine().EncodeRendered(rendered);
}

Result<std::string> Service::Detokenize(std::string_view name,
                                        const std::vector<std::int32_t>& ids) const {
  TATARA_TRY(const Model* model, FindModel(name));
  for (std::size_t i = 0; i < ids.size(); ++i) {
    if (ids[i] < 0 || ids[i] >= model->tokenizer().vocabulary_size()) {
      return Refuse("tokens[{0}]: the vocabulary has no token {1}; its ids are 0 to {2}", i, ids[i],
                    model->tokenizer().vocabulary_size() - 1);
    }
  }
  return model->tokenizer().Decode(ids, /*show_special=*/true);
}

Result<std::string> Service::ApplyTemplate(std::string_view name, const Conversation& chat) const {
  TATARA_TRY(const ModelInfo info, Find(name, ModelKind::kGenerates));
  TATARA_TRY(const Model* model, FindModel(info.name));
  TATARA_TRY(const std::string rendered, Render(model->engine->engine(), chat));
  return text::Tokenizer::Unguarded(rendered);
}

}  // namespace tatara::assistant
