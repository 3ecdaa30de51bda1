#include "answer_sink.h"

#include <utility>

#include "sse.h"
#include "tatara/base/clock.h"
#include "tatara/base/version.h"

namespace tatara::server {
namespace {

class PostingSink final : public assistant::GenerateSink {
 public:
  PostingSink(std::shared_ptr<Exchange> exchange, std::shared_ptr<AnswerWriter> writer)
      : exchange_(std::move(exchange)), writer_(std::move(writer)) {}

  void OnDelta(int choice, const assistant::AnswerDelta& delta) override {
    if (!writer_->streams()) return;
    exchange_->Post([writer = writer_, choice, delta] { writer->Delta(choice, delta); });
  }
  void OnChoice(assistant::Choice choice) override {
    exchange_->Post([writer = writer_, choice = std::move(choice)] { writer->Ended(choice); });
  }
  void OnDone(Result<assistant::Usage> usage) override {
    exchange_->Post([writer = writer_, usage = std::move(usage)] { writer->Done(usage); });
  }

 private:
  const std::shared_ptr<Exchange> exchange_;
  const std::shared_ptr<AnswerWriter> writer_;
};

}  // namespace

Json UsageJson(const assistant::Usage& usage) {
  return {{"prompt_tokens", usage.prompt_tokens},
          {"completion_tokens", usage.completion_tokens},
          {"total_tokens", usage.prompt_tokens + usage.completion_tokens},
          {"prompt_tokens_details", {{"cached_tokens", usage.cached_tokens}}}};
}

AnswerWriter::AnswerWriter(Parts parts)
    : parts_(std::move(parts)),
      created_(SystemClock().UnixSeconds()),
      opened_(parts_.n_choices),
      choices_(parts_.n_choices) {
  parts_.call.headers.emplace_back("x-tatara-receipt", parts_.id);
  parts_.call.facts->model = parts_.model;
}

Json AnswerWriter::Frame(bool chunk) const {
  return {{"id", parts_.id},
          {"object", object_name(chunk)},
          {"created", created_},
          {"model", parts_.model},
          {"system_fingerprint", std::string("tatara-") + kVersion}};
}

void AnswerWriter::WriteChunk(Json choice) {
  if (!std::exchange(begun_, true)) {
    Headers headers = parts_.call.headers;
    headers.emplace_back("Cache-Control", "no-cache");
    parts_.call.exchange->BeginStream("text/event-stream", std::move(headers));
  }
  Json frame = Frame(/*chunk=*/true);
  frame["choices"] = Json::array({std::move(choice)});
  if (parts_.wish.usage) frame["usage"] = nullptr;
  parts_.call.exchange->Write(SseEvent(Dump(frame)));
}

void AnswerWriter::Open(int choice) {
  const auto at = static_cast<std::size_t>(choice);
  if (opened_[at]) return;
  opened_[at] = true;
  Json opening = OpeningChunk(choice);
  if (!opening.is_null()) WriteChunk(std::move(opening));
}

void AnswerWriter::Delta(int choice, const assistant::AnswerDelta& delta) {
  Open(choice);
  for (Json& chunk : DeltaChunks(choice, delta)) WriteChunk(std::move(chunk));
}

void AnswerWriter::Ended(assistant::Choice choice) {
  parts_.call.facts->finish_reasons.push_back(choice.finish_reason);
  if (parts_.wish.stream) {
    Open(choice.index);
    WriteChunk(EndChunk(choice));
  } else {
    choices_[static_cast<std::size_t>(choice.index)] = std::move(choice);
  }
}

void AnswerWriter::Done(Result<assistant::Usage> usage) {
  Exchange& exchange = *parts_.call.exchange;
  if (!usage.ok()) {
    const ApiError error = ApiErrorOf(usage.error());
    if (!begun_) return parts_.call.Fail(error);
    // The status has gone out already; clients of the reference API read errors in the stream.
    exchange.Write(SseEvent(ErrorResponse(error).body));
    return exchange.EndStream();
  }
  parts_.call.facts->prompt_tokens = usage->prompt_tokens;
  parts_.call.facts->cached_tokens = usage->cached_tokens;
  parts_.call.facts->completion_tokens = usage->completion_tokens;
  const Json more = {{"seed", seed}, {"receipt", parts_.id}};
  if (!parts_.wish.stream) {
    Json answer = Frame(/*chunk=*/false);
    answer["choices"] = Json::array();
    for (const assistant::Choice& choice : choices_)
      answer["choices"].push_back(WholeChoice(choice));
    answer["usage"] = UsageJson(*usage);
    answer["tatara"] = more;
    return parts_.call.Answer(answer);
  }
  if (parts_.wish.usage) {
    Json last = Frame(/*chunk=*/true);
    last["choices"] = Json::array();
    last["usage"] = UsageJson(*usage);
    last["tatara"] = more;
    exchange.Write(SseEvent(Dump(last)));
  }
  exchange.Write(std::string(kSseDone));
  exchange.EndStream();
}

namespace {

void GenerateHere(const ApiCall& call, assistant::GenerateCall request,
                  const std::shared_ptr<AnswerWriter>& writer) {
  RequestFacts& facts = *call.facts;
  facts.answer_id = request.id;
  facts.samples = true;
  facts.temperature = request.sampling.temperature;
  facts.top_p = request.sampling.top_p;
  facts.tokens_max = request.tokens_max;
  auto running = call.context->service->Generate(
      std::move(request), std::make_shared<PostingSink>(call.exchange, writer));
  if (!running.ok()) return call.Fail(ApiErrorOf(running.error()));
  writer->seed = (*running)->seed;
  call.exchange->OnGone([running = *running] { running->Cancel(); });
}

}  // namespace

void Generate(const ApiCall& call, assistant::GenerateCall request,
              std::shared_ptr<AnswerWriter> writer) {
  auto held = std::make_shared<assistant::GenerateCall>(std::move(request));
  call.HandOver([call, held = std::move(held), writer = std::move(writer)] {
    GenerateHere(call, std::move(*held), writer);
  });
}

}  // namespace tatara::server
