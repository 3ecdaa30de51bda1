// A conversation that stays within the model's context: the oldest turns go first, the system
// message stays, and what went is said. Thread safety: one thread at a time.
#pragma once

#include <cstdint>
#include <functional>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "tatara/base/error.h"

namespace tatara::generate {
class Engine;
struct SamplingParams;
}  // namespace tatara::generate

namespace tatara::assistant {

struct ChatOptions {
  std::string system;          // empty: the template's own
  int reply_tokens_max = 512;  // room kept for the reply
  std::string adapter;         // a hot adapter of the engine by its name; empty: none
};

struct ChatMessage {
  std::string role;  // "user" or "assistant"
  std::string content;
};

struct ChatReply {
  std::string text;
  std::string finish_reason;  // "stop", "length", "cancelled"
  std::uint64_t seed = 0;
  int prompt_tokens = 0;
  int cached_tokens = 0;
  int reply_tokens = 0;
  double prefill_seconds = 0;
  double decode_seconds = 0;
  // Messages that left the conversation because they no longer fit, oldest first, and the numbers.
  std::vector<ChatMessage> dropped;
  int tokens_needed =
      0;  // with all messages and the room for the reply; 0 when nothing was dropped
  std::int64_t context_tokens = 0;
};

// Told before the reply is generated, so that the user reads it in this order.
using OnDropped = std::function<void(const ChatReply& so_far)>;

class Chat {
 public:
  Chat(generate::Engine& engine, ChatOptions options);

  // Adds the user's message and the reply. Refused, leaving the conversation as it was, when the
  // message alone (with the system message) does not fit. A cancelled reply stays in the
  // conversation as far as it came.
  Result<ChatReply> Say(std::string_view message, const generate::SamplingParams& sampling,
                        const std::function<bool(std::string_view)>& on_text,
                        const OnDropped& on_dropped = {});

  void Clear();  // forgets all turns, keeps the system message
  const std::vector<ChatMessage>& messages() const { return messages_; }

 private:
  generate::Engine* engine_;
  ChatOptions options_;
  std::vector<ChatMessage> messages_;
};

}  // namespace tatara::assistant
