#include "regex/automaton.h"

#include <algorithm>
#include <map>
#include <utility>

namespace tatara::text::regex {

struct Instruction {
  enum class Kind : std::uint8_t {
    kCharacter,  // one of `classes`, then next
    kSplit,      // next, or where that fails other
    kBeside,     // the next (or previous) class is among `classes`, whose last entry is the edge
    kCondition,  // bit `number` of the symbol equals `wanted`
    kMatch,
  };
  Kind kind;
  bool behind = false, wanted = true;
  int number = 0;
  std::uint32_t next = 0, other = 0;
  std::uint32_t classes = 0;  // in Program::sets
};

struct Program {
  std::vector<Instruction> instructions;
  std::vector<std::vector<bool>> sets;  // of classes and, last, the edge
  std::uint32_t start = 0;
};

namespace {

// Instructions are laid down from the end of the expression to its beginning: each node is told
// what comes after it.
class Compiler {
 public:
  Compiler(const Classes& classes, bool backwards, std::string_view origin)
      : classes_(classes), backwards_(backwards), origin_(origin) {}

  Result<Program> Run(const Node& node) {
    const std::uint32_t match = Put({.kind = Instruction::Kind::kMatch});
    TATARA_TRY(program_.start, Lay(node, match));
    return std::move(program_);
  }

 private:
  std::uint32_t Put(const Instruction& instruction) {
    program_.instructions.push_back(instruction);
    return static_cast<std::uint32_t>(program_.instructions.size() - 1);
  }

  std::uint32_t Set(const CodePointSet& set, bool edge) {
    std::vector<bool> classes = classes_.ClassesIn(set);
    classes.push_back(edge);
    for (std::size_t i = 0; i < program_.sets.size(); ++i) {
      if (program_.sets[i] == classes) return static_cast<std::uint32_t>(i);
    }
    program_.sets.push_back(std::move(classes));
    return static_cast<std::uint32_t>(program_.sets.size() - 1);
  }

  Result<std::uint32_t> Lay(const Node& node, std::uint32_t next) {
    if (program_.instructions.size() > Automaton::kInstructionsMax) {
      return Refuse("{0}: an expression needs more than {1} instructions", origin_,
                    Automaton::kInstructionsMax);
    }
    switch (node.kind) {
      case Node::Kind::kEmpty:
        return next;
      case Node::Kind::kSet:
        return Put({.kind = Instruction::Kind::kCharacter,
                    .next = next,
                    .classes = Set(node.set, /*edge=*/false)});
      case Node::Kind::kBeside:
        return Put({.kind = Instruction::Kind::kBeside,
                    .behind = node.behind != backwards_,
                    .next = next,
                    .classes = Set(node.set, node.edge)});
      case Node::Kind::kAhead:
        return Put({.kind = Instruction::Kind::kCondition,
                    .wanted = !node.negated,
                    .number = node.min,  // where conditions carry their number
                    .next = next});
      case Node::Kind::kConcat:
        return LayConcat(node, next);
      case Node::Kind::kAlternate:
        return LayAlternate(node, next);
      case Node::Kind::kRepeat:
        return LayRepeat(node, next);
    }
    return next;
  }

  Result<std::uint32_t> LayConcat(const Node& node, std::uint32_t next) {
    for (std::size_t i = 0; i < node.children.size(); ++i) {
      const std::size_t at = backwards_ ? i : node.children.size() - 1 - i;
      TATARA_TRY(next, Lay(node.children[at], next));
    }
    return next;
  }

  Result<std::uint32_t> LayAlternate(const Node& node, std::uint32_t next) {
    std::uint32_t all = 0;
    for (std::size_t i = node.children.size(); i-- > 0;) {
      TATARA_TRY(const std::uint32_t way, Lay(node.children[i], next));
      const bool last = i + 1 == node.children.size();
      all = last ? way : Put({.kind = Instruction::Kind::kSplit, .next = way, .other = all});
    }
    return all;
  }

  std::uint32_t Choice(bool lazy, std::uint32_t into, std::uint32_t past) {
    return Put({.kind = Instruction::Kind::kSplit,
                .next = lazy ? past : into,
                .other = lazy ? into : past});
  }

  Result<std::uint32_t> LayRepeat(const Node& node, std::uint32_t next) {
    const Node& child = node.children[0];
    std::uint32_t at = next;
    if (node.max == kUnbounded) {
      const std::uint32_t loop = Choice(node.lazy, next, next);
      TATARA_TRY(const std::uint32_t body, Lay(child, loop));
      Instruction& choice = program_.instructions[loop];
      (node.lazy ? choice.other : choice.next) = body;
      at = loop;
    } else {
      for (int i = node.min; i < node.max; ++i) {
        TATARA_TRY(const std::uint32_t body, Lay(child, at));
        at = Choice(node.lazy, body, next);
      }
    }
    for (int i = 0; i < node.min; ++i) {
      TATARA_TRY(at, Lay(child, at));
    }
    return at;
  }

  const Classes& classes_;
  bool backwards_;
  std::string_view origin_;
  Program program_;
};

}  // namespace

class Builder {
 public:
  Builder(Program program, int n_classes, const Automaton::Options& options)
      : program_(std::move(program)), n_classes_(n_classes), options_(options) {
    automaton_.n_symbols_ = static_cast<std::uint32_t>((n_classes + 1) << options.n_conditions);
    for (const Instruction& i : program_.instructions) {
      automaton_.looks_beside_ |= i.kind == Instruction::Kind::kBeside && i.behind;
    }
    seen_.assign(program_.instructions.size(), 0);
  }

  Result<Automaton> Run() {
    NumberOf({});  // the dead state is 0
    const int n_starts = automaton_.looks_beside_ ? n_classes_ + 1 : 1;
    for (int before = 0; before < n_starts; ++before) {
      automaton_.starts_.push_back(NumberOf({before, {program_.start}}));
    }
    for (std::size_t state = 1; state < states_.size(); ++state) {
      const State from = states_[state];
      automaton_.table_.resize((state + 1) * automaton_.n_symbols_);
      for (std::uint32_t symbol = 0; symbol < automaton_.n_symbols_; ++symbol) {
        State to;
        const bool match = Step(from, symbol, to);
        const std::uint32_t next = to.threads.empty() ? Automaton::kDead : NumberOf(std::move(to));
        automaton_.table_[state * automaton_.n_symbols_ + symbol] = next << 1 | (match ? 1 : 0);
      }
      if (states_.size() > Automaton::kStatesMax || n_steps_ > Automaton::kStepsMax ||
          states_.size() * automaton_.n_symbols_ > Automaton::kEntriesMax) {
        return Refuse("{0}: an expression is too large to be compiled", options_.origin);
      }
    }
    automaton_.table_.resize(states_.size() * automaton_.n_symbols_);
    return std::move(automaton_);
  }

 private:
  struct State {
    int before = 0;  // class of the previous character, where some instruction asks for it
    std::vector<std::uint32_t> threads;  // in order of preference
    auto operator<=>(const State&) const = default;
  };

  std::uint32_t NumberOf(State state) {
    const auto [found, fresh] =
        numbers_.emplace(std::move(state), static_cast<std::uint32_t>(states_.size()));
    if (fresh) states_.push_back(found->first);
    return found->second;
  }

  // True where a match ends before the symbol.
  bool Step(const State& from, std::uint32_t symbol, State& to) {
    const auto next_class = static_cast<int>(symbol % static_cast<std::uint32_t>(n_classes_ + 1));
    conditions_ = symbol / static_cast<std::uint32_t>(n_classes_ + 1);
    if (automaton_.looks_beside_) to.before = next_class;
    ++stamp_;
    bool match = false;
    for (const std::uint32_t thread : from.threads) {
      if (Follow(thread, from.before, next_class, to) && !match) {
        match = true;
        if (!options_.existence) break;
      }
    }
    // Any place may be an end.
    if (options_.existence && next_class < n_classes_ &&
        std::find(to.threads.begin(), to.threads.end(), program_.start) == to.threads.end()) {
      to.threads.push_back(program_.start);
    }
    return match;
  }

  // All that the thread reaches without a character, in order of preference.
  bool Follow(std::uint32_t thread, int before, int next_class, State& to) {
    stack_.assign(1, thread);
    bool match = false;
    while (!stack_.empty()) {
      const std::uint32_t at = stack_.back();
      stack_.pop_back();
      if (seen_[at] == stamp_) continue;
      seen_[at] = stamp_;
      ++n_steps_;
      const Instruction& i = program_.instructions[at];
      const auto holds = [&](int c) {
        return program_.sets[i.classes][static_cast<std::size_t>(c)];
      };
      switch (i.kind) {
        case Instruction::Kind::kCharacter:
          if (holds(next_class)) to.threads.push_back(i.next);
          break;
        case Instruction::Kind::kSplit:
          stack_.push_back(i.other);
          stack_.push_back(i.next);
          break;
        case Instruction::Kind::kBeside:
          if (holds(i.behind ? before : next_class)) stack_.push_back(i.next);
          break;
        case Instruction::Kind::kCondition:
          if (((conditions_ >> i.number & 1) != 0) == i.wanted) stack_.push_back(i.next);
          break;
        case Instruction::Kind::kMatch:
          match = true;
          if (!options_.existence) return true;  // what is less preferred goes
          break;
      }
    }
    return match;
  }

  Program program_;
  int n_classes_;
  Automaton::Options options_;
  Automaton automaton_;
  std::map<State, std::uint32_t> numbers_;
  std::vector<State> states_;
  std::vector<std::uint32_t> seen_, stack_;
  std::uint32_t stamp_ = 0, conditions_ = 0;
  std::size_t n_steps_ = 0;
};

Result<Automaton> Automaton::Build(const Node& node, const Classes& classes,
                                   const Options& options) {
  TATARA_TRY(Program program, Compiler(classes, options.existence, options.origin).Run(node));
  return Builder(std::move(program), classes.size(), options).Run();
}

}  // namespace tatara::text::regex
