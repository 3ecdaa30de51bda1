#include "vocabulary_tokenizer.h"

#include <algorithm>

#include "guard_marks.h"
#include "regex/code_point_set.h"
#include "tatara/base/utf8.h"
#include "unicode_categories.h"

namespace tatara::text {
namespace {

SpecialTokens TokensOf(const Vocabulary& vocabulary, bool with_special,
                       const std::vector<bool>& left_out) {
  std::vector<std::pair<std::string_view, std::int32_t>> tokens;
  for (std::int32_t id = 0; id < vocabulary.size(); ++id) {
    if (!left_out.empty() && left_out[static_cast<std::size_t>(id)]) continue;
    const TokenType type = vocabulary.type(id);
    const bool special = type == TokenType::kControl || type == TokenType::kUnknown;
    if (type == TokenType::kUserDefined || (special && with_special)) {
      tokens.emplace_back(vocabulary.text(id), id);
    }
  }
  return SpecialTokens(std::move(tokens));
}

// \w of Rust's regular expressions.
bool IsWordCharacter(char32_t c) {
  static const CodePointSet word = CodePointSet::Word();
  const bool joiner = c == 0x200C || c == 0x200D;
  const bool raised = c == 0xB2 || c == 0xB3 || c == 0xB9 || (c >= 0xBC && c <= 0xBE);
  return joiner || (word.Contains(c) && !raised);
}

// Where the last character of `text` begins.
std::size_t LastCharacter(std::string_view text) {
  std::size_t begin = text.size() - 1;
  while (begin > 0 && text.size() - begin < 4 && (text[begin] & '\xC0') == '\x80') --begin;
  return begin;
}

}  // namespace

VocabularyTokenizer::VocabularyTokenizer(Vocabulary vocabulary)
    : vocabulary_(std::move(vocabulary)),
      always_(TokensOf(vocabulary_, false, {})),
      with_special_(TokensOf(vocabulary_, true, {})) {
  if (vocabulary_.adds_start()) surroundings_.before = {vocabulary_.start_id()};
  if (vocabulary_.adds_end()) surroundings_.after = {vocabulary_.end_id()};
}

void VocabularyTokenizer::SetFinding(std::int32_t id, Finding finding) {
  finding_.resize(static_cast<std::size_t>(vocabulary_.size()));
  finding_[static_cast<std::size_t>(id)] = finding;
}

void VocabularyTokenizer::LeaveOut(const std::vector<bool>& left_out) {
  always_ = TokensOf(vocabulary_, false, left_out);
  with_special_ = TokensOf(vocabulary_, true, left_out);
}

std::vector<std::int32_t> VocabularyTokenizer::Encode(std::string_view text,
                                                      const EncodeOptions& options) const {
  std::vector<std::int32_t> ids;
  ids.reserve(text.size() / 3 + 2);
  if (options.add_start) ids = surroundings_.before;
  EncodeInside(text, options, options.add_start, ids);
  if (options.add_end) {
    ids.insert(ids.end(), surroundings_.after.begin(), surroundings_.after.end());
  }
  return ids;
}

PairIds VocabularyTokenizer::EncodePair(std::string_view first, std::string_view second) const {
  PairIds pair;
  if (!surroundings_.knows_pairs) return pair;
  const auto append = [&](const std::vector<std::int32_t>& ids) {
    pair.ids.insert(pair.ids.end(), ids.begin(), ids.end());
  };
  append(surroundings_.pair_before);
  EncodeInside(first, {}, /*start_was_added=*/false, pair.ids);
  append(surroundings_.between);
  const std::size_t n_first = pair.ids.size();
  EncodeInside(second, {}, /*start_was_added=*/false, pair.ids);
  append(surroundings_.pair_after);
  pair.segments.assign(pair.ids.size(), 0);
  if (surroundings_.second_segment) {
    std::fill(pair.segments.begin() + static_cast<std::ptrdiff_t>(n_first), pair.segments.end(), 1);
  }
  return pair;
}

void VocabularyTokenizer::EncodeInside(std::string_view text, const EncodeOptions& options,
                                       bool start_was_added, std::vector<std::int32_t>& ids) const {
  const std::int32_t start =
      start_was_added && !surroundings_.before.empty() ? surroundings_.before.front() : -1;
  std::string changed, unmarked;
  text = Prepare(text, changed);
  std::vector<std::size_t> barred;
  if (options.guarded) {
    unmarked = guard::TakeOut(text, &barred);
    text = unmarked;
  }
  const auto place = [&](std::size_t from) {
    if (from > 0) return RunPlace::kAfterSpecial;
    return options.continues ? RunPlace::kContinues : RunPlace::kStart;
  };
  std::size_t done = 0;
  for (std::size_t at = 0; at < text.size();) {
    SpecialTokens::Match match =
        options.parse_special ? FindUnbarred(text, at, barred) : always_.Find(text, at);
    if (match.id < 0) break;
    at = match.begin + match.length;
    if (!Settle(text, done, match)) continue;
    if (match.begin > done) EncodeRun(text.substr(done, match.begin - done), place(done), ids);
    const bool start_again = match.id == start && match.begin == 0;  // written by a template
    if (!start_again) ids.push_back(match.id);
    done = at = match.begin + match.length;
  }
  if (done < text.size()) EncodeRun(text.substr(done), place(done), ids);
}

bool VocabularyTokenizer::Settle(std::string_view text, std::size_t from,
                                 SpecialTokens::Match& match) const {
  if (finding_.empty()) return true;
  const Finding& finding = finding_[static_cast<std::size_t>(match.id)];
  std::size_t end = match.begin + match.length;
  if (finding.whole_word) {
    if (end < text.size() && IsWordCharacter(ReadUtf8(text.substr(end)).code_point)) return false;
    if (match.begin > 0) {
      const std::string_view before = text.substr(0, match.begin);
      if (IsWordCharacter(ReadUtf8(before.substr(LastCharacter(before))).code_point)) return false;
    }
  }
  while (finding.eats_before && match.begin > from) {
    const std::size_t last = from + LastCharacter(text.substr(from, match.begin - from));
    const Utf8Sequence sequence = ReadUtf8(text.substr(last));
    if (!sequence.valid || !IsWhiteSpace(sequence.code_point)) break;
    match.begin = last;
  }
  while (finding.eats_after && end < text.size()) {
    const Utf8Sequence sequence = ReadUtf8(text.substr(end));
    if (!sequence.valid || !IsWhiteSpace(sequence.code_point)) break;
    end += sequence.length;
  }
  match.length = end - match.begin;
  return true;
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
