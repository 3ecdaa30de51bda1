// Chat templates, rendered by an interpreter of the Jinja language with limits on steps, depth and
// output. Thread safety: immutable after Parse; Render from any thread.
#pragma once

#include <memory>
#include <string>
#include <string_view>

#include "tatara/base/error.h"

namespace tatara::text {

class ChatTemplate {
 public:
  // Refuses, naming line and construct, what the interpreter does not know.
  static Result<ChatTemplate> Parse(std::string_view source);
  ChatTemplate(ChatTemplate&&) noexcept;
  ChatTemplate& operator=(ChatTemplate&&) noexcept;
  ~ChatTemplate();

  // context_json: the variables as one JSON object (messages, tools, add_generation_prompt,
  // bos_token, eos_token, ...), key order kept. raise_exception in the template is a refusal with
  // its message. Environment as the chat templates of the field expect it: trim_blocks,
  // lstrip_blocks, tojson without HTML escapes, strftime_now (reads `strftime_now_unix`, seconds,
  // from the context where given).
  Result<std::string> Render(std::string_view context_json) const;

 private:
  struct Impl;
  explicit ChatTemplate(std::unique_ptr<Impl> impl);
  std::unique_ptr<Impl> impl_;
};

}  // namespace tatara::text
