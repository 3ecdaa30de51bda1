// Values of the template language, with Python's semantics. Every object lives in the Run that made
// it (or in the syntax tree, for constants) until the rendering ends: no cycle can leak, no
// destructor recurses, and the memory of a rendering has one bound. Thread safety: a Run and its
// values belong to one thread; constants are shared and immutable.
#pragma once

#include <cstdint>
#include <deque>
#include <functional>
#include <map>
#include <memory>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "jinja/limits.h"
#include "tatara/base/error.h"

namespace tatara::text::jinja {

// Thrown inside this folder only; chat_template.cc turns it into a Result.
struct Failure {
  Error error;
};
[[noreturn]] void Fail(Error error);

enum class Kind : std::uint8_t {
  kUndefined,
  kNone,
  kBool,
  kInt,
  kBigInt,  // an integer beyond 64 bits: printed and compared, not computed with
  kFloat,
  kString,
  kList,
  kTuple,
  kDict,
  kRange,
  kView,       // dict.keys(), .values(), .items()
  kGenerator,  // what map, select and their like give: read once
  kNamespace,
  kFunction,
  kLoop,
  kCycler,
};

struct Object {
  virtual ~Object() = default;
};
struct UndefinedObject;
struct StringObject;
struct ListObject;
struct DictObject;
struct RangeObject;
struct ViewObject;
struct GeneratorObject;
struct NamespaceObject;
struct FunctionObject;
struct LoopObject;
struct CyclerObject;

class Value {
 public:
  Value() : kind_(Kind::kUndefined) { payload_.object = nullptr; }
  static Value None() { return Value(Kind::kNone, nullptr); }
  static Value Bool(bool value) {
    Value out(Kind::kBool, nullptr);
    out.payload_.integer = value;
    return out;
  }
  static Value Int(std::int64_t value) {
    Value out(Kind::kInt, nullptr);
    out.payload_.integer = value;
    return out;
  }
  static Value Float(double value) {
    Value out(Kind::kFloat, nullptr);
    out.payload_.real = value;
    return out;
  }
  Value(Kind kind, Object* object) : kind_(kind) { payload_.object = object; }

  Kind kind() const { return kind_; }
  bool Is(Kind kind) const { return kind_ == kind; }
  bool IsUndefined() const { return kind_ == Kind::kUndefined; }
  bool IsNone() const { return kind_ == Kind::kNone; }
  bool IsString() const { return kind_ == Kind::kString; }
  // bool counts as an integer, as in Python.
  bool IsInteger() const { return kind_ == Kind::kInt || kind_ == Kind::kBool; }
  bool IsNumber() const { return IsInteger() || kind_ == Kind::kFloat; }

  std::int64_t integer() const { return payload_.integer; }
  double real() const {
    return kind_ == Kind::kFloat ? payload_.real : static_cast<double>(payload_.integer);
  }
  // The object, where the kind has one. `T` must be the kind's own type.
  template <typename T>
  T& as() const {
    return *static_cast<T*>(payload_.object);
  }
  const std::string& text() const;     // kString, kBigInt
  bool is_safe() const;                // a string marked as escaped (Markup)
  std::vector<Value>& items() const;   // kList, kTuple
  UndefinedObject* undefined() const;  // may be null
  const void* identity() const { return payload_.object; }

 private:
  Kind kind_;
  union {
    std::int64_t integer;
    double real;
    Object* object;
  } payload_;
};

struct UndefinedObject : Object {
  enum class Why { kName, kAttribute, kUnsafe, kEmpty } why = Why::kName;
  std::string name;
  std::string owner;  // the type that lacks it
};
struct StringObject : Object {
  StringObject(std::string text_in, bool safe_in);
  std::string text;
  bool safe;
  bool ascii;  // then a character is a byte
};
struct ListObject : Object {
  std::vector<Value> items;
  bool is_group = false;  // a pair of groupby, whose parts have names
};

// Orders what Python can hash, equal numbers of different types being one key.
struct KeyLess {
  bool operator()(const Value& a, const Value& b) const;
};
struct DictObject : Object {
  std::vector<std::pair<Value, Value>> entries;  // in insertion order
  std::map<Value, std::size_t, KeyLess> index;
  void Set(const Value& key, const Value& value);  // key is hashable
  const Value* Find(const Value& key) const;
  const Value* FindText(std::string_view key) const;
};
struct RangeObject : Object {
  std::int64_t start = 0, stop = 0, step = 1, length = 0;
  std::int64_t At(std::int64_t i) const { return start + i * step; }
};
struct ViewObject : Object {
  enum class What { kKeys, kValues, kItems } what = What::kKeys;
  DictObject* dict = nullptr;
};
struct GeneratorObject : Object {
  std::vector<Value> items;
  std::size_t next = 0;
};
struct NamespaceObject : Object {
  std::map<std::string, Value, std::less<>> attributes;
};
struct CyclerObject : Object {
  std::vector<Value> items;
  std::size_t position = 0;
};

class Run;
struct Arguments {
  std::vector<Value> positional;
  std::vector<std::pair<std::string, Value>> named;
};
struct FunctionObject : Object {
  std::string name;
  std::function<Value(Run&, const Arguments&)> call;
  // Macros show these; null for other functions.
  const std::vector<std::string>* parameter_names = nullptr;
};

// The name Python gives the type: "str", "dict", ...
std::string_view TypeName(const Value& value);

// One rendering: its memory, its budget and where it is.
class Run {
 public:
  Run() = default;
  Run(const Run&) = delete;
  Run& operator=(const Run&) = delete;

  int line = 1;
  int depth = 0;

  void Step(std::uint64_t steps = 1) {
    steps_ += steps;
    if (steps_ > kStepsMax) FailSteps();
  }
  void TouchText(std::size_t bytes) { Step(1 + bytes / kTextBytesPerStep); }
  // Called before the memory is taken.
  void Charge(std::size_t bytes) {
    memory_ += bytes;
    if (bytes > kMemoryBytesMax || memory_ > kMemoryBytesMax) FailMemory();
  }

  template <typename T, typename... Args>
  T* Make(Args&&... args) {
    Charge(sizeof(T) + 32);
    auto owned = std::make_unique<T>(std::forward<Args>(args)...);
    T* out = owned.get();
    objects_.push_back(std::move(owned));
    return out;
  }
  Value String(std::string text, bool safe = false);
  Value List(std::vector<Value> items);
  Value Tuple(std::vector<Value> items);
  Value Generator(std::vector<Value> items);
  Value Function(std::string name, std::function<Value(Run&, const Arguments&)> call);
  Value Undefined(UndefinedObject::Why why, std::string name, std::string owner = {});

  [[noreturn]] void FailUndefined(const Value& value) const;
  // `what` is an operator, a filter or a method.
  [[noreturn]] void FailType(std::string_view what, std::string_view expected,
                             const Value& found) const;
  [[noreturn]] void FailOperands(std::string_view what, const Value& a, const Value& b) const;
  [[noreturn]] void FailOverflow(std::string_view what) const;
  [[noreturn]] void FailUnsupported(std::string_view what) const;

 private:
  [[noreturn]] void FailSteps() const;
  [[noreturn]] void FailMemory() const;
  std::uint64_t steps_ = 0;
  std::size_t memory_ = 0;
  std::deque<std::unique_ptr<Object>> objects_;
};

// Counts a level of recursion for as long as it lives.
class Level {
 public:
  explicit Level(Run& run) : run_(run) {
    if (++run_.depth > kEvaluationDepthMax) {
      --run_.depth;
      FailDepth();
    }
  }
  ~Level() { --run_.depth; }
  Level(const Level&) = delete;
  Level& operator=(const Level&) = delete;

 private:
  [[noreturn]] void FailDepth() const;
  Run& run_;
};

}  // namespace tatara::text::jinja
