#include "split_regex.h"

#include <utility>

#include "regex/automaton.h"
#include "tatara/base/utf8.h"

namespace tatara::text {
namespace {

constexpr int kConditionsMax = 3;
constexpr std::size_t kWorkPerByte = 64, kWorkMin = 1 << 16;

void CollectSets(const regex::Node& node, std::vector<CodePointSet>& sets) {
  using Kind = regex::Node::Kind;
  if (node.kind == Kind::kSet || node.kind == Kind::kBeside) sets.push_back(node.set);
  for (const regex::Node& child : node.children) CollectSets(child, sets);
}

// Numbers the conditions of a tree and takes what they look for out of it.
void TakeConditions(regex::Node& node, std::vector<regex::Node>& conditions) {
  if (node.kind == regex::Node::Kind::kAhead) {
    node.min = static_cast<int>(conditions.size());
    conditions.push_back(std::move(node.children[0]));
    node.children.clear();
    return;
  }
  for (regex::Node& child : node.children) TakeConditions(child, conditions);
}

bool HasCondition(const regex::Node& node) {
  if (node.kind == regex::Node::Kind::kAhead) return true;
  for (const regex::Node& child : node.children) {
    if (HasCondition(child)) return true;
  }
  return false;
}

}  // namespace

struct SplitRegex::Impl {
  regex::Classes classes;
  regex::Automaton automaton;
  std::vector<regex::Automaton> conditions;

  // The class of the character at text[at...], and its length.
  int ClassAt(std::string_view text, std::size_t at, std::size_t& length) const {
    const auto byte = static_cast<unsigned char>(text[at]);
    if (byte < 0x80) {
      length = 1;
      return classes.ClassOf(byte);
    }
    const Utf8Sequence sequence = ReadUtf8(text.substr(at));
    length = sequence.length;
    return classes.ClassOf(sequence.valid ? sequence.code_point : 0xFFFD);
  }
};

SplitRegex::SplitRegex(std::unique_ptr<const Impl> impl) : impl_(std::move(impl)) {}
SplitRegex::SplitRegex(SplitRegex&&) noexcept = default;
SplitRegex& SplitRegex::operator=(SplitRegex&&) noexcept = default;
SplitRegex::~SplitRegex() = default;

Result<SplitRegex> SplitRegex::Compile(std::string_view expression, std::string_view origin) {
  TATARA_TRY(regex::Node node, regex::Parse(expression, origin));
  std::vector<CodePointSet> sets;
  CollectSets(node, sets);
  TATARA_TRY(regex::Classes classes, regex::Classes::Of(sets, origin));
  std::vector<regex::Node> looked_for;
  TakeConditions(node, looked_for);
  bool nested = false;
  for (const regex::Node& condition : looked_for) nested |= HasCondition(condition);
  if (nested || looked_for.size() > kConditionsMax) {
    return Refuse(
        "{0}: the expression '{1}' looks ahead inside a look-ahead, or in more than {2} places",
        origin, expression, kConditionsMax);
  }
  std::vector<regex::Automaton> conditions;
  for (const regex::Node& condition : looked_for) {
    TATARA_TRY(regex::Automaton made,
               regex::Automaton::Build(condition, classes, {.existence = true, .origin = origin}));
    conditions.push_back(std::move(made));
  }
  TATARA_TRY(
      regex::Automaton automaton,
      regex::Automaton::Build(
          node, classes, {.n_conditions = static_cast<int>(conditions.size()), .origin = origin}));
  return SplitRegex(std::make_unique<const Impl>(
      Impl{std::move(classes), std::move(automaton), std::move(conditions)}));
}

SplitRegex::Search::Search(const SplitRegex& regex, std::string_view text)
    : regex_(regex), text_(text), work_left_(text.size() * kWorkPerByte + kWorkMin) {
  if (!regex.impl_->conditions.empty()) FillConditions();
}

// Each condition's automaton runs over the text from its end; where it says "match" between two
// characters, the condition holds there.
void SplitRegex::Search::FillConditions() {
  const Impl& impl = *regex_.impl_;
  conditions_.assign(text_.size() + 1, 0);
  std::vector<std::uint8_t> classes(text_.size());  // at each byte that begins a character
  std::vector<bool> begins(text_.size());
  for (std::size_t at = 0, length = 0; at < text_.size(); at += length) {
    classes[at] = static_cast<std::uint8_t>(impl.ClassAt(text_, at, length));
    begins[at] = true;
  }
  const int edge = impl.classes.size();
  for (std::size_t c = 0; c < impl.conditions.size(); ++c) {
    const regex::Automaton& automaton = impl.conditions[c];
    std::uint32_t state = automaton.Start(edge);
    // `place` is between characters; the symbol read there is the class of the one before it.
    std::size_t place = text_.size();
    for (std::size_t at = text_.size(); at-- > 0;) {
      if (!begins[at]) continue;
      const regex::Automaton::Entry entry = automaton.At(state, classes[at]);
      if (entry.match()) conditions_[place] |= static_cast<std::uint8_t>(1 << c);
      state = entry.next();
      place = at;
    }
    const auto end = static_cast<std::uint32_t>(edge);
    if (automaton.At(state, end).match()) conditions_[place] |= static_cast<std::uint8_t>(1 << c);
  }
}

bool SplitRegex::Search::Next(Match& match) {
  const Impl& impl = *regex_.impl_;
  const regex::Automaton& automaton = impl.automaton;
  const auto end_class = static_cast<std::uint32_t>(impl.classes.size());
  const auto symbol_at = [&](std::size_t at, std::size_t& length) {
    std::uint32_t symbol = end_class;
    length = 0;
    if (at < text_.size()) {
      symbol = static_cast<std::uint32_t>(impl.ClassAt(text_, at, length));
    }
    if (!conditions_.empty()) symbol += conditions_[at] * (end_class + 1);
    return symbol;
  };
  while (at_ <= text_.size()) {
    int before = static_cast<int>(end_class);
    if (automaton.looks_beside() && at_ > 0) {
      std::size_t begin = at_ - 1, length = 0;
      while (begin > 0 && at_ - begin < 4 && (text_[begin] & '\xC0') == '\x80') --begin;
      // An invalid byte before is U+FFFD whatever its neighbours are.
      before = impl.ClassAt(text_, begin, length);
      if (begin + length != at_) before = impl.classes.ClassOf(0xFFFD);
    }
    std::uint32_t state = automaton.Start(before);
    std::size_t place = at_, length = 0, first_length = 0;
    std::size_t matched = ~std::size_t{0};
    for (;;) {
      const regex::Automaton::Entry entry = automaton.At(state, symbol_at(place, length));
      if (place == at_) first_length = length;
      if (entry.match()) matched = place;
      state = entry.next();
      if (work_left_ == 0) return false;
      --work_left_;
      if (state == regex::Automaton::kDead || place == text_.size()) break;
      place += length;
    }
    const std::size_t begin = at_;
    if (matched != ~std::size_t{0} && !(matched == begin && last_end_ == begin)) {
      match = {begin, matched};
      last_end_ = matched;
      at_ = matched > begin ? matched : begin + (first_length > 0 ? first_length : 1);
      return true;
    }
    at_ = begin + (first_length > 0 ? first_length : 1);
  }
  return false;
}

}  // namespace tatara::text
