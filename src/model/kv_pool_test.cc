#include "tatara/model/kv_pool.h"

#include <gtest/gtest.h>

#include <cstring>

namespace tatara::model {
namespace {

using numerics::CacheType;

const std::vector<LayerCacheShape> kLayers = {{2, 8, 8}, {1, 24, 12}, {3, 5, 7}};

TEST(KvPool, PagesAreAlignedAndDoNotOverlap) {
  auto pool = KvPool::Make(kLayers, CacheType::kF16, 3);
  ASSERT_TRUE(pool.ok()) << pool.error().text();
  std::size_t total = 0;
  const auto fill = [&](std::byte* page, int heads, int dim, int value) {
    EXPECT_EQ(reinterpret_cast<std::uintptr_t>(page) % 64, 0U);
    const std::size_t bytes = static_cast<std::size_t>(heads * dim) * 64 * 2;
    std::memset(page, value, bytes);
    total += bytes;
  };
  const auto holds = [&](const std::byte* page, int heads, int dim, int value) {
    for (int i = 0; i < heads * dim * 64 * 2; ++i) {
      if (page[i] != static_cast<std::byte>(value)) return false;
    }
    return true;
  };
  for (const bool check : {false, true}) {
    int value = 1;
    for (int page = 0; page < 3; ++page) {
      for (int layer = 0; layer < 3; ++layer) {
        const LayerCacheShape& s = kLayers[static_cast<std::size_t>(layer)];
        std::byte* k = (*pool)->KeyPage(page, layer);
        std::byte* v = (*pool)->ValuePage(page, layer);
        if (check) {
          EXPECT_TRUE(holds(k, s.n_kv_heads, s.head_dim, value));
          EXPECT_TRUE(holds(v, s.n_kv_heads, s.value_dim, value + 1));
        } else {
          fill(k, s.n_kv_heads, s.head_dim, value);
          fill(v, s.n_kv_heads, s.value_dim, value + 1);
        }
        value += 2;
      }
    }
  }
  EXPECT_EQ(total, 3 * KvPool::BytesPerPage(kLayers, CacheType::kF16));
}

TEST(KvPool, PagesOfSeveralTilesHoldEachPartOnce) {
  const std::vector<LayerCacheShape> layers = {{2, 8, 8, 0}, {0, 0, 0, 100}, {1, 24, 12, 7}};
  for (const int page_tokens : {64, 256}) {
    auto pool = KvPool::Make(layers, CacheType::kF32, 2, page_tokens);
    ASSERT_TRUE(pool.ok()) << pool.error().text();
    std::vector<std::pair<std::byte*, std::size_t>> parts;
    for (int page = 0; page < 2; ++page) {
      for (int layer = 0; layer < 3; ++layer) {
        const LayerCacheShape& s = layers[static_cast<std::size_t>(layer)];
        for (int tile = 0; tile < page_tokens / 64; ++tile) {
          parts.emplace_back((*pool)->KeyPage(page, layer, tile), s.n_kv_heads * s.head_dim * 256);
          parts.emplace_back((*pool)->ValuePage(page, layer, tile),
                             s.n_kv_heads * s.value_dim * 256);
        }
        parts.emplace_back(reinterpret_cast<std::byte*>((*pool)->State(page, layer)),
                           static_cast<std::size_t>(s.n_state) * 4);
      }
    }
    std::size_t total = 0;
    for (std::size_t i = 0; i < parts.size(); ++i) {
      EXPECT_EQ(reinterpret_cast<std::uintptr_t>(parts[i].first) % 64, 0U);
      std::memset(parts[i].first, static_cast<int>(i + 1), parts[i].second);
      total += (parts[i].second + 63) / 64 * 64;
    }
    for (std::size_t i = 0; i < parts.size(); ++i) {
      for (std::size_t j = 0; j < parts[i].second; ++j) {
        ASSERT_EQ(parts[i].first[j], static_cast<std::byte>(i + 1)) << "part " << i;
      }
    }
    EXPECT_EQ(total, 2 * KvPool::BytesPerPage(layers, CacheType::kF32, page_tokens));
  }
}

TEST(KvPool, PagesGrowWhereStateIsMostOfThem) {
  EXPECT_EQ(PageTokensFor(kLayers, CacheType::kF16), 64);
  EXPECT_EQ(PageTokensFor({{1, 16, 16, 0}, {0, 0, 0, 4096}}, CacheType::kF16), 64);
  EXPECT_EQ(PageTokensFor({{1, 16, 16, 0}, {0, 0, 0, 4097}}, CacheType::kF16), 128);
  EXPECT_EQ(PageTokensFor({{1, 16, 16, 0}, {0, 0, 0, 1 << 24}}, CacheType::kF16), 512);
  EXPECT_EQ(PageTokensFor({{0, 0, 0, 10}}, CacheType::kF16), 512);
}

TEST(KvPool, F32PagesAreTwiceAsLarge) {
  EXPECT_EQ(KvPool::BytesPerPage(kLayers, CacheType::kF32),
            2 * KvPool::BytesPerPage(kLayers, CacheType::kF16));
}

TEST(KvPool, RefusesWhatTheMachineDoesNotHave) {
  const std::vector<LayerCacheShape> large(100, {64, 1024, 1024});
  const auto pool = KvPool::Make(large, CacheType::kF32, 1 << 30);
  ASSERT_FALSE(pool.ok());
  EXPECT_NE(pool.error().text().find("1073741824 pages"), std::string::npos) << pool.error().text();
}

}  // namespace
}  // namespace tatara::model
