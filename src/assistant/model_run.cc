#include "model_run.h"

#include <algorithm>

#include "prompt.h"
#include "tatara/text/tokenizer.h"

namespace tatara::assistant {
namespace {

constexpr int kTopLogprobs = 64;
constexpr double kNever = -1000;  // logit bias
constexpr int kTranslationTokensMax = 96;
constexpr int kChoicesMax = 3;  // of passages, where words do not tell which one it is

std::int32_t FirstToken(const generate::Engine& engine, std::string_view text) {
  const std::vector<std::int32_t> ids = engine.tokenizer().Encode(text, {.add_start = false});
  return ids.empty() ? -1 : ids.front();
}

// The first token's log-probabilities of `prompt`, likeliest first, and the completion of that one
// token.
Result<generate::Completion> FirstLogprobs(generate::Engine& engine, generate::Request request) {
  request.tokens_max = 1;
  request.top_logprobs = kTopLogprobs;
  return engine.Generate(std::move(request));
}

std::optional<double> LogprobOf(const generate::Completion& completion, std::int32_t id) {
  if (completion.logprobs.empty()) return std::nullopt;
  for (const auto& [other, logprob] : completion.logprobs.front().top) {
    if (other == id) return logprob;
  }
  return std::nullopt;
}

// ln(p(yes) / p(no)); nothing where the two can not be told apart by their first tokens.
Result<std::optional<double>> LookAgain(generate::Engine& engine, const Asked& asked,
                                        std::string_view quotes, std::string_view answer) {
  const YesNo answers = CheckAnswers(asked.language);
  const std::int32_t yes = FirstToken(engine, answers.yes), no = FirstToken(engine, answers.no);
  if (yes == no) return std::optional<double>();
  generate::Request request;
  TATARA_TRY(request.prompt,
             BuildCheckPrompt(engine, asked.language, quotes, asked.question, answer));
  request.sampling.seed = 0;
  if (static_cast<std::int64_t>(request.prompt.size()) + 1 > engine.facts().context_tokens) {
    return std::optional<double>();
  }
  TATARA_TRY(const generate::Completion completion, FirstLogprobs(engine, std::move(request)));
  const std::optional<double> yes_logprob = LogprobOf(completion, yes),
                              no_logprob = LogprobOf(completion, no);
  if (!yes_logprob) return std::optional<double>(-100.0);
  return std::optional<double>(no_logprob ? *yes_logprob - *no_logprob : 100.0);
}

// Lets the model say which of the judge's choices states the answer; the margin of the one taken.
Result<std::optional<double>> ChooseQuote(generate::Engine& engine, const Asked& asked,
                                          Judge& judge) {
  std::optional<double> best;
  std::optional<Citation> chosen;
  for (Citation& choice : judge.Choices(kChoicesMax)) {
    TATARA_TRY(const std::optional<double> margin,
               LookAgain(engine, asked, choice.heading + ": " + choice.quote, judge.bare()));
    if (!chosen || (margin && (!best || *margin > *best))) {
      best = margin;
      chosen = std::move(choice);
    }
  }
  if (chosen) judge.Choose(std::move(*chosen));
  return best;
}

// An English answer said in Japanese, where the translation keeps its numbers; else it stays as it
// is.
Result<> SayInJapanese(generate::Engine& engine, Judge& judge) {
  generate::Request request;
  TATARA_TRY(request.prompt, BuildAnswerTranslationPrompt(engine, judge.bare()));
  request.tokens_max = kTranslationTokensMax;
  request.sampling.seed = 0;
  request.stop = {"\n"};
  if (static_cast<std::int64_t>(request.prompt.size()) + kTranslationTokensMax >
      engine.facts().context_tokens) {
    return Ok{};
  }
  TATARA_TRY(const generate::Completion completion, engine.Generate(std::move(request)));
  const bool whole = completion.finish_reason == generate::FinishReason::kStop;
  if (whole && LanguageOf(completion.text) == Language::kJapanese &&
      NumbersOf(completion.text) == NumbersOf(judge.bare())) {
    judge.Reword(completion.text);
  }
  return Ok{};
}

double MarginNeeded(std::optional<double> refusal_logprob, const Judge& judge) {
  if (!refusal_logprob || *refusal_logprob < kHintLogprob)
    return judge.must_choose() ? 0 : kMarginOnHint;
  if (judge.must_choose()) return kMarginOfChoice;
  if (*refusal_logprob < kDoubtLogprob)
    return judge.has_other_language() ? kMarginOfChoice : kMarginOnHint;
  return judge.has_own_evidence() ? kMarginOnDoubt : kMarginWithoutEvidence;
}

}  // namespace

generate::Request AnswerRequest(const generate::Engine& engine, Language language,
                                std::vector<std::int32_t> prompt, int tokens_max) {
  generate::Request request{.prompt = std::move(prompt), .tokens_max = tokens_max};
  request.sampling.seed = 0;  // greedy: chance has no part in it
  if (const std::int32_t mark = FirstToken(engine, RefusalMark(language)); mark >= 0) {
    request.sampling.logit_bias = {{mark, kNever}};
  }
  request.digest_logits = true;
  return request;
}

Result<ModelRun> RunModel(generate::Engine& engine, const Asked& asked,
                          const generate::Request& request, Judge& judge, const OnText& show) {
  ModelRun run;
  TATARA_TRY(run.completion, FirstLogprobs(engine, request));
  run.refusal_logprob = LogprobOf(run.completion, FirstToken(engine, RefusalMark(asked.language)));
  if (run.refusal_logprob && *run.refusal_logprob >= kSureLogprob) {
    judge.Refuse();
    return run;
  }
  const bool in_doubt = run.refusal_logprob && *run.refusal_logprob >= kHintLogprob;
  const bool translate = asked.answer_language != asked.language;
  const bool hold = in_doubt || translate || judge.has_other_language();

  bool cancelled = false;
  const auto give = [&](const std::string& text) {
    if (!text.empty() && show && !show(text)) cancelled = true;
  };
  const double first_prefill = run.completion.prefill_seconds;
  const int first_cached = run.completion.cached_tokens;
  TATARA_TRY(run.completion, engine.Generate(request, [&](std::string_view text) {
    const std::string passed = judge.Push(text);
    if (!hold) give(passed);
    return !cancelled && !judge.stopped();
  }));
  // This run found the whole prompt in the cache; what the first one found is what matters.
  run.completion.prefill_seconds += first_prefill;
  run.completion.cached_tokens = first_cached;
  const std::string rest = judge.Finish();
  if (!hold) {
    give(rest);
  } else if (judge.supported()) {
    if (judge.must_choose()) {
      TATARA_TRY(run.check_margin, ChooseQuote(engine, asked, judge));
    } else if (in_doubt) {
      TATARA_TRY(run.check_margin, LookAgain(engine, asked, judge.Quotes(), judge.bare()));
    }
    if (run.check_margin && *run.check_margin < MarginNeeded(run.refusal_logprob, judge)) {
      judge.Refuse();
    } else {
      if (translate) TATARA_RETURN_IF_ERROR(SayInJapanese(engine, judge));
      give(judge.Answer());
    }
  }
  if (cancelled) return MakeError(ErrorKind::kCancelled, "stopped while answering");
  return run;
}

}  // namespace tatara::assistant
