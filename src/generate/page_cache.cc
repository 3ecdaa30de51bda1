#include "page_cache.h"

#include "tatara/base/check.h"

namespace tatara::generate {

PageKey ScopeKey(std::string_view scope, std::string_view adapter) {
  const PageKey key = Sha256().Update("tatara prefix scope\n").Update(scope).Finish();
  if (adapter.empty()) return key;
  return Sha256().Update("tatara prefix adapter\n").Update(ByteSpan(key)).Update(adapter).Finish();
}

PageKey NextPageKey(const PageKey& before, std::span<const std::int32_t> page_tokens) {
  return Sha256().Update(ByteSpan(before)).Update(std::as_bytes(page_tokens)).Finish();
}

PageCache::PageCache(int n_pages) : pages_(static_cast<std::size_t>(n_pages)) {
  // Page 0 is handed out first.
  for (int page = n_pages - 1; page >= 0; --page) free_.push_back(page);
  published_.reserve(pages_.size());
}

int PageCache::Allocate() {
  int page = kNone;
  if (!free_.empty()) {
    page = free_.back();
    free_.pop_back();
  } else if (!unheld_.empty()) {
    page = unheld_.front();
    unheld_.pop_front();
    const Page& entry = pages_[static_cast<std::size_t>(page)];
    if (on_evict_) on_evict_(page, entry.key, entry.scope);
    published_.erase(entry.key);
    ++n_evicted_;
  } else {
    return kNone;
  }
  pages_[static_cast<std::size_t>(page)] = {.holders = 1};
  return page;
}

int PageCache::Acquire(const PageKey& key) {
  const auto it = published_.find(key);
  if (it == published_.end()) return kNone;
  Page& page = pages_[static_cast<std::size_t>(it->second)];
  if (page.holders++ == 0) unheld_.erase(page.unheld_at);
  return it->second;
}

bool PageCache::IsHeld(const PageKey& key) const {
  const auto it = published_.find(key);
  return it != published_.end() && pages_[static_cast<std::size_t>(it->second)].holders > 0;
}

void PageCache::Publish(int page, const PageKey& key, const Digest& scope) {
  Page& entry = pages_[static_cast<std::size_t>(page)];
  TATARA_CHECK(entry.holders > 0 && !entry.published);
  if (!published_.emplace(key, page).second) return;
  entry.published = true;
  entry.key = key;
  entry.scope = scope;
}

void PageCache::Forget(const Digest& scope) {
  for (std::size_t i = 0; i < pages_.size(); ++i) {
    Page& entry = pages_[i];
    if (!entry.published || entry.scope != scope) continue;
    published_.erase(entry.key);
    entry.published = false;
    if (entry.holders > 0) continue;
    unheld_.erase(entry.unheld_at);
    free_.push_back(static_cast<int>(i));
  }
}

void PageCache::ForEachCached(
    const std::function<bool(int page, const PageKey& key, const Digest& scope)>& use) const {
  for (auto it = unheld_.rbegin(); it != unheld_.rend(); ++it) {
    const Page& entry = pages_[static_cast<std::size_t>(*it)];
    if (!use(*it, entry.key, entry.scope)) return;
  }
}

void PageCache::Release(int page) {
  Page& entry = pages_[static_cast<std::size_t>(page)];
  TATARA_CHECK(entry.holders > 0);
  if (--entry.holders > 0) return;
  if (entry.published) {
    entry.unheld_at = unheld_.insert(unheld_.end(), page);
  } else {
    free_.push_back(page);
  }
}

}  // namespace tatara::generate
