#include "tatara/assistant/chat.h"

#include <nlohmann/json.hpp>

#include "tatara/generate/engine.h"

namespace tatara::assistant {
namespace {

using Json = nlohmann::ordered_json;

}  // namespace

Chat::Chat(generate::Engine& engine, ChatOptions options)
    : engine_(&engine), options_(std::move(options)) {}

void Chat::Clear() {
  messages_.clear();
}

Result<ChatReply> Chat::Say(std::string_view message, const generate::SamplingParams& sampling,
                            const std::function<bool(std::string_view)>& on_text,
                            const OnDropped& on_dropped) {
  std::vector<ChatMessage> messages = messages_;
  messages.push_back({"user", std::string(message)});
  const auto encode = [&](std::size_t first) -> Result<std::vector<std::int32_t>> {
    Json json = Json::array();
    if (!options_.system.empty())
      json.push_back({{"role", "system"}, {"content", options_.system}});
    for (std::size_t i = first; i < messages.size(); ++i) {
      json.push_back({{"role", messages[i].role}, {"content", messages[i].content}});
    }
    TATARA_TRY(const std::string rendered,
               engine_->RenderChat(json.dump(-1, ' ', false, Json::error_handler_t::replace), ""));
    return engine_->EncodeRendered(rendered);
  };

  ChatReply reply{.context_tokens = engine_->facts().context_tokens};
  const auto fits = [&](const std::vector<std::int32_t>& prompt) {
    return static_cast<std::int64_t>(prompt.size()) + options_.reply_tokens_max <=
           reply.context_tokens;
  };
  std::size_t first = 0;
  TATARA_TRY(std::vector<std::int32_t> prompt, encode(first));
  if (!fits(prompt))
    reply.tokens_needed = static_cast<int>(prompt.size()) + options_.reply_tokens_max;
  while (!fits(prompt)) {
    // A turn is a question and its reply: both go, so that the conversation begins with the user.
    std::size_t next = first + 1;
    while (next < messages.size() && messages[next].role != "user") ++next;
    if (next >= messages.size()) {
      return Refuse("the message needs {0} tokens, with {1} for the reply; the context has {2}",
                    prompt.size(), options_.reply_tokens_max, reply.context_tokens);
    }
    first = next;
    TATARA_TRY(prompt, encode(first));
  }
  reply.dropped.assign(messages.begin(), messages.begin() + static_cast<std::ptrdiff_t>(first));
  reply.prompt_tokens = static_cast<int>(prompt.size());
  if (!reply.dropped.empty() && on_dropped) on_dropped(reply);

  generate::Request request{
      .prompt = std::move(prompt), .sampling = sampling, .tokens_max = options_.reply_tokens_max};
  request.adapter = options_.adapter;
  TATARA_TRY(generate::Completion completion, engine_->Generate(std::move(request), on_text));
  messages.erase(messages.begin(), messages.begin() + static_cast<std::ptrdiff_t>(first));
  messages.push_back({"assistant", completion.text});
  messages_ = std::move(messages);

  reply.text = std::move(completion.text);
  reply.finish_reason = generate::FinishReasonName(completion.finish_reason);
  reply.seed = completion.seed;
  reply.cached_tokens = completion.cached_tokens;
  reply.reply_tokens = static_cast<int>(completion.token_ids.size());
  reply.prefill_seconds = completion.prefill_seconds;
  reply.decode_seconds = completion.decode_seconds;
  return reply;
}

}  // namespace tatara::assistant
