// Sequences of a fixed length cut from, or filled with, whole documents, such that no document sees
// another: first_keys tell where each starts, and the last token of one never predicts the next.
//
// Two ways to fill sequences:
//   kStream: the documents one after the other, cut every `context` tokens; where an epoch starts
//     in that circle is drawn anew each time, so that the cuts fall elsewhere. For texts.
//   kWhole: each document lies whole in one sequence, best fit first (the longest first, each into
//     the fullest sequence that still holds it); one longer than the context is cut off there, and
//     left out where nothing that counts comes before. For question and answer.
// In both every prediction of what trains is made once an epoch; the rest of a sequence is padding
// (id 0, target -1, each place a document of its own). Sequence n of a run is place n mod N of
// epoch n / N, in the order of permutation.h.
//
// A document validates where the 64 bits of its digest are below the fraction of 2^64 (at least one
// does where there are two or more documents and the fraction is above 0): a document keeps its
// side when others come or go.
// Memory: 12 bytes a document, and for kWhole 8 more for each context asked for.
// Thread safety: as TrainingSet.
#pragma once

#include <map>
#include <memory>
#include <mutex>
#include <string>
#include <string_view>
#include <vector>

#include "tatara/corpus/token_store.h"
#include "tatara/corpus/training_set.h"

namespace tatara::corpus {

enum class Packing { kStream, kWhole };

struct PackedSetOptions {
  Packing packing = Packing::kStream;
  double validation_fraction = 0;  // in [0, 1)
  int source = -1;                 // only documents of this source; -1: all
};

class PackedSet final : public TrainingSet {
 public:
  static Result<std::unique_ptr<PackedSet>> Make(std::shared_ptr<const TokenStore> store,
                                                 const PackedSetOptions& options);

  const std::string& digest() const override { return digest_; }
  const std::string& manifest() const override { return store_->manifest; }
  std::int32_t n_vocab() const override;
  Result<> CheckContext(std::int64_t context) const override;
  Result<> Training(std::uint64_t seed, std::uint64_t number, SequenceView into) const override;
  std::int64_t n_validation(std::int64_t context) const override;
  Result<> Validation(std::int64_t i, SequenceView into) const override;
  std::vector<std::string> sources() const override;
  std::string Decode(std::span<const std::int32_t> ids) const override;
  Metadata TokenizerKeys() const override { return store_->tokenizer_keys; }

  // Sequences of an epoch.
  std::int64_t n_training(std::int64_t context) const;
  std::uint64_t n_training_documents() const { return training_.documents.size(); }
  std::uint64_t n_validation_documents() const { return validation_.documents.size(); }

 private:
  // Which documents lie in which sequence.
  struct Plan {
    std::vector<std::uint32_t> places;  // in Side::documents, sequence after sequence
    std::vector<std::uint64_t> starts;  // one more than there are sequences
  };
  struct Side {
    std::vector<std::uint32_t> documents;
    std::vector<std::uint64_t> starts;  // predictions before each; one more
    std::map<std::int64_t, std::shared_ptr<const Plan>> plans;
  };

  PackedSet(std::shared_ptr<const TokenStore> store, const PackedSetOptions& options)
      : store_(std::move(store)), options_(options) {}
  void Split();
  std::shared_ptr<const Plan> PlanOf(Side& side, std::int64_t context) const;
  Plan MakePlan(const Side& side, std::int64_t context) const;
  std::uint64_t Sequences(Side& side, std::int64_t context) const;
  void FillFromStream(const Side& side, std::uint64_t from, std::uint64_t n,
                      SequenceView into) const;
  void FillFromPlan(const Side& side, const Plan& plan, std::uint64_t i, SequenceView into) const;
  std::size_t CopyDocument(std::uint32_t document, std::uint64_t from, std::size_t at,
                           std::size_t n, SequenceView into) const;

  std::shared_ptr<const TokenStore> store_;
  PackedSetOptions options_;
  std::string digest_;
  mutable std::mutex plans_lock_;
  mutable Side training_, validation_;  // mutable: their plans
};

}  // namespace tatara::corpus
