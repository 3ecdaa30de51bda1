#include "server_stats.h"

#include <gtest/gtest.h>

#include <string>

namespace tatara::server {
namespace {

const assistant::Caller kA{.tenant = "t", .key = "a"}, kB{.tenant = "t", .key = "b"};

TEST(ServerStats, AKeyHasItsMostInFlightAndTheOthersTheirs) {
  ServerStats stats;
  EXPECT_TRUE(stats.Enter(kA, 2));
  EXPECT_TRUE(stats.Enter(kA, 2));
  EXPECT_FALSE(stats.Enter(kA, 2));
  EXPECT_TRUE(stats.Enter(kB, 2));
  stats.Leave(kA);
  EXPECT_TRUE(stats.Enter(kA, 2));
  for (int i = 0; i < 100; ++i) EXPECT_TRUE(stats.Enter({}, 2));
  EXPECT_NE(stats.Text().find("tatara_http_requests_in_flight 103\n"), std::string::npos);
}

TEST(ServerStats, TheTimeToTryAgainFollowsFromHowLongAnswersTake) {
  ServerStats stats;
  EXPECT_EQ(stats.RetryAfterSeconds(nullptr), 1);
  for (int i = 0; i < 100; ++i) {
    stats.Count({.method = "POST", .status = 200, .seconds = 40, .model = "m"});
    stats.Count({.method = "GET", .status = 200, .seconds = 0});  // no model answered
  }
  EXPECT_NEAR(stats.RetryAfterSeconds(nullptr), 40, 1);
  for (int i = 0; i < 4; ++i) EXPECT_TRUE(stats.Enter(kA, 9));
  for (int i = 0; i < 6; ++i) EXPECT_TRUE(stats.Enter(kB, 9));
  EXPECT_EQ(stats.RetryAfterSeconds(&kA), 10);
  EXPECT_EQ(stats.RetryAfterSeconds(nullptr), 4);
  for (int i = 0; i < 100; ++i) {
    stats.Count({.method = "POST", .status = 200, .seconds = 1e9, .model = "m"});
  }
  EXPECT_EQ(stats.RetryAfterSeconds(nullptr), 60);
}

TEST(ServerStats, WhatCallersInventIsNoLabel) {
  ServerStats stats;
  for (int i = 0; i < 50; ++i) {
    stats.Count({.method = "X\"\n" + std::to_string(i), .route = "/v1/models", .status = 405});
  }
  const std::string text = stats.Text();
  EXPECT_NE(text.find("tatara_http_requests_total{route=\"/v1/models\",method=\"other\","
                      "status=\"405\"} 50\n"),
            std::string::npos)
      << text;
}

}  // namespace
}  // namespace tatara::server
