// What one pull shares between its files and sources.
// Thread safety: one pull, one thread.
#pragma once

#include <algorithm>
#include <cstdint>
#include <functional>
#include <set>
#include <string>
#include <string_view>
#include <vector>

#include "tatara/base/error.h"
#include "tatara/base/progress.h"

namespace tatara::weights {

struct FetchContext {
  std::vector<std::string> contacted;  // addresses, in order, each once
  std::set<std::string> unreachable;   // of these; not tried again in this pull
  bool was_skipped = false;            // the latest fetch failed because of `unreachable` alone
  const StopFlag* stop = nullptr;      // may be null
  int retry_pause_ms = 500;            // before the first retry; doubled for each further one
  std::uint64_t expected_bytes = 0;    // of the current file, where its source says; 0: unknown
  std::function<void(std::uint64_t)> report;  // bytes of the current file so far; may be empty

  bool Stopped() const { return stop != nullptr && stop->IsSet(); }
  void Report(std::uint64_t n_bytes) const {
    if (report) report(n_bytes);
  }
  void NoteContact(const std::string& address) {
    if (std::find(contacted.begin(), contacted.end(), address) == contacted.end()) {
      contacted.push_back(address);
    }
  }
};

inline Error StoppedError(std::string_view what) {
  return MakeError(ErrorKind::kCancelled,
                   "{0}: stopped; what was fetched is kept for the next pull", what);
}

}  // namespace tatara::weights
