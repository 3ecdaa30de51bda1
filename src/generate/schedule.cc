// What the next pass over the weights computes, and in which pages.

#include <algorithm>

#include "batch_engine.h"
#include "tatara/base/check.h"

namespace tatara::generate {
namespace {

// However slow the machine, prompts move on.
constexpr std::int64_t kPromptTokensMin = 16;

}  // namespace

// Gives every sequence its number of tokens in the next pass and the pages they need. Every
// decoding sequence takes part with its one token; prompts share what the pass has left. False
// where all that run wait for the disk.
bool BatchEngine::PlanPass() {
  prompts_.clear();
  std::int64_t n_decoding = 0;
  bool any_waits = false, any_computes = false;
  for (std::size_t i = 0; i < running_.size(); ++i) {
    Sequence& s = *running_[i];
    s.pass_tokens = 0;
    s.waits_for_disk = false;
    AdoptPrefix(s);
    if (s.waits_for_disk) {
      any_waits = true;
    } else if (s.n_pending() == 1) {
      s.pass_tokens = 1;
      ++n_decoding;
    } else if (!WaitsForTwin(i)) {
      prompts_.push_back(&s);
    }
  }
  ShareOutPrompts(PromptBudget(n_decoding));
  BoundScores();
  for (std::size_t i = 0; i < running_.size(); ++i) {
    running_[i]->pass_tokens = GivePages(i);
    any_computes |= running_[i]->pass_tokens > 0;
  }
  return any_computes || !any_waits;
}

// Logits take a vocabulary's room for each position, so a pass has few of those that are only
// scored. The oldest come first.
void BatchEngine::BoundScores() {
  std::int64_t left = kScoresMax;
  for (const SequencePtr& s : running_) {
    if (s->n_pass_scores() == 0) continue;
    s->pass_tokens = std::min(s->pass_tokens, s->pass_score_begin() + left - s->computed);
    left -= s->n_pass_scores();
  }
}

// Tokens of prompts in the next pass.
std::int64_t BatchEngine::PromptBudget(std::int64_t n_decoding) const {
  std::int64_t budget = options_.chunk_tokens;
  if (options_.step_tokens > 0) {
    budget = std::clamp<std::int64_t>(options_.step_tokens - n_decoding, 1, budget);
  }
  // Alone there is nobody whom a long pass would keep waiting.
  const bool alone = running_.size() + waiting_.size() == 1;
  if (options_.fair && options_.step_ms_max > 0 && !alone) {
    budget = std::min(budget, static_cast<std::int64_t>(prompt_tokens_limit_));
  }
  return budget;
}

// Sets how many prompt tokens a pass may have, by how long the last one took: the time of a pass
// grows with its tokens and, by attention, with what came before them, so the proportion of what is
// allowed to what was taken leads to the number that just fits. Only the size of chunks depends on
// time, and that changes no bit.
void BatchEngine::LearnFromPass(std::int64_t n_prompt_tokens, std::int64_t pass_ns) {
  if (options_.step_ms_max == 0 || n_prompt_tokens == 0) return;
  const double allowed_ns = options_.step_ms_max * 1e6;
  const double ratio = allowed_ns / static_cast<double>(std::max<std::int64_t>(pass_ns, 1));
  const auto n = static_cast<double>(n_prompt_tokens);
  const auto least = static_cast<double>(std::min<int>(kPromptTokensMin, options_.chunk_tokens));
  if (ratio < 1) {
    prompt_tokens_limit_ = std::max({least, n * ratio, prompt_tokens_limit_ / 4});
  } else if (n * ratio > prompt_tokens_limit_) {
    // One fast pass (of a short context, or few tokens) says little: at most half more at a time.
    prompt_tokens_limit_ = std::min(
        {n * ratio, prompt_tokens_limit_ * 1.5, static_cast<double>(options_.chunk_tokens)});
  }
}

// Takes over published pages that follow what the sequence has. The last token is always computed:
// its logits are wanted.
void BatchEngine::AdoptPrefix(Sequence& s) {
  if (!options_.prefix_cache || s.leaves_no_pages || s.computed % page_tokens_ != 0) return;
  TATARA_CHECK(static_cast<std::int64_t>(s.pages.size()) * page_tokens_ == s.computed);
  std::int64_t adopted = 0;
  while (s.n_pending() > page_tokens_ && !s.ScoresPage(page_tokens_)) {
    const PageKey key = KeyOfPage(s, s.pages.size());
    int page = page_cache_.Acquire(key);
    if (page == PageCache::kNone && spill_ != nullptr) page = RestorePage(s, key);
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
bool BatchEngine::WaitsForTwin(std::size_t index) {
  Sequence& s = *running_[index];
  if (!options_.prefix_cache || s.leaves_no_pages || s.computed % page_tokens_ != 0 ||
      s.n_pending() <= page_tokens_ || s.ScoresPage(page_tokens_)) {
    return false;
  }
  const auto page = static_cast<std::size_t>(s.computed / page_tokens_);
  const std::int64_t page_end = s.computed + page_tokens_;
  for (std::size_t i = 0; i < index; ++i) {
    Sequence& older = *running_[i];
    if (older.computed >= page_end || static_cast<std::int64_t>(older.tokens.size()) < page_end) {
      continue;
    }
    if (KeyOfPage(older, page) == KeyOfPage(s, page)) return true;
  }
  return false;
}

// Between keys first, then between the prompts of a key; without fairness the oldest takes all it
// can.
void BatchEngine::ShareOutPrompts(std::int64_t n_tokens) {
  if (!options_.fair) {
    for (Sequence* s : prompts_) {
      s->pass_tokens = std::min(s->n_pending(), n_tokens);
      n_tokens -= s->pass_tokens;
    }
    return;
  }
  std::stable_sort(prompts_.begin(), prompts_.end(), [](const Sequence* a, const Sequence* b) {
    return a->account->order < b->account->order;
  });
  const auto same_key = [](const Sequence* a, const Sequence* b) {
    return a->account == b->account;
  };
  key_shares_.clear();
  prompt_shares_.clear();
  for (std::size_t i = 0; i < prompts_.size(); ++i) {
    const Sequence& s = *prompts_[i];
    prompt_shares_.push_back({.served = s.served, .wanted = s.n_pending()});
    if (i == 0 || !same_key(prompts_[i - 1], &s)) key_shares_.push_back({s.account->served});
    key_shares_.back().wanted += s.n_pending();
  }
  ShareOut(key_shares_, n_tokens);
  for (std::size_t i = 0, key = 0; i < prompts_.size(); ++key) {
    std::size_t end = i + 1;
    while (end < prompts_.size() && same_key(prompts_[i], prompts_[end])) ++end;
    ShareOut(std::span(prompt_shares_).subspan(i, end - i), key_shares_[key].given);
    for (; i < end; ++i) prompts_[i]->pass_tokens = prompt_shares_[i].given;
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
    Preempt(WhoGivesPages(index + 1));
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

void BatchEngine::RunPass() {
  slices_.clear();
  draws_.clear();
  scores_.clear();
  std::size_t n_rows = 0;
  std::int64_t n_prompt_tokens = 0;
  for (const SequencePtr& s : running_) {
    if (s->pass_tokens == 0) continue;
    if (s->n_pending() > 1) n_prompt_tokens += s->pass_tokens;
    const bool wants_logits = s->pass_tokens == s->n_pending();
    model::SequenceSlice slice;
    slice.tokens = std::span<const std::int32_t>(s->tokens).subspan(
        static_cast<std::size_t>(s->computed), static_cast<std::size_t>(s->pass_tokens));
    slice.position = s->computed;
    slice.pages = s->pages;
    slice.adapter = s->adapter == nullptr ? nullptr : s->adapter->numbers.get();
    const std::size_t first_row = n_rows;
    const auto add_row = [&](std::int64_t position) {
      logit_rows_[n_rows] = static_cast<std::int32_t>(position - s->computed);
      return std::span<const float>(logits_.data() + n_rows++ * vocabulary(), vocabulary());
    };
    const std::int64_t score_begin = s->pass_score_begin();
    for (std::int64_t i = 0, n = s->n_pass_scores(); i < n; ++i) {
      scores_.push_back({.sequence = s.get(),
                         .logits = add_row(score_begin + i),
                         .next = s->tokens[static_cast<std::size_t>(score_begin + i + 1)],
                         .logprob = {}});
    }
    if (wants_logits) {
      draws_.push_back({.sequence = s.get(),
                        .logits = add_row(s->computed + s->pass_tokens - 1),
                        .logprob = {}});
    }
    slice.logit_rows = std::span(logit_rows_).subspan(first_row, n_rows - first_row);
    slices_.push_back(slice);
  }
  // The oldest sequence always finds pages, so a pass is never empty.
  TATARA_CHECK(!slices_.empty());
  const std::int64_t start_ns = Now();
  parts_.model->Forward(slices_, *kv_, *parts_.pool, {logits_.data(), n_rows * vocabulary()});
  LearnFromPass(n_prompt_tokens, Now() - start_ns);
  ++counters_.passes;
  counters_.pass_sequences_most =
      std::max(counters_.pass_sequences_most, static_cast<int>(slices_.size()));
  for (const SequencePtr& s : running_) {
    if (s->pass_tokens == 0) continue;
    const bool decodes = s->n_pending() == 1;
    s->account->served += decodes ? kDecodeCost : s->pass_tokens;
    if (!decodes) s->served += s->pass_tokens;
    Advance(*s, s->pass_tokens);
  }
}

void BatchEngine::Advance(Sequence& s, std::int64_t n_tokens) {
  s.computed += n_tokens;
  counters_.tokens_computed += n_tokens;
  if (options_.prefix_cache && !s.leaves_no_pages) PublishPages(s);
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
    page_cache_.Publish(s.pages[s.n_published], KeyOfPage(s, s.n_published), s.scope);
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
