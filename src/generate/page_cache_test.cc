#include "page_cache.h"

#include <gtest/gtest.h>

#include <array>
#include <set>

namespace tatara::generate {
namespace {

const Digest kScope = ScopeKey("test");

PageKey Key(int n) {
  const std::array<std::int32_t, 64> tokens{n};
  return NextPageKey(ScopeKey("test"), tokens);
}

TEST(PageKey, DependsOnScopeOnEveryTokenAndOnEverythingBefore) {
  std::array<std::int32_t, 64> tokens{};
  std::set<PageKey> keys;
  keys.insert(NextPageKey(ScopeKey("a"), tokens));
  keys.insert(NextPageKey(ScopeKey("b"), tokens));
  keys.insert(NextPageKey(ScopeKey(""), tokens));
  keys.insert(NextPageKey(Key(1), tokens));
  for (std::size_t i = 0; i < tokens.size(); ++i) {
    tokens[i] = 1;
    keys.insert(NextPageKey(ScopeKey("a"), tokens));
  }
  EXPECT_EQ(keys.size(), 4u + 64);
}

TEST(PageCache, GivesEveryPageOnceAndThenNone) {
  PageCache cache(3);
  EXPECT_EQ(std::set<int>({cache.Allocate(), cache.Allocate(), cache.Allocate()}),
            std::set<int>({0, 1, 2}));
  EXPECT_EQ(cache.Allocate(), PageCache::kNone);
  EXPECT_EQ(cache.n_held(), 3);
  cache.Release(1);
  EXPECT_EQ(cache.n_free(), 1);
  EXPECT_EQ(cache.Allocate(), 1);
}

TEST(PageCache, AHeldPageIsNeverEvicted) {
  PageCache cache(2);
  const int first = cache.Allocate(), second = cache.Allocate();
  cache.Publish(first, Key(1), kScope);
  EXPECT_EQ(cache.Acquire(Key(1)), first);
  cache.Release(first);
  EXPECT_TRUE(cache.IsHeld(Key(1)));
  EXPECT_EQ(cache.Allocate(), PageCache::kNone);
  cache.Release(first);
  EXPECT_FALSE(cache.IsHeld(Key(1)));
  EXPECT_EQ(cache.n_cached(), 1);
  EXPECT_EQ(cache.Allocate(), first);
  EXPECT_EQ(cache.n_evicted(), 1);
  EXPECT_EQ(cache.Acquire(Key(1)), PageCache::kNone);
  cache.Release(second);
}

TEST(PageCache, EvictsTheLeastRecentlyUsed) {
  PageCache cache(3);
  for (int i = 0; i < 3; ++i) cache.Publish(cache.Allocate(), Key(i), kScope);
  for (int i = 0; i < 3; ++i) cache.Release(i);
  EXPECT_EQ(cache.Acquire(Key(0)), 0);  // used again
  cache.Release(0);
  EXPECT_EQ(cache.Allocate(), 1);
  EXPECT_EQ(cache.Allocate(), 2);
  EXPECT_EQ(cache.Allocate(), 0);
}

TEST(PageCache, TellsOfAPageBeforeItIsGivenToSomebodyElse) {
  PageCache cache(1);
  std::vector<PageKey> told;
  cache.set_on_evict([&](int page, const PageKey& key, const Digest& scope) {
    EXPECT_EQ(page, 0);
    EXPECT_EQ(scope, kScope);
    told.push_back(key);
  });
  cache.Publish(cache.Allocate(), Key(1), kScope);
  cache.Release(0);
  EXPECT_TRUE(told.empty());
  cache.Release(cache.Allocate());
  EXPECT_EQ(told, std::vector<PageKey>{Key(1)});
}

TEST(PageCache, AForgottenScopeIsNotTakenOver) {
  PageCache cache(3);
  cache.Publish(cache.Allocate(), Key(1), kScope);
  cache.Publish(cache.Allocate(), Key(2), kScope);
  cache.Publish(cache.Allocate(), Key(3), ScopeKey("other"));
  cache.Release(0);
  cache.Release(2);
  cache.Forget(kScope);
  for (const int n : {1, 2}) EXPECT_EQ(cache.Acquire(Key(n)), PageCache::kNone);
  EXPECT_EQ(cache.n_free(), 1);
  EXPECT_EQ(cache.n_held(), 1) << "page 1 is its holder's still";
  cache.Release(1);
  EXPECT_EQ(cache.n_free(), 2);
  EXPECT_EQ(cache.Acquire(Key(3)), 2);
}

TEST(PageCache, ASecondPageOfTheSameContentStaysPrivate) {
  PageCache cache(2);
  const int first = cache.Allocate(), second = cache.Allocate();
  cache.Publish(first, Key(1), kScope);
  cache.Publish(second, Key(1), kScope);
  cache.Release(second);
  EXPECT_EQ(cache.n_free(), 1);
  cache.Release(first);
  EXPECT_EQ(cache.n_cached(), 1);
  EXPECT_EQ(cache.Acquire(Key(1)), first);
}

}  // namespace
}  // namespace tatara::generate
