// A call of Service::Generate on its way: from the model's text to deltas, choices and receipts.
// Thread safety: OnText and OnEnd on the model's thread only.
#pragma once

#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "tatara/assistant/service.h"
#include "tatara/base/clock.h"
#include "tatara/generate/engine.h"
#include "tatara/generate/run_record.h"
#include "tatara/text/answer_parser.h"

namespace tatara::assistant {

// What a receipt is made of when somebody asks for it.
struct RunReceipt {
  std::string model;
  generate::Request request;
  generate::PromptOrigin origin;
  generate::Completion completion;
  std::int64_t created_unix = 0;
};

class GenerateJob {
 public:
  struct Parts {
    std::shared_ptr<RunningCall> call;
    std::shared_ptr<GenerateSink> sink;
    const text::Tokenizer* tokenizer = nullptr;
    std::optional<text::AnswerFormat> format;  // nothing: the text is the answer
    text::AnswerParser::Options parsing;
    std::vector<generate::Request> requests;      // one a choice
    std::vector<generate::PromptOrigin> origins;  // likewise
    std::int64_t deadline_ns = 0;
    const Clock* clock = nullptr;
    std::string model, receipt_id;
    std::function<void(const std::string& id, const RunReceipt& receipt)> keep;
    std::function<void(const generate::Completion& completion)> measure;
    std::function<void(double seconds)> measure_gap;  // between a choice's pieces of text
  };
  explicit GenerateJob(Parts parts);

  void OnLogprob(std::size_t choice, const generate::TokenLogprob& logprob);
  void OnText(std::size_t choice, std::string_view text);
  void OnEnd(std::size_t choice, Result<generate::Completion> result);

 private:
  struct Growing {
    std::optional<text::AnswerParser> parser;
    Choice choice;
    std::vector<Logprob> fresh;  // of tokens that no delta has carried yet
    std::int64_t last_text_ns = 0;
  };
  void Grow(std::size_t choice, text::AnswerParts more);
  void Finish(std::size_t choice, generate::Completion completion);
  void Done();

  Parts parts_;
  std::vector<Growing> growing_;
  std::size_t left_;
  Usage usage_;
  std::optional<Error> error_;
};

}  // namespace tatara::assistant
