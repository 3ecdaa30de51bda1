#include "fair_share.h"

#include <algorithm>
#include <limits>

#include "tatara/base/check.h"

namespace tatara::generate {

std::int64_t FairAccounts::LeastServed() const {
  std::int64_t least = std::numeric_limits<std::int64_t>::max();
  for (const auto& [key, account] : accounts_) {
    if (account->n_requests > 0) least = std::min(least, account->served);
  }
  return n_requests_ > 0 ? least : 0;
}

FairAccount* FairAccounts::Enter(std::string_view key) {
  // Nobody competes with what was served before everybody left.
  if (n_requests_ == 0) accounts_.clear();
  if (accounts_.size() >= kAccountsMax) Forget();
  std::unique_ptr<FairAccount>& account = accounts_[std::string(key)];
  if (account == nullptr) {
    account = std::make_unique<FairAccount>();
    account->order = n_made_++;
  }
  if (account->n_requests == 0) account->served = std::max(account->served, LeastServed());
  ++account->n_requests;
  ++n_requests_;
  return account.get();
}

void FairAccounts::Leave(FairAccount* account) {
  TATARA_CHECK(account->n_requests > 0);
  --account->n_requests;
  --n_requests_;
}

// Accounts without requests that lie below the least would be raised to it anyway. Where that is
// not enough, the others are forgotten too: memory is bounded by the requests that there are.
void FairAccounts::Forget() {
  const std::int64_t least = LeastServed();
  std::erase_if(accounts_, [&](const auto& entry) {
    return entry.second->n_requests == 0 && entry.second->served <= least;
  });
  if (accounts_.size() < kAccountsMax) return;
  std::erase_if(accounts_, [](const auto& entry) { return entry.second->n_requests == 0; });
}

void ShareOut(std::span<FairShare> shares, std::int64_t n_tokens) {
  // What all get when everyone is raised to `level`.
  const auto given_at = [&](std::int64_t level) {
    std::int64_t sum = 0;
    for (const FairShare& s : shares) {
      sum += std::clamp<std::int64_t>(level - s.served, 0, s.wanted);
    }
    return sum;
  };
  std::int64_t wanted = 0, low = std::numeric_limits<std::int64_t>::max(), high = 0;
  for (const FairShare& s : shares) {
    wanted += s.wanted;
    low = std::min(low, s.served);
    high = std::max(high, s.served + s.wanted);
  }
  n_tokens = std::min(n_tokens, wanted);
  if (n_tokens <= 0) return;
  while (high - low > 1) {  // given_at(low) <= n_tokens
    const std::int64_t middle = low + (high - low) / 2;
    (given_at(middle) <= n_tokens ? low : high) = middle;
  }
  if (given_at(high) <= n_tokens) low = high;
  std::int64_t left = n_tokens - given_at(low);
  for (FairShare& s : shares) {
    s.given = std::clamp<std::int64_t>(low - s.served, 0, s.wanted);
    if (left > 0 && s.served <= low && s.given < s.wanted) {
      ++s.given;
      --left;
    }
  }
}

}  // namespace tatara::generate
