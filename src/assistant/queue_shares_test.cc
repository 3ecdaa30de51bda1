#include "queue_shares.h"

#include <gtest/gtest.h>

#include <random>
#include <vector>

namespace tatara::assistant {
namespace {

constexpr QueueShares::Limits kLimits{.places = 272, .together = 16};

int Fill(QueueShares& shares, const std::string& key) {
  int n = 0;
  while (shares.Enter(key, 1).ok()) ++n;
  return n;
}

TEST(QueueShares, OneKeyThatAsksForAllGetsHalf) {
  QueueShares shares(kLimits);
  EXPECT_EQ(Fill(shares, "a"), 136);
  EXPECT_EQ(Fill(shares, "b"), 68);
  EXPECT_EQ(shares.Enter("b", 1).error().kind(), ErrorKind::kUnavailable);
}

TEST(QueueShares, CallersWithoutAKeyMayHaveAllPlacesAndAKeyIsStillTaken) {
  QueueShares shares(kLimits);
  // Its last call could be taken as no other's first.
  EXPECT_EQ(Fill(shares, Caller{}.key), 272);
  EXPECT_TRUE(shares.Enter("a", 1).ok());
  EXPECT_FALSE(shares.Enter("a", 1).ok());
  EXPECT_EQ(shares.taken(), 273);
}

TEST(QueueShares, TheFirstCallOfEachFurtherKeyIsTakenWhateverTheOthersAsked) {
  QueueShares shares(kLimits);
  for (int i = 0; i < 40; ++i) Fill(shares, "greedy " + std::to_string(i));
  for (int i = 0; i < 80; ++i) EXPECT_TRUE(shares.Enter("new " + std::to_string(i), 1).ok()) << i;
  EXPECT_LE(shares.taken(), kLimits.places + QueueShares::kFirstCallsMax);
}

TEST(QueueShares, AKeyMayAlwaysHoldWhatRunsTogether) {
  QueueShares shares({.places = 20, .together = 16});
  EXPECT_EQ(Fill(shares, "a"), 16);
  EXPECT_FALSE(shares.Enter("b", 21).ok());
  EXPECT_TRUE(shares.Enter("b", 20).ok());
}

TEST(QueueShares, PlacesComeBackWhateverTheOrder) {
  QueueShares shares(kLimits);
  std::mt19937 dice(7);
  std::vector<std::pair<std::string, int>> held;
  for (int i = 0; i < 20'000; ++i) {
    if (!held.empty() && dice() % 2 == 0) {
      std::swap(held[dice() % held.size()], held.back());
      shares.Leave(held.back().first, held.back().second);
      held.pop_back();
      continue;
    }
    const std::string key = "k" + std::to_string(dice() % 30);
    const int n = static_cast<int>(dice() % 8) + 1;
    if (shares.Enter(key, n).ok()) held.emplace_back(key, n);
    ASSERT_LE(shares.taken(), kLimits.places + QueueShares::kFirstCallsMax);
  }
  for (const auto& [key, n] : held) shares.Leave(key, n);
  EXPECT_EQ(shares.taken(), 0);
}

}  // namespace
}  // namespace tatara::assistant
