// Files to a prepared set: read, normalised, freed of exact duplicates, tokenised, written.
//
// A prepared set is a folder:
//   manifest.json       inputs with their digests, counts, what was left out and why; one line
//   tokens.bin          ids, little-endian, 2 bytes each where the vocabulary has at most 65,536
//   offsets.bin         u64, in tokens, one more than there are documents
//   counts.bin          a byte a token, 1 where it is learned; absent where all are
//   keys.bin            u64, the first 8 bytes of the SHA-256 of each normalised document
//   sources.bin         u32, the source of each document
//   places.bin          u64, file << 40 | row (reading.h), of each document
//   tokenizer_keys.json the keys tokenizer.* with which it was made
//   dropped.jsonl       every row that was left out: file, row, reason
// The same inputs give the same bytes whatever the number of threads.
//
// It appears whole by one rename, or not at all; what a stopped one left is removed by the next.
// Memory: the files are streamed, some kBatchBytes of rows at a time (a single row may have
// kRowBytesMax), and 32 bytes a document, in which duplicates are known by 128 bits of SHA-256; 48
// while that table grows. At most kDocumentsMax documents a set; mixtures hold several.
// Thread safety: one call per folder (a lock; the second is refused).
#pragma once

#include <array>
#include <cstdint>
#include <filesystem>
#include <string>
#include <vector>

#include "tatara/base/progress.h"
#include "tatara/corpus/chat_set.h"
#include "tatara/corpus/reading.h"
#include "tatara/corpus/token_store.h"

namespace tatara::corpus {

inline constexpr std::size_t kBatchBytes = std::size_t{8} << 20;
inline constexpr std::size_t kDocumentsMax = std::size_t{1} << 26;

struct PrepareSource {
  std::string name;
  std::vector<std::filesystem::path> paths;  // files and folders
  ReadingOptions reading;
};

struct PrepareOptions {
  std::vector<PrepareSource> sources;
  ChatModel model;  // texts need no chat template
  std::filesystem::path out;
  int n_threads = 1;
  ProgressSink* progress = nullptr;  // may be null; unit: bytes of the files
  const StopFlag* stop = nullptr;    // may be null
};

struct PreparedFile {
  std::uint32_t source = 0;
  std::filesystem::path path;
  std::string shown;  // as the manifest names it: without the folders above the one asked for
  std::uint64_t n_bytes = 0;
  std::string sha256;
  std::uint64_t n_rows = 0, n_documents = 0, n_tokens = 0;
};

struct PrepareReport {
  std::string digest, manifest;
  std::uint64_t n_rows = 0, n_documents = 0, n_tokens = 0, n_counted = 0;
  std::array<std::uint64_t, kDropReasons> drops{};
  // "FILE:ROW what was found", in the console's language; empty: none.
  std::array<std::string, kDropReasons> first_drops;
  std::vector<PreparedFile> files;
  std::uint64_t n_dropped() const;
};

// The files of the options with sizes and digests. A file of no kind that is read is refused where
// it was named, and counted where it lies in a folder (`others`).
struct FoundFiles {
  std::vector<PreparedFile> files, others;
};
Result<FoundFiles> FindFiles(const PrepareOptions& options);

// SHA-256 of everything that decides the set: for who keeps prepared sets.
std::string PreparationKey(const PrepareOptions& options, const FoundFiles& found);

// Refused where no row is a document: nothing is written.
Result<PrepareReport> Prepare(const PrepareOptions& options, FoundFiles found);
Result<PrepareReport> Prepare(const PrepareOptions& options);

// Opens a set and checks all of it: sizes, order, ids, the digest.
Result<std::shared_ptr<const TokenStore>> OpenPrepared(const std::filesystem::path& folder);

}  // namespace tatara::corpus
