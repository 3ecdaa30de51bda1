// Scores a passage against a question: BM25 over head and body together (BM25F: Robertson,
// Zaragoza, Taylor, CIKM'04), terms weighted by script (fold.h), and a bonus for runs of terms that
// stand together.
//
// No libm: scores are the same bits on every machine.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "tatara/search/fold.h"

namespace tatara::search {

struct WeightedTerm {
  std::string text;
  double weight = 0;  // script weight x inverse document frequency
  int follows = -1;   // index of the term right before it in the question, where they form a run
};

struct PassageScore {
  double score = 0;
  double coverage = 0;  // matched weight / all weight
};

// ln(1 + (n - df + 0.5) / (df + 0.5)) up to the accuracy that ranking needs, by a fixed form.
double InverseDocumentFrequency(std::int64_t n_chunks, std::int64_t n_with_term);

PassageScore ScorePassage(const std::vector<WeightedTerm>& question, const std::vector<Term>& head,
                          const std::vector<Term>& body);

}  // namespace tatara::search
