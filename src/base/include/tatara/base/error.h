// Errors and results. A function that can be refused by its input, by I/O or by a limit returns
// Result<T>; broken invariants use TATARA_CHECK (check.h) and no input may reach one.
//
// An error carries its English format string and its arguments, so that the same error prints in
// Japanese where messages_ja.inc of the module translates that string (localise.h).
// Thread safety: values; distinct objects may be used from distinct threads.
#pragma once

#include <fmt/format.h>

#include <optional>
#include <string>
#include <string_view>
#include <type_traits>
#include <utility>
#include <variant>
#include <vector>

#include "tatara/base/check.h"

namespace tatara {

enum class Language { kEnglish, kJapanese };

enum class ErrorKind {
  kRefused,      // the input, a request or a file's content is not acceptable; exit status 2
  kNotFound,     // a named thing does not exist; exit status 2
  kIo,           // the operating system said no; exit status 1
  kUnavailable,  // a source, a network or a capability is not there now; exit status 1
  kCancelled,    // the user or a deadline stopped it; exit status 1 (130 after Ctrl-C)
};

class Error {
 public:
  Error(ErrorKind kind, std::string_view format, std::vector<std::string> arguments)
      : kind_(kind), format_(format), arguments_(std::move(arguments)) {}

  ErrorKind kind() const { return kind_; }
  // One line, without a full stop: what, where, what was found, what was expected.
  std::string text(Language language = Language::kEnglish) const;

 private:
  ErrorKind kind_;
  std::string_view format_;  // a string literal
  std::vector<std::string> arguments_;
};

// `format` is a literal with numbered fields: MakeError(kRefused, "{0}: {1} tensors, limit {2}",
// ...). Arguments are formatted by fmt's default for their type.
template <typename... Args>
Error MakeError(ErrorKind kind, std::string_view format, const Args&... args) {
  return Error(kind, format, {fmt::format("{}", args)...});
}

// The commonest kind.
template <typename... Args>
Error Refuse(std::string_view format, const Args&... args) {
  return MakeError(ErrorKind::kRefused, format, args...);
}

// "name: what the system said" for the current errno.
Error ErrnoError(std::string_view format, std::string_view name);

struct Ok {};

template <typename T = Ok>
class [[nodiscard]] Result {
 public:
  Result(T value) : state_(std::in_place_index<0>, std::move(value)) {}
  Result(Error error) : state_(std::in_place_index<1>, std::move(error)) {}
  template <typename U>
    requires(std::is_convertible_v<U, T> && !std::is_same_v<std::remove_cvref_t<U>, T> &&
             !std::is_same_v<std::remove_cvref_t<U>, Error> &&
             !std::is_same_v<std::remove_cvref_t<U>, Result<T>>)
  Result(U&& value) : state_(std::in_place_index<0>, std::forward<U>(value)) {}

  bool ok() const { return state_.index() == 0; }
  explicit operator bool() const { return ok(); }

  T& value() & {
    TATARA_CHECK(ok());
    return std::get<0>(state_);
  }
  const T& value() const& {
    TATARA_CHECK(ok());
    return std::get<0>(state_);
  }
  T&& value() && {
    TATARA_CHECK(ok());
    return std::get<0>(std::move(state_));
  }
  T& operator*() & { return value(); }
  const T& operator*() const& { return value(); }
  T&& operator*() && { return std::move(*this).value(); }
  T* operator->() { return &value(); }
  const T* operator->() const { return &value(); }

  const Error& error() const {
    TATARA_CHECK(!ok());
    return std::get<1>(state_);
  }

 private:
  std::variant<T, Error> state_;
};

}  // namespace tatara

#define TATARA_CONCAT_INNER(a, b) a##b
#define TATARA_CONCAT(a, b) TATARA_CONCAT_INNER(a, b)

// TATARA_TRY(auto file, OpenFile(path)); declares `file`, or returns the error.
#define TATARA_TRY(declaration, expression) \
  TATARA_TRY_INNER(TATARA_CONCAT(tatara_result_, __LINE__), declaration, expression)
#define TATARA_TRY_INNER(name, declaration, expression) \
  auto name = (expression);                             \
  if (!name.ok()) return std::move(name).error();       \
  declaration = std::move(name).value()

// For a Result<> whose value does not matter.
#define TATARA_RETURN_IF_ERROR(expression)                                                    \
  do {                                                                                        \
    if (auto tatara_result = (expression); !tatara_result.ok()) return tatara_result.error(); \
  } while (false)
