// Vocabularies learned from texts, in the form of Hugging Face's tokenizers and as the keys of
// GGUF.
//
// The same texts and options give the same bytes, whatever the number of threads, the processor and
// the order in which batches were counted. Of the texts only the distinct pieces and their counts
// are kept (`memory_bytes_max`); training needs up to about 45 bytes more for each of their bytes
// (byte pairs), 60 for each of their characters and 150 for each seed (unigram).
// Thread safety: free functions; a stream is read by the calling thread.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "tatara/base/error.h"
#include "tatara/base/metadata.h"
#include "tatara/base/progress.h"
#include "tatara/corpus/text_stream.h"

namespace tatara::corpus {

// What both kinds have.
struct TokenizerTraining {
  static constexpr int kVocabularyMax = 1 << 21;

  int vocabulary = 8192;  // tokens, special ones included
  // Control tokens, ids from 0 in this order. No text becomes one unless special tokens are asked
  // for.
  std::vector<std::string> special;
  // Which of them starts a text and which ends one; may be empty.
  std::string start, end;
  int n_threads = 1;
  std::uint64_t memory_bytes_max = std::uint64_t{2} << 30;  // of the distinct pieces and counts
  ProgressSink* progress = nullptr;                         // borrowed; may be null
  const StopFlag* stop = nullptr;                           // the same
};

// Byte pair encoding over bytes (Sennrich, Haddow, Birch 2016; Radford et al. 2019). Of all pairs
// of neighbours in the pieces the most frequent one becomes a token, until there are enough; among
// equals the one whose left token, then whose right token, has the lower id. Every byte is a token.
// Vocabulary and merges are those of the BpeTrainer of tokenizers 0.23 with the initial alphabet of
// bytes, except that no merge writes a special token or one of more than 32 KiB.
struct BpeTraining : TokenizerTraining {
  std::string pre = "gpt-2";       // how texts are cut: one of BpePreNames
  std::int64_t min_frequency = 2;  // a pair that is rarer becomes no token
};

// The values of tokenizer.ggml.pre that are known, and gpt2 and llama-3 for two of them.
std::vector<std::string> BpePreNames();

// A unigram model by expectation maximisation (Kudo 2018, "Subword Regularization"): seeds are the
// substrings of pieces that more than one character follows; each round keeps `shrinking` of them,
// by how much the likelihood would lose. Settings as in the UnigramTrainer of tokenizers 0.23.
// Scores are rounded to f32.
struct UnigramTraining : TokenizerTraining {
  std::string unknown = "<unk>";  // becomes the first special token where it is not among them
  // Texts are brought to this form of Unicode first: nfc, nfd, nfkc, nfkd; empty: left as they are.
  // The vocabulary says so wherever it is used (GGUF: a key of this program, tokenizer.tatara.*).
  std::string normal_form;
  // At most so many characters, U+2581 among them, the most frequent (of equal ones the lower code
  // point); words are cut at others, which become the unknown token. 0: all. The pieces and counts
  // are in memory twice while they are cut.
  int characters_max = 0;
  // 256 tokens for bytes after the special ones: characters that are no token become their bytes.
  bool byte_fallback = false;
  int piece_characters_max = 16;
  int seeds_max = 1'000'000;
  double shrinking = 0.75;
  int sub_iterations = 2;
};

struct TrainedTokenizer {
  std::string tokenizer_json;
  Metadata gguf;               // tokenizer.ggml.*: the same ids
  std::int64_t n_tokens = 0;   // fewer than asked for where the texts have no more
  std::uint64_t n_pieces = 0;  // of the texts, each as often as it occurs
  std::uint64_t n_distinct_pieces = 0;
  std::string digest;  // SHA-256 of tokenizer_json
};

// Refused: an option out of its range, special tokens that are empty, not UTF-8 or double, a
// vocabulary smaller than the characters that it must hold, whatever the stream refuses.
Result<TrainedTokenizer> TrainBpe(TextStream& texts, const BpeTraining& options);
Result<TrainedTokenizer> TrainUnigram(TextStream& texts, const UnigramTraining& options);

}  // namespace tatara::corpus
