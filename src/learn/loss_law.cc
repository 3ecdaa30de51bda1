#include "tatara/learn/loss_law.h"

#include <fmt/format.h>

#include <algorithm>

#include "tatara/base/localise.h"
#include "tatara/numerics/functions.h"

namespace tatara::learn {
namespace {

// Vocabularies far from the laws' 32,000 pieces have other losses a token.
constexpr int kVocabularyMin = 16'000, kVocabularyMax = 64'000;

}  // namespace

double LossByLaw(const LossLaw& law, double n_parameters, double n_tokens) {
  return law.e + law.a / numerics::PowF64(n_parameters, law.alpha) +
         law.b / numerics::PowF64(n_tokens, law.beta);
}

ExpectedLoss ExpectLoss(double n_parameters, double n_tokens, int n_vocab) {
  ExpectedLoss loss{.by_hoffmann = LossByLaw(kHoffmann, n_parameters, n_tokens),
                    .by_besiroglu = LossByLaw(kBesiroglu, n_parameters, n_tokens)};
  loss.low = std::min(loss.by_hoffmann, loss.by_besiroglu);
  loss.high = std::max(loss.by_hoffmann, loss.by_besiroglu);
  const auto shown = [](double x) { return fmt::format("{:.3g}", x); };
  if (n_parameters < kLawParametersMin || n_parameters > kLawParametersMax) {
    loss.out_of_range.push_back(Tr("{0} parameters; the law's runs had {1} to {2}",
                                   shown(n_parameters), shown(kLawParametersMin),
                                   shown(kLawParametersMax)));
  }
  if (n_tokens < kLawTokensMin || n_tokens > kLawTokensMax) {
    loss.out_of_range.push_back(Tr("{0} tokens; the law's runs had {1} to {2}", shown(n_tokens),
                                   shown(kLawTokensMin), shown(kLawTokensMax)));
  }
  if (n_vocab < kVocabularyMin || n_vocab > kVocabularyMax) {
    loss.out_of_range.push_back(
        Tr("a vocabulary of {0}; the law's had about 32,000, so its loss a token is another",
           n_vocab));
  }
  return loss;
}

}  // namespace tatara::learn
