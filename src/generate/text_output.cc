#include "text_output.h"

#include <algorithm>

namespace tatara::generate {

std::string StopFilter::Push(std::string_view text) {
  if (stopped_) return {};
  if (stops_.empty()) return std::string(text);
  const std::size_t seen = held_.size();
  held_ += text;
  for (std::size_t end = seen + 1; end <= held_.size(); ++end) {
    std::size_t start = std::string::npos;
    for (const std::string& stop : stops_) {
      if (stop.size() <= end && held_.compare(end - stop.size(), stop.size(), stop) == 0) {
        start = std::min(start, end - stop.size());
      }
    }
    if (start == std::string::npos) continue;
    stopped_ = true;
    held_.resize(start);
    return std::move(held_);
  }
  std::string out = held_.substr(0, held_.size() - HeldBack());
  held_.erase(0, out.size());
  return out;
}

std::string StopFilter::Flush() {
  return stopped_ ? std::string() : std::move(held_);
}

// Length of the longest end of held_ that starts a stop string. A stop string that is whole later
// starts within it, since every text given out before was none's start.
std::size_t StopFilter::HeldBack() const {
  std::size_t longest = 0;
  for (const std::string& stop : stops_) {
    for (std::size_t n = std::min(stop.size() - 1, held_.size()); n > longest; --n) {
      if (held_.compare(held_.size() - n, n, stop, 0, n) == 0) longest = n;
    }
  }
  return longest;
}

}  // namespace tatara::generate
