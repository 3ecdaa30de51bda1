// The pre-tokenizers that GGUF files name in `tokenizer.ggml.pre`. Thread safety: pure.
#pragma once

#include <string_view>
#include <vector>

#include "tatara/base/error.h"

namespace tatara::text {

struct NamedSplits {
  std::string_view name;
  std::vector<std::string_view> expressions;  // matches isolated, one expression after the other
  bool whole_pieces = false;  // a piece that is a token is that token, whatever the merges say
  bool adds_start = false;    // where the file does not say
  bool composes = false;      // NFC before anything else
  bool surrounds = false;     // a text stands between the start and the separator or end token
};

// Refuses an unknown name with the nearest known one; `origin` names the file.
Result<NamedSplits> SplitsOfName(std::string_view name, std::string_view origin);

// What the ByteLevel pre-tokenizer of tokenizer.json cuts by (Radford et al. 2019, encoder.py).
std::string_view Gpt2Expression();

// What BERT's pre-tokenizer and Punctuation isolate; Hugging Face's know Unicode 8.
std::string_view BertPunctuation();

std::vector<std::string_view> KnownSplitNames();

}  // namespace tatara::text
