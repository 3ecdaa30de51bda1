// What a trainer reads: sequences of token ids by number, so that the n-th is the same for ever,
// whoever asks, in whatever order.
// Thread safety: all calls are const and may run side by side.
#pragma once

#include <cstdint>
#include <span>
#include <string>
#include <vector>

#include "tatara/base/error.h"
#include "tatara/base/metadata.h"

namespace tatara::corpus {

// One sequence, into the caller's arrays of equal length (the context).
struct SequenceView {
  std::span<std::int32_t> tokens;
  std::span<std::int32_t> targets;  // the token that follows; -1: counts for nothing
  // For each token the place in the sequence where its document starts: earlier tokens are not
  // seen, positions count from there. All 0 where documents are not told apart.
  std::span<std::int32_t> first_keys;
};

class TrainingSet {
 public:
  virtual ~TrainingSet() = default;

  // SHA-256 of everything that decides a token or a target; 64 hexadecimal digits.
  virtual const std::string& digest() const = 0;
  // What went in, counts, what was left out and why: one line of JSON.
  virtual const std::string& manifest() const = 0;
  // All ids are below.
  virtual std::int32_t n_vocab() const = 0;

  // Refuses a context of which there is no sequence to train on.
  virtual Result<> CheckContext(std::int64_t context) const = 0;
  // Sequence `number` (step * batch + place in the batch) of a run with this seed.
  virtual Result<> Training(std::uint64_t seed, std::uint64_t number, SequenceView into) const = 0;
  // Sequences that are only validated on, one after the other without overlap; may be none.
  virtual std::int64_t n_validation(std::int64_t context) const = 0;
  virtual Result<> Validation(std::int64_t i, SequenceView into) const = 0;

  // Names of what was mixed, for losses by source, and whose validation sequence i is.
  virtual std::vector<std::string> sources() const { return {}; }
  virtual int ValidationSource(std::int64_t /*i*/, std::int64_t /*context*/) const { return 0; }

  virtual std::string Decode(std::span<const std::int32_t> ids) const = 0;
  // The keys tokenizer.* of GGUF, so that what was trained can be exported and talked to.
  virtual Metadata TokenizerKeys() const = 0;
};

}  // namespace tatara::corpus
