// The chat templates of real models: from the model file to the prompt.
#include <gtest/gtest.h>

#include <nlohmann/json.hpp>
#include <string>

#include "tatara/text/chat_template.h"
#include "tatara/weights/tensor_store.h"
#include "test_support.h"

namespace tatara {
namespace {

using Json = nlohmann::ordered_json;

std::string TemplateOf(const std::filesystem::path& model) {
  auto store = weights::OpenTensorStore(model);
  if (!store.ok()) {
    ADD_FAILURE() << store.error().text();
    return {};
  }
  const auto source = (*store)->metadata().String("tokenizer.chat_template");
  EXPECT_TRUE(source.ok()) << model;
  return source.ok() ? source.value() : std::string();
}

Result<std::string> Render(const std::string& source, const Json& context) {
  TATARA_TRY(const text::ChatTemplate parsed, text::ChatTemplate::Parse(source));
  return parsed.Render(context.dump());
}

// The golden chat cases carry the rendered text only; their one question stands between the user's
// marks.
void ExpectGoldenPrompts(const std::filesystem::path& model, const std::filesystem::path& golden) {
  const std::string source = TemplateOf(model);
  int compared = 0;
  const Json cases = Json::parse(test::ReadFile(golden))["cases"];
  for (const auto& test_case : cases) {
    const auto expected = test_case["text"].get<std::string>();
    if (!test_case["name"].get<std::string>().starts_with("chat_")) continue;
    const std::string before = "<|im_start|>user\n";
    const std::size_t begin = expected.find(before) + before.size();
    const std::string question = expected.substr(begin, expected.find("<|im_end|>", begin) - begin);
    const Json context = {{"messages", Json::array({{{"role", "user"}, {"content", question}}})},
                          {"add_generation_prompt", true}};
    const auto rendered = Render(source, context);
    ASSERT_TRUE(rendered.ok()) << rendered.error().text();
    EXPECT_EQ(rendered.value(), expected);
    ++compared;
  }
  EXPECT_GE(compared, 1);
}

TEST(ChatTemplateGolden, SmolLm2PromptsEqualTheReference) {
  TATARA_REQUIRE_MODEL(model, "smollm2-135m");
  TATARA_REQUIRE_DATA(golden, "golden/SmolLM2-135M-Instruct.Q4_1.json");
  ExpectGoldenPrompts(model, golden);
}

TEST(ChatTemplateGolden, QwenCoderPromptsEqualTheReference) {
  TATARA_REQUIRE_MODEL(model, "qwen2.5-coder-0.5b");
  TATARA_REQUIRE_DATA(golden, "golden/qwen2.5-coder-0.5b-instruct-q4_k_m.json");
  ExpectGoldenPrompts(model, golden);
}

// Conversations with systems, tools, Japanese, nothing at all: rendered by jinja2.
TEST(ChatTemplateGolden, ConversationsEqualJinja2) {
  TATARA_REQUIRE_MODEL(smollm, "smollm2-135m");
  TATARA_REQUIRE_MODEL(qwen, "qwen2.5-coder-0.5b");
  const auto file = std::filesystem::path(TATARA_SOURCE_DIR) / "src/text/testdata/chat_cases.json";
  int compared = 0;
  const Json cases = Json::parse(test::ReadFile(file))["cases"];
  for (const auto& test_case : cases) {
    const bool is_qwen = test_case["model"].get<std::string>().starts_with("qwen");
    const auto rendered = Render(TemplateOf(is_qwen ? qwen : smollm), test_case["context"]);
    const auto& expected = test_case["expected"];
    const std::string name =
        test_case["model"].get<std::string>() + " " + test_case["name"].get<std::string>();
    ++compared;
    if (expected.contains("text")) {
      ASSERT_TRUE(rendered.ok()) << name << ": " << rendered.error().text();
      EXPECT_EQ(rendered.value(), expected["text"].get<std::string>()) << name;
    } else {
      EXPECT_FALSE(rendered.ok()) << name << " should be refused";
    }
  }
  EXPECT_EQ(compared, 28);
}

}  // namespace
}  // namespace tatara
