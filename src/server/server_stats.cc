#include "server_stats.h"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>

namespace tatara::server {
namespace {

constexpr double kNewestShare = 0.2;
constexpr std::string_view kNoRoute = "none";
constexpr const char* kMethods[] = {"GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS"};

bool HasKey(const assistant::Caller& caller) {
  return caller.key != assistant::Caller{}.key;
}

// What callers invent must not become a label each.
std::string KnownMethod(const std::string& method) {
  const bool known =
      std::find(std::begin(kMethods), std::end(kMethods), method) != std::end(kMethods);
  return known ? method : "other";
}

}  // namespace

bool ServerStats::Enter(const assistant::Caller& caller, int most) {
  const std::lock_guard lock(mutex_);
  if (HasKey(caller)) {
    int& n = in_flight_by_key_[caller.key];
    if (n >= most) return false;
    ++n;
  }
  ++in_flight_;
  return true;
}

void ServerStats::Leave(const assistant::Caller& caller) {
  const std::lock_guard lock(mutex_);
  --in_flight_;
  const auto it = in_flight_by_key_.find(caller.key);
  if (HasKey(caller) && it != in_flight_by_key_.end() && --it->second == 0) {
    in_flight_by_key_.erase(it);
  }
}

void ServerStats::Count(const RequestFacts& facts) {
  const std::lock_guard lock(mutex_);
  Route& route = routes_[std::string(facts.route.empty() ? kNoRoute : facts.route)];
  ++route.by_method_and_status[{KnownMethod(facts.method), facts.status}];
  route.seconds.Add(facts.seconds);
  if (!facts.model.empty() && facts.status == 200) {
    seconds_mean_ += kNewestShare * (facts.seconds - seconds_mean_);
  }
}

int ServerStats::RetryAfterSeconds(const assistant::Caller* caller) const {
  const std::lock_guard lock(mutex_);
  int n = in_flight_;
  if (caller != nullptr) {
    const auto it = in_flight_by_key_.find(caller->key);
    n = it == in_flight_by_key_.end() ? 0 : it->second;
  }
  return static_cast<int>(std::clamp(std::ceil(seconds_mean_ / std::max(n, 1)), 1.0, 60.0));
}

std::string ServerStats::Text() const {
  const std::lock_guard lock(mutex_);
  std::string text =
      "# HELP tatara_http_requests_total Requests by route, method and status; 499: the client "
      "left.\n# TYPE tatara_http_requests_total counter\n";
  for (const auto& [name, route] : routes_) {
    for (const auto& [key, count] : route.by_method_and_status) {
      text +=
          fmt::format("tatara_http_requests_total{{route=\"{}\",method=\"{}\",status=\"{}\"}} {}\n",
                      name, key.first, key.second, count);
    }
  }
  text +=
      "# HELP tatara_http_request_duration_seconds From the whole request to the whole answer.\n"
      "# TYPE tatara_http_request_duration_seconds histogram\n";
  for (const auto& [name, route] : routes_) {
    std::uint64_t sum = 0;
    for (std::size_t i = 0; i < route.seconds.counts.size(); ++i) {
      sum += route.seconds.counts[i];
      const auto& bounds = assistant::Histogram::kBounds;
      text +=
          fmt::format("tatara_http_request_duration_seconds_bucket{{route=\"{}\",le=\"{}\"}} {}\n",
                      name, i < bounds.size() ? fmt::format("{}", bounds[i]) : "+Inf", sum);
    }
    text += fmt::format(
        "tatara_http_request_duration_seconds_sum{{route=\"{0}\"}} {1}\n"
        "tatara_http_request_duration_seconds_count{{route=\"{0}\"}} {2}\n",
        name, route.seconds.sum, sum);
  }
  text += fmt::format(
      "# HELP tatara_http_requests_in_flight Requests that are being answered.\n"
      "# TYPE tatara_http_requests_in_flight gauge\ntatara_http_requests_in_flight {}\n",
      in_flight_);
  return text;
}

}  // namespace tatara::server
