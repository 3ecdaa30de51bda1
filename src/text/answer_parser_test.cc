#include "tatara/text/answer_parser.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "test_support.h"
#include "vocabulary_for_test.h"

namespace tatara::text {
namespace {

AnswerFormat FormatOf(const char* file) {
  return AnswerFormat::FromTemplate(test::ReadFile(test::DataDir() / "chat_templates" / file));
}

// What `text` says; and that no cutting changes it.
AnswerParts Parsed(const AnswerFormat& format, const std::string& text,
                   const AnswerParser::Options& options = {}) {
  const AnswerParts whole = ParseAnswer(format, text, options);
  RandomForTest random(17);
  for (int round = 0; round < 60; ++round) {
    AnswerParser parser(format, options);
    AnswerParts joined;
    for (std::size_t at = 0; at < text.size();) {
      const std::size_t n =
          round == 0 ? 1 : 1 + random.Below(static_cast<std::uint32_t>(2 + round));
      joined.Append(parser.Push(std::string_view(text).substr(at, n)));
      at += n;
    }
    joined.Append(parser.Finish());
    EXPECT_EQ(joined.content, whole.content) << text;
    EXPECT_EQ(joined.thinking, whole.thinking) << text;
    EXPECT_TRUE(joined.calls == whole.calls) << text;
  }
  return whole;
}

using Calls = std::vector<ToolCall>;

struct Family {
  const char* file;
  const char* text;
  AnswerParts expected;
};

const ToolCall kWeather{"", "weather", R"({"city":"名古屋","days":3})"};
const ToolCall kClock{"", "clock", "{}"};

TEST(AnswerParser, ReadsEachFamilysCallsAndThinking) {
  TATARA_REQUIRE_DATA(folder, "chat_templates");
  const Family families[] = {
      {"Qwen-Qwen3-0.6B.jinja",
       "<think>\nlook it up\n</think>\n\nI look.\n<tool_call>\n{\"name\": \"weather\", "
       "\"arguments\": "
       "{\"city\": \"名古屋\", \"days\": 3}}\n</tool_call>\n<tool_call>\n{\"name\": \"clock\", "
       "\"arguments\": {}}\n</tool_call>",
       {"I look.", "look it up", {kWeather, kClock}}},
      {"NousResearch-Hermes-3-Llama-3.1-8B-tool_use.jinja",
       "<tool_call>\n{\"arguments\": {\"city\": \"名古屋\", \"days\": 3}, \"name\": "
       "\"weather\"}\n</tool_call>",
       {"", "", {kWeather}}},
      {"Qwen3-Coder.jinja",
       "Yes.\n<tool_call>\n<function=weather>\n<parameter=city>\n名古屋\n</parameter>\n"
       "<parameter=days>\n3\n</parameter>\n</function>\n</tool_call>",
       {"Yes.", "", {kWeather}}},
      {"GLM-4.6.jinja",
       "\n<think>hm</think>\nA\n<tool_call>weather\n<arg_key>city</arg_key>\n<arg_value>名古屋"
       "</arg_value>\n<arg_key>days</arg_key>\n<arg_value>3</arg_value>\n</tool_call>",
       {"A", "hm", {kWeather}}},
      {"meta-llama-Llama-3.1-8B-Instruct.jinja",
       "{\"name\": \"weather\", \"parameters\": {\"city\": \"名古屋\", \"days\": 3}}",
       {"", "", {kWeather}}},
      {"meta-llama-Llama-3.2-3B-Instruct.jinja",
       "{\"name\": \"weather\", \"parameters\": {\"city\": \"名古屋\", \"days\": 3}}; {\"name\": "
       "\"clock\", \"parameters\": {}}",
       {"", "", {kWeather, kClock}}},
      {"meta-llama-Llama-3.1-8B-Instruct.jinja",
       "<|python_tag|>brave_search.call(query=\"rain\")",
       {"", "", {{"", "brave_search", R"({"query":"rain"})"}}}},
      {"meta-llama-Llama-3.1-8B-Instruct.jinja",
       "<|python_tag|>print(1)\n",
       {"", "", {{"", "code_interpreter", "{\"code\":\"print(1)\"}"}}}},
      {"mistralai-Mistral-Nemo-Instruct-2407.jinja",
       "[TOOL_CALLS][{\"name\": \"weather\", \"arguments\": {\"city\": \"名古屋\", \"days\": 3}, "
       "\"id\": \"abcdefghi\"}]",
       {"", "", {{"abcdefghi", "weather", kWeather.arguments}}}},
      {"mistralai-Mistral-Nemo-Instruct-2407.jinja",
       "ok [TOOL_CALLS]weather[ARGS]{\"city\": \"名古屋\", \"days\": 3}[TOOL_CALLS]clock{}",
       {"ok", "", {kWeather, kClock}}},
      {"deepseek-ai-DeepSeek-V3.1.jinja",
       "Well<｜tool▁calls▁begin｜><｜tool▁call▁begin｜>weather<｜tool▁sep｜>{\"city\": \"名古屋\", "
       "\"days\": "
       "3}<｜tool▁call▁end｜><｜tool▁call▁begin｜>clock<｜tool▁sep｜>{}<｜tool▁call▁end｜>"
       "<｜tool▁calls▁end｜>",
       {"Well", "", {kWeather, kClock}}},
      {"deepseek-ai-DeepSeek-R1-Distill-Qwen-32B.jinja",
       "<think>\na\n</"
       "think>\n<｜tool▁calls▁begin｜><｜tool▁call▁begin｜>function<｜tool▁sep｜>weather\n"
       "```json\n{\"city\": \"名古屋\", \"days\": 3}\n```<｜tool▁call▁end｜><｜tool▁calls▁end｜>",
       {"", "a", {kWeather}}},
      {"openai-gpt-oss-120b.jinja",
       "<|channel|>analysis<|message|>need it<|end|><|start|>assistant<|channel|>commentary "
       "to=functions.weather <|constrain|>json<|message|>{\"city\": \"名古屋\", \"days\": "
       "3}<|call|>",
       {"", "need it", {kWeather}}},
      {"openai-gpt-oss-120b.jinja",
       "<|channel|>analysis<|message|>hm <|end|><|start|>assistant<|channel|>final<|message|>It "
       "rains."
       "<|return|>",
       {"It rains.", "hm", {}}},
      {"openai-gpt-oss-120b.jinja",
       "<|start|>assistant to=functions.clock<|channel|>commentary json<|message|>{}<|call|>",
       {"", "", {kClock}}},
      {"Kimi-K2-Instruct.jinja",
       "A<|tool_calls_section_begin|><|tool_call_begin|>functions.weather:0<|tool_call_argument_"
       "begin|>"
       "{\"city\": \"名古屋\", \"days\": 3}<|tool_call_end|><|tool_calls_section_end|>",
       {"A", "", {{"functions.weather:0", "weather", kWeather.arguments}}}},
      {"ibm-granite-granite-3.3-2B-Instruct.jinja",
       "<|tool_call|>[{\"name\": \"weather\", \"arguments\": {\"city\": \"名古屋\", \"days\": 3}}]",
       {"", "", {kWeather}}},
      {"google-gemma-4-31B-it.jinja",
       "<|channel>thought\nmaybe\n<channel|><|tool_call>call:weather{city:<|\"|>名古屋<|\"|>,days:"
       "3}"
       "<tool_call|>",
       {"", "maybe", {kWeather}}},
      {"LFM2-8B-A1B.jinja",
       "<|tool_call_start|>[weather(city=\"名古屋\", days=3), clock()]<|tool_call_end|>Looking.",
       {"Looking.", "", {kWeather, kClock}}},
      {"HuggingFaceTB-SmolLM3-3B.jinja", "<think>x</think>y", {"y", "x", {}}},
      {"Qwen-Qwen2.5-7B-Instruct.jinja", "  plain < text [1]\n", {"  plain < text [1]\n", "", {}}},
      {"Qwen3-Coder.jinja", "<function=clock>\n</function>", {"", "", {kClock}}},
  };
  for (const Family& family : families) {
    const AnswerParts parts = Parsed(FormatOf(family.file), family.text);
    EXPECT_EQ(parts.content, family.expected.content) << family.file << family.text;
    EXPECT_EQ(parts.thinking, family.expected.thinking) << family.file << family.text;
    ASSERT_EQ(parts.calls.size(), family.expected.calls.size()) << family.file << family.text;
    for (std::size_t i = 0; i < parts.calls.size(); ++i) {
      EXPECT_EQ(parts.calls[i].name, family.expected.calls[i].name);
      EXPECT_EQ(parts.calls[i].arguments, family.expected.calls[i].arguments);
      EXPECT_EQ(parts.calls[i].id, family.expected.calls[i].id);
    }
  }
}

const char kQwen[] = "<tool_call> </tool_call> <think> </think>";

TEST(AnswerParser, WhatIsNotWellFormedStaysText) {
  const AnswerFormat format = AnswerFormat::FromTemplate(kQwen);
  for (const char* text :
       {"<tool_call>\nnot json {\n</tool_call>", "<tool_call>{\"name\": 3}</tool_call>",
        "<tool_call>{\"name\": \"a\", \"arguments\": [1]}</tool_call>", "<tool_call>", "<tool_c",
        "a </tool_call> b", "<tool_call>[]</tool_call>",
        "<tool_call><function=a><parameter=b>1</function></tool_call>"}) {
    const AnswerParts parts = Parsed(format, text);
    EXPECT_EQ(parts.content, text);
    EXPECT_TRUE(parts.calls.empty()) << text;
  }
  // What follows is read again.
  const AnswerParts parts =
      Parsed(format, "<tool_call>{bad</tool_call> <tool_call>{\"name\": \"clock\"}</tool_call>");
  EXPECT_EQ(parts.content, "<tool_call>{bad</tool_call>");
  EXPECT_TRUE(parts.calls == Calls{kClock});
  const AnswerFormat llama = AnswerFormat::FromTemplate("\"parameters\": dictionary of");
  EXPECT_EQ(Parsed(llama, "{\"name\": \"Bob\"} is JSON").content, "{\"name\": \"Bob\"} is JSON");
  EXPECT_EQ(Parsed(llama, "{\"open\": [1, 2").content, "{\"open\": [1, 2");
}

TEST(AnswerParser, MarkersInsideStringsEndNothing) {
  const AnswerFormat format = AnswerFormat::FromTemplate(kQwen);
  const AnswerParts parts =
      Parsed(format,
             R"(<tool_call>{"name": "say", "arguments": {"t": "</tool_call> \" {"}}</tool_call>!)");
  ASSERT_EQ(parts.calls.size(), 1u);
  EXPECT_EQ(parts.calls[0].arguments, R"({"t":"</tool_call> \" {"})");
  EXPECT_EQ(parts.content, "!");
}

TEST(AnswerParser, AnAnswerThatEndsInsteadOfItsCallIsACall) {
  const AnswerFormat format = AnswerFormat::FromTemplate(kQwen);
  EXPECT_TRUE(Parsed(format, "<tool_call>{\"name\": \"clock\"}").calls == Calls{kClock});
  EXPECT_EQ(Parsed(format, "<tool_call>{\"name\": \"clock\"").content,
            "<tool_call>{\"name\": \"clock\"");
}

TEST(AnswerParser, ThinkingMayBeginInThePrompt) {
  const AnswerFormat format = AnswerFormat::FromTemplate(kQwen);
  EXPECT_TRUE(format.PromptThinks("<|im_start|>assistant\n<think>\n"));
  EXPECT_FALSE(format.PromptThinks("<think>\n\n</think>\n\n"));
  const AnswerParts parts = Parsed(format, "first\n</think>\n\nthen", {.starts_thinking = true});
  EXPECT_EQ(parts.thinking, "first");
  EXPECT_EQ(parts.content, "then");
  EXPECT_EQ(Parsed(format, "never ends", {.starts_thinking = true}).thinking, "never ends");
}

TEST(AnswerParser, TheToolsSayWhichValuesAreText) {
  const AnswerFormat format = AnswerFormat::FromTemplate(kQwen);
  const std::string text =
      "<tool_call><function=f><parameter=zip>0123</parameter><parameter=n>7</parameter>"
      "<parameter=id>7</parameter></function></tool_call>";
  const std::string tools = R"([{"type": "function", "function": {"name": "f", "parameters":
      {"properties": {"zip": {"type": "string"}, "id": {"type": "string"}}}}}])";
  EXPECT_EQ(Parsed(format, text, {.tools_json = tools}).calls.at(0).arguments,
            R"({"zip":"0123","n":7,"id":"7"})");
  for (const char* odd :
       {"", "3", "[1, {\"function\": 3}, {\"name\": \"f\", \"parameters\": []}]"}) {
    EXPECT_EQ(Parsed(format, text, {.tools_json = odd}).calls.size(), 1u);
  }
}

// Texts put together from markers of all families and fragments of bodies.
TEST(AnswerParser, NoCuttingChangesAnyText) {
  std::string all;
  std::vector<std::string> pieces = {"{",
                                     "}",
                                     "[",
                                     "]",
                                     "\"",
                                     "\\",
                                     "a",
                                     " ",
                                     "\n",
                                     ",",
                                     ":",
                                     "=",
                                     "(",
                                     ")",
                                     ";",
                                     "1",
                                     "<",
                                     ">",
                                     "|",
                                     "{\"name\": \"f\", \"arguments\": {}}",
                                     "name",
                                     "call:f{",
                                     "<arg_key>",
                                     "</arg_key>",
                                     "<parameter=x>",
                                     "</parameter>",
                                     "<function=g>",
                                     "</function>",
                                     "assistant",
                                     "to=functions.f",
                                     "final",
                                     "analysis",
                                     "json",
                                     "[ARGS]",
                                     "f()"};
  for (const char* marker : {"<think>",
                             "</think>",
                             "<tool_call>",
                             "</tool_call>",
                             "<|tool_call|>",
                             "[TOOL_CALLS]",
                             "<|python_tag|>",
                             "<|channel|>",
                             "<|message|>",
                             "<|start|>",
                             "<|end|>",
                             "<|call|>",
                             "<|tool_call>",
                             "<tool_call|>",
                             "<|tool_call_start|>",
                             "<|tool_call_end|>",
                             "<|channel>thought",
                             "<channel|>",
                             "\"parameters\": dictionary of",
                             "<|tool_calls_section_begin|>",
                             "<|tool_calls_section_end|>"}) {
    all += marker;
    pieces.emplace_back(marker);
  }
  const AnswerFormat format = AnswerFormat::FromTemplate(all);
  RandomForTest random(4);
  for (int i = 0; i < 400; ++i) Parsed(format, random.From(pieces, 1 + random.Below(24)));
}

TEST(AnswerParser, WithoutToolsWhatLooksLikeACallIsTextAndThinkingStaysApart) {
  const AnswerFormat qwen = AnswerFormat::FromTemplate(kQwen);
  const std::string call = R"(<tool_call>{"name": "f", "arguments": {}}</tool_call>)";
  ASSERT_EQ(ParseAnswer(qwen, call).calls.size(), 1U);
  EXPECT_EQ(ParseAnswer(qwen.WithoutCalls(), call), (AnswerParts{.content = call}));
  const AnswerFormat llama = AnswerFormat::FromTemplate("\"parameters\": dictionary of");
  const std::string bare = R"({"name": "f", "parameters": {}})";
  ASSERT_EQ(ParseAnswer(llama, bare).calls.size(), 1U);
  EXPECT_EQ(ParseAnswer(llama.WithoutCalls(), bare), (AnswerParts{.content = bare}));
  const AnswerFormat thinks = AnswerFormat::FromTemplate("<think>").WithoutCalls();
  EXPECT_EQ(ParseAnswer(thinks, "<think>a</think>b"),
            (AnswerParts{.content = "b", .thinking = "a"}));
}

TEST(AnswerParser, ASectionHasABound) {
  const AnswerFormat format = AnswerFormat::FromTemplate(kQwen);
  const std::string text = "<tool_call>" + std::string(AnswerFormat::kSectionBytesMax + 100, 'x');
  AnswerParser parser(format, {});
  AnswerParts parts;
  for (std::size_t at = 0; at < text.size(); at += 1000) {
    parts.Append(parser.Push(std::string_view(text).substr(at, 1000)));
  }
  EXPECT_FALSE(parts.content.empty()) << "given up before the end";
  parts.Append(parser.Finish());
  EXPECT_EQ(parts.content, text);
}

TEST(AnswerParser, MarkersThatAreControlTokensAreNeverText) {
  const auto format = AnswerFormat::FromTemplate("<tool_call></tool_call><think></think>");
  const AnswerParser::Options control = {
      .control_markers = {"<tool_call>", "</tool_call>", "<think>", "</think>"}};
  EXPECT_EQ(ParseAnswer(format, "a<tool_call>{b</tool_call>c</think>", control).content, "a{bc");
  EXPECT_EQ(ParseAnswer(format, "a<tool_call>{b</tool_call>c</think>").content,
            "a<tool_call>{b</tool_call>c</think>");
  EXPECT_EQ(ParseAnswer(format, "<tool_call>{\"name\":\"f\"}</tool_call>", control).calls.size(),
            1u);
}

}  // namespace
}  // namespace tatara::text
