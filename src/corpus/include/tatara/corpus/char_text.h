// A UTF-8 text as ids of its characters, for models that read character by character.
//
// The vocabulary is the code points that occur, ascending; a token's id is its place there. The
// first characters train, the last validate. Nothing is changed: line ends and spaces count.
// Thread safety: values.
#pragma once

#include <cstdint>
#include <filesystem>
#include <string>
#include <vector>

#include "tatara/base/error.h"

namespace tatara::corpus {

struct CharTextOptions {
  std::filesystem::path path;
  std::string sha256;              // where not empty, the file must have it
  double validation_fraction = 0;  // of the characters, rounded down; in [0, 1)
};

struct CharText {
  std::vector<std::string> vocabulary;  // each a character in UTF-8
  std::vector<std::int32_t> training, validation;
  std::string manifest;  // JSON: input, counts, digests
  std::string digest;    // SHA-256 of the vocabulary and all ids

  std::string Decode(const std::vector<std::int32_t>& ids) const;
};

// Refuses, naming the offset, what is not UTF-8; files above 1 GiB; another digest than stated.
Result<CharText> ReadCharText(const CharTextOptions& options);

}  // namespace tatara::corpus
