// One model that a Service serves: for the service's own files.
#pragma once

#include <memory>
#include <mutex>
#include <string>

#include "engine_thread.h"
#include "task_thread.h"
#include "tatara/assistant/service.h"
#include "tatara/generate/embedder.h"
#include "tatara/generate/engine.h"

namespace tatara::assistant {

struct Service::Model {
  ModelInfo info;
  std::unique_ptr<EngineThread> engine;  // kGenerates
  std::unique_ptr<generate::Embedder> embedder;
  std::unique_ptr<TaskThread> tasks;  // kEmbeds; ends before the embedder

  std::mutex mutex;  // of `state`'s sums
  ModelState state;

  const text::Tokenizer& tokenizer() const {
    return engine ? engine->engine().tokenizer() : embedder->tokenizer();
  }
  void Measure(const generate::Completion& completion) {
    const std::lock_guard lock(mutex);
    state.prompt_tokens += completion.prompt_tokens;
    const auto n = completion.token_ids.size();
    if (n == 0) return;
    state.queue_time.Add(completion.queue_seconds);
    state.time_to_first_token.Add(completion.queue_seconds + completion.prefill_seconds);
    if (n > 1) state.time_per_output_token.Add(completion.decode_seconds / double(n - 1));
    state.whole_time.Add(completion.queue_seconds + completion.prefill_seconds +
                         completion.decode_seconds);
  }
  void CountTurnedAway() {
    const std::lock_guard lock(mutex);
    ++state.turned_away;
  }
};

// The text that the model's template makes of a conversation.
Result<std::string> Render(const generate::Engine& engine, const Conversation& chat);

}  // namespace tatara::assistant
