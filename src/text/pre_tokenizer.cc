#include "pre_tokenizer.h"

#include <utility>

#include "tatara/base/utf8.h"
#include "tatara/text/byte_alphabet.h"

namespace tatara::text {
namespace {

struct Stretch {
  std::size_t begin, end;
  bool match;
};

// The rules of tokenizers 0.23: normalizer.rs, NormalizedString::split.
void Merge(PreTokenizer::Behaviour behaviour, std::vector<Stretch>& stretches) {
  using enum PreTokenizer::Behaviour;
  std::vector<Stretch> merged;
  bool previous_match = false;
  if (behaviour == kMergedWithNext) {
    for (std::size_t i = stretches.size(); i-- > 0;) {
      const Stretch& s = stretches[i];
      if (s.match && !previous_match && !merged.empty()) {
        merged.back().begin = s.begin;
      } else {
        merged.push_back(s);
      }
      previous_match = s.match;
    }
    stretches.assign(merged.rbegin(), merged.rend());
    return;
  }
  for (const Stretch& s : stretches) {
    const bool joins =
        behaviour == kContiguous ? s.match == previous_match : s.match && !previous_match;
    if (joins && !merged.empty()) {
      merged.back().end = s.end;
    } else {
      merged.push_back(s);
    }
    previous_match = s.match;
  }
  stretches = std::move(merged);
}

}  // namespace

Result<PreTokenizer> PreTokenizer::OfExpressions(const std::vector<std::string_view>& expressions,
                                                 std::string_view origin) {
  PreTokenizer made;
  for (const std::string_view expression : expressions) {
    TATARA_TRY(SplitRegex regex, SplitRegex::Compile(expression, origin));
    made.AddSplit(std::move(regex), Behaviour::kIsolated, /*invert=*/false);
  }
  return made;
}

void PreTokenizer::AddSplit(SplitRegex regex, Behaviour behaviour, bool invert) {
  Step step{.kind = Step::Kind::kSplit,
            .regex = {},
            .behaviour = behaviour,
            .invert = invert,
            .marks = {}};
  step.regex.push_back(std::move(regex));
  steps_.push_back(std::move(step));
}

void PreTokenizer::AddLeadingSpace() {
  steps_.push_back(Step{.kind = Step::Kind::kLeadingSpace, .regex = {}, .marks = {}});
}

void PreTokenizer::AddByteAlphabet() {
  steps_.push_back(Step{.kind = Step::Kind::kByteAlphabet, .regex = {}, .marks = {}});
}

void PreTokenizer::AddMarks(Marks marks) {
  steps_.push_back(Step{.kind = Step::Kind::kMarks, .regex = {}, .marks = std::move(marks)});
}

void PreTokenizer::Split(std::string_view text, bool at_start,
                         FunctionRef<void(std::string_view piece)> piece) const {
  Run(0, text, at_start, piece);
}

void PreTokenizer::Run(std::size_t index, std::string_view piece, bool at_start, Sink sink) const {
  if (piece.empty()) return;
  if (index == steps_.size()) return sink(piece);
  switch (steps_[index].kind) {
    case Step::Kind::kSplit:
      return RunSplit(index, piece, at_start, sink);
    case Step::Kind::kMarks:
      return RunMarks(index, piece, at_start, sink);
    case Step::Kind::kLeadingSpace: {
      if (piece.starts_with(' ')) return Run(index + 1, piece, at_start, sink);
      std::string spaced = " ";
      spaced += piece;
      return Run(index + 1, spaced, at_start, sink);
    }
    case Step::Kind::kByteAlphabet: {
      std::string mapped;
      mapped.reserve(piece.size() * 2);
      for (const char c : piece) {
        AppendUtf8(mapped, CharacterOfByte(static_cast<unsigned char>(c)));
      }
      return Run(index + 1, mapped, at_start, sink);
    }
  }
}

void PreTokenizer::RunSplit(std::size_t index, std::string_view piece, bool at_start,
                            Sink sink) const {
  const Step& step = steps_[index];
  const bool last = index + 1 == steps_.size();
  const auto pass_on = [&](std::size_t begin, std::size_t end) {
    if (begin == end) return;
    const std::string_view part = piece.substr(begin, end - begin);
    if (last) {
      sink(part);
    } else {
      Run(index + 1, part, at_start && begin == 0, sink);
    }
  };
  SplitRegex::Search search(step.regex[0], piece);
  SplitRegex::Match match;
  std::size_t done = 0;
  const bool removed = step.behaviour == Behaviour::kRemoved;
  if (removed || step.behaviour == Behaviour::kIsolated) {
    while (search.Next(match)) {
      if (!removed || !step.invert) pass_on(done, match.begin);
      if (!removed || step.invert) pass_on(match.begin, match.end);
      done = match.end;
    }
    if (!removed || !step.invert) pass_on(done, piece.size());
    return;
  }
  std::vector<Stretch> stretches;
  while (search.Next(match)) {
    if (match.begin > done) stretches.push_back({done, match.begin, step.invert});
    stretches.push_back({match.begin, match.end, !step.invert});
    done = match.end;
  }
  if (done < piece.size()) stretches.push_back({done, piece.size(), step.invert});
  Merge(step.behaviour, stretches);
  for (const Stretch& stretch : stretches) pass_on(stretch.begin, stretch.end);
}

void PreTokenizer::RunMarks(std::size_t index, std::string_view piece, bool at_start,
                            Sink sink) const {
  const Marks& marks = steps_[index].marks;
  std::string marked;
  marked.reserve(piece.size() + piece.size() / 4 + 4);
  const bool prepends =
      marks.prepend == Prepend::kAlways || (marks.prepend == Prepend::kFirst && at_start);
  if (prepends && !piece.starts_with(' ') && !piece.starts_with(marks.mark)) marked = marks.mark;
  for (const char c : piece) {
    if (c == ' ') {
      marked += marks.mark;
    } else {
      marked += c;
    }
  }
  if (!marks.split) return Run(index + 1, marked, at_start, sink);
  std::size_t begin = 0;
  for (std::size_t at = 0; at < marked.size();) {
    const std::size_t next = marked.find(marks.mark, at == begin ? at + 1 : at);
    const std::size_t end = next == marked.npos ? marked.size() : next;
    // A mark inside a character is none: marks are whole characters and so is what begins here.
    Run(index + 1, std::string_view(marked).substr(begin, end - begin), at_start && begin == 0,
        sink);
    begin = at = end;
  }
}

}  // namespace tatara::text
