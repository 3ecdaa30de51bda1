// Ask: an answer from the documents of a collection with citations, or the plain word that they do
// not say.
//
// What is promised, whatever the model writes:
//   - every quote occurs in its document, letter for letter, checked before it is shown;
//   - every number in an answer occurs in a passage that is cited, or the answer is withdrawn;
//   - an answer that shares nothing with the passages is withdrawn;
//   - no text is streamed before it has passed these checks; no marker of "no answer" is ever
//   streamed;
//   - the prompt has at most AskOptions::prompt_tokens_max tokens; passages that do not fit are
//   left out.
// Greedy: the same question over the same documents with the same model gives the same bits.
// Thread safety: one thread at a time per Engine and Index.
#pragma once

#include <cstdint>
#include <functional>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "tatara/base/clock.h"
#include "tatara/base/error.h"
#include "tatara/base/replayer.h"

namespace tatara::generate {
class Engine;
}
namespace tatara::search {
class Index;
}

namespace tatara::assistant {

inline constexpr std::size_t kQuestionBytesMax = 4096;

struct AskOptions {
  int prompt_tokens_max = 1500;
  int passage_tokens_max = 700;  // of the prompt: what a small model reads well, and soon enough
  int answer_tokens_max = 300;
  int passages_max = 4;  // in the prompt
  bool expand = true;    // let the model write search words when the question's own find little
  const Clock* clock = nullptr;  // for timings; null: the system's
  // For the record: the model as the user called it, and the SHA-256 of its file.
  std::string model_name;
  std::string model_sha256;
};

struct Citation {
  int number = 0;  // as the answer's "[1]"; 0 for the nearest passages of an unsupported answer
  std::string document;  // name
  std::string path;      // absolute, of the file
  std::string heading;   // "A > B > C"
  int line_first = 0;    // of the quote, 1-based, inclusive
  int line_last = 0;
  std::string quote;            // verbatim
  std::string document_sha256;  // of the file when it was added
  // The file is no longer what was added: gone, or other bytes. The quote is then verbatim in the
  // text as it was added, and `quote_in_file` says whether the file still has it.
  bool file_changed = false;
  bool quote_in_file = true;
};

enum class Unsupported {
  kNo,              // it is supported
  kNothingFound,    // no passage shares a word with the question; the model was not run
  kModelSaysNo,     // the model found no answer in the passages
  kNumberInvented,  // a number in the answer is in none of the passages
  kNotInPassages,   // the answer's words are not in the passages
  kNoAnswer,        // the model wrote nothing that can be used
};
std::string_view UnsupportedName(Unsupported reason);  // "", "nothing_found", "model_says_no", ...

struct AskTimings {
  double search_seconds = 0;
  double expand_seconds = 0;      // 0 when the model wrote no search words
  double first_word_seconds = 0;  // from the call to the first text given to on_text
  double total_seconds = 0;
};

struct AskAnswer {
  std::string question;
  std::string answer;  // in the question's language; when unsupported a sentence that says so
  bool supported = false;
  Unsupported reason = Unsupported::kNo;
  std::vector<Citation> citations;  // supported: at least one
  std::vector<Citation> nearest;    // unsupported: the passages nearest to the question, best first
  std::vector<std::string> expansions;
  AskTimings timings;
  int prompt_tokens = 0;
  int cached_tokens = 0;
  int answer_tokens = 0;
  int passages_in_prompt = 0;
  int passages_left_out = 0;  // found, but did not fit
  // The record of this answer, kind "ask": canonical JSON texts, inputs first (see AskReplayer).
  RecordFields record;
};

// Text that has passed the checks, in order; the pieces joined are AskAnswer::answer. Returning
// false cancels: Ask then returns kCancelled.
using OnText = std::function<bool(std::string_view)>;

// Refuses an empty or overlong question and one that is not UTF-8, before a model is opened for it.
Result<> CheckQuestion(std::string_view question);

// Refused: what CheckQuestion refuses, a model without chat template, a context too small for
// the prompt.
Result<AskAnswer> Ask(std::string_view question, const AskOptions& options,
                      generate::Engine& engine, search::Index& index, const OnText& on_text);

// Of a field of a record of kind "ask" or "run": whether it holds words of the question, the
// documents or the answer, so that a redacted receipt leaves it out.
bool RevealsText(std::string_view field);

// Runs a record of kind "ask" again from its prompt's token ids (no index, no documents needed) and
// gives the output fields that came out. `engine` must outlive it and be the model that the record
// names.
std::unique_ptr<Replayer> MakeAskReplayer(generate::Engine& engine);

}  // namespace tatara::assistant
