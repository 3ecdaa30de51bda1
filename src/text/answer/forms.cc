#include "answer/forms.h"

#include "tatara/text/answer_parser.h"

namespace tatara::text {
namespace answer {
namespace {

constexpr Form kForms[] = {
    {Body::kThinking, "<think>", "</think>", "<think>", "</think>"},
    {Body::kThinking, "[THINK]", "[/THINK]", "", ""},
    {Body::kThinking, "<seed:think>", "</seed:think>", "", ""},
    {Body::kThinking, "<|START_THINKING|>", "<|END_THINKING|>", "", ""},
    {Body::kThinking, "<|channel>thought", "<channel|>", "", ""},
    {Body::kDropped, "<|START_RESPONSE|>", "", "", ""},
    {Body::kDropped, "<|END_RESPONSE|>", "", "", ""},
    {Body::kToolCall, "<tool_call>", "</tool_call>", "", ""},
    {Body::kToolCall, "<seed:tool_call>", "</seed:tool_call>", "", ""},
    {Body::kToolCall, "<TOOLCALL>", "</TOOLCALL>", "", ""},
    {Body::kToolCall, "<|START_ACTION|>", "<|END_ACTION|>", "", ""},
    {Body::kFunction, "<function=", "</function>", "", ""},
    {Body::kJsonList, "<|tool_call|>", "", "", ""},
    {Body::kDropped, "<|/tool_call|>", "", "", ""},
    {Body::kMistral, "[TOOL_CALLS]", "", "", ""},
    {Body::kDeepSeek, "<｜tool▁calls▁begin｜>", "<｜tool▁calls▁end｜>", "", ""},
    {Body::kKimi, "<|tool_calls_section_begin|>", "<|tool_calls_section_end|>", "", ""},
    {Body::kGemma, "<|tool_call>", "<tool_call|>", "", ""},
    {Body::kPythonList, "<|tool_call_start|>", "<|tool_call_end|>", "<|tool_call_start|>",
     "<|tool_list_start|>"},
    {Body::kPythonTag, "<|python_tag|>", "", "<|python_tag|>", "\"parameters\": dictionary of"},
};

}  // namespace

std::span<const Form> Forms() {
  return kForms;
}

}  // namespace answer

AnswerFormat AnswerFormat::FromTemplate(std::string_view source) {
  const auto has = [&](std::string_view text) {
    return !text.empty() && source.find(text) != source.npos;
  };
  AnswerFormat format;
  const auto forms = answer::Forms();
  for (std::size_t i = 0; i < forms.size(); ++i) {
    const answer::Form& form = forms[i];
    if (form.hint.empty() ? has(form.open) : has(form.hint) || has(form.other_hint)) {
      format.rows_.push_back(i);
    }
  }
  // Llama 3: the template asks for a call as the whole answer.
  format.bare_calls_ = has("\"parameters\": dictionary of");
  format.harmony_ = has("<|channel|>") && has("<|message|>");
  return format;
}

AnswerFormat AnswerFormat::WithoutCalls() const {
  AnswerFormat format = *this;
  std::erase_if(format.rows_, [](std::size_t row) {
    const answer::Body body = answer::Forms()[row].body;
    return body != answer::Body::kThinking && body != answer::Body::kDropped;
  });
  format.bare_calls_ = false;
  return format;
}

bool AnswerFormat::PromptThinks(std::string_view prompt) const {
  while (!prompt.empty() && (prompt.back() == '\n' || prompt.back() == ' ')) {
    prompt.remove_suffix(1);
  }
  for (const std::size_t row : rows_) {
    const answer::Form& form = answer::Forms()[row];
    if (form.body == answer::Body::kThinking && prompt.ends_with(form.open)) return true;
  }
  return false;
}

std::vector<std::string> AnswerFormat::Markers() const {
  std::vector<std::string> markers;
  for (const std::size_t row : rows_) {
    const answer::Form& form = answer::Forms()[row];
    markers.emplace_back(form.open);
    if (!form.close.empty()) markers.emplace_back(form.close);
  }
  if (harmony_) {
    for (const char* marker : {"<|start|>", "<|channel|>", "<|message|>", "<|constrain|>",
                               "<|end|>", "<|call|>", "<|return|>"}) {
      markers.emplace_back(marker);
    }
  }
  return markers;
}

}  // namespace tatara::text
