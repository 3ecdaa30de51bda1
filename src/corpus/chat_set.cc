#include "tatara/corpus/chat_set.h"

#include <cstring>
#include <utility>

#include "tatara/base/localise.h"
#include "tatara/base/sha256.h"

namespace tatara::corpus {

Result<ChatModel> ChatModelOf(const Metadata& metadata) {
  ChatModel model{.name = metadata.origin()};
  TATARA_TRY(model.tokenizer, text::Tokenizer::FromMetadata(metadata));
  TATARA_TRY(model.chat_template, metadata.StringOr("tokenizer.chat_template", ""));
  for (const auto& [key, value] : metadata.values()) {
    if (key.starts_with("tokenizer.")) model.tokenizer_keys.Set(key, value);
  }
  return model;
}

Result<std::unique_ptr<PackedSet>> MakeChatSet(std::span<const Conversation> conversations,
                                               const ChatModel& model,
                                               const PackedSetOptions& options) {
  TATARA_TRY(const ChatFormat format,
             ChatFormat::Make(*model.tokenizer, model.chat_template, model.name));
  TokenStoreBuilder builder;
  for (std::size_t i = 0; i < conversations.size(); ++i) {
    const auto ids = format.Encode(conversations[i]);
    if (!ids.ok()) {
      return MakeError(ids.error().kind(), "conversation {0}: {1}", i + 1,
                       ids.error().text(CurrentLanguage()));
    }
    const Digest digest = Sha256Of(AsBytes(conversations[i].messages_json));
    std::uint64_t key = 0;
    std::memcpy(&key, digest.data(), sizeof key);
    builder.Add(*ids, key);
  }
  // Numbers only: nothing in it needs escaping.
  std::string manifest =
      fmt::format("{{\"kind\":\"chat\",\"conversations\":{}}}", conversations.size());
  return PackedSet::Make(
      builder.Finish(model.tokenizer, model.tokenizer_keys, {"chat"}, std::move(manifest)),
      options);
}

}  // namespace tatara::corpus
