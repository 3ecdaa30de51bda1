#include "tatara/generate/prompt_format.h"

#include "json_text.h"
#include "tatara/base/check.h"
#include "tatara/text/chat_template.h"
#include "tatara/text/guard.h"
#include "tatara/text/tokenizer.h"

namespace tatara::generate {
namespace {

std::string TokenTextOrEmpty(const text::Tokenizer& tokenizer, std::int32_t id) {
  return id < 0 ? std::string() : tokenizer.TokenText(id);
}

Result<Json> ParseMessages(std::string_view messages_json) {
  TATARA_TRY(Json messages, ParseJson(messages_json, "messages"));
  if (!messages.is_array()) {
    return Refuse("messages: found {0}, expected a JSON array", messages.type_name());
  }
  for (std::size_t i = 0; i < messages.size(); ++i) {
    const Json& message = messages[i];
    if (!message.is_object() || !message.contains("role") || !message["role"].is_string()) {
      return Refuse("messages[{0}]: not an object with a text 'role'", i);
    }
  }
  return messages;
}

}  // namespace

PromptFormat::PromptFormat() = default;
PromptFormat::~PromptFormat() = default;

Result<std::unique_ptr<PromptFormat>> PromptFormat::FromMetadata(const Metadata& metadata,
                                                                 bool tokenizer_optional) {
  using Absence = text::Tokenizer::Absence;
  TATARA_TRY(auto tokenizer,
             text::Tokenizer::FromMetadata(
                 metadata, tokenizer_optional ? Absence::kAllowed : Absence::kRefused));
  TATARA_TRY(std::string source, metadata.StringOr("tokenizer.chat_template", ""));
  return FromParts(metadata.origin(), std::move(tokenizer), std::move(source));
}

std::unique_ptr<PromptFormat> PromptFormat::FromParts(std::string origin,
                                                      std::unique_ptr<text::Tokenizer> tokenizer,
                                                      std::string template_source) {
  TATARA_CHECK(tokenizer != nullptr);
  std::unique_ptr<PromptFormat> format(new PromptFormat);
  format->origin_ = std::move(origin);
  format->tokenizer_ = std::move(tokenizer);
  format->template_source_ = std::move(template_source);
  if (format->template_source_.empty()) return format;
  auto parsed = text::ChatTemplate::Parse(format->template_source_);
  if (parsed.ok()) {
    format->template_ = std::make_unique<text::ChatTemplate>(std::move(parsed).value());
  } else {
    format->template_error_ = parsed.error();
  }
  return format;
}

Result<std::string> PromptFormat::RenderChat(std::string_view messages_json,
                                             std::string_view extra_json) const {
  if (template_error_) return *template_error_;
  if (template_ == nullptr) {
    return Refuse(
        "{0}: this model has no chat template (a base model?); give it a prompt to continue "
        "instead",
        origin_);
  }
  Json context = Json::object();
  if (!extra_json.empty()) {
    TATARA_TRY(context, ParseJson(extra_json, "template variables"));
    if (!context.is_object()) {
      return Refuse("template variables: found {0}, expected a JSON object", context.type_name());
    }
  }
  TATARA_TRY(context["messages"], ParseMessages(messages_json));
  context = text::GuardTexts(*tokenizer_, context);
  if (!context.contains("add_generation_prompt")) context["add_generation_prompt"] = true;
  if (!context.contains("bos_token")) {
    context["bos_token"] = TokenTextOrEmpty(*tokenizer_, tokenizer_->start_id());
  }
  if (!context.contains("eos_token")) {
    context["eos_token"] = TokenTextOrEmpty(*tokenizer_, tokenizer_->end_id());
  }
  return template_->Render(DumpJson(context));
}

std::vector<std::int32_t> PromptFormat::EncodeRendered(std::string_view rendered) const {
  const std::string start = TokenTextOrEmpty(*tokenizer_, tokenizer_->start_id());
  const bool starts_already = !start.empty() && rendered.starts_with(start);
  return tokenizer_->Encode(rendered,
                            {.add_start = !starts_already, .parse_special = true, .guarded = true});
}

}  // namespace tatara::generate
