// Documents of token ids, one after the other, wherever they lie: in memory or in mapped files.
// Thread safety: immutable once made.
#pragma once

#include <cstdint>
#include <memory>
#include <span>
#include <string>
#include <vector>

#include "tatara/base/bytes.h"
#include "tatara/base/metadata.h"
#include "tatara/corpus/chat_format.h"
#include "tatara/text/tokenizer.h"

namespace tatara::corpus {

struct TokenStore {
  virtual ~TokenStore() = default;

  ByteSpan ids;                            // little-endian
  int id_bytes = 4;                        // 2 or 4
  std::span<const std::uint64_t> offsets;  // in tokens; one more than there are documents
  // Whether a token is to be predicted; empty: every one is. The first of a document never is.
  std::span<const std::uint8_t> counts;
  std::span<const std::uint64_t> keys;     // of each document's text: 64 bits of its digest
  std::span<const std::uint32_t> sources;  // of each document: its place in source_names
  std::vector<std::string> source_names;

  std::string digest;    // SHA-256 of all of the above but the names, and of the tokenizer
  std::string manifest;  // one line of JSON
  std::shared_ptr<const text::Tokenizer> tokenizer;
  Metadata tokenizer_keys;

  std::uint64_t n_documents() const { return offsets.empty() ? 0 : offsets.size() - 1; }
  std::uint64_t Length(std::uint64_t document) const {
    return offsets[document + 1] - offsets[document];
  }
  std::int32_t Id(std::uint64_t token) const;
  bool Counts(std::uint64_t token) const { return counts.empty() || counts[token] != 0; }
};

// A store in memory, filled document by document.
class TokenStoreBuilder {
 public:
  // `key`: 64 bits of a digest of the text, by which validation is split. Documents of less than
  // two tokens are left out: nothing can be predicted in them.
  void Add(const ChatIds& document, std::uint64_t key, std::uint32_t source = 0);
  // `manifest` may be empty; the digest is computed here.
  std::shared_ptr<const TokenStore> Finish(std::shared_ptr<const text::Tokenizer> tokenizer,
                                           Metadata tokenizer_keys,
                                           std::vector<std::string> source_names,
                                           std::string manifest);

 private:
  std::vector<std::int32_t> ids_;
  std::vector<std::uint64_t> offsets_ = {0}, keys_;
  std::vector<std::uint8_t> counts_;
  std::vector<std::uint32_t> sources_;
};

// SHA-256 over what fixes a token or a target, whatever the width of the ids on disk.
std::string DigestOf(const TokenStore& store);

}  // namespace tatara::corpus
