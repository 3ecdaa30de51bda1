// Service::Ask: answers from the documents of this home, over a model that others use too.
#include "shared_engine.h"
#include "task_thread.h"
#include "tatara/assistant/ask.h"
#include "tatara/assistant/service.h"
#include "tatara/ledger/receipt.h"
#include "tatara/search/index.h"

namespace tatara::assistant {

namespace {

// The parts that one question needs; everything is this thread's own but the model.
Result<AskAnswer> RunAsk(const AskCall& call, const AskOptions& options, const Clock& clock,
                         const std::filesystem::path& home, generate::Engine& engine,
                         std::int64_t deadline_ns, const RunningCall& running,
                         const std::function<void(std::string_view)>& on_text) {
  if (running.cancelled()) {
    return MakeError(ErrorKind::kCancelled, "the caller cancelled the request");
  }
  TATARA_TRY(const auto index, search::Index::Open({.home = home, .collection = call.collection}));
  const auto show = [&](std::string_view text) {
    if (on_text) on_text(text);
    return !running.cancelled();
  };
  auto answer = Ask(call.question, options, engine, *index, show);
  if (clock.MonotonicNanoseconds() >= deadline_ns) {
    return MakeError(ErrorKind::kCancelled, "the deadline passed before the answer was whole");
  }
  return answer;
}

}  // namespace

Result<std::shared_ptr<RunningCall>> Service::Ask(AskCall call,
                                                  std::function<void(std::string_view)> on_text,
                                                  std::function<void(Result<AskAnswer>)> done) {
  TATARA_RETURN_IF_ERROR(CheckQuestion(call.question));
  TATARA_RETURN_IF_ERROR(search::CheckCollectionName(call.collection));
  TATARA_TRY(const ModelInfo info, Find(call.model, ModelKind::kGenerates));
  TATARA_TRY(EngineThread* const owner, EngineOf(info.name));
  auto running = std::make_shared<RunningCall>();
  const std::int64_t deadline_ns = options_.clock->MonotonicNanoseconds() +
                                   static_cast<std::int64_t>(options_.deadline_seconds * 1e9);
  std::string key = call.caller.key;
  auto task = [this, owner, running, deadline_ns, info, call = std::move(call),
               on_text = std::move(on_text), done = std::move(done)] {
    const AskOptions options{.answer_tokens_max = call.answer_tokens_max,
                             .clock = options_.clock,
                             .model_name = info.name,
                             .model_sha256 = info.sha256};
    SharedEngine engine(*owner, call.caller, running, deadline_ns);
    auto answer = RunAsk(call, options, *options_.clock, options_.home, engine, deadline_ns,
                         *running, on_text);
    if (answer.ok()) KeepAskReceipt(call, *answer);
    done(std::move(answer));
  };
  TATARA_RETURN_IF_ERROR(asking_->Post(std::move(key), std::move(task)));
  return running;
}

}  // namespace tatara::assistant
