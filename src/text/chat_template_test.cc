#include "tatara/text/chat_template.h"

#include <gtest/gtest.h>

#include <nlohmann/json.hpp>
#include <string>

#include "test_support.h"

namespace tatara::text {
namespace {

using Json = nlohmann::ordered_json;

// 2026-11-21 00:00:00 UTC, the day of the golden renderings.
constexpr std::int64_t kGoldenDay = 1795219200;

// The golden renderings were made with a strftime_now that knows two formats only.
std::string WithGoldenDate(std::string text) {
  const std::string real = "November 21, 2026";
  const std::size_t at = text.find(real);
  return at == std::string::npos ? text : text.replace(at, real.size(), "21 Nov 2026");
}

// Every template of the field, every conversation: the text, or the refusal, of jinja2.
TEST(ChatTemplate, GoldenRenderingsOfPublishedTemplatesAreEqual) {
  TATARA_REQUIRE_DATA(folder, "chat_templates");
  const Json golden = Json::parse(test::ReadFile(folder / "golden.json"));
  int compared = 0;
  for (const auto& [file, cases] : golden["rendered"].items()) {
    const auto parsed = ChatTemplate::Parse(test::ReadFile(folder / file));
    ASSERT_TRUE(parsed.ok()) << file << ": " << parsed.error().text();
    for (const auto& [name, expected] : cases.items()) {
      Json context = golden["cases"][name];
      context["bos_token"] = golden["bos_token"];
      context["eos_token"] = golden["eos_token"];
      context["strftime_now_unix"] = kGoldenDay;
      const auto rendered = parsed.value().Render(context.dump());
      ++compared;
      if (expected.contains("text")) {
        ASSERT_TRUE(rendered.ok()) << file << " " << name << ": " << rendered.error().text();
        EXPECT_EQ(WithGoldenDate(rendered.value()), expected["text"].get<std::string>())
            << file << " " << name;
      } else {
        ASSERT_FALSE(rendered.ok()) << file << " " << name;
        const std::string message = expected.contains("raised")
                                        ? expected["raised"].get<std::string>()
                                        : "is not allowed in a template";
        EXPECT_NE(rendered.error().text().find(message), std::string::npos)
            << file << " " << name << ": " << rendered.error().text();
      }
    }
  }
  EXPECT_EQ(compared, 18 * 8);
}

}  // namespace
}  // namespace tatara::text
