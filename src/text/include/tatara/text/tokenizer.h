// Text to token ids and back, made from a model's Metadata (tokenizer.ggml.* keys).
// Thread safety: immutable after FromMetadata; Encode and Decode from any thread.
#pragma once

#include <cstdint>
#include <memory>
#include <span>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "tatara/base/error.h"
#include "tatara/base/metadata.h"

namespace tatara::text {

struct EncodeOptions {
  // The start token, where the model asks for one (add_bos_token). It is not doubled where the text
  // begins with it and special tokens are recognised, as in prompts that a chat template made.
  bool add_start = true;
  // The end or separator token, where the model asks for one ([SEP], </s>); encoders want it,
  // prompts do not.
  bool add_end = false;
  bool parse_special = false;  // recognise special tokens written in the text; never for user text
  bool guarded = false;        // the text holds Guard's marks: heed them, then take them out
  bool continues = false;      // goes on another text: nothing is done for a text's beginning
};

// Tokens that stand before, in and after a text with a hole, from which models made for it go on
// with what belongs in the hole: PREFIX text SUFFIX text MIDDLE (Bavarian et al. 2022, "Efficient
// Training of Language Models to Fill in the Middle", section 3, PSM).
struct FillTokens {
  std::int32_t prefix = -1, suffix = -1, middle = -1;
  bool all() const { return prefix >= 0 && suffix >= 0 && middle >= 0; }
};

// Two texts for a cross-encoder, with what stands around and between them. Empty where the model
// has no form for pairs.
struct PairIds {
  std::vector<std::int32_t> ids;
  std::vector<std::int32_t> segments;  // 0 or 1 for each id
};

class Tokenizer {
 public:
  virtual ~Tokenizer() = default;

  // From `tokenizer.huggingface.json` (the text of a tokenizer.json) where it is there, else from
  // `tokenizer.ggml.*`. Refuses, naming the key or place, what this program does not know, and
  // broken vocabularies. Where there is neither: refused too, or, allowed, a tokenizer of no tokens
  // that makes nothing of every text and id.
  enum class Absence { kRefused, kAllowed };
  static Result<std::unique_ptr<Tokenizer>> FromMetadata(const Metadata& metadata,
                                                         Absence absence = Absence::kRefused);

  // Invalid UTF-8 is encoded byte for byte where the vocabulary is one of bytes, else as U+FFFD;
  // never refused.
  virtual std::vector<std::int32_t> Encode(std::string_view text,
                                           const EncodeOptions& options) const = 0;

  // Of plain texts; special tokens written in them stay text.
  virtual PairIds EncodePair(std::string_view /*first*/, std::string_view /*second*/) const {
    return {};
  }

  // A prompt from a chat template mixes the template's special tokens with what users and documents
  // said. Guard marks the special tokens written out in such a text before it goes into the
  // template; Encode with `parse_special` and `guarded` then leaves them text. The mark is U+FDD0,
  // a noncharacter; a text without special tokens comes back as it is. Each text is guarded by
  // itself: a token put together from the ends of two texts is not seen.
  virtual std::string Guard(std::string_view text) const { return std::string(text); }
  // The text for people: Guard's marks taken out.
  static std::string Unguarded(std::string_view text);

  // Not all of them where the vocabulary has none.
  virtual FillTokens fill_tokens() const { return {}; }
  // The prompt for what belongs between the two texts, with the start token where the model asks
  // for one; special tokens written in them stay text, those of FillTokens too where they are
  // user-defined. Empty where the vocabulary has no such tokens.
  std::vector<std::int32_t> EncodeFill(std::string_view before, std::string_view after) const;

  // The bytes a token stands for in running text. Control tokens give nothing unless
  // `show_special`. Ids outside the vocabulary give nothing.
  virtual std::string TokenBytes(std::int32_t id, bool show_special = false) const = 0;

  // TokenBytes joined, with what the vocabulary's convention removes at the start of a text
  // removed.
  virtual std::string Decode(std::span<const std::int32_t> ids,
                             bool show_special = false) const = 0;

  virtual std::int32_t vocabulary_size() const = 0;
  virtual bool IsControl(std::int32_t id) const = 0;
  // Ends a generated answer: end of sequence, end of turn and their like.
  virtual bool EndsGeneration(std::int32_t id) const = 0;
  virtual std::int32_t start_id() const = 0;                 // -1 where there is none
  virtual std::int32_t end_id() const = 0;                   // -1 where there is none
  virtual std::string TokenText(std::int32_t id) const = 0;  // as the vocabulary writes it
};

// Turns generated ids into text piece by piece; never emits a part of a UTF-8 sequence. Bytes that
// can not become valid UTF-8 come out as U+FFFD, one for each maximal subpart (Unicode,
// section 3.9). All that Push and Flush return, joined, is what Decode returns, with the same
// replacement. One object per stream; the tokenizer must outlive it.
class StreamDecoder {
 public:
  explicit StreamDecoder(const Tokenizer& tokenizer) : tokenizer_(&tokenizer) {}
  // For ids that go on a text: what the vocabulary's convention puts at the start of a text is
  // kept.
  static StreamDecoder Continuing(const Tokenizer& tokenizer) {
    StreamDecoder decoder(tokenizer);
    decoder.at_start_ = false;
    return decoder;
  }
  // Control tokens whose texts come out; of others nothing does.
  void Show(std::vector<std::int32_t> control_ids) { shown_ = std::move(control_ids); }
  std::string Push(std::int32_t id);
  std::string Flush();  // what is left at the end

 private:
  const Tokenizer* tokenizer_;
  std::vector<std::int32_t> shown_;
  std::string pending_;
  bool at_start_ = true;
};

}  // namespace tatara::text
