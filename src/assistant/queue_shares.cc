#include "queue_shares.h"

#include <algorithm>

namespace tatara::assistant {

Result<> QueueShares::Enter(std::string_view key, int n) {
  const auto it = by_key_.find(key);
  const int held = it == by_key_.end() ? 0 : it->second;
  const int most = limits_.places + (held == 0 && n <= limits_.places ? kFirstCallsMax : 0);
  if (n > most - taken_) {
    return MakeError(ErrorKind::kUnavailable,
                     "{0} requests run or wait for this model, {1} more would pass the limit of "
                     "{2}; try again later",
                     taken_, n, most);
  }
  const int free_after = limits_.places - taken_ - n;
  const bool crowd = key == Caller{}.key;
  if (held > 0 && !crowd && held + n > std::max(limits_.together, free_after)) {
    return MakeError(ErrorKind::kUnavailable,
                     "{0} requests of this key run or wait for this model, and {1} places are "
                     "free; {2} more would leave too few to other keys; try again later",
                     held, limits_.places - taken_, n);
  }
  taken_ += n;
  if (it == by_key_.end()) {
    by_key_.emplace(key, n);
  } else {
    it->second += n;
  }
  return Ok{};
}

void QueueShares::Leave(std::string_view key, int n) {
  const auto it = by_key_.find(key);
  taken_ -= n;
  it->second -= n;
  if (it->second == 0) by_key_.erase(it);
}

}  // namespace tatara::assistant
