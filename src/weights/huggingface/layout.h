// How the numbers of a published tensor lie in GGUF's: one description by which folders are read
// and models are exported. A tensor is cut into blocks that are rearranged alike, each for itself:
// a row, a head, an expert's matrix or all of it. Thread safety: values.
#pragma once

#include <cstdint>
#include <optional>
#include <span>
#include <vector>

#include "huggingface/family.h"

namespace tatara::weights {

using Shape = std::vector<std::int64_t>;  // slowest dimension first

// n numbers: published at from, from + from_stride, ... of a block; in GGUF's tensor `part` at to,
// to + to_stride, ... of the same block.
struct Run {
  std::int64_t from = 0, from_stride = 1;
  int part = 0;
  std::int64_t to = 0, to_stride = 1;
  std::int64_t n = 0;
};

class Layout {
 public:
  // Nothing where a tensor of that shape can not be what `change` expects of a model of `sizes`.
  static std::optional<Layout> OfPublished(Change change, const FamilySizes& sizes,
                                           const Shape& published);
  // The published tensor of which these are the parts.
  static std::optional<Layout> OfParts(Change change, const FamilySizes& sizes,
                                       std::span<const Shape> parts);

  const Shape& published() const { return published_; }
  const std::vector<Shape>& parts() const { return parts_; }
  std::int64_t n_blocks() const { return n_blocks_; }
  std::int64_t block_values() const;  // of the published tensor
  std::int64_t block_values(int part) const;
  std::span<const Run> runs() const { return runs_; }
  // The same numbers in the same order; shapes may differ in dimensions of 1.
  bool is_identity() const { return is_identity_; }
  // Whether only whole groups of `n` numbers move.
  bool MovesWhole(std::int64_t n) const;

 private:
  struct Maker;
  Shape published_;
  std::vector<Shape> parts_;
  std::vector<Run> runs_;
  std::int64_t n_blocks_ = 1;
  bool is_identity_ = false;
};

// What becomes of the numbers themselves, in place: `published` from published to GGUF's, else
// back.
enum class ValueChange : std::uint8_t { kNone, kPlusOne, kNegativeExp };
ValueChange ValueChangeOf(Change change);
void FromPublished(ValueChange change, std::span<float> values);
// False where a value has no published form.
bool ToPublished(ValueChange change, std::span<float> values);

}  // namespace tatara::weights
