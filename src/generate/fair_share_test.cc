#include "fair_share.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <vector>

#include "tatara/base/philox.h"

namespace tatara::generate {
namespace {

using ::testing::ElementsAre;

std::vector<std::int64_t> Given(std::vector<FairShare> shares, std::int64_t n_tokens) {
  ShareOut(shares, n_tokens);
  std::vector<std::int64_t> given;
  for (const FairShare& s : shares) given.push_back(s.given);
  return given;
}

TEST(ShareOut, GivesEqualPartsAndWhatOneLeavesToTheOthers) {
  EXPECT_THAT(Given({{.wanted = 100}, {.wanted = 100}}, 64), ElementsAre(32, 32));
  EXPECT_THAT(Given({{.wanted = 5}, {.wanted = 100}}, 64), ElementsAre(5, 59));
  EXPECT_THAT(Given({{.wanted = 5}, {.wanted = 6}}, 64), ElementsAre(5, 6));
  EXPECT_THAT(Given({{.wanted = 9}, {.wanted = 9}, {.wanted = 9}}, 5), ElementsAre(2, 2, 1));
  EXPECT_THAT(Given({}, 64), ElementsAre());
  EXPECT_THAT(Given({{.wanted = 3}}, 0), ElementsAre(0));
}

TEST(ShareOut, GivesFirstToWhoeverWasServedLeast) {
  EXPECT_THAT(Given({{.served = 50, .wanted = 100}, {.served = 20, .wanted = 100}}, 20),
              ElementsAre(0, 20));
  EXPECT_THAT(Given({{.served = 50, .wanted = 100}, {.served = 20, .wanted = 100}}, 40),
              ElementsAre(5, 35));
  EXPECT_THAT(Given({{.served = 1'000'000'000'000, .wanted = 7}, {.served = 0, .wanted = 3}}, 8),
              ElementsAre(5, 3));
}

// Against giving one token after the other to the least served.
TEST(ShareOut, EqualsGivingOneByOne) {
  std::uint64_t n = 0;
  const auto below = [&](std::uint32_t bound) {
    return static_cast<std::int64_t>(
        RandomWords({.seed = 1, .purpose = RandomPurpose::kTest, .position = n++})[0] % bound);
  };
  for (int round = 0; round < 300; ++round) {
    std::vector<FairShare> shares(static_cast<std::size_t>(1 + below(6)));
    for (FairShare& s : shares) s = {.served = below(40), .wanted = below(30)};
    const std::int64_t n_tokens = below(80);
    std::vector<FairShare> expected = shares;
    for (std::int64_t t = 0; t < n_tokens; ++t) {
      FairShare* least = nullptr;
      for (FairShare& s : expected) {
        if (s.given == s.wanted) continue;
        if (least == nullptr || s.served + s.given < least->served + least->given) least = &s;
      }
      if (least == nullptr) break;
      ++least->given;
    }
    std::vector<std::int64_t> one_by_one;
    for (const FairShare& s : expected) one_by_one.push_back(s.given);
    EXPECT_EQ(Given(shares, n_tokens), one_by_one);
  }
}

TEST(FairAccounts, APauseSavesNothingUp) {
  FairAccounts accounts;
  FairAccount* const busy = accounts.Enter("busy");
  busy->served = 1000;
  FairAccount* const late = accounts.Enter("late");
  EXPECT_EQ(late->served, 1000);
  late->served = 5000;
  accounts.Leave(late);
  busy->served = 3000;
  EXPECT_EQ(accounts.Enter("late")->served, 5000) << "what it used is not forgotten either";
}

TEST(FairAccounts, StartAnewWhenAllHaveLeft) {
  FairAccounts accounts;
  FairAccount* const account = accounts.Enter("a");
  account->served = 1000;
  accounts.Leave(account);
  EXPECT_EQ(accounts.Enter("a")->served, 0);
}

TEST(FairAccounts, OfManyKeysThatCameAndWentFewAreRemembered) {
  FairAccounts accounts;
  accounts.Enter("stays");
  for (int i = 0; i < 20'000; ++i) {
    FairAccount* const account = accounts.Enter(std::to_string(i));
    account->served += 10;
    accounts.Leave(account);
  }
  EXPECT_LE(accounts.size(), FairAccounts::kAccountsMax);
}

}  // namespace
}  // namespace tatara::generate
