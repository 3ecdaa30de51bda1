// What every tokenizer reads from `tokenizer.ggml.*`: token texts, their types, the special ids.
// Checked against the limits below before it exists. Thread safety: immutable, reading from any
// thread. Ownership: owns its texts.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "hash_tables.h"
#include "tatara/base/error.h"
#include "tatara/base/metadata.h"
#include "tatara/text/tokenizer.h"

namespace tatara::text {

// The numbers are GGUF's.
enum class TokenType : std::uint8_t {
  kNormal = 1,
  kUnknown = 2,
  kControl = 3,
  kUserDefined = 4,
  kUnused = 5,
  kByte = 6,
};

class Vocabulary {
 public:
  static constexpr std::size_t kTokensMax = std::size_t{1} << 22;
  static constexpr std::size_t kTokenBytesMax = 1 << 16;
  static constexpr std::size_t kTextBytesMax = std::size_t{1} << 28;  // of all tokens together

  // Where the file does not say whether a text begins with the start token, ends with the end
  // token.
  struct Otherwise {
    bool adds_start = false, adds_end = false;
  };
  static Result<Vocabulary> FromMetadata(const Metadata& metadata, Otherwise otherwise);

  Vocabulary(Vocabulary&&) = default;
  Vocabulary& operator=(Vocabulary&&) = default;

  std::int32_t size() const { return static_cast<std::int32_t>(types_.size()); }
  bool Contains(std::int32_t id) const { return id >= 0 && id < size(); }
  // The rest takes ids that the vocabulary contains.
  std::string_view text(std::int32_t id) const {
    const std::size_t begin = id == 0 ? 0 : ends_[id - 1];
    return std::string_view(bytes_).substr(begin, ends_[id] - begin);
  }
  TokenType type(std::int32_t id) const { return types_[id]; }
  bool ends_generation(std::int32_t id) const { return ends_generation_[id]; }

  void SetEndsGeneration(std::int32_t id) { ends_generation_[id] = true; }

  std::int32_t Find(std::string_view text) const { return by_text_.Find(text); }  // -1 where absent
  std::int32_t start_id() const { return start_id_; }                             // -1 where none
  std::int32_t end_id() const { return end_id_; }
  std::int32_t unknown_id() const { return unknown_id_; }
  const FillTokens& fill_tokens() const { return fill_tokens_; }
  bool adds_start() const { return adds_start_; }
  bool adds_end() const { return adds_end_; }
  const std::string& origin() const { return origin_; }

 private:
  Vocabulary() = default;
  Result<> ReadTokens(const Metadata& metadata);
  Result<> ReadTypes(const Metadata& metadata);
  Result<> ReadSpecialIds(const Metadata& metadata, Otherwise otherwise);
  Result<std::int32_t> ReadId(const Metadata& metadata, std::string_view key) const;
  Result<> ReadFillTokens(const Metadata& metadata);

  std::string origin_;
  std::string bytes_;                // all texts, one after the other; never changed once filled
  std::vector<std::uint32_t> ends_;  // where each text ends in bytes_
  std::vector<TokenType> types_;
  std::vector<bool> ends_generation_;
  TextTable by_text_;  // borrows from bytes_, whose heap block moves with this object
  std::int32_t start_id_ = -1, end_id_ = -1, unknown_id_ = -1;
  FillTokens fill_tokens_;
  bool adds_start_ = false, adds_end_ = false;
};

}  // namespace tatara::text
