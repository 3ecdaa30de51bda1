// What the next pass over the weights computes, and in which pages.

#include <algorithm>

#include "batch_engine.h"
#include "tatara/base/check.h"

namespace tatara::generate {
namespace {

bool ById(const std::unique_ptr<Sequence>& sequence, RequestId id) {
  return sequence->id < id;
}

}  // namespace

// Lets waiting requests in, oldest first, while the pages that all running ones will need for the
// tokens they have now leave room. More may be needed as they grow; then the youngest waits again.
void BatchEngine::Admit() {
  std::int64_t promised = 0;
  for (const SequencePtr& s : running_) {
    promised +=
        std::max<std::int64_t>(0, PagesFor(static_cast<std::int64_t>(s->tokens.size()) + 1) -
                                      static_cast<std::int64_t>(s->pages.size()));
  }
  while (!waiting_.empty() && running_.size() < static_cast<std::size_t>(options_.sequences_max)) {
    Sequence& next = *waiting_.front();
    std::int64_t need = PagesFor(static_cast<std::int64_t>(next.tokens.size()) + 1);
    if (options_.prefix_cache) {
      const std::int64_t n_reusable =
          (static_cast<std::int64_t>(next.tokens.size()) - 1) / page_tokens_;
      for (std::int64_t p = 0; p < n_reusable; ++p, --need) {
        if (!page_cache_.IsHeld(KeyOfPage(next, static_cast<std::size_t>(p)))) break;
      }
    }
    if (!running_.empty() && promised + need > page_cache_.n_available()) return;
    promised += need;
    if (next.started_ns == 0) next.started_ns = Now();
    const auto at = std::lower_bound(running_.begin(), running_.end(), next.id, ById);
    running_.insert(at, std::move(waiting_.front()));
    waiting_.pop_front();
  }
}

// Gives every sequence its number of tokens in the next pass and the pages they need. Every
// decoding sequence takes part with its one token; prompts share chunk_tokens.
void BatchEngine::PlanPass() {
  prompts_.clear();
  for (std::size_t i = 0; i < running_.size(); ++i) {
    Sequence& s = *running_[i];
    s.pass_tokens = 0;
    AdoptPrefix(s);
    if (s.n_pending() == 1) {
      s.pass_tokens = 1;
    } else if (!WaitsForTwin(i)) {
      prompts_.push_back(&s);
    }
  }
  ShareOutPrompts(prompts_);
  for (std::size_t i = 0; i < running_.size(); ++i) {
    running_[i]->pass_tokens = GivePages(i);
  }
}

// Takes over published pages that follow what the sequence has. The last token is always computed:
// its logits are wanted.
void BatchEngine::AdoptPrefix(Sequence& s) {
  if (!options_.prefix_cache || s.computed % page_tokens_ != 0) return;
  TATARA_CHECK(static_cast<std::int64_t>(s.pages.size()) * page_tokens_ == s.computed);
  std::int64_t adopted = 0;
  while (s.n_pending() > page_tokens_) {
    const int page = page_cache_.Acquire(KeyOfPage(s, s.pages.size()));
    if (page == PageCache::kNone) break;
    s.pages.push_back(page);
    s.n_published = s.pages.size();
    s.computed += page_tokens_;
    adopted += page_tokens_;
  }
  if (adopted == 0) return;
  ++counters_.prefix_hits;
  counters_.prefix_tokens_reused += adopted;
  if (!s.was_preempted) s.completion.cached_tokens += static_cast<int>(adopted);
}

// True where an older running sequence is about to compute the very page this one needs next: then
// it is computed once, and taken over when it is full.
bool BatchEngine::WaitsForTwin(std::size_t index) const {
  const Sequence& s = *running_[index];
  if (!options_.prefix_cache || s.computed % page_tokens_ != 0 || s.n_pending() <= page_tokens_)
    return false;
  const auto page = static_cast<std::size_t>(s.computed / page_tokens_);
  for (std::size_t i = 0; i < index; ++i) {
    const Sequence& older = *running_[i];
    if (older.computed / page_tokens_ <= static_cast<std::int64_t>(page) &&
        older.keys.size() > page && s.keys.size() > page && older.keys[page] == s.keys[page]) {
      return true;
    }
  }
  return false;
}

// Equal shares of chunk_tokens; what a short prompt leaves over goes to the longer ones. Where
// there are more prompts than tokens, those that waited longest get one each.
void BatchEngine::ShareOutPrompts(std::vector<Sequence*>& prompts) {
  std::int64_t left = options_.chunk_tokens;
  if (left < static_cast<std::int64_t>(prompts.size())) {
    std::sort(prompts.begin(), prompts.end(), [](const Sequence* a, const Sequence* b) {
      return a->served != b->served ? a->served < b->served : a->id < b->id;
    });
    prompts.resize(static_cast<std::size_t>(left));
  }
  for (Sequence* s : prompts) s->served = ++n_served_;
  std::sort(prompts.begin(), prompts.end(), [](const Sequence* a, const Sequence* b) {
    return a->n_pending() != b->n_pending() ? a->n_pending() < b->n_pending() : a->id < b->id;
  });
  for (std::size_t i = 0; i < prompts.size(); ++i) {
    const auto n_left = static_cast<std::int64_t>(prompts.size() - i);
    prompts[i]->pass_tokens = std::min(prompts[i]->n_pending(), left / n_left);
    left -= prompts[i]->pass_tokens;
  }
}

// Pages for the planned tokens of running_[index]: free ones, cached ones, else those of younger
// sequences. Returns how many of the tokens they have room for.
std::int64_t BatchEngine::GivePages(std::size_t index) {
  Sequence& s = *running_[index];
  if (s.pass_tokens == 0) return 0;
  while (!GrowPages(s, s.computed + s.pass_tokens)) {
    if (running_.size() == index + 1) {
      const std::int64_t room =
          static_cast<std::int64_t>(s.pages.size()) * page_tokens_ - s.computed;
      return std::min(room, s.pass_tokens);
    }
    PreemptYoungest();
  }
  return s.pass_tokens;
}

bool BatchEngine::GrowPages(Sequence& s, std::int64_t n_positions) {
  while (static_cast<std::int64_t>(s.pages.size()) < PagesFor(n_positions)) {
    const int page = page_cache_.Allocate();
    if (page == PageCache::kNone) return false;
    s.pages.push_back(page);
  }
  return true;
}

void BatchEngine::PreemptYoungest() {
  TATARA_CHECK(!running_.empty());
  SequencePtr s = std::move(running_.back());
  running_.pop_back();
  ReleasePages(*s);
  s->was_preempted = true;
  ++counters_.preemptions;
  const auto at = std::lower_bound(waiting_.begin(), waiting_.end(), s->id, ById);
  waiting_.insert(at, std::move(s));
}

void BatchEngine::RunPass() {
  slices_.clear();
  draws_.clear();
  std::size_t n_logits = 0;
  for (const SequencePtr& s : running_) {
    if (s->pass_tokens == 0) continue;
    const bool wants_logits = s->pass_tokens == s->n_pending();
    model::SequenceSlice slice;
    slice.tokens = std::span<const std::int32_t>(s->tokens).subspan(
        static_cast<std::size_t>(s->computed), static_cast<std::size_t>(s->pass_tokens));
    slice.position = s->computed;
    slice.pages = s->pages;
    slice.adapter = s->adapter == nullptr ? nullptr : s->adapter->numbers.get();
    if (wants_logits) {
      std::int32_t& row = logit_rows_[draws_.size()];
      row = static_cast<std::int32_t>(s->pass_tokens - 1);
      slice.logit_rows = {&row, 1};
      draws_.push_back({.sequence = s.get(),
                        .logits = {logits_.data() + n_logits, vocabulary()},
                        .logprob = {}});
      n_logits += vocabulary();
    }
    slices_.push_back(slice);
  }
  // The oldest sequence always finds pages, so a pass is never empty.
  TATARA_CHECK(!slices_.empty());
  parts_.model->Forward(slices_, *kv_, *parts_.pool, {logits_.data(), n_logits});
  ++counters_.passes;
  counters_.pass_sequences_most =
      std::max(counters_.pass_sequences_most, static_cast<int>(slices_.size()));
  for (const SequencePtr& s : running_) {
    if (s->pass_tokens > 0) Advance(*s, s->pass_tokens);
  }
}

void BatchEngine::Advance(Sequence& s, std::int64_t n_tokens) {
  s.computed += n_tokens;
  counters_.tokens_computed += n_tokens;
  if (options_.prefix_cache) PublishPages(s);
}

// The key of a full page of tokens that the sequence has.
const PageKey& BatchEngine::KeyOfPage(Sequence& s, std::size_t page) {
  while (s.keys.size() <= page) {
    const std::size_t next = s.keys.size();
    const std::string_view adapter =
        s.adapter == nullptr ? std::string_view() : s.adapter->cache_key;
    const PageKey before = next == 0 ? ScopeKey(s.request.cache_scope, adapter) : s.keys.back();
    s.keys.push_back(NextPageKey(before, std::span<const std::int32_t>(s.tokens).subspan(
                                             next * page_tokens_, page_tokens_)));
  }
  return s.keys[page];
}

void BatchEngine::PublishPages(Sequence& s) {
  while ((static_cast<std::int64_t>(s.n_published) + 1) * page_tokens_ <= s.computed) {
    page_cache_.Publish(s.pages[s.n_published], KeyOfPage(s, s.n_published));
    ++s.n_published;
  }
}

// Last page first, so that of one prefix the end is evicted before the start.
void BatchEngine::ReleasePages(Sequence& s) {
  for (std::size_t i = s.pages.size(); i-- > 0;) page_cache_.Release(s.pages[i]);
  s.pages.clear();
  s.n_published = 0;
  s.computed = 0;
}

}  // namespace tatara::generate
