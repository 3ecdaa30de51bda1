// Who owns which page of the KV pool: reference counts, full pages kept under the digest of
// everything up to their end, and eviction of the least recently used page that nobody holds.
//
// A page is free, held (count > 0), or cached (count 0 and published). Only full pages are
// published, and a published page is never written again, so that sharing needs no copy. Equal keys
// mean equal tokens from position 0 on in the same scope, which by rule 5 of the numerics contract
// means equal bits; hence taking over a page changes no result. Thread safety: one caller.
#pragma once

#include <cstdint>
#include <functional>
#include <list>
#include <span>
#include <string_view>
#include <unordered_map>
#include <utility>
#include <vector>

#include "tatara/base/sha256.h"

namespace tatara::generate {

// SHA-256 chain: the first key of a scope, then one per full page.
using PageKey = Digest;
// `adapter`: what tells adapters apart whose numbers differ; empty: none.
PageKey ScopeKey(std::string_view scope, std::string_view adapter = {});
PageKey NextPageKey(const PageKey& before, std::span<const std::int32_t> page_tokens);

struct PageKeyHash {
  std::size_t operator()(const PageKey& key) const { return LoadLe<std::size_t>(key.data()); }
};

class PageCache {
 public:
  static constexpr int kNone = -1;

  // Told of a cached page before it is given to somebody else.
  using OnEvict = std::function<void(int page, const PageKey& key, const Digest& scope)>;

  explicit PageCache(int n_pages);
  void set_on_evict(OnEvict on_evict) { on_evict_ = std::move(on_evict); }

  // A page held once by the caller, evicting a cached one where none is free; kNone where all are
  // held.
  int Allocate();
  // The page published under `key`, held once more; kNone where there is none.
  int Acquire(const PageKey& key);
  // Whether `key` is published by a page that somebody holds.
  bool IsHeld(const PageKey& key) const;
  // Makes a held, full page known. Where the key is known already the page stays private. `scope`
  // says whose it is: its ScopeKey without an adapter.
  void Publish(int page, const PageKey& key, const Digest& scope);
  // Gives one hold back.
  void Release(int page);

  // No page of the scope is taken over from now on; those that are held stay their holders'.
  void Forget(const Digest& scope);
  // All cached pages, most recently used first, until `use` returns false.
  void ForEachCached(
      const std::function<bool(int page, const PageKey& key, const Digest& scope)>& use) const;

  int n_pages() const { return static_cast<int>(pages_.size()); }
  int n_free() const { return static_cast<int>(free_.size()); }
  int n_cached() const { return static_cast<int>(unheld_.size()); }
  int n_held() const { return n_pages() - n_free() - n_cached(); }
  // Pages that Allocate can give.
  int n_available() const { return n_free() + n_cached(); }
  std::int64_t n_evicted() const { return n_evicted_; }

 private:
  struct Page {
    int holders = 0;
    bool published = false;
    PageKey key{};
    Digest scope{};
    std::list<int>::iterator unheld_at;  // valid while published and not held
  };

  std::vector<Page> pages_;
  std::vector<int> free_;
  std::list<int> unheld_;  // published pages without holders, least recently used first
  std::unordered_map<PageKey, int, PageKeyHash> published_;
  std::int64_t n_evicted_ = 0;
  OnEvict on_evict_;
};

}  // namespace tatara::generate
