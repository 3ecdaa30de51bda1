#include "tatara/server/log.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <functional>
#include <nlohmann/json.hpp>

#include "test_support.h"

namespace tatara::server {
namespace {

RequestFacts Facts() {
  return {.id = "r1",
          .method = "POST",
          .route = "/v1/chat/completions",
          .peer = "127.0.0.1",
          .caller = {.tenant = "factory", .key = "k1"},
          .status = 200,
          .seconds = 0.25,
          .first_byte_seconds = 0.1,
          .body = "what people wrote",
          .model = "tiny \"x\"\n",
          .answer_id = "chatcmpl-1",
          .prompt_tokens = 7,
          .completion_tokens = 3,
          .finish_reasons = {"stop"}};
}

class LogTest : public testing::Test {
 protected:
  std::string After(LogSettings settings, const std::function<void(ServerLog&)>& act) {
    settings.file = path_.string();
    {
      auto log = ServerLog::Open(settings);
      EXPECT_TRUE(log.ok());
      act(**log);
    }
    return test::ReadFile(path_);
  }
  test::ScratchDir scratch_;
  const std::filesystem::path path_ = scratch_.path() / "tatara.log";
};

TEST_F(LogTest, ARequestIsOneLineWithoutItsText) {
  const std::string text = After({}, [](ServerLog& log) { log.Request(Facts()); });
  EXPECT_EQ(std::count(text.begin(), text.end(), '\n'), 1) << text;
  for (const char* part :
       {" info request id=r1 method=POST route=/v1/chat/completions status=200 seconds=0.25",
        "key=k1", "tenant=factory", "prompt_tokens=7", "completion_tokens=3", "finish=stop",
        "model=\"tiny \\\"x\\\"\\n\""}) {
    EXPECT_NE(text.find(part), std::string::npos) << part << "\n" << text;
  }
  EXPECT_EQ(text.find("people"), std::string::npos);
}

TEST_F(LogTest, JsonLinesAreJsonAndHoldBodiesWhereAsked) {
  const std::string text = After({.json = true, .prompts = true}, [](ServerLog& log) {
    RequestFacts facts = Facts();
    facts.body += "\xff";
    log.Request(facts);
    log.Event(LogLevel::kWarning, "two\nlines");
  });
  const std::size_t end = text.find('\n');
  const auto first = nlohmann::json::parse(text.substr(0, end), nullptr, false);
  EXPECT_EQ(first["status"], 200);
  EXPECT_EQ(first["body"], "what people wrote\xef\xbf\xbd");
  const auto second = nlohmann::json::parse(text.substr(end + 1), nullptr, false);
  EXPECT_EQ(second["text"], "two\nlines");
}

TEST_F(LogTest, HealthIsForDebuggingAndFailuresAreErrors) {
  const std::string text = After({.level = "error"}, [](ServerLog& log) {
    RequestFacts facts = Facts();
    log.Request(facts);
    facts.status = 500;
    log.Request(facts);
    facts.route = "/health";
    facts.status = 200;
    log.Request(facts);
    log.Apply({.level = "debug"});
    log.Request(facts);
  });
  EXPECT_EQ(std::count(text.begin(), text.end(), '\n'), 2) << text;
}

TEST_F(LogTest, AFileMovedAsideIsLeftAfterReopening) {
  const auto aside = scratch_.path() / "old.log";
  const std::string text = After({}, [&](ServerLog& log) {
    log.Event(LogLevel::kInfo, "one");
    std::filesystem::rename(path_, aside);
    EXPECT_TRUE(log.Reopen().ok());
    log.Event(LogLevel::kInfo, "two");
  });
  EXPECT_NE(text.find("two"), std::string::npos);
  EXPECT_FALSE(ServerLog::Open({.file = (scratch_.path() / "no/folder").string()}).ok());
}

}  // namespace
}  // namespace tatara::server
