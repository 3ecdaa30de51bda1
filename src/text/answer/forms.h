// The ways that model families mark thinking and tool calls. A row is one kind of section: where it
// begins, where it ends, and how its body is read. Sources: the families' published chat templates.
// Thread safety: constants.
#pragma once

#include <span>
#include <string_view>

namespace tatara::text::answer {

enum class Body {
  kThinking,
  kDropped,   // a marker that says nothing by itself; no body
  kToolCall,  // <tool_call>: a JSON object or array, <function=..><parameter=..>, or name and
              // <arg_key>
  kFunction,  // <function=NAME>{...}</function>, or with parameters as above
  kJsonList,  // a JSON array or object, which ends the section by itself
  kMistral,   // a JSON array, or name[ARGS]{...}
  kDeepSeek,
  kKimi,
  kGemma,
  kPythonList,  // [name(key="value", ...), ...]
  kPythonTag,   // JSON, tool.call(query="..."), or code; to the end of the answer
};

struct Form {
  Body body;
  std::string_view open, close;  // close empty: the body shows its own end
  // The template has one of these; empty: it has `open`.
  std::string_view hint, other_hint;
};

std::span<const Form> Forms();

}  // namespace tatara::text::answer
