// Arbitrary bytes as a tokenizer.json; what is read must encode and decode.

#include <cstddef>
#include <cstdint>
#include <string>

#include "huggingface_tokenizer.h"

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  using namespace tatara;
  Metadata metadata("fuzz");
  metadata.Set(std::string(text::kHuggingFaceKey),
               std::string(reinterpret_cast<const char*>(data), size));
  const auto made = text::Tokenizer::FromMetadata(metadata);
  if (!made.ok()) return 0;
  const std::string_view text = "New words, caf\xC3\xA9 e\xCC\x81 \xE6\xBC\xA2 <s> \xFF\x00 12 ab";
  for (const bool special : {false, true}) {
    const auto ids = (*made)->Encode(text, {.add_end = true, .parse_special = special});
    (void)(*made)->Decode(ids, special);
  }
  (void)(*made)->EncodePair(text, "b");
  (void)(*made)->Guard(text);
  return 0;
}
