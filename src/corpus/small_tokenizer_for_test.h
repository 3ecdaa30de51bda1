// A vocabulary of characters with the control tokens of ChatML, for tests.
#pragma once

#include <memory>
#include <string>
#include <vector>

#include "tatara/base/metadata.h"
#include "tatara/text/tokenizer.h"

namespace tatara::corpus {

inline constexpr const char* kChatMl =
    "{% for m in messages %}<|im_start|>{{ m['role'] }}\n{{ m['content'] }}<|im_end|>\n{% endfor %}"
    "{% if add_generation_prompt %}<|im_start|>assistant\n{% endif %}";

inline Metadata SmallVocabulary(const std::string& chat_template = kChatMl) {
  std::vector<std::string> pieces = {"<unk>",      "<s>", "</s>",        "<|im_start|>",
                                     "<|im_end|>", "\n",  "\xE2\x96\x81"};
  std::vector<std::int64_t> types = {2, 3, 3, 3, 3, 1, 1};
  for (char c = '!'; c <= '~'; ++c) pieces.push_back(std::string(1, c));
  for (const char* kana : {"猫", "は", "鉄", "を", "見", "る", "。", "が", "か"}) {
    pieces.push_back(kana);
  }
  types.resize(pieces.size(), 1);
  Metadata keys("small");
  keys.Set("tokenizer.ggml.model", std::string("llama"));
  keys.Set("tokenizer.ggml.tokens", pieces);
  keys.Set("tokenizer.ggml.scores", std::vector<double>(pieces.size()));
  keys.Set("tokenizer.ggml.token_type", types);
  keys.Set("tokenizer.ggml.unknown_token_id", std::int64_t{0});
  keys.Set("tokenizer.ggml.bos_token_id", std::int64_t{1});
  keys.Set("tokenizer.ggml.eos_token_id", std::int64_t{4});
  keys.Set("tokenizer.ggml.add_bos_token", false);
  keys.Set("tokenizer.ggml.add_eos_token", false);
  keys.Set("tokenizer.ggml.add_space_prefix", false);
  if (!chat_template.empty()) keys.Set("tokenizer.chat_template", chat_template);
  return keys;
}

inline std::shared_ptr<const text::Tokenizer> SmallTokenizer() {
  return text::Tokenizer::FromMetadata(SmallVocabulary()).value();
}

}  // namespace tatara::corpus
