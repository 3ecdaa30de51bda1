// Expected loss by published laws of scale: L(N, D) = E + A / N^alpha + B / D^beta for N parameters
// and D tokens, fitted to runs of one family on one kind of text; in nats a token of that
// vocabulary. Hoffmann et al. 2022 (arXiv:2203.15556, approach 3), and the fit of Besiroglu et al.
// 2024 (arXiv:2404.10102) to the same runs.
// Thread safety: free functions and values.
#pragma once

#include <string>
#include <vector>

namespace tatara::learn {

struct LossLaw {
  const char* name;
  double e, a, b, alpha, beta;
};
inline constexpr LossLaw kHoffmann = {"Hoffmann et al. 2022", 1.69, 406.4, 410.7, 0.34, 0.28};
inline constexpr LossLaw kBesiroglu = {
    "Besiroglu et al. 2024", 1.8172, 482.01, 2085.43, 0.3478, 0.3658};

// The runs that both were fitted to.
inline constexpr double kLawParametersMin = 70e6, kLawParametersMax = 16e9;
inline constexpr double kLawTokensMin = 5e9, kLawTokensMax = 500e9;

double LossByLaw(const LossLaw& law, double n_parameters, double n_tokens);

struct ExpectedLoss {
  double by_hoffmann = 0, by_besiroglu = 0;
  double low = 0, high = 0;               // the two, in order
  std::vector<std::string> out_of_range;  // why the law may not hold, in the current language
};
ExpectedLoss ExpectLoss(double n_parameters, double n_tokens, int n_vocab);

}  // namespace tatara::learn
