// One formatted field: what %-5.2f and {:>5.2f} have in common.
#pragma once

#include <optional>
#include <string>
#include <string_view>

#include "jinja/value.h"

namespace tatara::text::jinja {

struct FormatSpec {
  std::string fill = " ";
  char align = '\0';  // < > ^ =, or the type's own
  char sign = '-';
  bool alternate = false;
  std::int64_t width = 0;
  char grouping = '\0';
  std::optional<std::int64_t> precision;
  char type = '\0';
};

inline constexpr std::int64_t kFieldWidthMax = 10'000;

// [[fill]align][sign][#][0][width][grouping][.precision][type]
FormatSpec ParseFormatSpec(Run& run, std::string_view text);
// A number in the spec's type, or a text padded and cut.
std::string FormatNumber(Run& run, const Value& value, const FormatSpec& spec);
std::string FormatText(Run& run, const std::string& text, const FormatSpec& spec);

}  // namespace tatara::text::jinja
