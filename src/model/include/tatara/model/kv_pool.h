// Storage of keys and values: a fixed number of pages of 64 tokens, every layer in each page. Who
// owns which page is the business of whoever schedules (generate); this is memory with an address
// rule. Thread safety: pages are independent; one writer per page.
#pragma once

#include <cstddef>
#include <cstdint>
#include <memory>
#include <vector>

#include "tatara/base/error.h"
#include "tatara/numerics/attention.h"

namespace tatara::model {

// Heads and sizes of one layer's keys and values.
struct LayerCacheShape {
  int n_kv_heads = 0;
  int head_dim = 0;
  int value_dim = 0;
};

class KvPool {
 public:
  // Refused where the memory can not be had. n_pages >= 1.
  static Result<std::unique_ptr<KvPool>> Make(std::vector<LayerCacheShape> layers,
                                              numerics::CacheType type, int n_pages);
  static std::size_t BytesPerPage(const std::vector<LayerCacheShape>& layers,
                                  numerics::CacheType type);
  ~KvPool();

  int n_pages() const { return n_pages_; }
  numerics::CacheType type() const { return type_; }
  std::byte* KeyPage(int page, int layer) const;  // 64-byte aligned
  std::byte* ValuePage(int page, int layer) const;

 private:
  KvPool() = default;
  int n_pages_ = 0;
  numerics::CacheType type_ = numerics::CacheType::kF16;
  std::size_t bytes_per_page_ = 0;
  std::vector<std::size_t> key_offset_, value_offset_;
  std::byte* memory_ = nullptr;
};

}  // namespace tatara::model
