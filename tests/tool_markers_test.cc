// Markers of thinking and tool calls that are control tokens of a real vocabulary reach the parser
// of answers, and never the caller.
#include <gtest/gtest.h>

#include <algorithm>
#include <future>

#include "scripted_engine.h"
#include "tatara/assistant/service.h"
#include "tatara/weights/tensor_store.h"
#include "test_support.h"

namespace tatara {
namespace {

constexpr std::int64_t kControl = 3;  // of tokenizer.ggml.token_type

struct Joined : assistant::GenerateSink {
  assistant::Choice streamed, whole;
  std::promise<bool> done;
  void OnDelta(int, const assistant::AnswerDelta& delta) override {
    streamed.content += delta.content;
    streamed.thinking += delta.thinking;
    for (const auto& call : delta.calls) streamed.calls.push_back(call);
  }
  void OnChoice(assistant::Choice choice) override { whole = std::move(choice); }
  void OnDone(Result<assistant::Usage> usage) override { done.set_value(usage.ok()); }
};

// Of the real model's vocabulary, with two of its control tokens called <think> and </think>, as in
// its successors; `control` are control tokens too, as many files have them.
std::unique_ptr<text::Tokenizer> Vocabulary(const std::filesystem::path& model,
                                            const std::vector<std::string>& control) {
  const auto store = weights::OpenTensorStore(model);
  EXPECT_TRUE(store.ok());
  Metadata metadata = (*store)->metadata();
  std::vector<std::string> tokens = *metadata.Strings("tokenizer.ggml.tokens");
  std::replace(tokens.begin(), tokens.end(), std::string("<|object_ref_start|>"),
               std::string("<think>"));
  std::replace(tokens.begin(), tokens.end(), std::string("<|object_ref_end|>"),
               std::string("</think>"));
  metadata.Set("tokenizer.ggml.tokens", std::move(tokens));
  const auto plain = text::Tokenizer::FromMetadata(metadata);
  EXPECT_TRUE(plain.ok());
  auto types = metadata.Ints("tokenizer.ggml.token_type");
  if (!types) return nullptr;
  for (const std::string& text : control) {
    const auto ids = (*plain)->Encode(text, {.add_start = false, .parse_special = true});
    EXPECT_EQ(ids.size(), 1u) << text;
    (*types)[static_cast<std::size_t>(ids.front())] = kControl;
  }
  metadata.Set("tokenizer.ggml.token_type", *types);
  auto made = text::Tokenizer::FromMetadata(metadata);
  EXPECT_TRUE(made.ok());
  for (const std::string& text : control) {
    EXPECT_TRUE((*made)->IsControl(
        (*made)->Encode(text, {.add_start = false, .parse_special = true}).front()));
  }
  return std::move(made).value();
}

assistant::Choice Answer(const std::filesystem::path& model,
                         const std::vector<std::string>& control, const std::string& source,
                         const std::string& says, bool with_tools = true) {
  auto tokenizer = Vocabulary(model, control);
  const auto ids = tokenizer->Encode(says, {.add_start = false, .parse_special = true});
  test::ScratchDir home;
  assistant::Service service({.home = home.path()});
  EXPECT_TRUE(
      service
          .AddEngine("m", std::string(64, '0'),
                     std::make_unique<test::ScriptedEngine>(std::move(tokenizer), source, ids))
          .ok());
  assistant::GenerateCall call{.model = "m", .id = "x"};
  call.chat = assistant::Conversation{.messages_json = R"([{"role":"user","content":"Hi"}])"};
  if (with_tools) call.chat->tools_json = R"([{"type":"function","function":{"name":"look"}}])";
  const auto sink = std::make_shared<Joined>();
  EXPECT_TRUE(service.Generate(std::move(call), sink).ok());
  EXPECT_TRUE(sink->done.get_future().get());
  EXPECT_EQ(sink->streamed.content, sink->whole.content);
  EXPECT_EQ(sink->streamed.calls.size(), sink->whole.calls.size());
  service.Stop();
  return sink->whole;
}

constexpr char kTools[] = "{{ messages }}{% if tools %}<tool_call></tool_call>{% endif %}";
const std::vector<std::string> kMarkers = {"<tool_call>", "</tool_call>"};
constexpr char kCall[] =
    "I look.\n<tool_call>\n{\"name\": \"look\", \"arguments\": {\"at\": "
    "1}}\n</tool_call><|im_end|>";

TEST(ToolMarkers, CallsAreReadWhateverKindOfTokenTheirMarkersAre) {
  TATARA_REQUIRE_MODEL(model, "qwen2.5-coder-0.5b");
  for (const auto& control : {std::vector<std::string>{}, kMarkers}) {
    const assistant::Choice choice = Answer(model, control, kTools, kCall);
    EXPECT_EQ(choice.content, "I look.");
    ASSERT_EQ(choice.calls.size(), 1u);
    EXPECT_EQ(choice.calls[0].name, "look");
    EXPECT_EQ(choice.calls[0].arguments, R"({"at":1})");
    EXPECT_EQ(choice.finish_reason, "tool_calls");
  }
}

TEST(ToolMarkers, ControlTokensAreNeverContent) {
  TATARA_REQUIRE_MODEL(model, "qwen2.5-coder-0.5b");
  const auto content = [&](const std::string& says, bool tools = true) {
    return Answer(model, kMarkers, kTools, says, tools).content;
  };
  EXPECT_EQ(content("a<tool_call>{broken</tool_call>b<|im_end|>"), "a{brokenb");
  EXPECT_EQ(content("a</tool_call>b<|im_end|>"), "ab");
  EXPECT_EQ(content("a<tool_call>{broken"), "a{broken");
  EXPECT_EQ(content("a<tool_call>{\"name\":\"f\"}</tool_call>", false), "a{\"name\":\"f\"}");
}

TEST(ToolMarkers, ThinkingBetweenControlTokensIsThinking) {
  TATARA_REQUIRE_MODEL(model, "qwen2.5-coder-0.5b");
  const assistant::Choice choice =
      Answer(model, {}, "{{ messages }}<think></think>", "<think>hm</think>Yes.<|im_end|>", false);
  EXPECT_EQ(choice.thinking, "hm");
  EXPECT_EQ(choice.content, "Yes.");
}

}  // namespace
}  // namespace tatara
