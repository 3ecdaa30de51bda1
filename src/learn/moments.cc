#include "tatara/learn/moments.h"

#include <utility>

#include "tatara/base/check.h"
#include "tatara/base/huge_pages.h"

namespace tatara::learn {

Moments::Moments(model::Storage storage, const std::vector<model::Parameter>& parameters,
                 const std::function<bool(const model::Parameter&)>& has) {
  constexpr std::int64_t kLine = 16;  // as weights lie
  std::int64_t n = 0;
  for (const model::Parameter& p : parameters) {
    offsets.push_back(has(p) ? n : kNone);
    if (has(p)) n += (p.size() + kLine - 1) / kLine * kLine;
  }
  const auto size = static_cast<std::size_t>(n);
  if (storage == model::Storage::kBF16) {
    ReserveHugePages(narrow, size);
    narrow.assign(size, 0);
  } else {
    ReserveHugePages(wide, size);
    wide.assign(size, 0.0F);
  }
}

const std::byte* Moments::bytes(std::size_t parameter) const {
  const std::int64_t at = offsets[parameter];
  TATARA_CHECK(at != kNone);
  return narrow.empty() ? reinterpret_cast<const std::byte*>(wide.data() + at)
                        : reinterpret_cast<const std::byte*>(narrow.data() + at);
}

std::byte* Moments::bytes(std::size_t parameter) {
  return const_cast<std::byte*>(std::as_const(*this).bytes(parameter));
}

}  // namespace tatara::learn
