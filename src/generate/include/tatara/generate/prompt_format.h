// How text and conversations become token ids for one model: its tokenizer and its chat template,
// without its weights. Thread safety: immutable, any thread.
#pragma once

#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "tatara/base/error.h"
#include "tatara/base/metadata.h"

namespace tatara::text {
class Tokenizer;
class ChatTemplate;
}  // namespace tatara::text

namespace tatara::generate {

class PromptFormat {
 public:
  // A template that the interpreter refuses does not stop a model from loading: RenderChat tells it
  // then. `tokenizer_optional`: text::Tokenizer::Absence::kAllowed.
  static Result<std::unique_ptr<PromptFormat>> FromMetadata(const Metadata& metadata,
                                                            bool tokenizer_optional = false);
  // `origin` names the model in errors; an empty template means that there is none.
  static std::unique_ptr<PromptFormat> FromParts(std::string origin,
                                                 std::unique_ptr<text::Tokenizer> tokenizer,
                                                 std::string template_source);
  ~PromptFormat();

  const text::Tokenizer& tokenizer() const { return *tokenizer_; }
  const text::ChatTemplate* chat_template() const {
    return template_.get();
  }  // null where there is none
  const std::string& template_source() const { return template_source_; }

  // messages_json: a JSON array of {"role", "content", ...}; extra_json: an object of further
  // template variables, or empty. Adds the generation prompt unless extra_json says otherwise.
  // Refused where the model has no template, and with the template's own message where that raises
  // one. Special tokens written out in the messages or variables are guarded (Tokenizer::Guard):
  // only the template's own count. EncodeRendered takes the text as it is; people are shown
  // Tokenizer::Unguarded of it.
  Result<std::string> RenderChat(std::string_view messages_json, std::string_view extra_json) const;

  // Ids of a rendered conversation: its control tokens are parsed, guarded ones apart; the start
  // token is added where the model asks for one and the text does not begin with it.
  std::vector<std::int32_t> EncodeRendered(std::string_view rendered) const;

 private:
  PromptFormat();
  std::string origin_;
  std::unique_ptr<text::Tokenizer> tokenizer_;
  std::unique_ptr<text::ChatTemplate> template_;
  std::string template_source_;
  std::optional<Error> template_error_;
};

}  // namespace tatara::generate
