// Storage of keys and values: a fixed number of pages, every layer in each page. A page holds some
// tiles of 64 tokens. Who owns which page is the business of whoever schedules (generate); this is
// memory with an address rule.
//
// A recurrent layer keeps in each page its state after the last of the page's tokens that were
// computed. A page's computation starts from the end of the page before it, or, inside a page, from
// that page's own state; so a full page serves every sequence that begins with the same tokens,
// and a page that is not full serves only the sequence that fills it, which never goes back in it.
// Thread safety: pages are independent; one writer per page.
#pragma once

#include <cstddef>
#include <cstdint>
#include <memory>
#include <span>
#include <vector>

#include "tatara/base/error.h"
#include "tatara/numerics/attention.h"

namespace tatara::model {

// What one layer keeps. n_kv_heads 0: no keys and values (a recurrent layer, or one that reads
// another layer's).
struct LayerCacheShape {
  int n_kv_heads = 0;
  int head_dim = 0;
  int value_dim = 0;
  std::int64_t n_state = 0;  // f32 values of recurrent state, once a page
};

// Tokens of a page, a multiple of 64, such that a model with recurrent state does not spend most of
// its cache on it: up to 512, 64 where there is no state or little.
int PageTokensFor(const std::vector<LayerCacheShape>& layers, numerics::CacheType type);

class KvPool {
 public:
  // Refused where the memory can not be had. n_pages >= 1.
  static Result<std::unique_ptr<KvPool>> Make(std::vector<LayerCacheShape> layers,
                                              numerics::CacheType type, int n_pages,
                                              int page_tokens = numerics::kPageTokens);
  static std::size_t BytesPerPage(const std::vector<LayerCacheShape>& layers,
                                  numerics::CacheType type,
                                  int page_tokens = numerics::kPageTokens);
  ~KvPool();

  int n_pages() const { return n_pages_; }
  int page_tokens() const { return page_tokens_; }
  int tiles_per_page() const { return page_tokens_ / numerics::kPageTokens; }
  numerics::CacheType type() const { return type_; }
  // The tile's keys and values, in the layout of numerics/attention.h; 64-byte aligned.
  std::byte* KeyPage(int page, int layer, int tile = 0) const;
  std::byte* ValuePage(int page, int layer, int tile = 0) const;
  // All of a page: what it holds is these bytes and, where there is state, state_end.
  std::span<std::byte> PageBytes(int page) const { return {Address(page, 0), bytes_per_page_}; }
  float* State(int page, int layer) const;  // n_state values, 64-byte aligned
  bool has_state() const { return has_state_; }
  // The position after the last token that the page's states include. Whoever computes states sets
  // it, and by it notices a sequence that goes back or leaves tokens out.
  std::int64_t state_end(int page) const { return state_ends_.at(static_cast<std::size_t>(page)); }
  void set_state_end(int page, std::int64_t position) {
    state_ends_.at(static_cast<std::size_t>(page)) = position;
  }

 private:
  KvPool() = default;
  std::byte* Address(int page, std::size_t offset) const;
  int n_pages_ = 0;
  int page_tokens_ = numerics::kPageTokens;
  bool has_state_ = false;
  numerics::CacheType type_ = numerics::CacheType::kF16;
  std::size_t bytes_per_page_ = 0;
  // By layer: where its parts begin in a page, and the bytes of a tile.
  std::vector<std::size_t> key_offset_, value_offset_, state_offset_;
  std::vector<std::size_t> key_tile_bytes_, value_tile_bytes_;
  std::vector<std::int64_t> state_ends_;  // by page
  std::byte* memory_ = nullptr;
};

}  // namespace tatara::model
