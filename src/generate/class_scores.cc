#include "class_scores.h"

#include <algorithm>
#include <array>
#include <string_view>

#include "tatara/numerics/ops.h"

namespace tatara::generate {
namespace {

constexpr std::array<std::string_view, 5> kAnswers = {"yes", "true", "relevant", "entailment",
                                                      "positive"};

bool SaysItAnswers(std::string name) {
  std::ranges::transform(name, name.begin(),
                         [](char c) { return c >= 'A' && c <= 'Z' ? char(c + 32) : c; });
  return std::ranges::find(kAnswers, name) != kAnswers.end();
}

}  // namespace

int RelevantClass(const std::vector<std::string>& names, int n_classes) {
  if (n_classes == 1) return 0;
  if (std::ranges::count_if(names, SaysItAnswers) == 1) {
    return static_cast<int>(std::ranges::find_if(names, SaysItAnswers) - names.begin());
  }
  return n_classes == 2 ? 1 : -1;
}

double LogOdds(std::span<const float> logits, int at) {
  const auto own = static_cast<std::size_t>(at);
  if (logits.size() == 1) return logits[own];
  if (logits.size() == 2) return static_cast<double>(logits[own]) - double{logits[1 - own]};
  std::vector<float> others(logits.begin(), logits.end());
  others.erase(others.begin() + at);
  return static_cast<double>(logits[own]) - numerics::LogSumExp(others);
}

}  // namespace tatara::generate
