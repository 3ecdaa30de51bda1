#include "unicode_categories.h"

#include <array>
#include <cstddef>
#include <cstring>
#include <memory>

namespace tatara::text {
namespace {

using enum GeneralCategory;

constexpr std::size_t kCodePoints = 0x110000;

struct Run {
  std::uint32_t first;
  GeneralCategory category;
};
constexpr Run kRuns[] = {
#include "unicode_categories.inc"
};

std::unique_ptr<std::uint8_t[]> Fill() {
  std::unique_ptr<std::uint8_t[]> table(new std::uint8_t[kCodePoints]);
  const std::size_t n_runs = std::size(kRuns);
  for (std::size_t i = 0; i < n_runs; ++i) {
    const std::size_t end = i + 1 < n_runs ? kRuns[i + 1].first : kCodePoints;
    std::memset(table.get() + kRuns[i].first, static_cast<int>(kRuns[i].category),
                end - kRuns[i].first);
  }
  return table;
}

}  // namespace

const std::uint8_t* GeneralCategoryTable() {
  static const std::unique_ptr<std::uint8_t[]> table = Fill();
  return table.get();
}

std::string_view NameOf(GeneralCategory category) {
  static constexpr std::string_view kNames =
      "CnCcCfCoCsLuLlLtLmLoMnMcMeNdNlNoPcPdPsPePiPfPoSmScSkSoZsZlZp";
  return kNames.substr(static_cast<std::size_t>(category) * 2, 2);
}

}  // namespace tatara::text
