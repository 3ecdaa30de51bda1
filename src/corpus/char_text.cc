#include "tatara/corpus/char_text.h"

#include <algorithm>
#include <cmath>
#include <set>
#include <utility>

#include "tatara/base/files.h"
#include "tatara/base/philox.h"
#include "tatara/base/sha256.h"
#include "tatara/base/utf8.h"

namespace tatara::corpus {
namespace {

constexpr std::uint64_t kBytesMax = std::uint64_t{1} << 30;

std::string DigestOf(const CharText& text) {
  Sha256 digest;
  for (const std::string& piece : text.vocabulary()) digest.Update(piece).Update("\n");
  for (const auto ids : {text.training(), text.validation()}) digest.Update(std::as_bytes(ids));
  return ToHex(digest.Finish());
}

Result<std::vector<char32_t>> CodePoints(std::string_view text, const std::string& name) {
  std::vector<char32_t> codes;
  codes.reserve(text.size());
  for (std::size_t at = 0; at < text.size();) {
    const Utf8Sequence next = ReadUtf8(text.substr(at));
    if (!next.valid) return Refuse("{0}: not UTF-8 at byte {1}", name, at);
    codes.push_back(next.code_point);
    at += next.length;
  }
  return codes;
}

void CopyWindow(std::span<const std::int32_t> ids, std::size_t from, SequenceView into) {
  const auto window = ids.subspan(from, into.tokens.size() + 1);
  std::ranges::copy(window.first(into.tokens.size()), into.tokens.begin());
  std::ranges::copy(window.subspan(1), into.targets.begin());
  std::ranges::fill(into.first_keys, 0);
}

}  // namespace

Result<CharText> CharText::Read(const CharTextOptions& options) {
  const std::string name = options.path.string();
  TATARA_TRY(const std::string bytes, ReadWholeFile(options.path, kBytesMax));
  const std::string found = Sha256Hex(bytes);
  if (!options.sha256.empty() && options.sha256 != found) {
    return Refuse("{0}: SHA-256 is {1}, the recipe states {2}", name, found, options.sha256);
  }
  if (bytes.empty()) return Refuse("{0}: the text is empty", name);
  TATARA_TRY(const std::vector<char32_t> codes, CodePoints(bytes, name));
  if (!(options.validation_fraction >= 0 && options.validation_fraction < 1)) {
    return Refuse("{0}: {1} of the text can not validate; 0 to below 1 is accepted", name,
                  options.validation_fraction);
  }
  const std::set<char32_t> distinct(codes.begin(), codes.end());
  const std::vector<char32_t> sorted(distinct.begin(), distinct.end());
  CharText text;
  text.name_ = name;
  for (const char32_t code : sorted) AppendUtf8(text.vocabulary_.emplace_back(), code);
  const auto n_validation = static_cast<std::size_t>(
      std::floor(static_cast<double>(codes.size()) * options.validation_fraction));
  for (std::size_t i = 0; i < codes.size(); ++i) {
    const auto id =
        static_cast<std::int32_t>(std::ranges::lower_bound(sorted, codes[i]) - sorted.begin());
    (i + n_validation < codes.size() ? text.training_ : text.validation_).push_back(id);
  }
  text.digest_ = DigestOf(text);
  // Numbers and digests only: nothing in it needs escaping.
  text.manifest_ = fmt::format(
      "{{\"kind\":\"char\",\"bytes\":{},\"sha256\":\"{}\",\"vocabulary\":{},\"training_tokens\":{},"
      "\"validation_tokens\":{},\"digest\":\"{}\"}}",
      bytes.size(), found, text.vocabulary_.size(), text.training_.size(), text.validation_.size(),
      text.digest_);
  return text;
}

Result<> CharText::CheckContext(std::int64_t context) const {
  if (std::cmp_greater(training_.size(), context)) return Ok{};
  return Refuse("{0}: {1} tokens to train on, less than one window of {2}", name_, training_.size(),
                context + 1);
}

Result<> CharText::Training(std::uint64_t seed, std::uint64_t number, SequenceView into) const {
  const RandomKey key{.seed = seed, .purpose = RandomPurpose::kDataOrder, .position = number};
  CopyWindow(training_, RandomBelow(key, training_.size() - into.tokens.size()), into);
  return Ok{};
}

std::int64_t CharText::n_validation(std::int64_t context) const {
  const auto n = static_cast<std::int64_t>(validation_.size());
  return n > context ? (n - 1) / context : 0;
}

Result<> CharText::Validation(std::int64_t i, SequenceView into) const {
  CopyWindow(validation_, static_cast<std::size_t>(i) * into.tokens.size(), into);
  return Ok{};
}

std::string CharText::Decode(std::span<const std::int32_t> ids) const {
  std::string text;
  for (const std::int32_t id : ids) {
    if (id >= 0 && id < n_vocab()) text += vocabulary_[static_cast<std::size_t>(id)];
  }
  return text;
}

// SentencePiece's BPE with no piece to merge: every character is a token. A space is U+2581 there.
Metadata CharText::TokenizerKeys() const {
  std::vector<std::string> pieces = vocabulary_;
  std::ranges::replace(pieces, std::string(" "), std::string("\xE2\x96\x81"));
  Metadata keys;
  keys.Set("tokenizer.ggml.model", std::string("llama"));
  keys.Set("tokenizer.ggml.tokens", pieces);
  keys.Set("tokenizer.ggml.scores", std::vector<double>(pieces.size()));
  constexpr std::int64_t kNormal = 1;
  keys.Set("tokenizer.ggml.token_type", std::vector<std::int64_t>(pieces.size(), kNormal));
  keys.Set("tokenizer.ggml.add_bos_token", false);
  keys.Set("tokenizer.ggml.add_eos_token", false);
  keys.Set("tokenizer.ggml.add_space_prefix", false);
  return keys;
}

}  // namespace tatara::corpus
