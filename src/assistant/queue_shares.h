// Who has how many places in a bounded queue, so that nobody fills it for the others.
//
// A key's first call is always taken, unless it alone is more than all places: beyond them there
// are kFirstCallsMax more, for first calls alone. After it a key may hold as many places as run
// together anyway, and more only while what it holds is no more than what stays free: the dynamic
// threshold of shared buffers (Choudhury and Hahne, IEEE/ACM Transactions on Networking 6(2),
// 1998). So one key that asks for all gets half of the queue, two get a third each. Callers without
// a key are many under one name: all places are theirs. Thread safety: none; its owner locks.
#pragma once

#include <map>
#include <string>
#include <string_view>

#include "tatara/assistant/service.h"
#include "tatara/base/error.h"

namespace tatara::assistant {

class QueueShares {
 public:
  static constexpr int kFirstCallsMax = kCallChoicesMax;

  struct Limits {
    int places = 272;   // in all
    int together = 16;  // of them run at once
  };
  explicit QueueShares(Limits limits) : limits_(limits) {}

  // Takes n places, all or none; kUnavailable where none are left for this key.
  Result<> Enter(std::string_view key, int n);
  void Leave(std::string_view key, int n);
  int taken() const { return taken_; }

 private:
  const Limits limits_;
  int taken_ = 0;
  std::map<std::string, int, std::less<>> by_key_;  // who has any
};

}  // namespace tatara::assistant
