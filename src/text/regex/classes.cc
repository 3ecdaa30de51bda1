#include <algorithm>
#include <map>
#include <string>

#include "regex/automaton.h"

namespace tatara::text::regex {
namespace {

constexpr std::size_t kCodePoints = 0x110000;

}  // namespace

Result<Classes> Classes::Of(std::span<const CodePointSet> sets, std::string_view origin) {
  // Between two places where some set begins or ends, all code points are alike.
  struct Event {
    char32_t at;
    std::uint32_t set;
  };
  std::vector<Event> events;
  for (std::size_t i = 0; i < sets.size(); ++i) {
    for (const CodePointSet::Range& range : sets[i].ranges()) {
      events.push_back({range.first, static_cast<std::uint32_t>(i)});
      events.push_back({range.last + 1, static_cast<std::uint32_t>(i)});
    }
  }
  std::sort(events.begin(), events.end(),
            [](const Event& a, const Event& b) { return a.at < b.at; });
  Classes made;
  std::string members((sets.size() + 7) / 8, '\0');
  std::map<std::string, std::uint8_t> class_of;
  std::vector<std::uint8_t> classes(kCodePoints);
  for (std::size_t at = 0, e = 0; at < kCodePoints;) {
    for (; e < events.size() && events[e].at <= at; ++e) {
      members[events[e].set / 8] =
          static_cast<char>(members[events[e].set / 8] ^ (1 << events[e].set % 8));
    }
    const std::size_t end =
        e < events.size() ? std::min<std::size_t>(events[e].at, kCodePoints) : kCodePoints;
    const auto [found, fresh] =
        class_of.emplace(members, static_cast<std::uint8_t>(class_of.size()));
    if (fresh) {
      if (class_of.size() > kClassesMax) {
        return Refuse("{0}: an expression tells more than {1} kinds of characters apart", origin,
                      kClassesMax);
      }
      made.first_of_class_.push_back(static_cast<char32_t>(at));
    }
    std::fill(classes.begin() + static_cast<std::ptrdiff_t>(at),
              classes.begin() + static_cast<std::ptrdiff_t>(end), found->second);
    at = end;
  }
  made.n_classes_ = static_cast<int>(class_of.size());
  std::copy_n(classes.begin(), made.ascii_.size(), made.ascii_.begin());
  std::map<std::array<std::uint8_t, 256>, std::uint16_t> page_numbers;
  for (std::size_t page = 0; page < kCodePoints / 256; ++page) {
    std::array<std::uint8_t, 256> content;
    std::copy_n(classes.begin() + static_cast<std::ptrdiff_t>(page * 256), 256, content.begin());
    const auto [found, fresh] =
        page_numbers.emplace(content, static_cast<std::uint16_t>(made.pages_.size()));
    if (fresh) made.pages_.push_back(content);
    made.page_of_.push_back(found->second);
  }
  return made;
}

std::vector<bool> Classes::ClassesIn(const CodePointSet& set) const {
  std::vector<bool> in(static_cast<std::size_t>(n_classes_));
  for (std::size_t i = 0; i < in.size(); ++i) in[i] = set.Contains(first_of_class_[i]);
  return in;
}

}  // namespace tatara::text::regex
