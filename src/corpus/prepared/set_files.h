// The files of a prepared set: written one after the other, opened as a store.
// Thread safety: one thread.
#pragma once

#include <filesystem>
#include <memory>
#include <optional>
#include <string>

#include "tatara/base/bytes.h"
#include "tatara/base/error.h"
#include "tatara/base/files.h"
#include "tatara/base/metadata.h"
#include "tatara/corpus/token_store.h"

namespace tatara::corpus {

inline constexpr const char* kManifestName = "manifest.json";
inline constexpr const char* kTokensName = "tokens.bin";
inline constexpr const char* kOffsetsName = "offsets.bin";
inline constexpr const char* kCountsName = "counts.bin";
inline constexpr const char* kKeysName = "keys.bin";
inline constexpr const char* kSourcesName = "sources.bin";
inline constexpr const char* kPlacesName = "places.bin";
inline constexpr const char* kTokenizerName = "tokenizer_keys.json";
inline constexpr const char* kDroppedName = "dropped.jsonl";

// Appends through a buffer; Finish is an fsync.
class FileWriter {
 public:
  static Result<FileWriter> Create(const std::filesystem::path& path);
  FileWriter(FileWriter&& other) noexcept
      : name_(std::move(other.name_)),
        fd_(std::exchange(other.fd_, -1)),
        buffer_(std::move(other.buffer_)) {}
  FileWriter& operator=(FileWriter&&) = delete;
  ~FileWriter();

  Result<> Append(ByteSpan bytes);
  template <typename T>
  Result<> AppendValue(T value) {
    return Append(std::as_bytes(std::span(&value, 1)));
  }
  Result<> Finish();

 private:
  FileWriter(std::string name, int fd) : name_(std::move(name)), fd_(fd) {}
  Result<> Flush();
  std::string name_;
  int fd_;
  std::string buffer_;
};

Result<> WriteTokenizerKeys(const std::filesystem::path& path, const Metadata& keys);

struct SetShape {
  std::uint64_t n_documents = 0, n_tokens = 0;
  int id_bytes = 4;
  bool has_counts = false;
  std::vector<std::string> source_names;
};
// Maps the files and checks everything but the digest. The manifest is left to the caller.
Result<std::shared_ptr<TokenStore>> OpenSetFiles(const std::filesystem::path& folder,
                                                 const SetShape& shape);

}  // namespace tatara::corpus
