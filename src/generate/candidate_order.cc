#include "candidate_order.h"

#include <algorithm>
#include <limits>

namespace tatara::generate {
namespace {

constexpr double kInfinity = std::numeric_limits<double>::infinity();
// Past this distance from the maximum everything left is gathered at once.
constexpr double kWidthMax = 64;

bool Before(const Candidate& a, const Candidate& b) {
  return a.logit != b.logit ? a.logit > b.logit : a.id < b.id;
}

}  // namespace

CandidateOrder::CandidateOrder(std::span<const double> logits, double max,
                               std::vector<Candidate>& storage)
    : logits_(logits), max_(max), gathered_(storage), upper_(kInfinity) {
  gathered_.clear();
}

const Candidate* CandidateOrder::At(std::size_t index) {
  while (index >= n_sorted_) {
    if (n_sorted_ < gathered_.size()) {
      SortMore();
    } else if (!GatherMore()) {
      return nullptr;
    }
  }
  return &gathered_[index];
}

// Takes the ids of the next distance from the maximum: all of them lie behind those gathered
// before.
bool CandidateOrder::GatherMore() {
  if (all_gathered_) return false;
  all_gathered_ = width_ > kWidthMax;
  const double lower = all_gathered_ ? -kInfinity : max_ - width_;
  for (std::size_t i = 0; i < logits_.size(); ++i) {
    if (logits_[i] > lower && logits_[i] <= upper_) {
      gathered_.push_back({logits_[i], static_cast<std::int32_t>(i)});
    }
  }
  upper_ = lower;
  width_ *= 2;
  return true;
}

void CandidateOrder::SortMore() {
  const auto begin = gathered_.begin() + static_cast<std::ptrdiff_t>(n_sorted_);
  const std::size_t n = std::min(piece_, gathered_.size() - n_sorted_);
  std::partial_sort(begin, begin + static_cast<std::ptrdiff_t>(n), gathered_.end(), Before);
  n_sorted_ += n;
  piece_ *= 4;
}

}  // namespace tatara::generate
