#include "json_text.h"

#include <fmt/format.h>

#include <exception>

namespace tatara::generate {
namespace {

constexpr int kDepthMax = 64;
constexpr std::string_view kTooDeep = "{0}: nested deeper than {1} levels";
constexpr std::string_view kBroken = "{0}: not valid JSON at byte {1}";

}  // namespace

Result<Json> ParseJson(std::string_view text, std::string_view what) {
  bool too_deep = false;
  const auto limit_depth = [&](int depth, Json::parse_event_t, Json&) {
    too_deep = too_deep || depth > kDepthMax;
    return !too_deep;
  };
  try {
    Json value = Json::parse(text, limit_depth);
    if (too_deep) return Refuse(kTooDeep, what, kDepthMax);
    return value;
  } catch (const Json::parse_error& error) {
    if (too_deep) return Refuse(kTooDeep, what, kDepthMax);
    return Refuse(kBroken, what, error.byte);
  } catch (const std::exception&) {  // numbers out of range
    return Refuse(kBroken, what, text.size());
  }
}

std::string DumpJson(const Json& value) {
  return value.dump(-1, ' ', false, Json::error_handler_t::replace);
}

std::string NumberText(double value) {
  if (value == 0) return "0";
  // fmt's default form has the shortest digits; take them out of whichever notation it chose. In
  // the standard's terms the value is 0.d1...dk x 10^n.
  std::string plain = fmt::format("{}", value);
  const bool negative = plain.front() == '-';
  if (negative) plain.erase(0, 1);
  const std::size_t e = plain.find('e');
  std::string digits = plain.substr(0, e);
  const std::size_t point = digits.find('.');
  int n = static_cast<int>(point == std::string::npos ? digits.size() : point);
  if (point != std::string::npos) digits.erase(point, 1);
  if (e != std::string::npos) n += std::stoi(plain.substr(e + 1));
  while (digits.size() > 1 && digits.front() == '0') {
    digits.erase(0, 1);
    --n;
  }
  while (digits.size() > 1 && digits.back() == '0') digits.pop_back();
  const int k = static_cast<int>(digits.size());
  std::string out;
  if (k <= n && n <= 21) {
    out = digits + std::string(static_cast<std::size_t>(n - k), '0');
  } else if (0 < n && n <= 21) {
    out = digits.substr(0, static_cast<std::size_t>(n)) + "." +
          digits.substr(static_cast<std::size_t>(n));
  } else if (-6 < n && n <= 0) {
    out = "0." + std::string(static_cast<std::size_t>(-n), '0') + digits;
  } else {
    out = digits.substr(0, 1) + (k > 1 ? "." + digits.substr(1) : "") + "e" + (n > 0 ? "+" : "-") +
          std::to_string(n > 0 ? n - 1 : 1 - n);
  }
  return negative ? "-" + out : out;
}

}  // namespace tatara::generate
