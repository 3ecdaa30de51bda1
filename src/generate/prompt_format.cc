#include "tatara/generate/prompt_format.h"

#include <nlohmann/json.hpp>

#include "tatara/text/chat_template.h"
#include "tatara/text/tokenizer.h"

namespace tatara::generate {
namespace {

using Json = nlohmann::ordered_json;

Result<Json> ParseJson(std::string_view what, std::string_view json) {
  try {
    return Json::parse(json);
  } catch (const nlohmann::json::exception& error) {
    return Refuse("{0}: not JSON: {1}", what, error.what());
  }
}

std::string TokenTextOrEmpty(const text::Tokenizer& tokenizer, std::int32_t id) {
  return id < 0 ? std::string() : tokenizer.TokenText(id);
}

}  // namespace

PromptFormat::~PromptFormat() = default;

Result<std::unique_ptr<PromptFormat>> PromptFormat::FromMetadata(const Metadata& metadata) {
  std::unique_ptr<PromptFormat> format(new PromptFormat);
  format->origin_ = metadata.origin();
  TATARA_TRY(format->tokenizer_, text::Tokenizer::FromMetadata(metadata));
  TATARA_TRY(format->template_source_, metadata.StringOr("tokenizer.chat_template", ""));
  if (!format->template_source_.empty()) {
    auto parsed = text::ChatTemplate::Parse(format->template_source_);
    if (parsed.ok()) {
      format->template_ = std::make_unique<text::ChatTemplate>(std::move(parsed).value());
    } else {
      format->template_error_ = parsed.error();
    }
  }
  return format;
}

Result<std::string> PromptFormat::RenderChat(std::string_view messages_json,
                                             std::string_view extra_json) const {
  if (template_error_) return *template_error_;
  if (template_ == nullptr) {
    return Refuse("{0}: this model has no chat template (a base model?); give it a prompt to continue instead",
                  origin_);
  }
  Json context = Json::object();
  if (!extra_json.empty()) {
    TATARA_TRY(context, ParseJson("template variables", extra_json));
    if (!context.is_object()) {
      return Refuse("template variables: found {0}, expected a JSON object", context.type_name());
    }
  }
  TATARA_TRY(context["messages"], ParseJson("messages", messages_json));
  if (!context.contains("add_generation_prompt")) context["add_generation_prompt"] = true;
  if (!context.contains("bos_token")) {
    context["bos_token"] = TokenTextOrEmpty(*tokenizer_, tokenizer_->start_id());
  }
  if (!context.contains("eos_token")) {
    context["eos_token"] = TokenTextOrEmpty(*tokenizer_, tokenizer_->end_id());
  }
  return template_->Render(context.dump(-1, ' ', false, Json::error_handler_t::replace));
}

std::vector<std::int32_t> PromptFormat::EncodeRendered(std::string_view rendered) const {
  const std::string start = TokenTextOrEmpty(*tokenizer_, tokenizer_->start_id());
  const bool starts_already = !start.empty() && rendered.starts_with(start);
  return tokenizer_->Encode(rendered, {.add_start = !starts_already, .parse_special = true});
}

}  // namespace tatara::generate
