// Arbitrary vocabularies to FromMetadata: refused, or a tokenizer that keeps its promises on a
// short text.

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <cstdlib>
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

class Reader {
 public:
  Reader(const std::uint8_t* data, std::size_t size) : data_(data), size_(size) {}
  std::uint8_t Byte() { return at_ < size_ ? data_[at_++] : 0; }
  std::string Text(std::size_t length_max) {
    const std::size_t length = std::min<std::size_t>(Byte() % (length_max + 1), size_ - at_);
    std::string text(reinterpret_cast<const char*>(data_ + at_), length);
    at_ += length;
    return text;
  }
  bool empty() const { return at_ >= size_; }

 private:
  const std::uint8_t* data_;
  std::size_t size_, at_ = 0;
};

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  Reader reader(data, size);
  const std::uint8_t flags = reader.Byte();
  SmallVocabulary vocabulary = (flags & 1) != 0 ? SmallByteLevel() : SmallSentencePiece();
  const std::string text = reader.Text(80);
  const std::int64_t start = static_cast<std::int8_t>(reader.Byte());
  while (!reader.empty()) {
    const std::uint8_t what = reader.Byte();
    const std::size_t place = reader.Byte() * std::size_t{2} % vocabulary.tokens.size();
    switch (what % 6) {
      case 0:
        vocabulary.Add(reader.Text(6), reader.Byte() % 8, reader.Byte());
        break;
      case 1:
        vocabulary.types[place] = reader.Byte() % 8;
        break;
      case 2:
        vocabulary.tokens[place] = reader.Text(6);
        break;
      case 3:
        vocabulary.merges.push_back(reader.Text(4) + " " + reader.Text(4));
        break;
      case 4:
        vocabulary.merges.push_back(vocabulary.tokens[place] + " " +
                                    vocabulary.tokens[reader.Byte()]);
        vocabulary.Add(vocabulary.tokens[place] + vocabulary.tokens[reader.Byte()]);
        break;
      case 5:
        vocabulary.scores[place] = static_cast<std::int8_t>(reader.Byte());
        break;
    }
  }
  tatara::Metadata metadata = vocabulary.Build();
  if ((flags & 2) != 0) metadata.Set("tokenizer.ggml.bos_token_id", start);
  if ((flags & 4) != 0) metadata.Set("tokenizer.ggml.add_bos_token", (flags & 8) != 0);
  const auto made = Tokenizer::FromMetadata(metadata);
  if (!made.ok()) {
    Require(!made.error().text().empty());
    return 0;
  }
  const Tokenizer& tokenizer = **made;
  StreamDecoder decoder(tokenizer);
  std::string streamed;
  const std::vector<std::int32_t> ids = tokenizer.Encode(text, {.add_start = false});
  for (const std::int32_t id : ids) {
    Require(id >= 0 && id < tokenizer.vocabulary_size() && !tokenizer.IsControl(id));
    streamed += decoder.Push(id);
  }
  streamed += decoder.Flush();
  Require(streamed == ReplaceInvalidUtf8(tokenizer.Decode(ids)));
  return 0;
}
