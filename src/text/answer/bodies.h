// The bodies of call sections. Each reader takes the whole body and returns its calls, or nothing
// where it is not well formed: nothing but calls and white space may be in it. Thread safety: pure.
#pragma once

#include <map>
#include <optional>
#include <set>
#include <string>
#include <string_view>
#include <vector>

#include "answer/forms.h"
#include "tatara/text/answer_parser.h"

namespace tatara::text::answer {

using Calls = std::optional<std::vector<ToolCall>>;

// Of each tool the parameters whose type is "string".
using TextParameters = std::map<std::string, std::set<std::string>, std::less<>>;
TextParameters TextParametersOf(std::string_view tools_json);

// {"name", "arguments" or "parameters", "id"}, or an array of such.
Calls ReadJsonCalls(std::string_view body);
Calls ReadBody(Body kind, std::string_view body, const TextParameters& texts);

// How far a JSON value that begins at text[0] reaches, read bit by bit. Strings are skipped, so
// that brackets and markers inside them count for nothing.
class JsonReach {
 public:
  // Goes on over `text` from where it was; true where the value is complete, end() bytes long.
  bool Advance(std::string_view text);
  std::size_t end() const { return at_; }
  bool in_string() const { return in_string_; }

 private:
  std::size_t at_ = 0;
  int depth_ = 0;
  bool in_string_ = false, escaped_ = false, done_ = false;
};

std::string_view Trimmed(std::string_view text);

}  // namespace tatara::text::answer
