// A UTF-8 text as ids of its characters, for models that read character by character.
//
// The vocabulary is the code points that occur, ascending; a token's id is its place there. The
// first characters train, the last validate. Nothing is changed: line ends and spaces count.
// Thread safety: as TrainingSet.
#pragma once

#include <cstdint>
#include <filesystem>
#include <string>
#include <vector>

#include "tatara/base/error.h"
#include "tatara/corpus/training_set.h"

namespace tatara::corpus {

struct CharTextOptions {
  std::filesystem::path path;
  std::string sha256;              // where not empty, the file must have it
  double validation_fraction = 0;  // of the characters, rounded down; in [0, 1)
};

class CharText final : public TrainingSet {
 public:
  // Refuses, naming the offset, what is not UTF-8; empty files and those above 1 GiB; another
  // digest than stated.
  static Result<CharText> Read(const CharTextOptions& options);

  const std::vector<std::string>& vocabulary() const { return vocabulary_; }  // in UTF-8
  std::span<const std::int32_t> training() const { return training_; }
  std::span<const std::int32_t> validation() const { return validation_; }

  const std::string& digest() const override { return digest_; }
  const std::string& manifest() const override { return manifest_; }
  std::int32_t n_vocab() const override { return static_cast<std::int32_t>(vocabulary_.size()); }
  Result<> CheckContext(std::int64_t context) const override;
  // A window at a place drawn by (seed, number), each place as likely.
  Result<> Training(std::uint64_t seed, std::uint64_t number, SequenceView into) const override;
  std::int64_t n_validation(std::int64_t context) const override;
  Result<> Validation(std::int64_t i, SequenceView into) const override;
  // Other ids than those of the vocabulary are left out.
  std::string Decode(std::span<const std::int32_t> ids) const override;
  Metadata TokenizerKeys() const override;

 private:
  std::vector<std::string> vocabulary_;
  std::vector<std::int32_t> training_, validation_;
  std::string name_;  // in errors
  std::string manifest_, digest_;
};

}  // namespace tatara::corpus
