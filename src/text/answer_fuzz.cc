// Arbitrary bytes as an answer in the format of every family at once: cutting the text changes
// nothing.

#include <cstddef>
#include <cstdint>
#include <cstdlib>
#include <string>
#include <string_view>

#include "answer/forms.h"
#include "tatara/text/answer_parser.h"

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  using namespace tatara::text;
  static const AnswerFormat format = [] {
    std::string source = "\"parameters\": dictionary of <|channel|><|message|>";
    for (const answer::Form& form : answer::Forms()) source += std::string(form.open) + " ";
    return AnswerFormat::FromTemplate(source);
  }();
  if (size < 2) return 0;
  const std::size_t step = 1 + data[0] % 16;
  const AnswerParser::Options options{.starts_thinking = data[1] % 4 == 0, .tools_json = ""};
  const std::string_view text(reinterpret_cast<const char*>(data) + 2, size - 2);
  const AnswerParts whole = ParseAnswer(format, text, options);
  AnswerParser parser(format, options);
  AnswerParts joined;
  for (std::size_t at = 0; at < text.size(); at += step) {
    joined.Append(parser.Push(text.substr(at, step)));
  }
  joined.Append(parser.Finish());
  if (!(joined == whole)) std::abort();
  return 0;
}
