#include "generate_job.h"

#include <algorithm>
#include <iterator>
#include <utility>

#include "tatara/text/tokenizer.h"

namespace tatara::assistant {
namespace {

Logprob MakeLogprob(const text::Tokenizer& tokenizer, std::int32_t id, double logprob) {
  return {.id = id, .token = tokenizer.TokenBytes(id, /*show_special=*/true), .logprob = logprob};
}

Logprob MakeLogprobs(const text::Tokenizer& tokenizer, const generate::TokenLogprob& from) {
  Logprob made = MakeLogprob(tokenizer, from.id, from.logprob);
  for (const auto& [id, logprob] : from.top) {
    made.top.push_back(MakeLogprob(tokenizer, id, logprob));
  }
  return made;
}

}  // namespace

GenerateJob::GenerateJob(Parts parts)
    : parts_(std::move(parts)), growing_(parts_.requests.size()), left_(parts_.requests.size()) {
  for (std::size_t i = 0; i < growing_.size(); ++i) {
    growing_[i].choice.index = static_cast<int>(i);
    if (parts_.format) growing_[i].parser.emplace(*parts_.format, parts_.parsing);
  }
}

void GenerateJob::OnLogprob(std::size_t choice, const generate::TokenLogprob& logprob) {
  growing_[choice].fresh.push_back(MakeLogprobs(*parts_.tokenizer, logprob));
}

void GenerateJob::OnText(std::size_t choice, std::string_view text) {
  const std::int64_t now = parts_.clock->MonotonicNanoseconds();
  std::int64_t& last = growing_[choice].last_text_ns;
  if (last != 0 && parts_.measure_gap) parts_.measure_gap(static_cast<double>(now - last) / 1e9);
  last = now;
  if (growing_[choice].parser) {
    Grow(choice, growing_[choice].parser->Push(text));
  } else {
    Grow(choice, {.content = std::string(text)});
  }
}

void GenerateJob::Grow(std::size_t choice, text::AnswerParts more) {
  if (more.content.empty() && more.thinking.empty() && more.calls.empty()) return;
  AnswerDelta delta{.content = std::move(more.content), .thinking = std::move(more.thinking)};
  for (text::ToolCall& call : more.calls) {
    delta.calls.push_back({std::move(call.id), std::move(call.name), std::move(call.arguments)});
  }
  Choice& whole = growing_[choice].choice;
  whole.content += delta.content;
  whole.thinking += delta.thinking;
  whole.calls.insert(whole.calls.end(), delta.calls.begin(), delta.calls.end());
  delta.logprobs = std::exchange(growing_[choice].fresh, {});
  whole.logprobs.insert(whole.logprobs.end(), delta.logprobs.begin(), delta.logprobs.end());
  whole.n_logprobs_carried = whole.logprobs.size();
  parts_.sink->OnDelta(static_cast<int>(choice), delta);
}

void GenerateJob::OnEnd(std::size_t choice, Result<generate::Completion> result) {
  --left_;
  if (result.ok()) {
    Finish(choice, std::move(result).value());
  } else if (!error_) {
    error_ = result.error();
    parts_.call->Cancel();  // what else runs for this call is of no use
  }
  if (left_ == 0) Done();
}

void GenerateJob::Finish(std::size_t choice, generate::Completion completion) {
  Growing& growing = growing_[choice];
  if (growing.parser) Grow(choice, growing.parser->Finish());
  const bool stopped = completion.finish_reason == generate::FinishReason::kStop;
  growing.choice.finish_reason = stopped && !growing.choice.calls.empty()
                                     ? "tool_calls"
                                     : generate::FinishReasonName(completion.finish_reason);
  growing.choice.completion_tokens = static_cast<int>(completion.token_ids.size());
  std::move(growing.fresh.begin(), growing.fresh.end(),
            std::back_inserter(growing.choice.logprobs));
  if (parts_.requests[choice].prompt_logprobs >= 0) {
    growing.choice.prompt_logprobs.push_back(
        MakeLogprob(*parts_.tokenizer, parts_.requests[choice].prompt.front(), 0));
    for (const generate::TokenLogprob& one : completion.prompt_logprobs) {
      growing.choice.prompt_logprobs.push_back(MakeLogprobs(*parts_.tokenizer, one));
    }
  }
  if (parts_.requests[choice].choice == 0) {  // a prompt counts once for all its choices
    usage_.prompt_tokens += completion.prompt_tokens;
    usage_.cached_tokens += completion.cached_tokens;
  }
  usage_.completion_tokens += growing.choice.completion_tokens;
  parts_.measure(completion);
  if (completion.finish_reason == generate::FinishReason::kCancelled) {
    if (!error_ && !parts_.call->cancelled()) {
      error_ = MakeError(ErrorKind::kCancelled, "the deadline passed before the answer was whole");
    }
    return;
  }
  std::string id = parts_.receipt_id;
  if (choice > 0) id += "." + std::to_string(choice);
  completion.logprobs.clear();
  completion.prompt_logprobs.clear();
  parts_.keep(id, {.model = parts_.model,
                   .request = std::move(parts_.requests[choice]),
                   .origin = std::move(parts_.origins[choice]),
                   .completion = std::move(completion),
                   .created_unix = parts_.clock->UnixSeconds()});
  parts_.sink->OnChoice(std::move(growing.choice));
}

void GenerateJob::Done() {
  if (error_) {
    parts_.sink->OnDone(*error_);
  } else if (parts_.call->cancelled()) {
    parts_.sink->OnDone(MakeError(ErrorKind::kCancelled, "the caller cancelled the request"));
  } else {
    parts_.sink->OnDone(usage_);
  }
}

}  // namespace tatara::assistant
