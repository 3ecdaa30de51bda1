#include "regex/syntax.h"

#include <algorithm>
#include <utility>

#include "tatara/base/localise.h"
#include "tatara/base/utf8.h"

namespace tatara::text::regex {
namespace {

Node OfSet(CodePointSet set) {
  Node node;
  node.kind = Node::Kind::kSet;
  node.set = std::move(set);
  return node;
}

Node Of(Node::Kind kind, std::vector<Node> children) {
  Node node;
  node.kind = kind;
  node.children = std::move(children);
  return node;
}

Node Beside(CodePointSet set, bool behind, bool edge) {
  Node node;
  node.kind = Node::Kind::kBeside;
  node.set = std::move(set);
  node.behind = behind;
  node.edge = edge;
  return node;
}

// The next character is none of `set`, or there is none.
Node NotBefore(const CodePointSet& set) {
  return Beside(set.Complement(), /*behind=*/false, /*edge=*/true);
}

Node Repeat(Node child, int min, int max, bool lazy) {
  Node node = Of(Node::Kind::kRepeat, {});
  node.children.push_back(std::move(child));
  node.min = min;
  node.max = max;
  node.lazy = lazy;
  return node;
}

// What one character a tree stands for, where it is that simple.
const CodePointSet* OneCharacter(const Node& node, CodePointSet& united) {
  if (node.kind == Node::Kind::kSet) return &node.set;
  if (node.kind == Node::Kind::kConcat && node.children.size() == 1) {
    return OneCharacter(node.children[0], united);
  }
  if (node.kind != Node::Kind::kAlternate) return nullptr;
  CodePointSet all;
  for (const Node& child : node.children) {
    CodePointSet inner;
    const CodePointSet* set = OneCharacter(child, inner);
    if (set == nullptr) return nullptr;
    all.Add(*set);
  }
  united = std::move(all);
  return &united;
}

Node WordBoundary(bool negated) {
  const CodePointSet word = CodePointSet::Word();
  const CodePointSet other = word.Complement();
  const auto both = [&](const CodePointSet& before, bool edge_before, const CodePointSet& after,
                        bool edge_after) {
    return Of(Node::Kind::kConcat,
              {Beside(before, true, edge_before), Beside(after, false, edge_after)});
  };
  if (negated) {
    return Of(Node::Kind::kAlternate,
              {both(word, false, word, false), both(other, true, other, true)});
  }
  return Of(Node::Kind::kAlternate,
            {both(word, false, other, true), both(other, true, word, false)});
}

class Parser {
 public:
  Parser(std::string_view expression, std::string_view origin)
      : expression_(expression), origin_(origin), rest_(expression) {}

  Result<Node> Run() {
    if (expression_.size() > kExpressionBytesMax) {
      return Refuse("{0}: an expression is {1} bytes long, limit {2}", origin_, expression_.size(),
                    kExpressionBytesMax);
    }
    if (!IsValidUtf8(expression_)) {
      return Refuse("{0}: an expression is not valid UTF-8", origin_);
    }
    TATARA_TRY(Node node, Alternation());
    if (!rest_.empty()) return Unknown(MarkText("an unmatched ')'"));
    return node;
  }

 private:
  Error Unknown(std::string_view construct) const {
    return Refuse(
        "{0}: the expression '{1}' has, at byte {2}, {3}, which this program does not know",
        origin_, expression_, expression_.size() - rest_.size(), Tr(construct));
  }
  bool Take(std::string_view token) {
    if (!rest_.starts_with(token)) return false;
    rest_.remove_prefix(token.size());
    return true;
  }
  char32_t TakeCharacter() {
    const Utf8Sequence sequence = ReadUtf8(rest_);
    rest_.remove_prefix(sequence.length);
    return sequence.code_point;
  }
  CodePointSet Literal(char32_t c) const {
    CodePointSet set = CodePointSet::Of(c);
    return caseless_ ? set.CaseClosed() : set;
  }

  Result<Node> Alternation() {
    if (++depth_ > kDepthMax) return Unknown(MarkText("groups nested too deep"));
    const bool caseless = caseless_;
    std::vector<Node> ways;
    do {
      TATARA_TRY(Node way, Sequence());
      ways.push_back(std::move(way));
    } while (Take("|"));
    caseless_ = caseless;
    --depth_;
    if (ways.size() == 1) return std::move(ways[0]);
    return Of(Node::Kind::kAlternate, std::move(ways));
  }

  Result<Node> Sequence() {
    std::vector<Node> parts;
    while (!rest_.empty() && rest_[0] != '|' && rest_[0] != ')') {
      TATARA_TRY(Node part, Atom());
      TATARA_TRY(bool more, Quantifier(part));
      while (more) {
        TATARA_TRY(more, Quantifier(part));
        // Each nests the tree once more, of which functions that recurse take the depth.
        if (more && ++stacked_ > kDepthMax)
          return Unknown(MarkText("quantifiers stacked too deep"));
      }
      parts.push_back(std::move(part));
    }
    if (parts.size() == 1) return std::move(parts[0]);
    if (parts.empty()) return Node{};
    return Of(Node::Kind::kConcat, std::move(parts));
  }

  // Wraps `part` where a quantifier follows; false where none does.
  Result<bool> Quantifier(Node& part) {
    int min = 0, max = kUnbounded;
    bool counted = false;
    if (Take("*")) {
    } else if (Take("+")) {
      min = 1;
    } else if (Take("?")) {
      max = 1;
    } else {
      TATARA_TRY(counted, Counts(min, max));
      if (!counted) return false;
    }
    if (Take("?")) {
      part = Repeat(std::move(part), min, max, /*lazy=*/true);
    } else if (!counted && Take("+")) {  // possessive: after {n,m} a + repeats once more
      CodePointSet united;
      const CodePointSet* set = OneCharacter(part, united);
      if (set == nullptr)
        return Unknown(MarkText("a possessive quantifier over more than one character"));
      Node stop = NotBefore(*set);
      if (max == 1) {
        part = Of(Node::Kind::kAlternate, {std::move(part), std::move(stop)});
      } else {
        part = Of(Node::Kind::kConcat,
                  {Repeat(std::move(part), min, max, /*lazy=*/false), std::move(stop)});
      }
    } else {
      part = Repeat(std::move(part), min, max, /*lazy=*/false);
    }
    return true;
  }

  // {n}, {n,}, {,m}, {n,m}; a brace that is none of these is a literal.
  Result<bool> Counts(int& min, int& max) {
    const std::string_view before = rest_;
    if (!Take("{")) return false;
    const auto number = [&](int otherwise) {
      if (rest_.empty() || rest_[0] < '0' || rest_[0] > '9') return otherwise;
      int value = 0;
      while (!rest_.empty() && rest_[0] >= '0' && rest_[0] <= '9') {
        value = std::min(value * 10 + (rest_[0] - '0'), kRepeatMax + 1);
        rest_.remove_prefix(1);
      }
      return value;
    };
    constexpr int kNone = -2;
    const int first = number(kNone);
    min = max = first;
    if (Take(",")) {
      const int second = number(kNone);
      max = second == kNone ? kUnbounded : second;
      if (first == kNone) min = second == kNone ? kNone : 0;
    }
    if (min == kNone || !Take("}")) {
      rest_ = before;
      return false;
    }
    if (min > kRepeatMax || max > kRepeatMax || (max != kUnbounded && max < min)) {
      return Unknown(MarkText("a count out of bounds"));
    }
    return true;
  }

  Result<Node> Atom() {
    if (Take("(")) return Group();
    if (rest_[0] == '[') {
      TATARA_TRY(CodePointSet set, Class());
      return OfSet(std::move(set));
    }
    if (Take("\\")) return Escape();
    if (Take(".")) return OfSet(CodePointSet::Of('\n').Complement());
    // Lines, as Ruby's syntax has it.
    if (Take("^")) return Beside(CodePointSet::Of('\n'), /*behind=*/true, /*edge=*/true);
    if (Take("$")) return Beside(CodePointSet::Of('\n'), /*behind=*/false, /*edge=*/true);
    if (rest_[0] == '*' || rest_[0] == '+' || rest_[0] == '?') {
      return Unknown(MarkText("a quantifier with nothing before it"));
    }
    return OfSet(Literal(TakeCharacter()));
  }

  Result<Node> Group() {
    if (Take("?=")) return Ahead(/*negated=*/false);
    if (Take("?!")) return Ahead(/*negated=*/true);
    if (Take("?<=")) return Behind(/*negated=*/false);
    if (Take("?<!")) return Behind(/*negated=*/true);
    if (Take("?>")) return Unknown(MarkText("an atomic group"));
    const bool caseless = caseless_;
    if (Take("?i:")) {
      caseless_ = true;
    } else if (Take("?-i:")) {
      caseless_ = false;
    } else if (Take("?i)")) {  // to the end of the group around it
      caseless_ = true;
      return Node{};
    } else if (Take("?<") || Take("?P<")) {
      const std::size_t end = rest_.find('>');
      if (end == rest_.npos) return Unknown(MarkText("a group name without an end"));
      rest_.remove_prefix(end + 1);
    } else if (!Take("?:") && rest_.starts_with("?")) {
      return Unknown(MarkText("a kind of group"));
    }
    TATARA_TRY(Node inside, Inside());
    caseless_ = caseless;
    return inside;
  }

  Result<Node> Inside() {
    TATARA_TRY(Node inside, Alternation());
    if (!Take(")")) return Unknown(MarkText("a group without an end"));
    // Kept apart, so that a quantifier that follows takes all of it.
    std::vector<Node> one;
    one.push_back(std::move(inside));
    return Of(Node::Kind::kConcat, std::move(one));
  }

  Result<Node> Ahead(bool negated) {
    TATARA_TRY(Node inside, Inside());
    CodePointSet united;
    if (const CodePointSet* set = OneCharacter(inside, united)) {
      return negated ? NotBefore(*set) : Beside(*set, /*behind=*/false, /*edge=*/false);
    }
    Node node = Of(Node::Kind::kAhead, {});
    node.children.push_back(std::move(inside));
    node.negated = negated;
    return node;
  }

  Result<Node> Behind(bool negated) {
    TATARA_TRY(const Node inside, Inside());
    CodePointSet united;
    const CodePointSet* set = OneCharacter(inside, united);
    if (set == nullptr) return Unknown(MarkText("look-behind over more than one character"));
    return Beside(negated ? set->Complement() : *set, /*behind=*/true, /*edge=*/negated);
  }

  Result<Node> Escape() {
    if (rest_.empty()) return Unknown(MarkText("a backslash at the end"));
    if (Take("b")) return WordBoundary(/*negated=*/false);
    if (Take("B")) return WordBoundary(/*negated=*/true);
    if (Take("A")) return Beside({}, /*behind=*/true, /*edge=*/true);
    if (Take("z")) return Beside({}, /*behind=*/false, /*edge=*/true);
    if (rest_[0] >= '1' && rest_[0] <= '9') return Unknown(MarkText("a back reference"));
    TATARA_TRY(CodePointSet set, EscapedSet());
    return OfSet(std::move(set));
  }

  // After the backslash: a set, or one literal character.
  Result<CodePointSet> EscapedSet() {
    if (rest_.empty()) return Unknown(MarkText("a backslash at the end"));
    const char kind = rest_[0];
    const auto set = [&](const CodePointSet& all, bool negated) {
      rest_.remove_prefix(1);
      return negated ? all.Complement() : all;
    };
    switch (kind) {
      case 's':
      case 'S':
        return set(CodePointSet::WhiteSpace(), kind == 'S');
      case 'd':
      case 'D':
        return set(CodePointSet::Digit(), kind == 'D');
      case 'w':
      case 'W':
        return set(CodePointSet::Word(), kind == 'W');
      case 'p':
      case 'P':
        return Property();
      default:
        break;
    }
    TATARA_TRY(const char32_t c, EscapedCharacter());
    return Literal(c);
  }

  Result<CodePointSet> Property() {
    bool negated = Take("P");
    if (!negated) rest_.remove_prefix(1);
    std::string_view name;
    if (Take("{")) {
      if (Take("^")) negated = !negated;
      const std::size_t end = rest_.find('}');
      if (end == rest_.npos) return Unknown(MarkText("a property without an end"));
      name = rest_.substr(0, end);
    } else {
      name = rest_.substr(0, 1);
    }
    const std::optional<CodePointSet> found = CodePointSet::OfProperty(name);
    if (!found) return Unknown(MarkText("a property name"));
    rest_.remove_prefix(name.size());
    Take("}");
    CodePointSet set = caseless_ ? found->CaseClosed() : *found;
    return negated ? set.Complement() : set;
  }

  Result<char32_t> EscapedCharacter() {
    const char kind = rest_[0];
    const bool alphanumeric = (kind >= 'a' && kind <= 'z') || (kind >= 'A' && kind <= 'Z') ||
                              (kind >= '0' && kind <= '9');
    if (!alphanumeric) return TakeCharacter();
    rest_.remove_prefix(1);
    switch (kind) {
      case 'n':
        return U'\n';
      case 'r':
        return U'\r';
      case 't':
        return U'\t';
      case 'f':
        return U'\f';
      case 'v':
        return U'\v';
      case 'a':
        return U'\a';
      case 'e':
        return U'\x1B';
      case '0':
        return U'\0';
      case 'x':
        return Take("{") ? Hex(1, 8, "}") : Hex(1, 2, "");
      case 'u':
        return Take("{") ? Hex(1, 8, "}") : Hex(4, 4, "");
      case 'U':
        return Hex(8, 8, "");
      default:
        return Unknown(MarkText("an escape"));
    }
  }

  Result<char32_t> Hex(std::size_t min, std::size_t max, std::string_view end) {
    char32_t value = 0;
    std::size_t n = 0;
    for (; n < max && !rest_.empty(); ++n) {
      const char c = rest_[0];
      const int digit = c >= '0' && c <= '9'   ? c - '0'
                        : c >= 'a' && c <= 'f' ? c - 'a' + 10
                        : c >= 'A' && c <= 'F' ? c - 'A' + 10
                                               : -1;
      if (digit < 0) break;
      value = value * 16 + static_cast<char32_t>(digit);
      rest_.remove_prefix(1);
    }
    if (n < min || value > CodePointSet::kLast || !Take(end))
      return Unknown(MarkText("a character code"));
    return value;
  }

  Result<CodePointSet> Class() {
    if (++depth_ > kDepthMax) return Unknown(MarkText("classes nested too deep"));
    rest_.remove_prefix(1);
    const bool negated = Take("^");
    CodePointSet set;
    std::optional<CodePointSet> left;  // of &&
    for (bool first = true;; first = false) {
      if (rest_.empty()) return Unknown(MarkText("a class without an end"));
      if (!first && Take("]")) break;
      if (Take("&&")) {
        left = left ? left->Intersection(set) : set;
        set = {};
        continue;
      }
      TATARA_RETURN_IF_ERROR(ClassItem(set));
    }
    if (left) set = left->Intersection(set);
    --depth_;
    return negated ? set.Complement() : set;
  }

  Result<> ClassItem(CodePointSet& set) {
    if (rest_.starts_with("[:")) return Unknown(MarkText("a POSIX class"));
    if (rest_[0] == '[') {
      TATARA_TRY(const CodePointSet inner, Class());
      set.Add(inner);
      return Ok{};
    }
    char32_t first = 0;
    if (Take("\\")) {
      if (rest_.empty()) return Unknown(MarkText("a backslash at the end"));
      if (std::string_view("sSdDwWpP").find(rest_[0]) != std::string_view::npos) {
        TATARA_TRY(const CodePointSet escaped, EscapedSet());
        set.Add(escaped);
        return Ok{};
      }
      if (Take("b")) {
        first = U'\b';
      } else {
        TATARA_TRY(first, EscapedCharacter());
      }
    } else {
      first = TakeCharacter();
    }
    char32_t last = first;
    if (rest_.size() >= 2 && rest_[0] == '-' && rest_[1] != ']' && rest_[1] != '[' &&
        !IsSetEscape(rest_.substr(1))) {
      rest_.remove_prefix(1);
      if (Take("\\")) {
        if (rest_.empty()) return Unknown(MarkText("a backslash at the end"));
        TATARA_TRY(last, EscapedCharacter());
      } else {
        last = TakeCharacter();
      }
      if (last < first) return Unknown(MarkText("a range that runs backwards"));
    }
    CodePointSet range = CodePointSet::OfRange(first, last);
    set.Add(caseless_ ? range.CaseClosed() : range);
    return Ok{};
  }

  static bool IsSetEscape(std::string_view text) {
    return text.size() >= 2 && text[0] == '\\' &&
           std::string_view("sSdDwWpP").find(text[1]) != std::string_view::npos;
  }

  std::string_view expression_, origin_, rest_;
  bool caseless_ = false;
  int depth_ = 0;
  int stacked_ = 0;  // quantifiers of quantifiers, in all of the expression
};

}  // namespace

Result<Node> Parse(std::string_view expression, std::string_view origin) {
  return Parser(expression, origin).Run();
}

}  // namespace tatara::text::regex
