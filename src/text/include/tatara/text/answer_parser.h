// What a model's answer says, taken apart: text for the user, thinking, tool calls. Each family of
// models writes these its own way; which way is read off its chat template.
//
// The result does not depend on how the text is cut: all that Push and Finish return, joined,
// equals what ParseAnswer returns for the whole. What is not well formed stays text: the opening
// marker is then text, and what follows it is read again. White space around calls and at both ends
// of thinking is dropped. An answer that ends before its call does (because what ends the call also
// ends the answer) is a call where what is there is complete.
//
// Thread safety: AnswerFormat immutable; one AnswerParser, one thread.
#pragma once

#include <cstdint>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

namespace tatara::text {

struct ToolCall {
  std::string id;  // as the model wrote it; mostly empty
  std::string name;
  std::string arguments;  // one JSON object
  bool operator==(const ToolCall&) const = default;
};

struct AnswerParts {
  std::string content, thinking;
  std::vector<ToolCall> calls;
  void Append(AnswerParts more);
  bool operator==(const AnswerParts&) const = default;
};

class AnswerFormat {
 public:
  static constexpr std::size_t kSectionBytesMax = std::size_t{1} << 20;  // of one call section

  // The forms whose markers the template writes or speaks of.
  static AnswerFormat FromTemplate(std::string_view template_source);
  // For answers to conversations without tools: what looks like a call is text.
  AnswerFormat WithoutCalls() const;
  // True where the rendered prompt ends inside a thinking section that the answer goes on with.
  bool PromptThinks(std::string_view prompt) const;
  // Markers of sections that are looked for, for those who decode: they are mostly special tokens,
  // which decoding must show.
  std::vector<std::string> Markers() const;

 private:
  friend class AnswerParser;
  std::vector<std::size_t> rows_;  // of the table of forms
  bool bare_calls_ = false;        // the whole answer may be a call without a marker
  bool harmony_ = false;
};

class AnswerParser {
 public:
  struct Options {
    bool starts_thinking = false;  // AnswerFormat::PromptThinks
    // The tools as the template got them (a JSON array); where a parameter's type is "string", a
    // value that looks like a number stays text. May be empty.
    std::string tools_json;
    // Markers that are control tokens of the vocabulary: where one is part of no section it is no
    // text either.
    std::vector<std::string> control_markers;
  };
  AnswerParser(AnswerFormat format, Options options);
  AnswerParser(AnswerParser&&) noexcept;
  AnswerParser& operator=(AnswerParser&&) noexcept;
  ~AnswerParser();

  AnswerParts Push(std::string_view text);
  AnswerParts Finish();

 private:
  class Machine;
  std::unique_ptr<Machine> machine_;
};

AnswerParts ParseAnswer(const AnswerFormat& format, std::string_view text,
                        AnswerParser::Options options = {});

}  // namespace tatara::text
