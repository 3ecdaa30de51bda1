// Packing: every prediction once an epoch, no document sees another, the order by counter, the
// split.
#include "tatara/corpus/packed_set.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <map>
#include <set>

#include "small_tokenizer_for_test.h"
#include "tatara/base/philox.h"
#include "tatara/corpus/permutation.h"

namespace tatara::corpus {
namespace {

using testing::ElementsAre;
using testing::HasSubstr;

// Document d has the ids 1000 d, 1000 d + 1, ...: each prediction names its document and place.
std::shared_ptr<const TokenStore> Store(const std::vector<int>& lengths, bool mask = false) {
  TokenStoreBuilder builder;
  for (std::size_t d = 0; d < lengths.size(); ++d) {
    ChatIds document;
    for (int i = 0; i < lengths[d]; ++i) {
      document.ids.push_back(static_cast<std::int32_t>(1000 * d) + i);
      document.counts.push_back(!mask || i % 3 == 2 ? 1 : 0);
    }
    builder.Add(document, RandomBelow({.seed = 1, .position = d}, ~std::uint64_t{0}),
                static_cast<std::uint32_t>(d % 2));
  }
  return builder.Finish(SmallTokenizer(), SmallVocabulary(), {"even", "odd"}, "{}");
}

struct Sequence {
  explicit Sequence(std::size_t n) : tokens(n), targets(n), first_keys(n) {}
  SequenceView view() { return {tokens, targets, first_keys}; }
  std::vector<std::int32_t> tokens, targets, first_keys;
};

// Within the sequence, earlier tokens from first_keys on belong to the same document, in order.
void ExpectNoLeak(const Sequence& s) {
  for (std::size_t i = 0; i < s.tokens.size(); ++i) {
    const auto first = static_cast<std::size_t>(s.first_keys[i]);
    ASSERT_LE(first, i);
    if (s.targets[i] >= 0) {
      ASSERT_EQ(s.targets[i], s.tokens[i] + 1);
      for (std::size_t k = first; k < i; ++k) {
        ASSERT_EQ(s.tokens[i] - s.tokens[k], static_cast<std::int32_t>(i - k));
      }
    }
  }
}

std::vector<int> ManyLengths() {
  std::vector<int> lengths;
  for (std::uint64_t d = 0; d < 200; ++d) {
    lengths.push_back(2 + static_cast<int>(RandomBelow({.seed = 2, .position = d}, 60)));
  }
  return lengths;
}

TEST(Permutation, IsOneOfEveryEpochAndOfAnySize) {
  for (const std::uint64_t n : {1ull, 2ull, 3ull, 4ull, 5ull, 17ull, 64ull, 1000ull}) {
    std::set<std::uint64_t> seen;
    for (std::uint64_t i = 0; i < n; ++i) seen.insert(PermutedPlace(7, 3, n, i));
    EXPECT_EQ(seen.size(), n);
    EXPECT_LT(*seen.rbegin(), n);
  }
  EXPECT_NE(PermutedPlace(7, 3, 1000, 1), PermutedPlace(7, 4, 1000, 1));
  EXPECT_NE(PermutedPlace(7, 3, 1000, 1), PermutedPlace(8, 3, 1000, 1));
  EXPECT_LT(PermutedPlace(1, std::uint64_t{1} << 40, std::uint64_t{1} << 62, 5),
            std::uint64_t{1} << 62);
}

TEST(Permutation, IsTheSameForEver) {
  std::vector<std::uint64_t> places;
  for (std::uint64_t i = 0; i < 8; ++i) places.push_back(PermutedPlace(1337, 2, 8, i));
  EXPECT_THAT(places, ElementsAre(0, 6, 1, 4, 7, 5, 2, 3));
}

// Chi-squared over where place 0 lands: 15 degrees of freedom, 37.7 is exceeded once in 1000.
TEST(Permutation, PlacesAreEquallyLikely) {
  std::map<std::uint64_t, int> counts;
  constexpr int kEpochs = 16000;
  for (int e = 0; e < kEpochs; ++e) {
    ++counts[PermutedPlace(5, static_cast<std::uint64_t>(e), 16, 0)];
  }
  double chi = 0;
  for (std::uint64_t i = 0; i < 16; ++i) {
    const double off = counts[i] - kEpochs / 16.0;
    chi += off * off / (kEpochs / 16.0);
  }
  EXPECT_LT(chi, 37.7);
}

TEST(PackedSet, EveryPredictionIsMadeOnceAnEpochWithoutLeaks) {
  for (const Packing packing : {Packing::kStream, Packing::kWhole}) {
    const auto set = PackedSet::Make(Store(ManyLengths()), {.packing = packing}).value();
    const std::int64_t n = set->n_training(64);
    for (const std::int64_t epoch : {0, 1, 5}) {
      std::set<std::int32_t> seen;
      std::size_t n_seen = 0;
      for (std::int64_t i = 0; i < n; ++i) {
        Sequence s(64);
        ASSERT_TRUE(set->Training(9, static_cast<std::uint64_t>(epoch * n + i), s.view()).ok());
        ExpectNoLeak(s);
        for (const std::int32_t target : s.targets) {
          if (target < 0) continue;
          seen.insert(target);
          ++n_seen;
        }
      }
      std::size_t n_expected = 0;
      for (const int length : ManyLengths()) n_expected += static_cast<std::size_t>(length - 1);
      EXPECT_EQ(seen.size(), n_expected);
      EXPECT_EQ(n_seen, n_expected);
    }
  }
}

TEST(PackedSet, EpochsHaveOtherOrdersAndCuts) {
  const auto set = PackedSet::Make(Store(ManyLengths()), {}).value();
  const auto n = static_cast<std::uint64_t>(set->n_training(64));
  Sequence a(64), b(64), again(64);
  ASSERT_TRUE(set->Training(9, 0, a.view()).ok());
  ASSERT_TRUE(set->Training(9, n, b.view()).ok());
  ASSERT_TRUE(set->Training(9, 0, again.view()).ok());
  EXPECT_NE(a.tokens, b.tokens);
  EXPECT_EQ(a.tokens, again.tokens);
  EXPECT_EQ(a.targets, again.targets);
  EXPECT_EQ(a.first_keys, again.first_keys);
}

TEST(PackedSet, WholeDocumentsFillSequencesWell) {
  const auto set = PackedSet::Make(Store(ManyLengths()), {.packing = Packing::kWhole}).value();
  std::int64_t n_predictions = 0;
  for (const int length : ManyLengths()) n_predictions += length - 1;
  EXPECT_LE(set->n_training(128), (n_predictions * 101) / (128 * 100) + 1);
}

TEST(PackedSet, ALongDocumentIsCutAndLeftOutWhereNothingCounts) {
  // Only every third token counts: in its first two a document has nothing to learn.
  const auto set = PackedSet::Make(Store({20, 9}, true), {.packing = Packing::kWhole}).value();
  EXPECT_EQ(set->n_training(4), 2);
  Sequence s(4);
  ASSERT_TRUE(set->Training(1, 0, s.view()).ok());
  EXPECT_THAT(s.targets, ElementsAre(-1, testing::Ge(2), -1, -1));
  EXPECT_THAT(set->CheckContext(1).error().text(), HasSubstr("first 1 tokens"));
  EXPECT_TRUE(set->CheckContext(2).ok());
}

TEST(PackedSet, ADocumentKeepsItsSideWhenOthersCome) {
  std::vector<int> lengths(100, 5);
  const auto few = PackedSet::Make(Store(lengths), {.validation_fraction = 0.2}).value();
  EXPECT_NEAR(static_cast<double>(few->n_validation_documents()), 20, 12);
  EXPECT_EQ(few->n_training_documents() + few->n_validation_documents(), 100U);
  const auto documents_of = [](const PackedSet& set) {
    std::set<std::int32_t> found;
    Sequence s(16);
    for (std::int64_t i = 0; i < set.n_validation(16); ++i) {
      EXPECT_TRUE(set.Validation(i, s.view()).ok());
      for (const std::int32_t t : s.targets) {
        if (t >= 0) found.insert(t / 1000);
      }
    }
    return found;
  };
  const auto before = documents_of(*few);
  EXPECT_EQ(before.size(), few->n_validation_documents());
  lengths.resize(160, 7);
  const auto more = PackedSet::Make(Store(lengths), {.validation_fraction = 0.2}).value();
  const auto after = documents_of(*more);
  for (std::int32_t d = 0; d < 100; ++d) EXPECT_EQ(before.contains(d), after.contains(d));
}

TEST(PackedSet, TwoDocumentsAreEnoughToValidate) {
  const auto set = PackedSet::Make(Store({5, 5}), {.validation_fraction = 1e-9}).value();
  EXPECT_EQ(set->n_validation_documents(), 1U);
  EXPECT_EQ(set->n_training_documents(), 1U);
  EXPECT_EQ(PackedSet::Make(Store({5, 5}), {}).value()->n_validation(4), 0);
}

TEST(PackedSet, ASourceByItself) {
  const auto set = PackedSet::Make(Store(ManyLengths()), {.source = 1}).value();
  EXPECT_EQ(set->n_training_documents(), 100U);
  EXPECT_THAT(set->sources(), ElementsAre("odd"));
  Sequence s(32);
  ASSERT_TRUE(set->Training(1, 3, s.view()).ok());
  for (const std::int32_t target : s.targets) {
    if (target >= 0) {
      EXPECT_EQ(target / 1000 % 2, 1);
    }
  }
}

TEST(PackedSet, DigestNamesEverythingThatDecidesAToken) {
  std::set<std::string> digests;
  const auto add = [&](std::shared_ptr<const TokenStore> store, const PackedSetOptions& options) {
    digests.insert(PackedSet::Make(std::move(store), options).value()->digest());
  };
  add(Store({5, 6}), {});
  add(Store({5, 7}), {});
  add(Store({5, 6}, true), {});
  add(Store({5, 6}), {.packing = Packing::kWhole});
  add(Store({5, 6}), {.validation_fraction = 0.1});
  add(Store({5, 6}), {.source = 0});
  EXPECT_EQ(digests.size(), 6U);
  add(Store({5, 6}), {});
  EXPECT_EQ(digests.size(), 6U);
}

TEST(PackedSet, NothingToTrainOnIsRefused) {
  const auto none = PackedSet::Make(Store({1, 1}), {}).value();
  EXPECT_FALSE(none->CheckContext(8).ok());
  Sequence s(8);
  EXPECT_FALSE(none->Training(1, 0, s.view()).ok());
  EXPECT_FALSE(none->Validation(0, s.view()).ok());
  EXPECT_FALSE(PackedSet::Make(Store({5}), {.validation_fraction = 1}).ok());
}

}  // namespace
}  // namespace tatara::corpus
