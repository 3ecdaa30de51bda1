#include "tatara/assistant/history.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <signal.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include <fstream>
#include <thread>

#include "history_search.h"
#include "test_support.h"

namespace tatara::assistant {
namespace {

using testing::ElementsAre;

class FixedClock final : public Clock {
 public:
  std::int64_t UnixSeconds() const override { return now; }
  std::int64_t MonotonicNanoseconds() const override { return now * 1'000'000'000; }
  std::int64_t now = 1000;
};

class HistoryTest : public testing::Test {
 protected:
  void SetUp() override { Reopen(); }
  void Reopen(HistoryOptions options = {}) {
    history_.reset();
    options.folder = home_.path() / "history";
    options.clock = &clock_;
    auto opened = History::Open(options);
    ASSERT_TRUE(opened.ok()) << opened.error().text();
    history_ = std::move(opened).value();
  }
  std::string Make(std::string_view title, std::string_view tenant = "a") {
    ++clock_.now;
    const auto head = history_->Create(tenant, title);
    EXPECT_TRUE(head.ok()) << head.error().text();
    return head.ok() ? head->id : "";
  }
  Result<ConversationHead> Say(std::string_view conversation, HistoryMessage message,
                               std::string_view tenant = "a") {
    ++clock_.now;
    return history_->Put(tenant, conversation, message);
  }
  std::vector<std::string> Titles() {
    std::vector<std::string> titles;
    const auto heads = history_->List("a", {});
    EXPECT_TRUE(heads.ok());
    for (const auto& head : *heads) titles.push_back(head.title);
    return titles;
  }
  std::vector<std::string> Find(std::string_view query, std::string_view tenant = "a") {
    std::vector<std::string> titles;
    const auto matches = history_->Search(tenant, query, 50);
    EXPECT_TRUE(matches.ok()) << matches.error().text();
    if (!matches.ok()) return {};
    for (const auto& match : *matches) {
      titles.push_back(match.head.title);
    }
    return titles;
  }
  // All bytes of all files.
  std::string Bytes() {
    std::string bytes;
    for (const auto& entry : std::filesystem::directory_iterator(home_.path() / "history")) {
      std::ifstream file(entry.path(), std::ios::binary);
      bytes.append(std::istreambuf_iterator<char>(file), {});
    }
    return bytes;
  }
  test::ScratchDir home_;
  FixedClock clock_;
  std::unique_ptr<History> history_;
};

TEST_F(HistoryTest, AConversationComesBackAsItWasKept) {
  const std::string id = Make("切断機");
  EXPECT_TRUE(id.starts_with("conv_") && id.size() == 37) << id;
  ASSERT_TRUE(
      Say(id, {.id = "q", .role = "user", .content = "何分待つ？", .created_unix = 7}).ok());
  const HistoryMessage answer{.id = "a",
                              .parent = "q",
                              .role = "assistant",
                              .content = std::string("5分\0です", 12),
                              .reasoning = "r",
                              .model = "m",
                              .receipt = "chatcmpl-1",
                              .finish = "stop",
                              .details = "{}",
                              .created_unix = 8};
  ASSERT_TRUE(Say(id, answer).ok());
  Reopen();
  const auto stored = history_->Get("a", id);
  ASSERT_TRUE(stored.ok()) << stored.error().text();
  EXPECT_EQ(stored->head.title, "切断機");
  EXPECT_EQ(stored->active, "a");
  ASSERT_EQ(stored->messages.size(), 2u);
  const HistoryMessage& got = stored->messages[1];
  EXPECT_EQ(got.content, answer.content);
  EXPECT_EQ(
      std::tie(got.reasoning, got.model, got.receipt, got.finish, got.details),
      std::tie(answer.reasoning, answer.model, answer.receipt, answer.finish, answer.details));
  EXPECT_EQ(got.created_unix, 8);
}

TEST_F(HistoryTest, TheListIsByLastChangeAndGoesOnBehindAnEntry) {
  const std::string first = Make("1"), second = Make("2"), third = Make("3");
  ASSERT_TRUE(Say(first, {.id = "q", .role = "user", .content = "x"}).ok());
  EXPECT_THAT(Titles(), ElementsAre("1", "3", "2"));
  const auto rest = history_->List("a", {.after = third, .limit = 10});
  ASSERT_TRUE(rest.ok());
  ASSERT_EQ(rest->size(), 1u);
  EXPECT_EQ(rest->front().id, second);
  EXPECT_EQ(history_->List("a", {.limit = 2})->size(), 2u);
  EXPECT_EQ(history_->List("a", {.after = "conv_x"}).error().kind(), ErrorKind::kNotFound);
}

TEST_F(HistoryTest, TenantsSeeOnlyTheirOwn) {
  const std::string mine = Make("mine"), theirs = Make("theirs", "b");
  EXPECT_THAT(Titles(), ElementsAre("mine"));
  for (const auto& error :
       {history_->Get("a", theirs).error(), history_->Delete("a", theirs).error(),
        Say(theirs, {.id = "q", .role = "user", .content = "x"}).error()}) {
    EXPECT_EQ(error.kind(), ErrorKind::kNotFound);
  }
  EXPECT_TRUE(Find("theirs").empty());
  EXPECT_TRUE(Make("../../etc/passwd", "../../x").starts_with("conv_"));
  ASSERT_TRUE(history_->DeleteAll("a").ok());
  EXPECT_THAT(Find("theirs", "b"), ElementsAre("theirs"));
}

TEST_F(HistoryTest, FilesAreForTheirOwnerOnly) {
  Make("x");
  struct stat facts{};
  const auto folder = home_.path() / "history";
  ASSERT_EQ(stat(folder.c_str(), &facts), 0);
  EXPECT_EQ(facts.st_mode & 0777, 0700u);
  int files = 0;
  for (const auto& entry : std::filesystem::directory_iterator(folder)) {
    ASSERT_EQ(stat(entry.path().c_str(), &facts), 0);
    EXPECT_EQ(facts.st_mode & 0777, 0600u) << entry.path();
    ++files;
  }
  EXPECT_GE(files, 2);  // its log too
}

TEST_F(HistoryTest, SearchFindsWordsOfAnyLengthWidthCaseAndKana) {
  const std::string one = Make("Lathe"), two = Make("保全");
  ASSERT_TRUE(
      Say(one, {.id = "q", .role = "user", .content = "The TK-200 センサー stops at 80 ℃"}).ok());
  ASSERT_TRUE(
      Say(two, {.id = "q", .role = "user", .content = "主軸の温度が上がったときの点検表"}).ok());
  EXPECT_THAT(Find("tk-200"), ElementsAre("Lathe"));
  EXPECT_THAT(Find("ＴＫ"), ElementsAre("Lathe"));
  EXPECT_THAT(Find("せんさー"), ElementsAre("Lathe"));
  EXPECT_THAT(Find("温度"), ElementsAre("保全"));
  EXPECT_THAT(Find("軸"), ElementsAre("保全"));
  EXPECT_THAT(Find("点検表 主軸"), ElementsAre("保全"));
  EXPECT_THAT(Find("保全"), ElementsAre("保全"));  // the title
  EXPECT_TRUE(Find("点検表 lathe").empty());
  EXPECT_TRUE(Find(" ").empty());
  EXPECT_THAT(history_->Search("a", "主軸の温度", 9)->front().snippet,
              "主軸の温度が上がったときの点検表");
}

TEST_F(HistoryTest, NothingInAQueryIsAnExpression) {
  const std::string id = Make("t");
  ASSERT_TRUE(Say(id, {.id = "q", .role = "user", .content = "a 100% \"quoted\" text*"}).ok());
  for (const char* query : {"\"quoted\"", "100%", "text*", "%", "\""}) {
    EXPECT_THAT(Find(query), ElementsAre("t")) << query;
  }
  for (const char* query : {"NOT zzz", "body:quoted", "quo* OR", "_uoted",
                            "'; DROP TABLE texts; --", "(((", "NEAR(a b)", "\"\"\""}) {
    EXPECT_TRUE(Find(query).empty()) << query;
  }
  EXPECT_TRUE(Find(std::string(100'000, 'x')).empty());
}

TEST_F(HistoryTest, WhatIsDeletedIsGoneFromTheFiles) {
  const std::string kept = Make("kept"), gone = Make("SECRETTITLE");
  ASSERT_TRUE(Say(kept, {.id = "q", .role = "user", .content = "ordinary words"}).ok());
  ASSERT_TRUE(Say(gone, {.id = "q", .role = "user", .content = "a hidden zanzibarformula"}).ok());
  ASSERT_NE(Bytes().find("zanzibarformula"), std::string::npos);
  ASSERT_TRUE(history_->Delete("a", gone).ok());
  for (const char* trace : {"zanzibarformula", "SECRETTITLE", "secrettitle", "zib"}) {
    EXPECT_EQ(Bytes().find(trace), std::string::npos) << trace;
  }
  EXPECT_TRUE(Find("zanzibarformula").empty());
  EXPECT_THAT(Find("ordinary"), ElementsAre("kept"));
  EXPECT_EQ(history_->Delete("a", gone).error().kind(), ErrorKind::kNotFound);
  EXPECT_EQ(history_->DeleteAll("a").value(), 1);
  EXPECT_EQ(Bytes().find("ordinary"), std::string::npos);
  EXPECT_TRUE(Titles().empty());
}

// Words enough for an index that is merged in many steps.
std::string ManyWords(int seed) {
  std::string text;
  std::uint64_t state = static_cast<std::uint64_t>(seed) * 977 + 1;
  while (text.size() < 400'000) {
    state = state * 6364136223846793005U + 1442695040888963407U;
    text += fmt::format("{:x} ", state >> 30);
  }
  return text;
}

TEST_F(HistoryTest, ALargeHistoryIsScrubbedBetweenOtherWorkAndAfterACrash) {
  const std::string kept = Make("kept");
  for (int i = 0; i < 5; ++i) {
    ASSERT_TRUE(Say(kept, {.id = std::to_string(i), .role = "user", .content = ManyWords(i)}).ok());
  }
  const auto traces_leave = [&] {
    for (int i = 0; i < 600; ++i) {
      if (Bytes().find("zanzi") == std::string::npos) return true;
      std::this_thread::sleep_for(std::chrono::milliseconds(50));
    }
    return false;
  };
  for (const bool crash : {false, true}) {
    const std::string gone = Make("gone");
    ASSERT_TRUE(
        Say(gone, {.id = "q", .role = "user", .content = "zanzibar " + ManyWords(99)}).ok());
    ASSERT_TRUE(history_->Delete("a", gone).ok());
    EXPECT_TRUE(Find("zanzibar").empty());
    if (crash) Reopen();
    EXPECT_TRUE(history_->Get("a", kept).ok());
    EXPECT_TRUE(traces_leave());
  }
  EXPECT_EQ(history_->DeleteAll("a").value(), 1);
  EXPECT_LT(Bytes().size(), 200'000u);
  EXPECT_FALSE(Make("again").empty());
}

TEST_F(HistoryTest, APartIsReplacedByTheWholeButNeverMoved) {
  const std::string id = Make("t");
  ASSERT_TRUE(Say(id, {.id = "q", .role = "user", .content = "x"}).ok());
  ASSERT_TRUE(Say(id, {.id = "a", .parent = "q", .role = "assistant", .content = "half"}).ok());
  ASSERT_TRUE(Say(id, {.id = "a", .parent = "q", .role = "assistant", .content = "whole"}).ok());
  EXPECT_EQ(history_->Get("a", id)->messages.size(), 2u);
  EXPECT_EQ(history_->Get("a", id)->messages[1].content, "whole");
  EXPECT_TRUE(Find("half").empty());
  EXPECT_FALSE(Say(id, {.id = "a", .role = "assistant", .content = "moved"}).ok());
  EXPECT_FALSE(Say(id, {.id = "q", .parent = "a", .role = "user", .content = "a ring"}).ok());
}

TEST_F(HistoryTest, WhatIsNotAMessageIsRefused) {
  const std::string id = Make("t");
  EXPECT_FALSE(Say(id, {.id = "", .role = "user"}).ok());
  EXPECT_FALSE(Say(id, {.id = "../x", .role = "user"}).ok());
  EXPECT_FALSE(Say(id, {.id = std::string(65, 'x'), .role = "user"}).ok());
  EXPECT_FALSE(Say(id, {.id = "q", .role = "king"}).ok());
  EXPECT_FALSE(Say(id, {.id = "q", .parent = "none", .role = "user"}).ok());
  EXPECT_FALSE(Say(id, {.id = "q", .parent = "q", .role = "user"}).ok());
  EXPECT_FALSE(
      Say(id, {.id = "q", .role = "user", .content = std::string(kMessageBytesMax + 1, 'x')}).ok());
  EXPECT_FALSE(
      Say(id, {.id = "q", .role = "user", .details = std::string(kDetailsBytesMax + 1, 'x')}).ok());
  EXPECT_FALSE(Say(id, {.id = "q", .role = "user", .model = std::string(257, 'x')}).ok());
  EXPECT_FALSE(history_->Create("a", std::string(kTitleBytesMax + 1, 'x')).ok());
  EXPECT_EQ(Say("conv_'; --", {.id = "q", .role = "user"}).error().kind(), ErrorKind::kNotFound);
  const std::string none = "none";
  EXPECT_FALSE(history_->Update("a", id, {.active = &none}).ok());
  EXPECT_EQ(history_->Get("a", id)->messages.size(), 0u);
}

TEST_F(HistoryTest, BytesThatAreNoTextDoNoHarm) {
  const std::string id = Make("\xff\xfe");
  ASSERT_TRUE(Say(id, {.id = "q", .role = "user", .content = "\xf0\x9f a\x80z \xed\xa0\x80"}).ok());
  EXPECT_EQ(history_->Get("a", id)->messages.size(), 1u);
  (void)history_->Search("a", "\xff\xfe\xfd", 5).ok();
  EXPECT_TRUE(history_->Delete("a", id).ok());
}

TEST_F(HistoryTest, AHistoryHasAnEnd) {
  Reopen({.bytes_max = 200'000, .conversations_max = 2});
  const std::string id = Make("1");
  Make("2");
  EXPECT_EQ(history_->Create("a", "3").error().kind(), ErrorKind::kUnavailable);
  const auto fill = [&](int i) {
    return Say(id, {.id = std::to_string(i), .role = "user", .content = std::string(20'000, 'x')});
  };
  int i = 0;
  while (i < 100 && fill(i).ok()) ++i;
  EXPECT_GT(i, 1);
  EXPECT_LT(i, 20);
  EXPECT_EQ(fill(i).error().kind(), ErrorKind::kUnavailable);
  ASSERT_TRUE(history_->DeleteAll("a").ok());
  EXPECT_FALSE(Make("4").empty());
}

TEST_F(HistoryTest, AConversationHasAnEnd) {
  const std::string id = Make("t");
  const std::string large(kMessageBytesMax, 'x');
  int i = 0;
  while (i < 40 && Say(id, {.id = std::to_string(i), .role = "user", .content = large}).ok()) ++i;
  EXPECT_EQ(i, kConversationBytesMax / static_cast<std::int64_t>(kMessageBytesMax));
}

TEST_F(HistoryTest, AFileThatIsNoneOfOursIsRefused) {
  Make("x", "other");
  history_.reset();
  for (const auto& entry : std::filesystem::directory_iterator(home_.path() / "history")) {
    if (entry.path().extension() == ".sqlite")
      std::ofstream(entry.path()) << std::string(9000, 'x');
  }
  Reopen();
  const auto list = history_->List("other", {});
  ASSERT_FALSE(list.ok());
  EXPECT_NE(list.error().text().find(".sqlite"), std::string::npos);
  EXPECT_TRUE(history_->List("a", {}).ok());
}

TEST_F(HistoryTest, ManyTenantsShareFewOpenFiles) {
  Reopen({.open_max = 2});
  for (int round = 0; round < 2; ++round) {
    for (int i = 0; i < 6; ++i) Make(std::to_string(round), "tenant" + std::to_string(i));
  }
  for (int i = 0; i < 6; ++i) {
    EXPECT_EQ(history_->List("tenant" + std::to_string(i), {})->size(), 2u);
  }
}

TEST_F(HistoryTest, WhatWasAcknowledgedSurvivesAKill) {
  const std::string id = Make("t");
  history_.reset();
  int pipes[2];
  ASSERT_EQ(pipe(pipes), 0);
  const pid_t child = fork();
  if (child == 0) {
    auto opened = History::Open({.folder = home_.path() / "history"});
    for (int i = 0; opened.ok(); ++i) {
      const std::string name = std::to_string(i);
      if (!(*opened)->Put("a", id, {.id = name, .role = "user", .content = "message " + name}).ok())
        break;
      if (write(pipes[1], &i, sizeof i) != sizeof i) break;
    }
    _exit(1);
  }
  int last = -1;
  while (last < 20 && read(pipes[0], &last, sizeof last) == sizeof last) {
  }
  kill(child, SIGKILL);
  waitpid(child, nullptr, 0);
  close(pipes[1]);
  while (read(pipes[0], &last, sizeof last) == sizeof last) {
  }
  close(pipes[0]);
  Reopen();
  const auto stored = history_->Get("a", id);
  ASSERT_TRUE(stored.ok()) << stored.error().text();
  ASSERT_GT(static_cast<int>(stored->messages.size()), last);
  for (int i = 0; i <= last; ++i) {
    EXPECT_EQ(stored->messages[static_cast<std::size_t>(i)].content,
              "message " + std::to_string(i));
  }
  EXPECT_THAT(Find("message"), ElementsAre("t"));
}

TEST_F(HistoryTest, ThreadsDoNotDisturbEachOther) {
  const std::string id = Make("t");
  std::vector<std::thread> threads;
  for (int t = 0; t < 4; ++t) {
    threads.emplace_back([&, t] {
      for (int i = 0; i < 10; ++i) {
        const std::string name = std::to_string(t) + "-" + std::to_string(i);
        EXPECT_TRUE(history_->Put("a", id, {.id = name, .role = "user", .content = name}).ok());
        EXPECT_TRUE(history_->Search("a", name, 3).ok());
      }
    });
  }
  for (std::thread& thread : threads) thread.join();
  EXPECT_EQ(history_->Get("a", id)->messages.size(), 40u);
}

TEST(HistorySearch, ASnippetShowsTheWordWithinALongText) {
  const std::string text =
      std::string(5000, 'x') + " 主軸の ｾﾝｻｰ が\n\n高温 " + std::string(5000, 'y');
  const std::string snippet = SnippetOf(text, SearchWords("センサー"));
  EXPECT_NE(snippet.find("ｾﾝｻｰ が 高温"), std::string::npos) << snippet;
  EXPECT_LT(snippet.size(), 500u);
  EXPECT_TRUE(snippet.starts_with("…") && snippet.ends_with("…"));
  EXPECT_EQ(SnippetOf("", {"x"}), "");
}

TEST(HistoryMarkdown, IsThePathToTheActiveMessage) {
  StoredConversation conversation{.head = {.title = "A\n# title", .created_unix = 0},
                                  .active = "a2"};
  conversation.messages = {{.id = "q", .role = "user", .content = "Why?"},
                           {.id = "a1", .parent = "q", .role = "assistant", .content = "No."},
                           {.id = "a2",
                            .parent = "q",
                            .role = "assistant",
                            .content = "Because.",
                            .model = "m",
                            .receipt = "r-1"}};
  EXPECT_EQ(
      ConversationMarkdown(conversation, Language::kEnglish),
      "# A # title\n\n1970-01-01T00:00:00Z\n\n## Question\n\nWhy?\n\n## Answer (m)\n\nBecause.\n"
      "\nReceipt: `r-1`\n");
  EXPECT_NE(ConversationMarkdown(conversation, Language::kJapanese).find("## 質問"),
            std::string::npos);
}

}  // namespace
}  // namespace tatara::assistant
