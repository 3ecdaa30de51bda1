// run: a prompt continued, or a conversation from a file answered.
#include <fmt/format.h>

#include "chat_file.h"
#include "commands.h"
#include "json_output.h"
#include "models_access.h"
#include "receipts.h"
#include "sampling_options.h"
#include "tatara/base/localise.h"
#include "tatara/generate/run_record.h"
#include "tatara/text/tokenizer.h"

namespace tatara::cli {
namespace {

struct Prompt {
  std::string rendered;
  std::vector<std::int32_t> ids;
  std::string messages_json;  // empty for a plain prompt
};

Result<Prompt> MakePrompt(const RunOptions& options, const generate::Engine& engine) {
  Prompt prompt;
  if (!options.chat_file.empty()) {
    TATARA_TRY(const std::string json, ReadInput(options.chat_file));
    TATARA_TRY(const Conversation chat, ParseConversation(options.chat_file, json));
    TATARA_TRY(prompt.rendered, engine.RenderChat(chat.messages_json, chat.extra_json));
    prompt.ids = engine.EncodeRendered(prompt.rendered);
    prompt.messages_json = chat.messages_json;
  } else if (options.prompt) {
    prompt.rendered = *options.prompt;
    if (prompt.rendered == "-") {
      TATARA_TRY(prompt.rendered, ReadInput("-"));
    }
    RemarkBrokenText(prompt.rendered);
    RemarkUnknownCharacters(engine.tokenizer(), prompt.rendered);
    prompt.ids = engine.tokenizer().Encode(prompt.rendered, {.add_start = true});
  } else {
    return Refuse("run: give --prompt TEXT or --chat FILE");
  }
  if (prompt.ids.empty())
    return Refuse("run: the prompt is empty and this model has no start token");
  return prompt;
}

Json LogprobsJson(const generate::Engine& engine,
                  const std::vector<generate::TokenLogprob>& logprobs) {
  const auto text = [&](std::int32_t id) { return engine.tokenizer().TokenText(id); };
  Json list = Json::array();
  for (const generate::TokenLogprob& entry : logprobs) {
    Json top = Json::array();
    for (const auto& [id, logprob] : entry.top) {
      top.push_back({{"id", id}, {"token", text(id)}, {"logprob", logprob}});
    }
    list.push_back(
        {{"id", entry.id}, {"token", text(entry.id)}, {"logprob", entry.logprob}, {"top", top}});
  }
  return list;
}

Json ResultJson(const generate::Engine& engine, const generate::Completion& completion,
                bool with_logprobs) {
  Json out = {
      {"text", completion.text},
      {"token_ids", completion.token_ids},
      {"finish_reason", generate::FinishReasonName(completion.finish_reason)},
      {"usage",
       {{"prompt_tokens", completion.prompt_tokens},
        {"completion_tokens", completion.token_ids.size()},
        {"total_tokens", completion.prompt_tokens + static_cast<int>(completion.token_ids.size())},
        {"cached_tokens", completion.cached_tokens}}},
      {"seed", completion.seed},
      {"timings",
       {{"prefill_seconds", completion.prefill_seconds},
        {"decode_seconds", completion.decode_seconds}}}};
  if (with_logprobs) out["logprobs"] = LogprobsJson(engine, completion.logprobs);
  if (!completion.logits_sha256.empty()) out["logits_sha256"] = completion.logits_sha256;
  return out;
}

}  // namespace

Result<int> Run(const RunOptions& options) {
  generate::Request request;
  TATARA_TRY(request.sampling, MakeSampling(options.sampling));
  TATARA_TRY(const auto engine, OpenEngine(options.model));
  TATARA_TRY(const Prompt prompt, MakePrompt(options, *engine));
  request.prompt = prompt.ids;
  request.tokens_max = options.tokens_max;
  request.stop = options.stop;
  request.top_logprobs = options.logprobs;
  request.ignore_end = options.ignore_end;
  request.digest_logits = true;
  request.adapter = HotAdapterName(options.model, *engine);
  const generate::Request recorded = request;
  const auto print = [&](std::string_view text) {
    if (!options.json) {
      Out(text);
      std::fflush(stdout);
    }
    return !StopRequested().IsSet();
  };
  TATARA_TRY(const generate::Completion completion, engine->Generate(std::move(request), print));
  if (!options.json) Out("\n");
  if (options.json) {
    OutJson(ResultJson(*engine, completion, options.logprobs >= 0));
  }
  if (!options.receipt.empty() && completion.finish_reason != generate::FinishReason::kCancelled) {
    TATARA_RETURN_IF_ERROR(
        WriteRunReceipt(options, *engine, recorded, prompt.rendered, completion));
  }
  return 0;
}

}  // namespace tatara::cli
