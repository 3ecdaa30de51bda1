#include "tatara/server/log.h"

#include <gtest/gtest.h>

#include <unistd.h>

#include <algorithm>
#include <chrono>
#include <functional>
#include <nlohmann/json.hpp>
#include <sstream>
#include <thread>

#include "line_writer.h"
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

TEST_F(LogTest, WhatIsNoUtf8OrOddIsQuotedInBothForms) {
  for (const bool json : {false, true}) {
    const std::string text = After({.json = json}, [](ServerLog& log) {
      RequestFacts facts = Facts();
      facts.caller.tenant = "工場 1";
      facts.method = "GET\x7f";
      facts.answer_id = "a=b\xff\x01";
      log.Request(facts);
    });
    if (json) {
      const auto line = nlohmann::json::parse(text, nullptr, false);
      EXPECT_EQ(line["tenant"], "工場 1");
      EXPECT_EQ(line["method"], "GET\x7f");
      EXPECT_EQ(line["answer"], "a=b\xef\xbf\xbd\x01");
    } else {
      EXPECT_NE(text.find("tenant=\"工場 1\""), std::string::npos) << text;
      EXPECT_NE(text.find("answer=\"a=b\xef\xbf\xbd\\u0001\""), std::string::npos) << text;
    }
    ASSERT_EQ(std::filesystem::remove(path_), true);
  }
}

TEST_F(LogTest, LinesOfManyThreadsStayWhole) {
  constexpr int kThreads = 4, kLines = 2000;
  const std::string text = After({.json = true}, [](ServerLog& log) {
    std::vector<std::thread> threads;
    for (int i = 0; i < kThreads; ++i) {
      threads.emplace_back([&] {
        for (int k = 0; k < kLines; ++k) log.Request(Facts());
      });
    }
    for (std::thread& thread : threads) thread.join();
  });
  std::istringstream lines(text);
  int n = 0;
  for (std::string line; std::getline(lines, line); ++n) {
    ASSERT_TRUE(nlohmann::json::accept(line)) << line;
  }
  EXPECT_EQ(n, kThreads * kLines);
}

TEST_F(LogTest, WhatAPipeCanNotTakeIsDroppedAndCounted) {
  constexpr std::uint64_t kLines = 16;
  const std::string line = std::string((1U << 20) - 1, 'x') + "\n";
  int ends[2];
  ASSERT_EQ(::pipe(ends), 0);
  std::uint64_t dropped = 0, taken = 0;
  std::thread reader;
  {
    LineWriter writer;
    ASSERT_TRUE(writer.Open("/proc/self/fd/" + std::to_string(ends[1])).ok());
    ::close(ends[1]);
    // Nobody reads: a batch that is being written and the lines that wait are all there is room
    // for.
    for (std::uint64_t i = 0; i < kLines; ++i) {
      EXPECT_EQ(writer.Add(line, /*urgent=*/true), 0u);
    }
    reader = std::thread([&, in = ends[0]] {
      std::string part(1U << 20, ' ');
      for (ssize_t n; (n = ::read(in, part.data(), part.size())) > 0;) {
        for (ssize_t i = 0; i < n; ++i) taken += part[static_cast<std::size_t>(i)] == '\n';
      }
    });
    while (dropped == 0) {
      std::this_thread::sleep_for(std::chrono::milliseconds(5));
      dropped = writer.Add("after\n", /*urgent=*/true);
    }
  }
  reader.join();
  ::close(ends[0]);
  EXPECT_GE(dropped, kLines - 2 * LineWriter::kWaitingBytesMax / line.size());
  EXPECT_GE(taken + dropped, kLines + 1);
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
