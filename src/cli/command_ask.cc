// ask: an answer from the documents, its citations, or that they do not say.
#include <fmt/format.h>

#include "commands.h"
#include "json_output.h"
#include "models_access.h"
#include "receipts.h"
#include "tatara/assistant/ask.h"
#include "tatara/base/localise.h"
#include "tatara/search/index.h"
#include "terminal.h"

namespace tatara::cli {
namespace {

Json CitationJson(const assistant::Citation& c) {
  Json out = {
      {"document", c.document}, {"heading", c.heading}, {"lines", {c.line_first, c.line_last}},
      {"quote", c.quote},       {"path", c.path},       {"document_sha256", c.document_sha256}};
  if (c.file_changed) out["file_changed"] = true;
  if (!c.quote_in_file) out["quote_in_file"] = false;
  return out;
}

Json AnswerJson(const assistant::AskAnswer& answer) {
  Json citations = Json::array(), nearest = Json::array();
  for (const auto& c : answer.citations) citations.push_back(CitationJson(c));
  for (const auto& c : answer.nearest) nearest.push_back(CitationJson(c));
  return {{"answer", answer.answer},
          {"supported", answer.supported},
          {"citations", citations},
          {"reason", assistant::UnsupportedName(answer.reason)},
          {"nearest", nearest},
          {"usage",
           {{"prompt_tokens", answer.prompt_tokens},
            {"cached_tokens", answer.cached_tokens},
            {"completion_tokens", answer.answer_tokens}}},
          {"timings",
           {{"search_seconds", answer.timings.search_seconds},
            {"expand_seconds", answer.timings.expand_seconds},
            {"first_word_seconds", answer.timings.first_word_seconds},
            {"total_seconds", answer.timings.total_seconds}}}};
}

void PrintCitation(const assistant::Citation& c, const std::string& mark) {
  const std::string lines = c.line_first == c.line_last
                                ? Tr("line {0}", c.line_first)
                                : Tr("lines {0}-{1}", c.line_first, c.line_last);
  Out(fmt::format("{} {}{}{} ({})\n", mark, c.document, c.heading.empty() ? "" : " › ", c.heading,
                  lines));
  std::string quote = "    「" + c.quote + "」\n";
  for (std::size_t at = 0; (at = quote.find('\n', at)) + 1 < quote.size();)
    quote.insert(++at, "    ");
  Out(quote);
  if (c.file_changed) {
    Out("    " +
        (c.quote_in_file
             ? Tr("the file has changed since it was added; the quote is still in it")
             : Tr("the file has changed since it was added; the quote is no longer in it")) +
        "\n");
  }
}

void PrintAnswerEnd(const assistant::AskAnswer& answer) {
  Out("\n");
  if (!answer.citations.empty()) Out("\n");
  for (const auto& c : answer.citations) PrintCitation(c, fmt::format("[{}]", c.number));
  if (!answer.nearest.empty()) Out("\n" + Tr("The nearest passages:") + "\n");
  for (const auto& c : answer.nearest) PrintCitation(c, "-");
  Remark(Tr("first word after {0}, {1} in all; prompt of {2} tokens, {3} of them from the cache",
            FormatDuration(answer.timings.first_word_seconds),
            FormatDuration(answer.timings.total_seconds), answer.prompt_tokens,
            answer.cached_tokens));
}

}  // namespace

Result<int> Ask(const AskOptions& options) {
  TATARA_RETURN_IF_ERROR(assistant::CheckQuestion(options.question));
  TATARA_TRY(const auto index, search::Index::Open({.collection = options.collection}));
  ModelOptions model = options.model;
  if (!model.adapter.empty() && !model.merge) {
    return Refuse("ask: --adapter needs --merge: every step of an answer uses the same weights");
  }
  if (model.model.empty()) {
    TATARA_TRY(model.model, DefaultAskModel());
  }
  TATARA_TRY(const auto engine, OpenEngine(model, {}, TunedForm::kMerged));
  const auto print = [&](std::string_view text) {
    if (!options.json) {
      Out(text);
      std::fflush(stdout);
    }
    return !StopRequested().IsSet();
  };
  assistant::AskOptions ask{.answer_tokens_max = options.tokens_max, .model_name = model.model};
  if (!options.receipt.empty()) {
    TATARA_TRY(ask.model_sha256, ModelDigest(model.model));
  }
  TATARA_TRY(const assistant::AskAnswer answer,
             assistant::Ask(options.question, ask, *engine, *index, print));
  if (options.json) {
    OutJson(AnswerJson(answer));
  } else {
    PrintAnswerEnd(answer);
  }
  if (!options.receipt.empty()) {
    TATARA_RETURN_IF_ERROR(WriteAskReceipt(options, answer));
  }
  return 0;
}

}  // namespace tatara::cli
