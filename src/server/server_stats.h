// Counts of requests, and who has how many in flight. Thread safety: every function from any
// thread.
#pragma once

#include <array>
#include <cstdint>
#include <map>
#include <mutex>
#include <string>
#include <tuple>

#include "tatara/assistant/service.h"
#include "tatara/server/request_facts.h"

namespace tatara::server {

class ServerStats {
 public:
  // False, and nothing counted, where this key has `most` in flight. Calls without a key have no
  // such bound: the service's queue bounds them.
  bool Enter(const assistant::Caller& caller, int most);
  void Leave(const assistant::Caller& caller);
  void Count(const RequestFacts& facts);

  // When a place will be free, in whole seconds of 1 to 60: of n requests in flight that take d
  // seconds each one ends every d / n. d is the mean of what the last ones took (the newest counts
  // a fifth). With `caller`, of this key's own requests.
  int RetryAfterSeconds(const assistant::Caller* caller) const;

  // In the text format of Prometheus, names tatara_http_*.
  std::string Text() const;

 private:
  struct Route {
    std::map<std::pair<std::string, int>, std::uint64_t> by_method_and_status;
    assistant::Histogram seconds;
  };
  mutable std::mutex mutex_;
  std::map<std::string, int> in_flight_by_key_;
  int in_flight_ = 0;
  double seconds_mean_ = 1;
  std::map<std::string, Route> routes_;
};

}  // namespace tatara::server
