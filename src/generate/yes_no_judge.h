// Rerankers that are language models asked whether a passage answers a query (Qwen3-Reranker): the
// prompt that their authors document, and the score, the share of "yes" against "no" in what would
// follow. Source: Zhang et al. 2025 (arXiv:2506.05176) and the model card. Thread safety: free
// functions, no state.
#pragma once

#include <memory>
#include <string>
#include <vector>

#include "tatara/base/error.h"
#include "tatara/text/tokenizer.h"
#include "tatara/weights/tensor_store.h"

namespace tatara::generate {

// Whether a model is such a reranker by its name, and not cut to the two words yet.
bool IsYesNoJudge(const Metadata& metadata);

// The store, or with a head of the two words for a model that is such a reranker by its name and
// has the head of its whole vocabulary. Conversions to GGUF have cut it already.
Result<std::shared_ptr<const weights::TensorStore>> WithYesNoHead(
    std::shared_ptr<const weights::TensorStore> store, const text::Tokenizer& tokenizer);

// Where "yes" and "no" are among a model's classes; -1 where they are not all that there is.
struct YesNo {
  int yes = -1, no = -1;
};
YesNo YesNoOf(const std::vector<std::string>& class_labels);

// The prompt's ids, at most n_max: what is too much goes from the passage's end. Special tokens
// written in query or passage stay text. Refused where the query leaves no room.
Result<std::vector<std::int32_t>> YesNoPrompt(const text::Tokenizer& tokenizer,
                                              const std::string& query, const std::string& passage,
                                              std::size_t n_max);
// p("yes") of the two.
double YesShare(float yes, float no);

}  // namespace tatara::generate
