#include "tatara/corpus/packed_set.h"

#include <algorithm>
#include <cmath>
#include <limits>
#include <numeric>
#include <set>

#include "tatara/base/check.h"
#include "tatara/base/philox.h"
#include "tatara/base/sha256.h"
#include "tatara/corpus/permutation.h"

namespace tatara::corpus {
namespace {

// What fills up a sequence: it predicts nothing and sees only itself.
void Pad(std::size_t from, SequenceView into) {
  for (std::size_t i = from; i < into.tokens.size(); ++i) {
    into.tokens[i] = 0;
    into.targets[i] = -1;
    into.first_keys[i] = static_cast<std::int32_t>(i);
  }
}

// fraction * 2^64, rounded down; fraction is in [0, 1).
std::uint64_t Below(double fraction) {
  return static_cast<std::uint64_t>(std::floor(fraction * 0x1p64));
}

}  // namespace

Result<std::unique_ptr<PackedSet>> PackedSet::Make(std::shared_ptr<const TokenStore> store,
                                                   const PackedSetOptions& options) {
  if (!(options.validation_fraction >= 0 && options.validation_fraction < 1)) {
    return Refuse("{0} of the documents can not validate; 0 to below 1 is accepted",
                  options.validation_fraction);
  }
  if (store->n_documents() > std::numeric_limits<std::uint32_t>::max()) {
    return Refuse("{0} documents, more than the {1} of one set", store->n_documents(),
                  std::numeric_limits<std::uint32_t>::max());
  }
  std::unique_ptr<PackedSet> set(new PackedSet(std::move(store), options));
  set->Split();
  set->digest_ = Sha256Hex(fmt::format("packed {} {} {} {}", set->store_->digest,
                                       options.packing == Packing::kWhole ? "whole" : "stream",
                                       options.validation_fraction, options.source));
  return set;
}

void PackedSet::Split() {
  const TokenStore& store = *store_;
  const std::uint64_t below = Below(options_.validation_fraction);
  std::uint64_t n = 0, least = 0;
  bool validates = false;
  for (std::uint64_t d = 0; d < store.n_documents(); ++d) {
    if (options_.source >= 0 && store.sources[d] != static_cast<std::uint32_t>(options_.source)) {
      continue;
    }
    if (n++ == 0 || store.keys[d] < store.keys[least]) least = d;
    validates = validates || store.keys[d] < below;
  }
  const bool choose_one = !validates && n > 1 && options_.validation_fraction > 0;
  for (std::uint64_t d = 0; d < store.n_documents(); ++d) {
    if (options_.source >= 0 && store.sources[d] != static_cast<std::uint32_t>(options_.source)) {
      continue;
    }
    const bool validation = store.keys[d] < below || (choose_one && d == least);
    (validation ? validation_ : training_).documents.push_back(static_cast<std::uint32_t>(d));
  }
  for (Side* side : {&training_, &validation_}) {
    std::uint64_t sum = 0;
    side->starts.reserve(side->documents.size() + 1);
    for (const std::uint32_t d : side->documents) {
      side->starts.push_back(sum);
      sum += store.Length(d) - 1;
    }
    side->starts.push_back(sum);
  }
}

PackedSet::Plan PackedSet::MakePlan(const Side& side, std::int64_t context) const {
  const TokenStore& store = *store_;
  const auto room = static_cast<std::uint64_t>(context);
  const auto length = [&](std::uint32_t place) {
    return std::min(store.Length(side.documents[place]) - 1, room);
  };
  std::vector<std::uint32_t> order;
  for (std::uint32_t place = 0; place < side.documents.size(); ++place) {
    const std::uint64_t first = store.offsets[side.documents[place]];
    bool counts = store.counts.empty();
    for (std::uint64_t t = 1; !counts && t <= length(place); ++t) counts = store.Counts(first + t);
    if (counts) order.push_back(place);
  }
  std::ranges::stable_sort(order, [&](auto a, auto b) { return length(a) > length(b); });

  std::vector<std::uint32_t> sequence_of(order.size());
  std::vector<std::uint64_t> sizes;
  std::set<std::pair<std::uint64_t, std::uint32_t>> open;  // room left, sequence
  for (std::size_t i = 0; i < order.size(); ++i) {
    const std::uint64_t n = length(order[i]);
    auto fits = open.lower_bound({n, 0});
    std::uint64_t left = room;
    if (fits == open.end()) {
      sequence_of[i] = static_cast<std::uint32_t>(sizes.size());
      sizes.push_back(0);
    } else {
      left = fits->first;
      sequence_of[i] = fits->second;
      open.erase(fits);
    }
    ++sizes[sequence_of[i]];
    if (left > n) open.insert({left - n, sequence_of[i]});
  }
  Plan plan;
  plan.starts.assign(sizes.size() + 1, 0);
  std::inclusive_scan(sizes.begin(), sizes.end(), plan.starts.begin() + 1);
  std::vector<std::uint64_t> next(plan.starts.begin(), plan.starts.end() - 1);
  plan.places.resize(order.size());
  for (std::size_t i = 0; i < order.size(); ++i) plan.places[next[sequence_of[i]]++] = order[i];
  return plan;
}

std::shared_ptr<const PackedSet::Plan> PackedSet::PlanOf(Side& side, std::int64_t context) const {
  const std::lock_guard lock(plans_lock_);
  auto& plan = side.plans[context];
  if (plan == nullptr) plan = std::make_shared<const Plan>(MakePlan(side, context));
  return plan;
}

std::uint64_t PackedSet::Sequences(Side& side, std::int64_t context) const {
  if (options_.packing == Packing::kWhole) return PlanOf(side, context)->starts.size() - 1;
  const auto n = static_cast<std::uint64_t>(context);
  return (side.starts.back() + n - 1) / n;
}

// Predictions from .. of a document, at most n of them, from place `at` of the sequence on.
std::size_t PackedSet::CopyDocument(std::uint32_t document, std::uint64_t from, std::size_t at,
                                    std::size_t n, SequenceView into) const {
  const std::uint64_t left = store_->Length(document) - 1 - from;
  const auto n_copied = static_cast<std::size_t>(std::min<std::uint64_t>(n, left));
  const std::uint64_t first = store_->offsets[document] + from;
  for (std::size_t i = 0; i < n_copied; ++i) {
    into.tokens[at + i] = store_->Id(first + i);
    into.targets[at + i] = store_->Counts(first + i + 1) ? store_->Id(first + i + 1) : -1;
    into.first_keys[at + i] = static_cast<std::int32_t>(at);
  }
  return n_copied;
}

// n predictions of the circle of documents, from `from` on.
void PackedSet::FillFromStream(const Side& side, std::uint64_t from, std::uint64_t n,
                               SequenceView into) const {
  std::size_t place = static_cast<std::size_t>(std::ranges::upper_bound(side.starts, from) -
                                               side.starts.begin() - 1);
  std::uint64_t inside = from - side.starts[place];
  std::size_t at = 0;
  while (at < n) {
    at += CopyDocument(side.documents[place], inside, at, static_cast<std::size_t>(n - at), into);
    inside = 0;
    place = place + 1 == side.documents.size() ? 0 : place + 1;
  }
  Pad(at, into);
}

void PackedSet::FillFromPlan(const Side& side, const Plan& plan, std::uint64_t i,
                             SequenceView into) const {
  std::size_t at = 0;
  for (std::uint64_t k = plan.starts[i]; k < plan.starts[i + 1]; ++k) {
    at += CopyDocument(side.documents[plan.places[k]], 0, at, into.tokens.size() - at, into);
  }
  Pad(at, into);
}

std::int32_t PackedSet::n_vocab() const {
  return store_->tokenizer->vocabulary_size();
}

std::int64_t PackedSet::n_training(std::int64_t context) const {
  return static_cast<std::int64_t>(Sequences(training_, context));
}

Result<> PackedSet::CheckContext(std::int64_t context) const {
  if (training_.documents.empty()) {
    return Refuse("there is no document to train on; {0} are kept for validation",
                  validation_.documents.size());
  }
  if (Sequences(training_, context) > 0) return Ok{};
  return Refuse("no document has anything to learn in its first {0} tokens", context);
}

Result<> PackedSet::Training(std::uint64_t seed, std::uint64_t number, SequenceView into) const {
  const auto context = static_cast<std::int64_t>(into.tokens.size());
  const std::uint64_t n = Sequences(training_, context);
  if (n == 0) return CheckContext(context);
  const std::uint64_t epoch = number / n;
  const std::uint64_t i = PermutedPlace(seed, epoch, n, number % n);
  if (options_.packing == Packing::kWhole) {
    FillFromPlan(training_, *PlanOf(training_, context), i, into);
    return Ok{};
  }
  const std::uint64_t total = training_.starts.back();
  const std::uint64_t shift =
      RandomBelow({.seed = seed, .purpose = RandomPurpose::kDataOrder, .position = epoch}, total);
  const std::uint64_t from = i * into.tokens.size();
  FillFromStream(training_, (from + shift) % total,
                 std::min<std::uint64_t>(into.tokens.size(), total - from), into);
  return Ok{};
}

std::int64_t PackedSet::n_validation(std::int64_t context) const {
  return static_cast<std::int64_t>(Sequences(validation_, context));
}

Result<> PackedSet::Validation(std::int64_t i, SequenceView into) const {
  const auto context = static_cast<std::int64_t>(into.tokens.size());
  const auto number = static_cast<std::uint64_t>(i);
  if (i < 0 || i >= n_validation(context)) {
    return Refuse("validation sequence {0} of {1}", i, n_validation(context));
  }
  if (options_.packing == Packing::kWhole) {
    FillFromPlan(validation_, *PlanOf(validation_, context), number, into);
    return Ok{};
  }
  const std::uint64_t from = number * into.tokens.size();
  FillFromStream(validation_, from,
                 std::min<std::uint64_t>(into.tokens.size(), validation_.starts.back() - from),
                 into);
  return Ok{};
}

std::vector<std::string> PackedSet::sources() const {
  if (options_.source < 0) return {};
  return {store_->source_names[static_cast<std::size_t>(options_.source)]};
}

std::string PackedSet::Decode(std::span<const std::int32_t> ids) const {
  return store_->tokenizer->Decode(ids);
}

}  // namespace tatara::corpus
