// A model of tokens: what turns a piece of text into ids once normalisers and pre-tokenizers have
// done their work. Thread safety: immutable; one Workspace, one thread.
#pragma once

#include <cstdint>
#include <memory>
#include <string_view>
#include <vector>

#include "vocabulary.h"

namespace tatara::text {

class TextModel {
 public:
  // Memory that calls reuse.
  struct Workspace {
    virtual ~Workspace() = default;
    virtual void Trim() {}  // gives back what a very long piece needed
  };
  static constexpr std::size_t kKeptBytesMax = 4 << 20;

  virtual ~TextModel() = default;
  virtual std::unique_ptr<Workspace> MakeWorkspace() const = 0;
  // Appends the ids of a piece, which is not empty. `vocabulary` is the one the model was made for.
  virtual void Encode(const Vocabulary& vocabulary, std::string_view piece, Workspace& workspace,
                      std::vector<std::int32_t>& ids) const = 0;
  // True where pieces may be any bytes; otherwise they are valid UTF-8.
  virtual bool TakesBytes() const { return false; }
};

}  // namespace tatara::text
