#include "tatara/assistant/chat.h"

#include <gtest/gtest.h>

#include "fake_engine.h"

namespace tatara::assistant {
namespace {

using generate::SamplingParams;

class ChatTest : public testing::Test {
 protected:
  ChatTest() {
    engine_.model = [](const std::string& last) { return FakeEngine::Answer{"re: " + last}; };
  }
  FakeEngine engine_;
};

TEST_F(ChatTest, KeepsTheConversation) {
  Chat chat(engine_, {.system = "Be brief."});
  EXPECT_EQ(chat.Say("one", SamplingParams{}, {})->text, "re: one");
  EXPECT_EQ(chat.Say("two", SamplingParams{}, {})->text, "re: two");
  EXPECT_EQ(chat.messages().size(), 4u);
  const std::string& prompt = engine_.prompts.back();
  EXPECT_LT(prompt.find("Be brief."), prompt.find("one"));
  EXPECT_LT(prompt.find("re: one"), prompt.find("two"));
}

TEST_F(ChatTest, TheOldestTurnsGoFirstTheSystemMessageStaysAndBothAreSaid) {
  engine_.facts_.context_tokens = 700;
  Chat chat(engine_, {.system = "Be brief.", .reply_tokens_max = 200});
  for (const char* message : {"first", "second", "third"}) {
    ASSERT_TRUE(chat.Say(std::string(100, 'x') + message, SamplingParams{}, {}).ok());
  }
  bool told = false;
  const auto reply = chat.Say("fourth", SamplingParams{}, {}, [&](const ChatReply& so_far) {
    told = true;
    EXPECT_GT(so_far.tokens_needed, so_far.context_tokens);
    EXPECT_EQ(so_far.context_tokens, 700);
  });
  ASSERT_TRUE(reply.ok());
  EXPECT_TRUE(told || !reply->dropped.empty());
  ASSERT_FALSE(reply->dropped.empty());
  EXPECT_EQ(reply->dropped.size() % 2, 0u);
  EXPECT_EQ(reply->dropped.front().role, "user");
  EXPECT_LE(reply->prompt_tokens + 200, 700);
  const std::string& prompt = engine_.prompts.back();
  EXPECT_NE(prompt.find("Be brief."), std::string::npos);
  EXPECT_NE(prompt.find("fourth"), std::string::npos);
  EXPECT_EQ(chat.messages().front().role, "user");
}

TEST_F(ChatTest, AMessageThatCannotFitIsRefusedAndChangesNothing) {
  engine_.facts_.context_tokens = 300;
  Chat chat(engine_, {.reply_tokens_max = 100});
  ASSERT_TRUE(chat.Say("ok", SamplingParams{}, {}).ok());
  const auto reply = chat.Say(std::string(400, 'x'), SamplingParams{}, {});
  ASSERT_FALSE(reply.ok());
  EXPECT_EQ(reply.error().kind(), ErrorKind::kRefused);
  EXPECT_EQ(chat.messages().size(), 2u);
}

TEST_F(ChatTest, ACancelledReplyStaysAsFarAsItCame) {
  Chat chat(engine_, {});
  int pieces = 0;
  const auto reply =
      chat.Say("hello", SamplingParams{}, [&](std::string_view) { return ++pieces < 3; });
  ASSERT_TRUE(reply.ok());
  EXPECT_EQ(reply->finish_reason, "cancelled");
  EXPECT_EQ(chat.messages().back().content, "re:");
  chat.Clear();
  EXPECT_TRUE(chat.messages().empty());
}

}  // namespace
}  // namespace tatara::assistant
