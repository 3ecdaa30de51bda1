#include "tatara/corpus/mixture.h"

#include <algorithm>
#include <cmath>
#include <numeric>

#include "json_text.h"
#include "tatara/base/sha256.h"
#include "tatara/corpus/permutation.h"

namespace tatara::corpus {
namespace {

// Of kMixtureBlock places as many for each weight, the largest remainders rounded up (ties to the
// earlier source).
std::vector<std::uint64_t> SharesOf(const std::vector<double>& weights) {
  const double total = std::accumulate(weights.begin(), weights.end(), 0.0);
  std::vector<std::uint64_t> shares;
  std::vector<std::pair<double, std::size_t>> remainders;
  std::uint64_t given = 0;
  for (std::size_t i = 0; i < weights.size(); ++i) {
    const double exact = weights[i] / total * static_cast<double>(kMixtureBlock);
    const double whole = std::min(std::floor(exact), static_cast<double>(kMixtureBlock - given));
    shares.push_back(static_cast<std::uint64_t>(whole));
    given += shares.back();
    if (weights[i] > 0) remainders.emplace_back(exact - whole, i);
  }
  std::ranges::stable_sort(remainders, [](auto a, auto b) { return a.first > b.first; });
  for (std::size_t k = 0; given < kMixtureBlock; ++k, ++given) {
    ++shares[remainders[k % remainders.size()].second];
  }
  return shares;
}

bool SameKeys(const Metadata& a, const Metadata& b) {
  return a.values() == b.values();
}

}  // namespace

Result<std::unique_ptr<Mixture>> Mixture::Make(std::vector<MixtureSource> sources,
                                               const std::vector<MixturePhase>& phases) {
  if (sources.empty() || phases.empty()) return Refuse("a mixture of nothing");
  for (const MixtureSource& source : sources) {
    if (source.set->n_vocab() != sources[0].set->n_vocab() ||
        !SameKeys(source.set->TokenizerKeys(), sources[0].set->TokenizerKeys())) {
      return Refuse("the sources '{0}' and '{1}' have different tokenizers", sources[0].name,
                    source.name);
    }
  }
  std::unique_ptr<Mixture> mixture(new Mixture);
  mixture->sources_ = std::move(sources);
  Json json = {{"kind", "mixture"}, {"block", kMixtureBlock}};
  for (const MixturePhase& phase : phases) {
    TATARA_RETURN_IF_ERROR(mixture->AddPhase(phase));
    json["phases"].push_back({{"from", phase.from_sequence}, {"weights", phase.weights}});
  }
  for (const MixtureSource& source : mixture->sources_) {
    json["sources"].push_back({{"name", source.name}, {"digest", source.set->digest()}});
  }
  mixture->digest_ = Sha256Hex(DumpJson(json));
  json["digest"] = mixture->digest_;
  Json manifests = Json::array();
  for (const MixtureSource& source : mixture->sources_) {
    auto manifest = ParseJson(source.set->manifest());
    // Sources of one prepared set have one manifest.
    if (manifest && std::ranges::find(manifests, *manifest) == manifests.end()) {
      manifests.push_back(std::move(*manifest));
    }
  }
  json["manifests"] = std::move(manifests);
  mixture->manifest_ = DumpJson(json);
  return mixture;
}

Result<> Mixture::AddPhase(const MixturePhase& phase) {
  double total = 0;
  bool valid = phase.weights.size() == sources_.size();
  for (const double weight : phase.weights) {
    valid = valid && std::isfinite(weight) && weight >= 0;
    total += weight;
  }
  if (!valid || !(total > 0) || !std::isfinite(total)) {
    return Refuse("{0} weights for {1} sources; each must be at least 0, and one above it",
                  phase.weights.size(), sources_.size());
  }
  const std::uint64_t before = phases_.empty() ? 0 : phases_.back().from;
  if (phases_.empty() ? phase.from_sequence != 0 : phase.from_sequence <= before) {
    return Refuse("a phase from sequence {0}; the first is from 0, each further one from later on",
                  phase.from_sequence);
  }
  Phase made{.from = phase.from_sequence};
  made.first.assign(sources_.size(), 0);
  if (!phases_.empty()) {
    const Phase& last = phases_.back();
    const std::uint64_t n_blocks = (made.from - last.from + kMixtureBlock - 1) / kMixtureBlock;
    made.first_block = last.first_block + n_blocks;
    for (std::size_t i = 0; i < sources_.size(); ++i) {
      const std::uint64_t share = last.shares[i] - (i == 0 ? 0 : last.shares[i - 1]);
      made.first[i] = last.first[i] + n_blocks * share;
    }
  }
  made.shares = SharesOf(phase.weights);
  std::partial_sum(made.shares.begin(), made.shares.end(), made.shares.begin());
  phases_.push_back(std::move(made));
  return Ok{};
}

Mixture::Place Mixture::PlaceOf(std::uint64_t seed, std::uint64_t number) const {
  const auto later = std::ranges::upper_bound(phases_, number, {}, &Phase::from);
  const Phase& phase = *(later - 1);
  const std::uint64_t block = (number - phase.from) / kMixtureBlock;
  // Other epochs than those that the sources count, so that the orders are not related.
  constexpr std::uint64_t kBlocks = std::uint64_t{1} << 59;
  const std::uint64_t place = PermutedPlace(seed, kBlocks + phase.first_block + block,
                                            kMixtureBlock, (number - phase.from) % kMixtureBlock);
  const auto source = static_cast<std::size_t>(std::ranges::upper_bound(phase.shares, place) -
                                               phase.shares.begin());
  const std::uint64_t first = source == 0 ? 0 : phase.shares[source - 1];
  const std::uint64_t share = phase.shares[source] - first;
  return {source, phase.first[source] + block * share + (place - first)};
}

Result<> Mixture::CheckContext(std::int64_t context) const {
  for (std::size_t i = 0; i < sources_.size(); ++i) {
    const bool used = std::ranges::any_of(phases_, [&](const Phase& phase) {
      return phase.shares[i] > (i == 0 ? 0 : phase.shares[i - 1]);
    });
    if (used) TATARA_RETURN_IF_ERROR(sources_[i].set->CheckContext(context));
  }
  return Ok{};
}

Result<> Mixture::Training(std::uint64_t seed, std::uint64_t number, SequenceView into) const {
  const Place place = PlaceOf(seed, number);
  return sources_[place.source].set->Training(seed, place.number, into);
}

std::int64_t Mixture::n_validation(std::int64_t context) const {
  std::int64_t n = 0;
  for (const MixtureSource& source : sources_) n += source.set->n_validation(context);
  return n;
}

Result<> Mixture::Validation(std::int64_t i, SequenceView into) const {
  const auto context = static_cast<std::int64_t>(into.tokens.size());
  const auto source = static_cast<std::size_t>(ValidationSource(i, context));
  for (std::size_t k = 0; k < source; ++k) i -= sources_[k].set->n_validation(context);
  return sources_[source].set->Validation(i, into);
}

std::vector<std::string> Mixture::sources() const {
  std::vector<std::string> names;
  for (const MixtureSource& source : sources_) names.push_back(source.name);
  return names;
}

int Mixture::ValidationSource(std::int64_t i, std::int64_t context) const {
  for (std::size_t k = 0; k + 1 < sources_.size(); ++k) {
    const std::int64_t n = sources_[k].set->n_validation(context);
    if (i < n) return static_cast<int>(k);
    i -= n;
  }
  return static_cast<int>(sources_.size()) - 1;
}

}  // namespace tatara::corpus
