// A generate::Engine for one caller, over an engine that a thread owns and many use: what is
// submitted joins that thread's batch. For use cases written for an engine of their own, as Ask is.
//
// Text comes on the owner's thread, before the model's next step, so that a caller who stops at a
// word stops at the same token as with an engine of its own; results come in Step, which waits.
// Between Submit and the end of its Step the caller must leave alone what its text callback uses.
// Thread safety: one thread at a time; the EngineThread must outlive it.
#pragma once

#include <condition_variable>
#include <deque>
#include <functional>
#include <memory>
#include <mutex>
#include <utility>

#include "engine_thread.h"
#include "tatara/assistant/service.h"
#include "tatara/generate/engine.h"

namespace tatara::assistant {

class SharedEngine final : public generate::Engine {
 public:
  // What is submitted ends where `call` is cancelled, and at the deadline.
  SharedEngine(EngineThread& owner, Caller caller, std::shared_ptr<RunningCall> call,
               std::int64_t deadline_ns)
      : owner_(owner),
        caller_(std::move(caller)),
        call_(std::move(call)),
        deadline_ns_(deadline_ns),
        ended_(std::make_shared<Ended>()) {}

  const generate::ModelFacts& facts() const override { return owner_.engine().facts(); }
  const text::Tokenizer& tokenizer() const override { return owner_.engine().tokenizer(); }
  const text::ChatTemplate* chat_template() const override {
    return owner_.engine().chat_template();
  }
  std::string_view chat_template_source() const override {
    return owner_.engine().chat_template_source();
  }
  bool f32_activations() const override { return owner_.engine().f32_activations(); }
  const generate::EngineCounters& counters() const override { return counters_; }
  Result<std::string> RenderChat(std::string_view messages_json,
                                 std::string_view extra_json) const override {
    return owner_.engine().RenderChat(messages_json, extra_json);
  }
  std::vector<std::int32_t> EncodeRendered(std::string_view rendered) const override {
    return owner_.engine().EncodeRendered(rendered);
  }

  Result<generate::RequestId> Submit(
      generate::Request request, generate::OnText on_text,
      std::function<void(Result<generate::Completion>)> done) override;
  void Cancel(generate::RequestId) override { call_->Cancel(); }
  // Waits for the next result and hands it over; false where nothing was submitted.
  bool Step() override;
  Result<std::vector<float>> Logits(std::span<const std::int32_t>) override { return NoLogits(); }
  Result<std::vector<float>> AllLogits(std::span<const std::int32_t>) override {
    return NoLogits();
  }

 private:
  using Done = std::function<void(Result<generate::Completion>)>;
  struct Ended {  // outlives this where the owner still holds it
    std::mutex mutex;
    std::condition_variable wake;
    std::deque<std::pair<Done, Result<generate::Completion>>> results;
  };
  static Error NoLogits();

  EngineThread& owner_;
  const Caller caller_;
  const std::shared_ptr<RunningCall> call_;
  const std::int64_t deadline_ns_;
  const std::shared_ptr<Ended> ended_;
  int outstanding_ = 0;
  generate::RequestId last_id_ = 0;
  generate::EngineCounters counters_;  // of no meaning for one of many
};

}  // namespace tatara::assistant
