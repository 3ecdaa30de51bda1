// What of a model's output may be shown: whole sentences, each with the passages that say it.
//
// Pure: the same prompt, passages and text give the same judgement, so a replay can repeat it.
// Thread safety: one thread at a time per Judge.
#pragma once

#include <string>
#include <string_view>
#include <vector>

#include "evidence.h"
#include "tatara/assistant/ask.h"
#include "tatara/search/index.h"

namespace tatara::assistant {

// A sentence with a smaller share of its own content in the passages is withdrawn.
inline constexpr double kSupportMin = 0.34;
// With passages in another language beside it, words alone do not tell which passage a sentence of
// less support is from.
inline constexpr double kSupportPlain = 0.75;
inline constexpr int kCitationsMax = 4;

// A question as it is put to the model. Where the passages are in English and the question is not,
// it is put in English, which a small model reads better than across languages, and the answer is
// said in the other.
struct Asked {
  std::string question;
  Language language = Language::kJapanese;         // of `question` and the prompt
  Language answer_language = Language::kJapanese;  // of what the user asked
};

class Judge {
 public:
  // `passages`: those in the prompt, best first. They must outlive it.
  Judge(const Asked& asked, const std::vector<search::Passage>& passages,
        const std::vector<std::string>& hints);

  // Text as the model writes it. Returns what may be shown now: sentences that passed, with their
  // numbers.
  std::string Push(std::string_view text);
  std::string Finish();  // at the end of the output
  // The model says that the passages do not say, whatever it has written.
  void Refuse();
  // The model must not go on: a sentence did not pass.
  bool stopped() const { return stopped_; }

  // What was shown, or, where nothing was, the sentence that says so.
  std::string Answer() const;
  // The same without the citations' numbers, and what is cited, for looking again.
  const std::string& bare() const { return bare_; }
  std::string Quotes() const;
  // Where words did not tell which passage says the answer: quotes to choose from, likeliest first.
  bool must_choose() const { return must_choose_; }
  std::vector<Citation> Choices(int choices_max) const;
  // The answer's one citation.
  void Choose(Citation citation);
  // Whether the prompt has passages in another language than its question.
  bool has_other_language() const { return evidence_.HasOtherLanguage(asked_.language); }

  // The answer in other words (a translation), with the same citations.
  void Reword(std::string words);

  // Whether anything in the answer is its own and stands in the passages, not just the question's
  // words.
  bool has_own_evidence() const { return evidence_.HasOwn(bare_); }
  bool supported() const { return !citations_.empty(); }
  // Why not, where nothing was shown.
  Unsupported reason() const { return reason_; }
  // number, document, path, heading, lines, quote, digest; the file is not looked at here.
  const std::vector<Citation>& citations() const { return citations_; }
  // For an unsupported answer: the passages with their nearest words.
  std::vector<Citation> Nearest(int passages_max) const;

 private:
  std::string Take(std::string_view sentence);
  Citation Cite(const QuoteUnit& unit, int number) const;
  void Stop(Unsupported reason);

  Asked asked_;
  const std::vector<search::Passage>& passages_;
  Evidence evidence_;
  std::string held_;
  std::string shown_;
  std::string bare_;
  std::vector<Citation> citations_;
  std::vector<QuoteUnit> cited_;
  Unsupported reason_ = Unsupported::kNoAnswer;
  bool stopped_ = false;
  bool must_choose_ = false;
};

}  // namespace tatara::assistant
