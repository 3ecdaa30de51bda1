#include "pipeline_tokenizer.h"

#include <utility>

#include "bpe_model.h"
#include "tatara/base/utf8.h"
#include "tatara/text/byte_alphabet.h"

namespace tatara::text {
namespace {

std::optional<char> ByteNamed(std::string_view text) {
  if (text.size() != 6 || !text.starts_with("<0x") || text[5] != '>') return std::nullopt;
  int value = 0;
  for (const char c : text.substr(3, 2)) {
    const int digit = c >= '0' && c <= '9'   ? c - '0'
                      : c >= 'A' && c <= 'F' ? c - 'A' + 10
                      : c >= 'a' && c <= 'f' ? c - 'a' + 10
                                             : -1;
    if (digit < 0) return std::nullopt;
    value = value * 16 + digit;
  }
  return static_cast<char>(value);
}

void ReplaceAll(std::string& text, std::string_view from, std::string_view to) {
  if (from.empty()) return;
  for (std::size_t at = 0; (at = text.find(from, at)) != text.npos; at += to.size()) {
    text.replace(at, from.size(), to);
  }
}

// tokenizers 0.23, decoders/wordpiece.rs, cleanup.
void Tidy(std::string& text) {
  constexpr std::pair<std::string_view, std::string_view> kRules[] = {
      {" .", "."},   {" ?", "?"},     {" !", "!"},     {" ,", ","},
      {" ' ", "'"},  {" n't", "n't"}, {" 'm", "'m"},   {" do not", " don't"},
      {" 's", "'s"}, {" 've", "'ve"}, {" 're", "'re"},
  };
  for (const auto& [from, to] : kRules) ReplaceAll(text, from, to);
}

}  // namespace

PipelineTokenizer::PipelineTokenizer(Vocabulary from, Parts parts)
    : VocabularyTokenizer(std::move(from)), parts_(std::move(parts)) {
  if (parts_.surroundings) SetSurroundings(*std::move(parts_.surroundings));
  for (const auto& [id, finding] : parts_.findings) SetFinding(id, finding);
  if (parts_.model->TakesBytes()) bytes_model_ = static_cast<const BpeModel*>(parts_.model.get());
  if (!parts_.normalised_tokens.empty()) {
    std::vector<bool> left_out(static_cast<std::size_t>(vocabulary().size()));
    std::vector<std::string> texts;
    for (const std::int32_t id : parts_.normalised_tokens) {
      left_out[static_cast<std::size_t>(id)] = true;
      texts.emplace_back(vocabulary().text(id));
      parts_.normalizer.Apply(texts.back());
    }
    LeaveOut(left_out);
    std::vector<std::pair<std::string_view, std::int32_t>> tokens;
    for (std::size_t i = 0; i < texts.size(); ++i) {
      tokens.emplace_back(texts[i], parts_.normalised_tokens[i]);
    }
    normalised_tokens_ = SpecialTokens(std::move(tokens));
    has_normalised_tokens_ = true;
  }
  FillTokenBytes([&](std::int32_t id, std::string& to) { AppendWritten(id, to); });
}

PipelineTokenizer::~PipelineTokenizer() = default;

void PipelineTokenizer::EncodeRun(std::string_view text, RunPlace place,
                                  std::vector<std::int32_t>& ids) const {
  const bool at_start = place == RunPlace::kStart;
  auto loan = workspaces_.Borrow([&] { return parts_.model->MakeWorkspace(); });
  std::string changed;
  if (bytes_model_ != nullptr) {
    if (std::optional<std::string> repaired = bytes_model_->Repaired(text)) {
      changed = *std::move(repaired);
      text = changed;
    }
  } else if (!IsValidUtf8(text)) {
    changed = ReplaceInvalidUtf8(text);
    text = changed;
  }
  if (!parts_.normalizer.empty() && IsValidUtf8(text)) {
    std::string normalised(text);
    parts_.normalizer.Apply(normalised, at_start);
    changed = std::move(normalised);
    text = changed;
  }
  if (!has_normalised_tokens_) {
    EncodeNormalised(text, at_start, *loan, ids);
  } else {
    std::size_t done = 0;
    for (std::size_t at = 0; at < text.size();) {
      SpecialTokens::Match match = normalised_tokens_.Find(text, at);
      if (match.id < 0) break;
      at = match.begin + match.length;
      if (!Settle(text, done, match)) continue;
      EncodeNormalised(text.substr(done, match.begin - done), at_start && done == 0, *loan, ids);
      ids.push_back(match.id);
      done = at = match.begin + match.length;
    }
    EncodeNormalised(text.substr(done), at_start && done == 0, *loan, ids);
  }
  (*loan).Trim();
}

void PipelineTokenizer::EncodeNormalised(std::string_view text, bool at_start,
                                         TextModel::Workspace& workspace,
                                         std::vector<std::int32_t>& ids) const {
  parts_.pre_tokenizer.Split(text, at_start, [&](std::string_view piece) {
    parts_.model->Encode(vocabulary(), piece, workspace, ids);
  });
}

void PipelineTokenizer::AppendPlain(std::string_view text, std::string& to) const {
  const Writing& writing = parts_.writing;
  if (!writing.byte_alphabet) {
    to += text;
    return;
  }
  const std::size_t begin = to.size();
  for (std::string_view rest = text; !rest.empty();) {
    const Utf8Sequence sequence = ReadUtf8(rest);
    const auto byte = sequence.valid ? ByteOfCharacter(sequence.code_point) : std::nullopt;
    if (!byte) {  // not written in the alphabet: the text itself, as Hugging Face decodes it
      to.resize(begin);
      to += text;
      return;
    }
    to.push_back(static_cast<char>(*byte));
    rest.remove_prefix(sequence.length);
  }
}

void PipelineTokenizer::AppendWritten(std::int32_t id, std::string& to) const {
  const Writing& writing = parts_.writing;
  const std::string_view text = vocabulary().text(id);
  if (writing.byte_tokens) {
    if (const std::optional<char> byte = ByteNamed(text)) {
      to.push_back(*byte);
      return;
    }
  }
  std::string written;
  std::string_view rest = text;
  bool begins = false, ends = false;
  if (!writing.word_begin.empty()) {
    begins = rest.starts_with(writing.word_begin);
    if (begins) rest.remove_prefix(writing.word_begin.size());
  } else if (!writing.continuing.empty()) {
    begins = !rest.starts_with(writing.continuing);
    if (!begins) rest.remove_prefix(writing.continuing.size());
  } else {
    begins = writing.words;
  }
  if (!writing.end_suffix.empty() && rest.ends_with(writing.end_suffix)) {
    ends = true;
    rest.remove_suffix(writing.end_suffix.size());
  }
  if (begins && writing.words) written += ' ';
  AppendPlain(rest, written);
  if (ends) written += ' ';
  for (const auto& [from, replaced] : writing.replacements) ReplaceAll(written, from, replaced);
  ReplaceAll(written, writing.mark, " ");
  if (writing.tidies) Tidy(written);
  to += written;
}

}  // namespace tatara::text
