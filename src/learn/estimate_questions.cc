#include "estimate_questions.h"

#include <algorithm>
#include <span>
#include <vector>

#include "estimate_clock.h"
#include "tatara/learn/held_out.h"

namespace tatara::learn {
namespace {

constexpr std::size_t kAsked = 4;  // spread evenly

}  // namespace

Result<double> MeasureQuestions(const Recipe& recipe, int n_threads) {
  if (recipe.tune.held_out.empty() || recipe.base.from.empty()) return 0.0;
  TATARA_TRY(const auto path, FindHeldOut(recipe));
  TATARA_TRY(const std::vector<HeldOutQuestion> questions, ReadHeldOut(path));
  const double start = Now(n_threads);
  TATARA_TRY(auto engine, generate::Engine::Open(
                              recipe.base.path.string(),
                              {.n_threads = n_threads,
                               .context_tokens = std::min(kHeldOutContext, recipe.model.n_ctx)}));
  const double opening = Now(n_threads) - start;
  const std::size_t n_asked = std::min(kAsked, questions.size());
  std::vector<HeldOutQuestion> asked;
  for (std::size_t i = 0; i < n_asked; ++i) {
    asked.push_back(questions[i * questions.size() / n_asked]);
  }
  const double before = Now(n_threads);
  for (const HeldOutQuestion& one : asked) {
    if (MeasuringStops()) return 0.0;
    TATARA_TRY(
        [[maybe_unused]] const HeldOutScore score,
        ScoreHeldOut(std::span(&one, 1), {.tokens_max = recipe.tune.answer_tokens}, *engine));
  }
  const double one = (Now(n_threads) - before) / static_cast<double>(n_asked);
  return opening + 2 * one * static_cast<double>(questions.size());
}

}  // namespace tatara::learn
