// Pages of prefixes between memory and disk.

#include <algorithm>
#include <string>

#include "batch_engine.h"
#include "json_text.h"
#include "tatara/base/version.h"

namespace tatara::generate {
namespace {

// Pages of a prefix that are loaded ahead of the one that is asked for.
constexpr std::size_t kPagesAhead = 8;
// A page that takes longer is computed.
constexpr std::int64_t kDiskWaitNs = 250'000'000;
// Of what the memory keeps, the most recently used goes to disk when the engine ends.
constexpr std::size_t kSaveAtEndBytes = std::size_t{1} << 30;
constexpr int kSaveAtEndWaitMs = 500;
constexpr std::int64_t kSaveAtEndNs = 3'000'000'000;
// The order of the parts in a page.
constexpr int kPageLayout = 1;

// Everything that decides a page's bytes besides the tokens and what the key says of adapters.
Digest SpillIdentity(const EngineOptions& options, const BatchEngine& engine,
                     const model::KvPool& kv) {
  std::string lines = "tatara kv pages " + std::to_string(kPageLayout) + "\n";
  const auto add = [&](std::string_view line) { lines.append(line).append("\n"); };
  add(options.model_sha256);
  add(std::to_string(kNumericsContract));
  add(engine.f32_activations() ? "f32" : "int8");
  add(std::to_string(static_cast<int>(kv.type())));
  add(std::to_string(kv.page_tokens()));
  add(std::to_string(kv.PageBytes(0).size()));
  if (const auto& merged = engine.facts().merged) {
    add(merged->sha256);
    std::uint64_t scale_bits = 0;
    StoreLe(&scale_bits, merged->scale);
    add(std::to_string(scale_bits));
    add(AdapterFormName(merged->form));
  }
  return Sha256Of(AsBytes(lines));
}

}  // namespace

Result<> BatchEngine::OpenSpill() {
  if (options_.spill_dir.empty() || options_.spill_bytes_max == 0 || !options_.prefix_cache) {
    return Ok{};
  }
  if (options_.model_sha256.empty()) {
    return Refuse("spill_dir needs model_sha256: pages of another model must not be taken");
  }
  auto opened = SpillStore::Open({.root = options_.spill_dir,
                                  .bytes_max = options_.spill_bytes_max,
                                  .keep_seconds = options_.spill_keep_seconds,
                                  .identity = SpillIdentity(options_, *this, *kv_),
                                  .page_bytes = kv_->PageBytes(0).size(),
                                  .clock = &clock_});
  if (!opened.ok()) {
    // Another process has it: this one goes on without.
    if (opened.error().kind() == ErrorKind::kUnavailable) return Ok{};
    return opened.error();
  }
  spill_ = std::move(opened).value();
  facts_.spills = true;
  page_cache_.set_on_evict([this](int page, const PageKey& key, const Digest& scope) {
    spill_->Save(scope, key, kv_->PageBytes(page));
  });
  return Ok{};
}

BatchEngine::~BatchEngine() {
  if (spill_ == nullptr) return;
  struct Kept {
    int page;
    PageKey key;
    Digest scope;
  };
  std::vector<Kept> kept;
  std::size_t bytes = 0;
  page_cache_.ForEachCached([&](int page, const PageKey& key, const Digest& scope) {
    kept.push_back({page, key, scope});
    bytes += kv_->PageBytes(page).size();
    return bytes < kSaveAtEndBytes;
  });
  const std::int64_t start = Now();
  // The most recently used last, as the store orders them.
  for (auto it = kept.rbegin(); it != kept.rend() && Now() - start < kSaveAtEndNs; ++it) {
    spill_->Save(it->scope, it->key, kv_->PageBytes(it->page), kSaveAtEndWaitMs);
  }
}

void BatchEngine::ForgetScope(std::string_view cache_scope) {
  const Digest scope = ScopeKey(cache_scope);
  page_cache_.Forget(scope);
  if (spill_ != nullptr) spill_->Forget(scope);
  const auto forget = [&](const SequencePtr& s) { s->leaves_no_pages |= s->scope == scope; };
  std::ranges::for_each(running_, forget);
  std::ranges::for_each(waiting_, forget);
}

// The next page of the sequence out of the store; kNone where it is not there, or not yet.
int BatchEngine::RestorePage(Sequence& s, const PageKey& key) {
  const SpillStore::Found found = spill_->Ask(key);
  if (found == SpillStore::Found::kNo || s.disk_gave_up) return PageCache::kNone;
  const std::size_t next = s.pages.size();
  const std::size_t n_reusable = (s.tokens.size() - 1) / static_cast<std::size_t>(page_tokens_);
  for (std::size_t p = next + 1; p < std::min(n_reusable, next + kPagesAhead); ++p) {
    if (spill_->Ask(KeyOfPage(s, p)) == SpillStore::Found::kNo) break;
  }
  int page = PageCache::kNone;
  if (found == SpillStore::Found::kLoaded) {
    page = page_cache_.Allocate();
    if (page == PageCache::kNone) return page;
    if (!spill_->Take(key, kv_->PageBytes(page))) {  // just written, and so no longer in memory
      page_cache_.Release(page);
      page = PageCache::kNone;
    }
  }
  if (page == PageCache::kNone) {
    if (s.disk_since_ns == 0) s.disk_since_ns = Now();
    s.disk_gave_up = Now() - s.disk_since_ns > kDiskWaitNs;
    s.waits_for_disk = !s.disk_gave_up;
    return page;
  }
  if (kv_->has_state()) kv_->set_state_end(page, s.computed + page_tokens_);
  page_cache_.Publish(page, key, s.scope);
  s.disk_since_ns = 0;
  ++counters_.pages_restored;
  return page;
}

}  // namespace tatara::generate
