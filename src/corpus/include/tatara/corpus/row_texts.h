// The texts of what is to be prepared, for training a tokenizer on just them.
// Thread safety: one object, one thread.
#pragma once

#include <memory>

#include "tatara/corpus/prepare.h"
#include "tatara/corpus/text_stream.h"

namespace tatara::corpus {

// Normalised as Prepare does it, duplicates included; of a conversation the content of each
// message. Rows that can not be used are passed over. The options outlive the stream.
std::unique_ptr<TextStream> TextsOf(const PrepareOptions& options, const FoundFiles& found);

// A text, or the content of each message of a conversation.
void AppendTexts(Record record, std::vector<std::string>& texts);

}  // namespace tatara::corpus
