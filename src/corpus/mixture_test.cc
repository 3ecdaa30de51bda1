// Mixtures: shares kept in every block, no sequence of a source left out, phases.
#include "tatara/corpus/mixture.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <limits>
#include <set>

#include "small_tokenizer_for_test.h"

namespace tatara::corpus {
namespace {

using testing::ElementsAre;
using testing::HasSubstr;

// Its sequence n has the number n in every place.
class Numbers final : public TrainingSet {
 public:
  explicit Numbers(std::string name, std::int64_t n_validation = 0, std::int32_t n_vocab = 7)
      : digest_(std::move(name)), n_validation_(n_validation), n_vocab_(n_vocab) {}
  const std::string& digest() const override { return digest_; }
  const std::string& manifest() const override { return manifest_; }
  std::int32_t n_vocab() const override { return n_vocab_; }
  Result<> CheckContext(std::int64_t) const override {
    return digest_ == "none" ? Result<>(Refuse("there is no document to train on")) : Ok{};
  }
  Result<> Training(std::uint64_t, std::uint64_t number, SequenceView into) const override {
    std::ranges::fill(into.tokens, static_cast<std::int32_t>(number));
    return Ok{};
  }
  std::int64_t n_validation(std::int64_t) const override { return n_validation_; }
  Result<> Validation(std::int64_t i, SequenceView into) const override {
    std::ranges::fill(into.tokens, static_cast<std::int32_t>(i));
    return Ok{};
  }
  std::string Decode(std::span<const std::int32_t>) const override { return digest_; }
  Metadata TokenizerKeys() const override { return Metadata(); }

 private:
  std::string digest_, manifest_ = "{\"kind\":\"numbers\"}";
  std::int64_t n_validation_;
  std::int32_t n_vocab_;
};

Result<std::unique_ptr<Mixture>> Mix(const std::vector<MixturePhase>& phases,
                                     std::int32_t other_vocab = 7) {
  return Mixture::Make({{"a", std::make_shared<Numbers>("a", 3)},
                        {"b", std::make_shared<Numbers>("b", 0, other_vocab)},
                        {"c", std::make_shared<Numbers>("c", 2)}},
                       phases);
}

TEST(Mixture, EverySourceHasItsShareOfEveryBlockAndLosesNothing) {
  const auto mixture = Mix({{0, {5, 3, 2}}}).value();
  std::vector<std::set<std::uint64_t>> seen(3);
  for (std::uint64_t block = 0; block < 3; ++block) {
    std::vector<int> counts(3);
    for (std::uint64_t i = 0; i < kMixtureBlock; ++i) {
      const auto place = mixture->PlaceOf(9, block * kMixtureBlock + i);
      ++counts[place.source];
      seen[place.source].insert(place.number);
    }
    EXPECT_THAT(counts, ElementsAre(2048, 1229, 819));
  }
  for (std::size_t source = 0; source < 3; ++source) {
    EXPECT_EQ(*seen[source].rbegin(), seen[source].size() - 1);
  }
}

TEST(Mixture, TheOrderIsDrawnByTheSeedAndTheSameAgain) {
  const auto mixture = Mix({{0, {1, 1, 1}}}).value();
  int n_other = 0;
  for (std::uint64_t i = 0; i < 100; ++i) {
    EXPECT_EQ(mixture->PlaceOf(9, i).number, mixture->PlaceOf(9, i).number);
    n_other += mixture->PlaceOf(9, i).source != mixture->PlaceOf(10, i).source ? 1 : 0;
  }
  EXPECT_GT(n_other, 30);
  std::vector<std::int32_t> tokens(2), targets(2), first_keys(2);
  ASSERT_TRUE(mixture->Training(9, 5, {tokens, targets, first_keys}).ok());
  EXPECT_EQ(static_cast<std::uint64_t>(tokens[0]), mixture->PlaceOf(9, 5).number);
}

TEST(Mixture, APhaseHasItsOwnWeightsAndSourcesGoOn) {
  const auto mixture = Mix({{0, {1, 1, 0}}, {6000, {0, 1, 3}}}).value();
  std::vector<std::set<std::uint64_t>> first(3), second(3);
  for (std::uint64_t i = 0; i < 6000; ++i) {
    const auto place = mixture->PlaceOf(1, i);
    EXPECT_TRUE(first[place.source].insert(place.number).second);
  }
  for (std::uint64_t i = 6000; i < 6000 + kMixtureBlock; ++i) {
    const auto place = mixture->PlaceOf(1, i);
    EXPECT_TRUE(second[place.source].insert(place.number).second);
  }
  EXPECT_TRUE(first[2].empty());
  EXPECT_TRUE(second[0].empty());
  EXPECT_EQ(second[2].size(), 3072U);
  EXPECT_EQ(*second[2].begin(), 0U);
  EXPECT_GT(*second[1].begin(), *first[1].rbegin());
}

TEST(Mixture, ASmallWeightStillComes) {
  const auto mixture = Mix({{0, {1e6, 1, 1}}}).value();
  int n_others = 0;
  for (std::uint64_t i = 0; i < kMixtureBlock; ++i) n_others += mixture->PlaceOf(1, i).source != 0;
  EXPECT_LE(n_others, 2);
}

TEST(Mixture, ValidationIsThatOfTheSources) {
  const auto mixture = Mix({{0, {1, 1, 1}}}).value();
  EXPECT_EQ(mixture->n_validation(8), 5);
  std::vector<std::int32_t> tokens(2), targets(2), first_keys(2);
  ASSERT_TRUE(mixture->Validation(4, {tokens, targets, first_keys}).ok());
  EXPECT_EQ(tokens[0], 1);
  EXPECT_EQ(mixture->ValidationSource(2, 8), 0);
  EXPECT_EQ(mixture->ValidationSource(3, 8), 2);
  EXPECT_THAT(mixture->sources(), ElementsAre("a", "b", "c"));
  EXPECT_THAT(mixture->manifest(), HasSubstr("\"digest\":\"" + mixture->digest()));
}

TEST(Mixture, WeightsDecideTheDigest) {
  EXPECT_EQ(Mix({{0, {1, 1, 1}}}).value()->digest(), Mix({{0, {1, 1, 1}}}).value()->digest());
  EXPECT_NE(Mix({{0, {1, 1, 1}}}).value()->digest(), Mix({{0, {1, 1, 2}}}).value()->digest());
}

TEST(Mixture, WhatIsNoMixtureIsRefused) {
  constexpr double kInfinity = std::numeric_limits<double>::infinity();
  for (const std::vector<double>& bad :
       {std::vector<double>{1, 1}, {0, 0, 0}, {1, -1, 1}, {1, kInfinity, 1}, {1e308, 1e308, 1}}) {
    EXPECT_FALSE(Mix({{0, bad}}).ok());
  }
  EXPECT_FALSE(Mix({}).ok());
  EXPECT_FALSE(Mix({{5, {1, 1, 1}}}).ok());
  EXPECT_FALSE(Mix({{0, {1, 1, 1}}, {0, {1, 1, 1}}}).ok());
  EXPECT_THAT(Mix({{0, {1, 1, 1}}}, 8).error().text(), HasSubstr("'a' and 'b'"));
  const auto unusable = [](double weight) {
    return Mixture::Make(
               {{"a", std::make_shared<Numbers>("a")}, {"none", std::make_shared<Numbers>("none")}},
               {{0, {1, weight}}})
        .value();
  };
  EXPECT_FALSE(unusable(1)->CheckContext(8).ok());
  EXPECT_TRUE(unusable(0)->CheckContext(8).ok());
}

}  // namespace
}  // namespace tatara::corpus
