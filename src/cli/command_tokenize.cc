#include "chat_file.h"
#include "commands.h"
#include "json_output.h"
#include "models_access.h"
#include "tatara/generate/prompt_format.h"
#include "tatara/text/tokenizer.h"
#include "tatara/weights/tokenizer_metadata.h"

namespace tatara::cli {

Result<int> Tokenize(const TokenizeOptions& options) {
  TATARA_TRY(const std::string path, ResolveModelPath(options.model));
  TATARA_TRY(const Metadata metadata, weights::ReadTokenizerMetadata(path));
  Json out;
  std::vector<std::int32_t> ids;
  std::unique_ptr<text::Tokenizer> alone;
  std::unique_ptr<generate::PromptFormat> format;
  if (!options.chat_file.empty()) {
    TATARA_TRY(format, generate::PromptFormat::FromMetadata(metadata));
    TATARA_TRY(const std::string json, ReadInput(options.chat_file));
    TATARA_TRY(const Conversation chat, ParseConversation(options.chat_file, json));
    TATARA_TRY(const std::string prompt, format->RenderChat(chat.messages_json, chat.extra_json));
    ids = format->EncodeRendered(prompt);
    out["prompt"] = text::Tokenizer::Unguarded(prompt);
  } else {
    TATARA_TRY(alone, text::Tokenizer::FromMetadata(metadata));
    TATARA_TRY(const std::string text, ReadInput("-"));
    RemarkBrokenText(text);
    ids = alone->Encode(
        text,
        {.add_start = !options.bare, .add_end = !options.bare, .parse_special = options.special});
  }
  const text::Tokenizer& tokenizer = format ? format->tokenizer() : *alone;
  if (options.json) {
    out["token_ids"] = ids;
    OutJson(out);
    return 0;
  }
  for (const std::int32_t id : ids) {
    Out(fmt::format(
        "{:>7}  {}\n", id,
        Json(tokenizer.TokenText(id)).dump(-1, ' ', false, Json::error_handler_t::replace)));
  }
  return 0;
}

}  // namespace tatara::cli
