// Iteration, length, attributes, subscripts and slices.
#include <algorithm>

#include "jinja/methods.h"
#include "jinja/operators.h"
#include "jinja/unicode.h"

namespace tatara::text::jinja {
namespace {

Value ViewItem(Run& run, const ViewObject& view, std::size_t i) {
  const auto& [key, value] = view.dict->entries[i];
  switch (view.what) {
    case ViewObject::What::kKeys:
      return key;
    case ViewObject::What::kValues:
      return value;
    case ViewObject::What::kItems:
      return run.Tuple({key, value});
  }
  return key;
}

// The element at a Python index, or nothing.
bool ResolveIndex(std::int64_t index, std::size_t length, std::size_t* out) {
  const auto n = static_cast<std::int64_t>(length);
  if (index < -n || index >= n) return false;
  *out = static_cast<std::size_t>(index < 0 ? index + n : index);
  return true;
}

Value CharacterAt(Run& run, const Value& text, std::int64_t index, bool* found) {
  const auto& object = text.as<StringObject>();
  std::size_t at = 0;
  if (object.ascii) {
    *found = ResolveIndex(index, object.text.size(), &at);
    return *found ? run.String(object.text.substr(at, 1), object.safe) : Value();
  }
  run.TouchText(object.text.size() * 4);
  const std::u32string all = ToCodePoints(object.text);
  *found = ResolveIndex(index, all.size(), &at);
  return *found ? run.String(FromCodePoints(std::u32string_view(all).substr(at, 1)), object.safe)
                : Value();
}

struct SliceBounds {
  std::int64_t start, stop, step, length;
};

// Python's slice.indices.
SliceBounds ResolveSlice(Run& run, const Value& start, const Value& stop, const Value& step,
                         std::size_t size) {
  const auto given = [&run](const Value& v) {
    if (v.IsUndefined() || v.IsNone()) return false;
    if (!v.IsInteger()) run.FailType("[:]", "int", v);
    return true;
  };
  SliceBounds out{};
  out.step = given(step) ? step.integer() : 1;
  if (out.step == 0) Fail(Refuse("chat template, line {0}: the step of a slice is zero", run.line));
  out.step = std::max(out.step, -INT64_MAX);
  const auto n = static_cast<std::int64_t>(size);
  const std::int64_t low = out.step > 0 ? 0 : -1;
  const std::int64_t high = out.step > 0 ? n : n - 1;
  const auto clamp = [&](const Value& v, std::int64_t otherwise) {
    if (!given(v)) return otherwise;
    const std::int64_t i = v.integer();
    return std::clamp(i < 0 ? (i < -n ? low : i + n) : i, low, high);
  };
  out.start = clamp(start, out.step > 0 ? low : high);
  out.stop = clamp(stop, out.step > 0 ? high : low);
  if (out.step > 0 && out.start < out.stop) {
    out.length = (out.stop - out.start - 1) / out.step + 1;
  } else if (out.step < 0 && out.stop < out.start) {
    out.length = (out.start - out.stop - 1) / -out.step + 1;
  }
  return out;
}

Value SliceText(Run& run, const Value& object, const Value& start, const Value& stop,
                const Value& step) {
  const auto& text = object.as<StringObject>();
  run.TouchText(text.text.size());
  if (text.ascii) {
    const SliceBounds s = ResolveSlice(run, start, stop, step, text.text.size());
    std::string out;
    out.reserve(static_cast<std::size_t>(s.length));
    for (std::int64_t i = 0; i < s.length; ++i)
      out += text.text[static_cast<std::size_t>(s.start + i * s.step)];
    return run.String(std::move(out), text.safe);
  }
  const std::u32string all = ToCodePoints(text.text);
  const SliceBounds s = ResolveSlice(run, start, stop, step, all.size());
  std::string out;
  for (std::int64_t i = 0; i < s.length; ++i)
    AppendUtf8(out, all[static_cast<std::size_t>(s.start + i * s.step)]);
  return run.String(std::move(out), text.safe);
}

}  // namespace

std::vector<Value> Characters(Run& run, const Value& text) {
  const std::string& s = text.text();
  run.Charge(s.size() * sizeof(Value));
  std::vector<Value> out;
  for (std::size_t i = 0; i < s.size();) {
    std::size_t end = i + 1;
    while (end < s.size() && (static_cast<unsigned char>(s[end]) & 0xC0) == 0x80) ++end;
    out.push_back(run.String(s.substr(i, end - i)));  // plain, also of Markup
    i = end;
  }
  return out;
}

bool IsIterable(const Value& v) {
  switch (v.kind()) {
    case Kind::kUndefined:
    case Kind::kString:
    case Kind::kList:
    case Kind::kTuple:
    case Kind::kDict:
    case Kind::kRange:
    case Kind::kView:
    case Kind::kGenerator:
    case Kind::kLoop:
      return true;
    default:
      return false;
  }
}

std::vector<Value> Iterate(Run& run, const Value& v, std::string_view what) {
  std::vector<Value> out;
  switch (v.kind()) {
    case Kind::kUndefined:
      return out;
    case Kind::kString:
      return Characters(run, v);
    case Kind::kList:
    case Kind::kTuple:
      out = v.items();
      break;
    case Kind::kDict:
      for (const auto& [key, value] : v.as<DictObject>().entries) out.push_back(key);
      break;
    case Kind::kRange: {
      const auto& range = v.as<RangeObject>();
      for (std::int64_t i = 0; i < range.length; ++i) out.push_back(Value::Int(range.At(i)));
      break;
    }
    case Kind::kView: {
      const auto& view = v.as<ViewObject>();
      for (std::size_t i = 0; i < view.dict->entries.size(); ++i)
        out.push_back(ViewItem(run, view, i));
      break;
    }
    case Kind::kGenerator: {
      auto& generator = v.as<GeneratorObject>();
      out.assign(generator.items.begin() + static_cast<std::ptrdiff_t>(generator.next),
                 generator.items.end());
      generator.next = generator.items.size();
      break;
    }
    case Kind::kLoop:
      run.FailUnsupported("loop as a sequence");
    default:
      run.FailType(what, "iterable", v);
  }
  run.Step(out.size());
  return out;
}

std::size_t Length(Run& run, const Value& v, std::string_view what) {
  switch (v.kind()) {
    case Kind::kUndefined:
      return 0;
    case Kind::kString: {
      const auto& text = v.as<StringObject>();
      if (text.ascii) return text.text.size();
      run.TouchText(text.text.size());
      return CountCodePoints(text.text);
    }
    case Kind::kList:
    case Kind::kTuple:
      return v.items().size();
    case Kind::kDict:
      return v.as<DictObject>().entries.size();
    case Kind::kRange:
      return static_cast<std::size_t>(v.as<RangeObject>().length);
    case Kind::kView:
      return v.as<ViewObject>().dict->entries.size();
    default:
      run.FailType(what, "sequence", v);
  }
}

bool IsHashable(const Value& v) {
  if (v.Is(Kind::kTuple)) return std::all_of(v.items().begin(), v.items().end(), IsHashable);
  return !v.Is(Kind::kList) && !v.Is(Kind::kDict) && !v.Is(Kind::kNamespace);
}

void RequireHashable(Run& run, const Value& v) {
  if (!IsHashable(v)) run.FailType("{}", "hashable value", v);
}

Value GetAttribute(Run& run, const Value& object, std::string_view name) {
  if (object.IsUndefined()) run.FailUndefined(object);
  Value out;
  if (name.starts_with("__")) {
    return run.Undefined(UndefinedObject::Why::kUnsafe, std::string(name),
                         std::string(TypeName(object)));
  }
  if (FindMember(run, object, name, &out)) return out;
  if (object.Is(Kind::kDict)) {
    if (const Value* found = object.as<DictObject>().FindText(name)) return *found;
  }
  return run.Undefined(UndefinedObject::Why::kAttribute, std::string(name),
                       std::string(TypeName(object)));
}

Value GetItem(Run& run, const Value& object, const Value& key) {
  if (object.IsUndefined()) run.FailUndefined(object);
  if (object.Is(Kind::kDict) && IsHashable(key)) {
    if (const Value* found = object.as<DictObject>().Find(key)) return *found;
  }
  if (key.IsInteger()) {
    std::size_t at = 0;
    if ((object.Is(Kind::kList) || object.Is(Kind::kTuple)) &&
        ResolveIndex(key.integer(), object.items().size(), &at)) {
      return object.items()[at];
    }
    if (object.Is(Kind::kRange)) {
      const auto& range = object.as<RangeObject>();
      if (ResolveIndex(key.integer(), static_cast<std::size_t>(range.length), &at)) {
        return Value::Int(range.At(static_cast<std::int64_t>(at)));
      }
    }
    if (object.IsString()) {
      bool found = false;
      const Value character = CharacterAt(run, object, key.integer(), &found);
      if (found) return character;
    }
  }
  if (key.IsString()) {
    Value out;
    if (!key.text().starts_with("__") && FindMember(run, object, key.text(), &out)) return out;
    return run.Undefined(UndefinedObject::Why::kAttribute, key.text(),
                         std::string(TypeName(object)));
  }
  return run.Undefined(UndefinedObject::Why::kAttribute,
                       key.IsInteger() ? std::to_string(key.integer()) : std::string(TypeName(key)),
                       std::string(TypeName(object)));
}

Value GetSlice(Run& run, const Value& object, const Value& start, const Value& stop,
               const Value& step) {
  if (object.IsString()) return SliceText(run, object, start, stop, step);
  if (object.Is(Kind::kRange)) {
    const auto& range = object.as<RangeObject>();
    const SliceBounds s =
        ResolveSlice(run, start, stop, step, static_cast<std::size_t>(range.length));
    auto* out = run.Make<RangeObject>();
    out->start = range.At(s.start);
    out->step = range.step * s.step;
    out->stop = out->start + s.length * out->step;
    out->length = s.length;
    return Value(Kind::kRange, out);
  }
  if (!object.Is(Kind::kList) && !object.Is(Kind::kTuple)) run.FailType("[:]", "sequence", object);
  const std::vector<Value>& items = object.items();
  const SliceBounds s = ResolveSlice(run, start, stop, step, items.size());
  std::vector<Value> out;
  out.reserve(static_cast<std::size_t>(s.length));
  for (std::int64_t i = 0; i < s.length; ++i)
    out.push_back(items[static_cast<std::size_t>(s.start + i * s.step)]);
  return object.Is(Kind::kList) ? run.List(std::move(out)) : run.Tuple(std::move(out));
}

Value Call(Run& run, const Value& callee, const Arguments& arguments) {
  const Level level(run);
  run.Step();
  if (callee.Is(Kind::kFunction)) return callee.as<FunctionObject>().call(run, arguments);
  Value call;
  const bool has_call = callee.Is(Kind::kLoop) && FindMember(run, callee, "()", &call);
  if (!has_call) run.FailType("()", "function", callee);
  return call.as<FunctionObject>().call(run, arguments);
}

std::string EscapeHtml(std::string_view text) {
  std::string out;
  out.reserve(text.size());
  for (const char c : text) {
    switch (c) {
      case '&':
        out += "&amp;";
        break;
      case '<':
        out += "&lt;";
        break;
      case '>':
        out += "&gt;";
        break;
      case '\'':
        out += "&#39;";
        break;
      case '"':
        out += "&#34;";
        break;
      default:
        out += c;
    }
  }
  return out;
}

}  // namespace tatara::text::jinja
