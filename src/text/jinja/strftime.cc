#include "jinja/strftime.h"

#include <fmt/format.h>

namespace tatara::text::jinja {
namespace {

constexpr std::string_view kDays[] = {"Sunday",   "Monday", "Tuesday", "Wednesday",
                                      "Thursday", "Friday", "Saturday"};
constexpr std::string_view kMonths[] = {"January",   "February", "March",    "April",
                                        "May",       "June",     "July",     "August",
                                        "September", "October",  "November", "December"};

int Hour12(const std::tm& t) {
  return t.tm_hour % 12 == 0 ? 12 : t.tm_hour % 12;
}

bool IsLeap(int year) {
  return year % 4 == 0 && (year % 100 != 0 || year % 400 == 0);
}

// ISO 8601: the week of the year's first Thursday is week 1.
void IsoWeek(const std::tm& t, int* year, int* week) {
  const int monday_based = (t.tm_wday + 6) % 7;
  *year = t.tm_year + 1900;
  *week = (t.tm_yday - monday_based + 10) / 7;
  const auto weeks_in = [](int y, int first_weekday) {  // first_weekday: of 1 January, Monday 0
    return first_weekday == 3 || (first_weekday == 2 && IsLeap(y)) ? 53 : 52;
  };
  const int first = ((monday_based - t.tm_yday) % 7 + 7) % 7;
  if (*week == 0) {
    const int days_before = IsLeap(*year - 1) ? 366 : 365;
    *year -= 1;
    *week = weeks_in(*year, ((first - days_before) % 7 + 7) % 7);
  } else if (*week > weeks_in(*year, first)) {
    *year += 1;
    *week = 1;
  }
}

std::string Directive(Run& run, char c, const std::tm& t) {
  const int year = t.tm_year + 1900;
  int iso_year = 0, iso_week = 0;
  IsoWeek(t, &iso_year, &iso_week);
  switch (c) {
    case 'a':
      return std::string(kDays[t.tm_wday].substr(0, 3));
    case 'A':
      return std::string(kDays[t.tm_wday]);
    case 'b':
    case 'h':
      return std::string(kMonths[t.tm_mon].substr(0, 3));
    case 'B':
      return std::string(kMonths[t.tm_mon]);
    case 'c':
      return FormatTime(run, "%a %b %e %H:%M:%S %Y", t);
    case 'C':
      return fmt::format("{:02}", year / 100);
    case 'd':
      return fmt::format("{:02}", t.tm_mday);
    case 'D':
    case 'x':
      return FormatTime(run, "%m/%d/%y", t);
    case 'e':
      return fmt::format("{:2}", t.tm_mday);
    case 'f':
      return "000000";
    case 'F':
      return FormatTime(run, "%Y-%m-%d", t);
    case 'g':
      return fmt::format("{:02}", iso_year % 100);
    case 'G':
      return fmt::format("{}", iso_year);
    case 'H':
      return fmt::format("{:02}", t.tm_hour);
    case 'I':
      return fmt::format("{:02}", Hour12(t));
    case 'j':
      return fmt::format("{:03}", t.tm_yday + 1);
    case 'k':
      return fmt::format("{:2}", t.tm_hour);
    case 'l':
      return fmt::format("{:2}", Hour12(t));
    case 'm':
      return fmt::format("{:02}", t.tm_mon + 1);
    case 'M':
      return fmt::format("{:02}", t.tm_min);
    case 'n':
      return "\n";
    case 'p':
      return t.tm_hour < 12 ? "AM" : "PM";
    case 'P':
      return t.tm_hour < 12 ? "am" : "pm";
    case 'r':
      return FormatTime(run, "%I:%M:%S %p", t);
    case 'R':
      return FormatTime(run, "%H:%M", t);
    case 'S':
      return fmt::format("{:02}", t.tm_sec);
    case 't':
      return "\t";
    case 'T':
    case 'X':
      return FormatTime(run, "%H:%M:%S", t);
    case 'u':
      return fmt::format("{}", t.tm_wday == 0 ? 7 : t.tm_wday);
    case 'U':
      return fmt::format("{:02}", (t.tm_yday + 7 - t.tm_wday) / 7);
    case 'V':
      return fmt::format("{:02}", iso_week);
    case 'w':
      return fmt::format("{}", t.tm_wday);
    case 'W':
      return fmt::format("{:02}", (t.tm_yday + 7 - (t.tm_wday + 6) % 7) / 7);
    case 'y':
      return fmt::format("{:02}", ((year % 100) + 100) % 100);
    case 'Y':
      return fmt::format("{}", year);
    case 'z':
    case 'Z':
      return "";  // a time without a zone has none to name
    case '%':
      return "%";
    default:
      Fail(Refuse("chat template, line {0}: the format '{1}' is not known", run.line,
                  "%" + std::string(1, c)));
  }
}

}  // namespace

std::string FormatTime(Run& run, std::string_view format, const std::tm& when) {
  run.TouchText(format.size() * 8);
  std::string out;
  for (std::size_t i = 0; i < format.size(); ++i) {
    if (format[i] != '%') {
      out += format[i];
      continue;
    }
    if (++i < format.size() && format[i] == '-' &&
        i + 1 < format.size()) {  // glibc: without padding
      std::string padded = Directive(run, format[++i], when);
      while (padded.size() > 1 && (padded[0] == '0' || padded[0] == ' ')) padded.erase(0, 1);
      out += padded;
    } else {
      out += Directive(run, i < format.size() ? format[i] : '\0', when);
    }
    run.Charge(64);
  }
  return out;
}

}  // namespace tatara::text::jinja
