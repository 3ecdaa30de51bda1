// Conversations as ids with the tokens that count: a model's chat template writes the conversation,
// the answers are told apart in what it wrote, and only they are learned.
//
// An answer starts where the template's generation prompt ends and goes to the token that ends a
// generated answer, included. Prompt and answers are encoded piece by piece, so that an answer's
// first token follows exactly the ids that the same prompt has when the model is asked. Special
// tokens written out in a message stay text (text::Tokenizer::Guard).
// Thread safety: immutable; Encode from any thread.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "tatara/base/error.h"
#include "tatara/text/chat_template.h"
#include "tatara/text/tokenizer.h"

namespace tatara::corpus {

struct Conversation {
  std::string messages_json;  // an array of {"role", "content", ...}
  // Further variables of the template as one object ("tools", ...); may be empty.
  std::string variables_json;
};

struct ChatIds {
  std::vector<std::int32_t> ids;
  std::vector<std::uint8_t> counts;  // 1: the token is part of an answer
};

class ChatFormat {
 public:
  // The tokenizer outlives this. An empty template is refused; `origin` names the model in errors.
  static Result<ChatFormat> Make(const text::Tokenizer& tokenizer, std::string_view template_source,
                                 std::string_view origin);

  // Answers are the messages of role "assistant"; one with "weight": 0 is read but not learned.
  // An answer that the template writes otherwise once the conversation goes on (some leave earlier
  // thinking out) is read but not learned. After a last answer without a token that ends it the
  // vocabulary's end token is put. Refused: what is no list of messages, a template's own
  // exception, a conversation of which nothing can be learned.
  Result<ChatIds> Encode(const Conversation& conversation) const;

 private:
  ChatFormat(const text::Tokenizer& tokenizer, text::ChatTemplate parsed)
      : tokenizer_(&tokenizer), template_(std::move(parsed)) {}
  const text::Tokenizer* tokenizer_;
  text::ChatTemplate template_;
};

}  // namespace tatara::corpus
