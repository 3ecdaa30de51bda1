// Who runs: which waiting request is let in next, and who gives its place up.

#include <algorithm>

#include "batch_engine.h"
#include "tatara/base/check.h"

namespace tatara::generate {
namespace {

bool ById(const std::unique_ptr<Sequence>& sequence, RequestId id) {
  return sequence->id < id;
}

// Requests that may be let in before one that finds no room; after that it is the next.
constexpr int kPassedOverMax = 32;
// Requests that are tried in one step while others before them find no room.
constexpr int kNoRoomMax = 8;

}  // namespace

void BatchEngine::Enter(SequencePtr s) {
  s->account = accounts_.Enter(s->request.fair_key);
  s->tag = s->account->let_in + static_cast<std::int64_t>(s->request.prompt.size());
  waiting_.push_back(std::move(s));
}

// Pages that all running sequences will need for the tokens they have now, beyond those they hold.
// More may be needed as they grow; then some wait again.
std::int64_t BatchEngine::PromisedPages() const {
  std::int64_t promised = 0;
  for (const SequencePtr& s : running_) {
    promised +=
        std::max<std::int64_t>(0, PagesFor(static_cast<std::int64_t>(s->tokens.size()) + 1) -
                                      static_cast<std::int64_t>(s->pages.size()));
  }
  return promised;
}

std::int64_t BatchEngine::PagesToLetIn(Sequence& s) {
  std::int64_t need = PagesFor(static_cast<std::int64_t>(s.tokens.size()) + 1);
  if (!options_.prefix_cache || s.n_scored < s.n_to_score()) return need;
  const std::int64_t n_reusable = (static_cast<std::int64_t>(s.tokens.size()) - 1) / page_tokens_;
  for (std::int64_t p = 0; p < n_reusable; ++p, --need) {
    if (!page_cache_.IsHeld(KeyOfPage(s, static_cast<std::size_t>(p)))) break;
  }
  return need;
}

// The next to be let in of those that were not found too large in this step. Keys with fewer
// running requests first, since every running one is served in every pass, then those that were
// served less; of a key the lowest tag. Without fairness the oldest.
std::size_t BatchEngine::NextWaiting() const {
  std::size_t best = waiting_.size();
  for (std::size_t i = 0; i < waiting_.size(); ++i) {
    if (waiting_[i]->found_no_room) continue;
    if (best == waiting_.size()) {
      best = i;
      if (!options_.fair) break;
      continue;
    }
    const Sequence &a = *waiting_[i], &b = *waiting_[best];
    const bool before = a.account == b.account ? a.tag < b.tag
                        : a.account->n_running != b.account->n_running
                            ? a.account->n_running < b.account->n_running
                            : a.account->served < b.account->served;
    if (before) best = i;
  }
  return best;
}

void BatchEngine::Admit() {
  std::int64_t promised = PromisedPages();
  for (const SequencePtr& s : waiting_) s->found_no_room = false;
  int n_without_room = 0;
  bool gave_way = false;  // one that runs makes room in a step
  while (true) {
    const std::size_t i = NextWaiting();
    if (i == waiting_.size()) return;
    Sequence& next = *waiting_[i];
    const bool has_place = running_.size() < static_cast<std::size_t>(options_.sequences_max);
    const std::int64_t need = has_place ? PagesToLetIn(next) : 0;
    if (has_place && (running_.empty() || promised + need <= page_cache_.n_available())) {
      promised += need;
      LetIn(i);
      continue;
    }
    if (!gave_way && TakePlaceFor(next)) {
      gave_way = true;
      promised = PromisedPages();
      continue;
    }
    if (!has_place || !options_.fair || next.passed_over >= kPassedOverMax) return;
    if (++n_without_room > kNoRoomMax) return;
    next.found_no_room = true;
  }
}

void BatchEngine::LetIn(std::size_t index) {
  SequencePtr s = std::move(waiting_[index]);
  waiting_.erase(waiting_.begin() + static_cast<std::ptrdiff_t>(index));
  for (const SequencePtr& other : waiting_) {
    if (other->found_no_room) ++other->passed_over;
  }
  FairAccount& account = *s->account;
  if (s->started_ns == 0) {
    s->started_ns = Now();
    account.let_in += s->completion.prompt_tokens;
  }
  // Raised to the least of its key's prompts that are being computed, as an account is.
  std::int64_t least = -1;
  for (const SequencePtr& other : running_) {
    if (other->account != s->account || other->n_pending() <= 1) continue;
    least = least < 0 ? other->served : std::min(least, other->served);
  }
  s->served = std::max(s->served, least);
  ++account.n_running;
  running_.insert(std::lower_bound(running_.begin(), running_.end(), s->id, ById), std::move(s));
}

// Where a key has at least two more running requests than the key of `next`, its youngest waits
// again: so one key can not keep all places for as long as its answers are. Every such change
// brings the numbers of two keys nearer to each other, so there is no back and forth.
bool BatchEngine::TakePlaceFor(Sequence& next) {
  if (!options_.fair) return false;
  std::size_t victim = 0;  // the oldest never gives way, so that one always goes on
  for (std::size_t i = 1; i < running_.size(); ++i) {
    const int n = running_[i]->account->n_running;
    if (n < next.account->n_running + 2) continue;
    if (victim == 0 || n >= running_[victim]->account->n_running) victim = i;
  }
  if (victim == 0) return false;
  // What was freed for it must not be filled by others meanwhile.
  next.passed_over = kPassedOverMax;
  Preempt(victim);
  ++counters_.places_given_up;
  return true;
}

// Of those after running_[from], the youngest of the key that holds the most pages; without
// fairness the youngest of all.
std::size_t BatchEngine::WhoGivesPages(std::size_t from) const {
  std::size_t best = running_.size() - 1;
  if (!options_.fair) return best;
  std::size_t most = 0;
  for (std::size_t i = running_.size(); i-- > from;) {
    std::size_t held = 0;
    for (const SequencePtr& s : running_) {
      if (s->account == running_[i]->account) held += s->pages.size();
    }
    if (held > most) {
      most = held;
      best = i;
    }
  }
  return best;
}

void BatchEngine::Preempt(std::size_t index) {
  SequencePtr s = std::move(running_[index]);
  running_.erase(running_.begin() + static_cast<std::ptrdiff_t>(index));
  ReleasePages(*s);
  s->was_preempted = true;
  --s->account->n_running;
  ++counters_.preemptions;
  waiting_.insert(std::lower_bound(waiting_.begin(), waiting_.end(), s->id, ById), std::move(s));
}

}  // namespace tatara::generate
