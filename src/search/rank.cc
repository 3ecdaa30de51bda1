#include "rank.h"

#include <bit>
#include <unordered_map>

namespace tatara::search {
namespace {

constexpr double kSaturation = 1.2;    // k1
constexpr double kLengthShare = 0.4;   // b: chunks are of similar size by construction
constexpr double kTypicalTerms = 300;  // of a chunk's body
constexpr double kHeadWeight = 1.6;    // a term in the head counts as so many in the body
constexpr double kRunBonus = 0.6;      // for two terms that stand together as in the question

// Natural logarithm for x >= 1: exponent plus the series of atanh((m-1)/(m+1)), m in [1, 2); error
// < 1e-6.
double Log(double x) {
  const auto bits = std::bit_cast<std::uint64_t>(x);
  const auto exponent = static_cast<double>(static_cast<int>(bits >> 52) - 1023);
  const double m = std::bit_cast<double>((bits & 0x000FFFFFFFFFFFFFull) | 0x3FF0000000000000ull);
  const double t = (m - 1) / (m + 1);
  const double t2 = t * t;
  const double series =
      t * (2 + t2 * (2.0 / 3 + t2 * (2.0 / 5 + t2 * (2.0 / 7 + t2 * (2.0 / 9 + t2 * (2.0 / 11))))));
  return exponent * 0.6931471805599453 + series;
}

}  // namespace

double InverseDocumentFrequency(std::int64_t n_chunks, std::int64_t n_with_term) {
  const auto n = static_cast<double>(n_chunks);
  const auto df = static_cast<double>(n_with_term);
  return Log(1 + (n - df + 0.5) / (df + 0.5));
}

PassageScore ScorePassage(const std::vector<WeightedTerm>& question, const std::vector<Term>& head,
                          const std::vector<Term>& body) {
  std::unordered_map<std::string_view, std::size_t> wanted;
  for (std::size_t i = 0; i < question.size(); ++i) wanted.emplace(question[i].text, i);
  std::vector<int> in_head(question.size()), in_body(question.size());
  // Where the run of the question goes on in the passage: bigrams overlap, so the next term of a
  // run is among the next few.
  constexpr std::size_t kWindow = 4;
  std::vector<bool> run(question.size());
  const auto read = [&](const std::vector<Term>& terms, std::vector<int>& counts) {
    std::vector<int> ids(terms.size(), -1);
    for (std::size_t i = 0; i < terms.size(); ++i) {
      const auto it = wanted.find(terms[i].text);
      if (it == wanted.end()) continue;
      ids[i] = static_cast<int>(it->second);
      ++counts[it->second];
      const int before = question[it->second].follows;
      for (std::size_t back = 1; before >= 0 && back <= kWindow && back <= i; ++back) {
        if (ids[i - back] == before) run[it->second] = true;
      }
    }
  };
  read(head, in_head);
  read(body, in_body);

  const double length =
      1 - kLengthShare + kLengthShare * static_cast<double>(body.size()) / kTypicalTerms;
  PassageScore result;
  double total = 0, matched = 0;
  for (std::size_t i = 0; i < question.size(); ++i) {
    const double weight = question[i].weight;
    total += weight;
    const double tf = in_body[i] / length + kHeadWeight * (in_head[i] > 0 ? 1 : 0);
    if (tf <= 0) continue;
    matched += weight;
    result.score += weight * tf * (kSaturation + 1) / (tf + kSaturation);
    if (run[i]) result.score += weight * kRunBonus;
  }
  result.coverage = total > 0 ? matched / total : 0;
  return result;
}

}  // namespace tatara::search
