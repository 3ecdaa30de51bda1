// Several training sets as one, by weight.
//
// Sequences come in blocks of kMixtureBlock; in each block every source has its share of them, to
// within one, at places that a permutation of the block by (seed, block) decides. A source's own
// sequences are taken in its own order, none left out, whatever the others do. So sequence n is the
// same for ever, and a source's weight is kept from block to block, not only on average.
//
// Phases change the weights from a sequence number on: a phase starts a new block, and each source
// goes on after the last block of the phase before it, of which what was not reached is left out.
//
// Validation: the sources' validation sequences, one source after the other, whatever the weights.
// Thread safety: as TrainingSet.
#pragma once

#include <memory>
#include <string>
#include <vector>

#include "tatara/corpus/training_set.h"

namespace tatara::corpus {

inline constexpr std::uint64_t kMixtureBlock = 4096;

struct MixturePhase {
  std::uint64_t from_sequence = 0;  // 0 for the first; ascending
  std::vector<double> weights;      // one a source; at least 0, not all 0
};

struct MixtureSource {
  std::string name;
  std::shared_ptr<const TrainingSet> set;
};

class Mixture final : public TrainingSet {
 public:
  // Refuses sources of different tokenizers, and weights that are none.
  static Result<std::unique_ptr<Mixture>> Make(std::vector<MixtureSource> sources,
                                               const std::vector<MixturePhase>& phases);

  const std::string& digest() const override { return digest_; }
  const std::string& manifest() const override { return manifest_; }
  std::int32_t n_vocab() const override { return sources_[0].set->n_vocab(); }
  Result<> CheckContext(std::int64_t context) const override;
  Result<> Training(std::uint64_t seed, std::uint64_t number, SequenceView into) const override;
  std::int64_t n_validation(std::int64_t context) const override;
  Result<> Validation(std::int64_t i, SequenceView into) const override;
  std::vector<std::string> sources() const override;
  int ValidationSource(std::int64_t i, std::int64_t context) const override;
  std::string Decode(std::span<const std::int32_t> ids) const override {
    return sources_[0].set->Decode(ids);
  }
  Metadata TokenizerKeys() const override { return sources_[0].set->TokenizerKeys(); }

  // Which source sequence `number` is of, and which of its sequences it is.
  struct Place {
    std::size_t source = 0;
    std::uint64_t number = 0;
  };
  Place PlaceOf(std::uint64_t seed, std::uint64_t number) const;

 private:
  struct Phase {
    std::uint64_t from = 0, first_block = 0;
    std::vector<std::uint64_t> first;   // of each source: its sequences before this phase
    std::vector<std::uint64_t> shares;  // running sums over the sources of a block's places
  };
  Mixture() = default;
  Result<> AddPhase(const MixturePhase& phase);
  std::vector<MixtureSource> sources_;
  std::vector<Phase> phases_;
  std::string digest_, manifest_;
};

}  // namespace tatara::corpus
