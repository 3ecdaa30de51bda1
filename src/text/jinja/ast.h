// The syntax tree. Built once by the parser, then immutable and shared by all renderings.
#pragma once

#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "jinja/value.h"

namespace tatara::text::jinja {

using FilterFunction = Value (*)(Run&, const Value& input, const Arguments&);
using TestFunction = bool (*)(Run&, const Value& input, const Arguments&);
using NameId = int;  // index into Template::names

struct Expr;
struct Stmt;
using ExprPtr = std::unique_ptr<Expr>;
using StmtPtr = std::unique_ptr<Stmt>;
using Body = std::vector<StmtPtr>;

enum class ExprKind {
  kConst,
  kName,
  kTuple,
  kList,
  kDict,
  kNot,
  kNegative,
  kPositive,
  kBinary,
  kAnd,
  kOr,
  kCompare,
  kConcat,
  kConditional,
  kAttribute,
  kItem,
  kSlice,
  kCall,
  kFilter,
  kTest,
};

enum class BinaryOp { kAdd, kSubtract, kMultiply, kDivide, kFloorDivide, kModulo, kPower };
enum class CompareOp { kEqual, kNotEqual, kLess, kLessEqual, kGreater, kGreaterEqual, kIn, kNotIn };

struct CallArguments {
  std::vector<ExprPtr> positional;
  std::vector<std::pair<std::string, ExprPtr>> named;
  ExprPtr star;         // *list
  ExprPtr double_star;  // **dict
};

// One struct for all kinds: which members count is said by the kind.
struct Expr {
  Expr(ExprKind kind_in, int line_in) : kind(kind_in), line(line_in) {}
  ExprKind kind;
  int line;
  int depth = 1;  // of the tree below

  Value constant;                      // kConst
  std::unique_ptr<StringObject> text;  // kConst: what `constant` points to
  NameId name = -1;                    // kName
  std::string identifier;              // kName, kAttribute, kFilter, kTest
  std::vector<ExprPtr> operands;       // in the order of the source; kSlice: object, start, stop,
                                       // step (may be null); kDict: key, value, key, value, ...
  BinaryOp binary = BinaryOp::kAdd;    // kBinary
  std::vector<CompareOp> comparisons;  // kCompare: between neighbours of operands
  std::unique_ptr<CallArguments> arguments;  // kCall, kFilter, kTest
  FilterFunction filter = nullptr;           // kFilter; operands[0] null: the captured text
  TestFunction test = nullptr;               // kTest
};

struct Target {
  enum class Kind { kName, kTuple, kNamespaceAttribute } kind = Kind::kName;
  NameId name = -1;
  std::string identifier;  // of the name, for errors
  std::string attribute;   // kNamespaceAttribute
  std::vector<Target> items;
};

// Parameters and body of a macro, a call block or a generation block.
struct MacroDefinition {
  std::string name;
  std::vector<std::string> parameter_names;
  std::vector<NameId> parameters;
  std::vector<ExprPtr> defaults;  // of the last parameters
  Body body;
  // Whether the body speaks of them; -1 where it does not.
  NameId caller = -1, varargs = -1, kwargs = -1;
};

enum class StmtKind {
  kText,
  kPrint,
  kIf,
  kFor,
  kSet,
  kSetBlock,
  kFilterBlock,
  kMacro,
  kCallBlock,
  kWith,
  kGeneration,
  kBreak,
  kContinue,
};

struct Stmt {
  Stmt(StmtKind kind_in, int line_in) : kind(kind_in), line(line_in) {}
  StmtKind kind;
  int line;

  std::string text;   // kText
  ExprPtr expr;       // kPrint, kSet, kFor (what is iterated), kCallBlock;
                      // kFilterBlock and kSetBlock: the filters or null
  ExprPtr condition;  // kFor: `if`, may be null
  std::vector<std::pair<ExprPtr, Body>> branches;  // kIf: if and elif
  Body body;                               // kFor, kSetBlock, kFilterBlock, kWith, kGeneration
  Body otherwise;                          // kIf, kFor
  std::vector<Target> targets;             // kFor, kSet, kSetBlock: one; kWith: one per value
  std::vector<ExprPtr> values;             // kWith
  bool recursive = false;                  // kFor
  NameId loop = -1;                        // kFor: the id of "loop"
  NameId macro_name = -1;                  // kMacro
  std::unique_ptr<MacroDefinition> macro;  // kMacro, kCallBlock
};

struct Template {
  std::vector<std::string> names;
  Body body;
};

}  // namespace tatara::text::jinja
