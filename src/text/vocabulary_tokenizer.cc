#include "vocabulary_tokenizer.h"

#include <algorithm>

#include "guard_marks.h"

namespace tatara::text {
namespace {

SpecialTokens TokensOf(const Vocabulary& vocabulary, bool with_special) {
  std::vector<std::pair<std::string_view, std::int32_t>> tokens;
  for (std::int32_t id = 0; id < vocabulary.size(); ++id) {
    const TokenType type = vocabulary.type(id);
    const bool special = type == TokenType::kControl || type == TokenType::kUnknown;
    if (type == TokenType::kUserDefined || (special && with_special)) {
      tokens.emplace_back(vocabulary.text(id), id);
    }
  }
  return SpecialTokens(std::move(tokens));
}

}  // namespace

VocabularyTokenizer::VocabularyTokenizer(Vocabulary vocabulary)
    : vocabulary_(std::move(vocabulary)),
      always_(TokensOf(vocabulary_, false)),
      with_special_(TokensOf(vocabulary_, true)) {}

std::vector<std::int32_t> VocabularyTokenizer::Encode(std::string_view text,
                                                      const EncodeOptions& options) const {
  std::vector<std::int32_t> ids;
  ids.reserve(text.size() / 3 + 2);
  const std::int32_t start =
      options.add_start && vocabulary_.adds_start() ? vocabulary_.start_id() : -1;
  if (start >= 0) ids.push_back(start);
  std::string changed, unmarked;
  text = Prepare(text, changed);
  std::vector<std::size_t> barred;
  if (options.guarded) {
    unmarked = guard::TakeOut(text, &barred);
    text = unmarked;
  }
  for (std::size_t at = 0; at < text.size();) {
    const SpecialTokens::Match match =
        options.parse_special ? FindUnbarred(text, at, barred) : always_.Find(text, at);
    const std::size_t end = match.id < 0 ? text.size() : match.begin;
    if (end > at) EncodeRun(text.substr(at, end - at), ids);
    if (match.id < 0) break;
    const bool start_again = match.id == start && match.begin == 0;  // written by a template
    if (!start_again) ids.push_back(match.id);
    at = match.begin + match.length;
  }
  return ids;
}

SpecialTokens::Match VocabularyTokenizer::FindUnbarred(std::string_view text, std::size_t from,
                                                       std::span<const std::size_t> barred) const {
  for (;;) {
    const SpecialTokens::Match match = with_special_.Find(text, from);
    if (match.id < 0 || !std::binary_search(barred.begin(), barred.end(), match.begin)) {
      return match;
    }
    const SpecialTokens::Match user_defined = always_.MatchAt(text, match.begin);
    if (user_defined.id >= 0) return user_defined;
    from = match.begin + 1;
  }
}

std::string VocabularyTokenizer::Guard(std::string_view text) const {
  std::string changed;
  const std::string_view prepared = Prepare(text, changed);
  std::vector<std::size_t> begins;  // of special tokens other than user-defined ones
  for (std::size_t at = 0; at < prepared.size();) {
    const SpecialTokens::Match match = with_special_.Find(prepared, at);
    if (match.id < 0) break;
    if (vocabulary_.type(match.id) == TokenType::kUserDefined) {
      at = match.begin + match.length;
    } else {
      begins.push_back(match.begin);
      at = match.begin + 1;  // once that one is only text, others may begin inside it
    }
  }
  return guard::PutIn(begins.empty() ? text : prepared, begins);
}

void VocabularyTokenizer::FillTokenBytes(
    FunctionRef<void(std::int32_t id, std::string& to)> append) {
  token_bytes_.clear();
  token_ends_.clear();
  token_ends_.reserve(static_cast<std::size_t>(vocabulary_.size()));
  for (std::int32_t id = 0; id < vocabulary_.size(); ++id) {
    switch (vocabulary_.type(id)) {
      case TokenType::kControl:
      case TokenType::kUnknown:
      case TokenType::kUnused:
        break;
      case TokenType::kUserDefined:
        token_bytes_ += vocabulary_.text(id);
        break;
      case TokenType::kNormal:
      case TokenType::kByte:
        append(id, token_bytes_);
        break;
    }
    token_ends_.push_back(static_cast<std::uint32_t>(token_bytes_.size()));
  }
}

void VocabularyTokenizer::Append(std::int32_t id, bool show_special, std::string& to) const {
  if (!vocabulary_.Contains(id)) return;
  const auto at = static_cast<std::size_t>(id);
  const std::size_t begin = at == 0 ? 0 : token_ends_[at - 1];
  const TokenType type = vocabulary_.type(id);
  const bool hidden =
      type == TokenType::kControl || type == TokenType::kUnknown || type == TokenType::kUnused;
  if (!hidden) {
    to.append(token_bytes_, begin, token_ends_[at] - begin);
  } else if (show_special) {
    to += vocabulary_.text(id);
  }
}

std::string VocabularyTokenizer::TokenBytes(std::int32_t id, bool show_special) const {
  std::string bytes;
  Append(id, show_special, bytes);
  return bytes;
}

std::string VocabularyTokenizer::Decode(std::span<const std::int32_t> ids,
                                        bool show_special) const {
  std::string bytes;
  bytes.reserve(ids.size() * 4);
  for (const std::int32_t id : ids) Append(id, show_special, bytes);
  if (HasSpacePrefix() && bytes.starts_with(' ')) bytes.erase(0, 1);
  return bytes;
}

bool VocabularyTokenizer::IsControl(std::int32_t id) const {
  return vocabulary_.Contains(id) && vocabulary_.type(id) == TokenType::kControl;
}

bool VocabularyTokenizer::EndsGeneration(std::int32_t id) const {
  return vocabulary_.Contains(id) && vocabulary_.ends_generation(id);
}

std::string VocabularyTokenizer::TokenText(std::int32_t id) const {
  return vocabulary_.Contains(id) ? std::string(vocabulary_.text(id)) : std::string();
}

}  // namespace tatara::text
