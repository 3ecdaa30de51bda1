// Conversations in memory as a training set: only answers are learned, each conversation whole in
// one sequence. Thread safety: free function.
#pragma once

#include <memory>
#include <span>
#include <string>

#include "tatara/corpus/packed_set.h"

namespace tatara::corpus {

struct ChatModel {
  std::shared_ptr<const text::Tokenizer> tokenizer;
  Metadata tokenizer_keys{};  // tokenizer.*, for who exports what was trained
  std::string chat_template;  // its source
  std::string name;           // in errors
};

// The model's tokenizer and chat template, from its container's metadata.
Result<ChatModel> ChatModelOf(const Metadata& metadata);

// Refuses the first conversation that can not be learned from, by its place.
Result<std::unique_ptr<PackedSet>> MakeChatSet(std::span<const Conversation> conversations,
                                               const ChatModel& model,
                                               const PackedSetOptions& options);

}  // namespace tatara::corpus
