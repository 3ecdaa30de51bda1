// The language, feature by feature, against what Python's jinja2 made of the same templates.
#include <gtest/gtest.h>

#include <nlohmann/json.hpp>
#include <string>

#include "tatara/text/chat_template.h"
#include "test_support.h"

namespace tatara::text {
namespace {

using Json = nlohmann::ordered_json;

std::string Found(const std::string& source, const std::string& context) {
  const auto parsed = ChatTemplate::Parse(source);
  if (!parsed.ok()) return "refused: " + parsed.error().text();
  const auto rendered = parsed.value().Render(context);
  if (!rendered.ok()) return "refused: " + rendered.error().text();
  return "text: " + rendered.value();
}

// The context's own bytes: a JSON library that reads big integers as floats must not touch them.
std::string ContextBytes(const std::string& file) {
  const std::string from = "\"context\": ";
  const std::size_t begin = file.find(from) + from.size();
  return file.substr(begin, file.find(", \"cases\": [", begin) - begin);
}

TEST(JinjaLanguage, EveryFeatureGivesWhatPythonGives) {
  const std::string bytes =
      test::ReadFile(std::filesystem::path(TATARA_TEXT_TESTDATA) / "jinja_cases.json");
  const Json file = Json::parse(bytes);
  const std::string context = ContextBytes(bytes);
  int compared = 0;
  for (const auto& test_case : file["cases"]) {
    const auto source = test_case["template"].get<std::string>();
    const auto& expected = test_case["expected"];
    const std::string found = Found(source, context);
    ++compared;
    if (expected.contains("text")) {
      EXPECT_EQ(found, "text: " + expected["text"].get<std::string>()) << source;
    } else {
      EXPECT_TRUE(found.starts_with("refused: ")) << source << "\n" << found;
    }
    if (expected.contains("raised")) {
      EXPECT_NE(found.find(expected["raised"].get<std::string>()), std::string::npos) << found;
    }
  }
  EXPECT_GE(compared, 250);
}

}  // namespace
}  // namespace tatara::text
