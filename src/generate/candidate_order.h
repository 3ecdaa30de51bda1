// The ids of a vocabulary by logit descending, then id ascending, sorted only as far as somebody
// looks. A draw rarely looks past the first hundred of 150,000, so ids are gathered by distance
// from the maximum and sorted in growing pieces; the order is that of a full sort. Thread safety:
// one caller.
#pragma once

#include <cstddef>
#include <span>
#include <vector>

#include "sampler.h"

namespace tatara::generate {

class CandidateOrder {
 public:
  // logits: no NaN, -inf for ids that are no candidates; max is the largest. Both vectors are
  // borrowed.
  CandidateOrder(std::span<const double> logits, double max, std::vector<Candidate>& storage);

  // The candidate at place `index`, null past the last. Valid until the next call.
  const Candidate* At(std::size_t index);

 private:
  bool GatherMore();
  void SortMore();

  std::span<const double> logits_;
  double max_;
  std::vector<Candidate>&
      gathered_;  // [0, n_sorted_) in final order; the rest after them in any order
  std::size_t n_sorted_ = 0;
  std::size_t piece_ = 64;
  double upper_;  // ids with logits above this are gathered
  double width_ = 2;
  bool all_gathered_ = false;
};

}  // namespace tatara::generate
