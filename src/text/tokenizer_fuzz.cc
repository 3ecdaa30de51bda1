// Arbitrary bytes to Encode, with a small vocabulary of each kind. Byte-level vocabularies give the
// bytes back; for every kind the streamed text is the decoded one, and plain text makes no control
// token.

#include <cstddef>
#include <cstdint>
#include <cstdlib>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "small_vocabularies.h"
#include "tatara/base/utf8.h"
#include "tatara/text/tokenizer.h"

namespace {

using namespace tatara::text;

void Require(bool condition) {
  if (!condition) std::abort();
}

struct Case {
  std::unique_ptr<Tokenizer> tokenizer;
  bool gives_bytes_back;
};

std::unique_ptr<Tokenizer> Make(const SmallVocabulary& vocabulary) {
  auto made = Tokenizer::FromMetadata(vocabulary.Build());
  Require(made.ok());
  return std::move(made).value();
}

std::vector<Case> MakeCases() {
  std::vector<Case> cases;
  for (const std::string_view pre :
       {"gpt-2", "smollm", "qwen2", "default", "llama-bpe", "deepseek-v3", "kimi-k2", "superbpe"}) {
    SmallVocabulary vocabulary = SmallByteLevel();
    vocabulary.pre = pre;
    cases.push_back({Make(vocabulary), pre != "qwen2"});  // which composes
  }
  SmallVocabulary lacking = SmallByteLevel();
  for (const unsigned char byte : {0x04, 0xF1, 0xFF})
    lacking.tokens[byte] = "unused" + std::to_string(byte);
  cases.push_back({Make(lacking), false});
  cases.push_back({Make(SmallSentencePiece()), false});
  return cases;
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  static const std::vector<Case> cases = MakeCases();
  if (size == 0) return 0;
  const bool parse_special = (data[0] & 1) != 0;
  const Case& chosen = cases[(data[0] >> 1) % cases.size()];
  const Tokenizer& tokenizer = *chosen.tokenizer;
  const std::string_view text(reinterpret_cast<const char*>(data) + 1, size - 1);

  const std::vector<std::int32_t> ids = tokenizer.Encode(text, {.parse_special = parse_special});
  StreamDecoder decoder(tokenizer);
  std::string streamed;
  for (const std::int32_t id : ids) {
    Require(id >= 0 && id < tokenizer.vocabulary_size());
    Require(parse_special || !tokenizer.IsControl(id));
    streamed += decoder.Push(id);
  }
  streamed += decoder.Flush();
  Require(streamed == ReplaceInvalidUtf8(tokenizer.Decode(ids)));
  if (chosen.gives_bytes_back) Require(tokenizer.Decode(ids, /*show_special=*/true) == text);
  Require(tokenizer.Encode(text, {.parse_special = parse_special}) == ids);

  const std::string guarded = tokenizer.Guard(text);
  Require(Tokenizer::Unguarded(guarded) == text || !chosen.gives_bytes_back);
  for (const std::int32_t id :
       tokenizer.Encode(guarded, {.parse_special = true, .guarded = true})) {
    Require(!tokenizer.IsControl(id));
  }
  return 0;
}
