#include "tokenizer_vocabulary.h"

#include <algorithm>

#include "tatara/base/sha256.h"
#include "tatara/base/thread_pool.h"
#include "tatara/base/utf8.h"
#include "tatara/text/tokenizer_json.h"

namespace tatara::corpus {
namespace {

constexpr std::size_t kSpecialMax = 4096, kSpecialBytesMax = 1024;
constexpr std::uint64_t kMemoryBytesMax = std::uint64_t{1} << 36;  // indices of words are 32 bits

}  // namespace

Result<> CheckTraining(const TokenizerTraining& options) {
  if (options.vocabulary < 1 || options.vocabulary > TokenizerTraining::kVocabularyMax) {
    return Refuse("a vocabulary of {0} tokens is asked for; 1 to {1} are accepted",
                  options.vocabulary, TokenizerTraining::kVocabularyMax);
  }
  if (options.n_threads < 1 || options.n_threads > ThreadPool::kThreadsMax) {
    return Refuse("{0} threads are asked for; 1 to {1} are accepted", options.n_threads,
                  ThreadPool::kThreadsMax);
  }
  if (options.memory_bytes_max > kMemoryBytesMax) {
    return Refuse("a memory of {0} bytes is asked for, limit {1}", options.memory_bytes_max,
                  kMemoryBytesMax);
  }
  const std::vector<std::string>& special = options.special;
  if (special.size() > kSpecialMax) {
    return Refuse("{0} special tokens are asked for, limit {1}", special.size(), kSpecialMax);
  }
  for (std::size_t i = 0; i < special.size(); ++i) {
    if (special[i].empty() || special[i].size() > kSpecialBytesMax || !IsValidUtf8(special[i])) {
      return Refuse("special token {0} ('{1}') is no UTF-8 text of 1 to {2} bytes", i + 1,
                    Printable(special[i]), kSpecialBytesMax);
    }
    if (std::find(special.begin(), special.begin() + static_cast<std::ptrdiff_t>(i), special[i]) !=
        special.begin() + static_cast<std::ptrdiff_t>(i)) {
      return Refuse("the special token '{0}' is there twice", special[i]);
    }
  }
  for (const std::string& token : {options.start, options.end}) {
    if (!token.empty() && std::ranges::find(special, token) == special.end()) {
      return Refuse("'{0}' starts or ends texts but is not among the special tokens",
                    Printable(token));
    }
  }
  return Ok{};
}

Error VocabularyTooSmall(int vocabulary, std::size_t needed, std::size_t n_special) {
  return Refuse(
      "a vocabulary of {0} tokens is asked for, but single characters and {1} special tokens are "
      "{2}",
      vocabulary, n_special, needed);
}

void SetSpecialIds(const TokenizerTraining& options, Metadata& gguf) {
  const std::vector<std::string>& tokens = *gguf.Strings("tokenizer.ggml.tokens");
  const auto set = [&](const char* key, const std::string& token) {
    if (token.empty()) return;
    gguf.Set(key, std::ranges::find(tokens, token) - tokens.begin());
  };
  set("tokenizer.ggml.bos_token_id", options.start);
  set("tokenizer.ggml.eos_token_id", options.end);
  gguf.Set("tokenizer.ggml.add_bos_token", !options.start.empty());
  gguf.Set("tokenizer.ggml.add_eos_token", false);
}

Result<TrainedTokenizer> FinishTokenizer(Metadata gguf, const WordCounts& words) {
  TrainedTokenizer made;
  TATARA_TRY(made.tokenizer_json, text::TokenizerJsonOf(gguf));
  made.digest = Sha256Hex(made.tokenizer_json);
  made.n_tokens = std::ssize(*gguf.Strings("tokenizer.ggml.tokens"));
  made.n_distinct_pieces = words.size();
  for (std::size_t i = 0; i < words.size(); ++i) made.n_pieces += words.count(i);
  made.gguf = std::move(gguf);
  return made;
}

}  // namespace tatara::corpus
