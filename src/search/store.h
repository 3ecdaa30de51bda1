// The tables of a collection: documents, their chunks, and the inverted index of the chunks' terms.
// Thread safety: one thread at a time per Store.
#pragma once

#include <cstdint>
#include <filesystem>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "tatara/base/error.h"
#include "tatara/base/sqlite.h"
#include "tatara/documents/document.h"
#include "tatara/search/index.h"

namespace tatara::search {

using sqlite::Database;
using sqlite::Statement;
using sqlite::Transaction;

struct StoredDocument {
  std::int64_t id = 0;
  std::string name;
  std::string sha256;
  int cutting_version = 0;
  int n_chunks = 0;
};

struct StoredChunk {
  std::int64_t id = 0;
  Passage passage;
};

class Store {
 public:
  // Makes or migrates the tables. An index whose terms another version of the folding made is built
  // anew.
  static Result<std::unique_ptr<Store>> Open(const std::filesystem::path& path, bool create,
                                             int wait_ms_max);

  Database& database() { return *database_; }

  Result<std::optional<StoredDocument>> Find(std::string_view path);
  // Paths of the documents at or below `folder`, ascending.
  Result<std::vector<std::string>> PathsBelow(std::string_view folder);
  Result<std::vector<DocumentInfo>> List();
  Result<std::string> TextOf(std::string_view path);
  Result<bool> NameIsTaken(std::string_view name, std::string_view by_other_than_path);

  // Inside a Transaction.
  Result<> Insert(const DocumentInfo& info, const documents::Document& document);
  Result<> Delete(std::int64_t document_id);

  // Ids of the chunks that have any of `terms`, those with many and rare ones first.
  Result<std::vector<std::int64_t>> ChunksWithAny(const std::vector<std::string>& terms,
                                                  int chunks_max);
  Result<std::int64_t> ChunksWith(const std::string& term);  // how many
  Result<std::int64_t> ChunkCount();
  Result<StoredChunk> Chunk(std::int64_t id);

 private:
  explicit Store(std::unique_ptr<Database> database) : database_(std::move(database)) {}
  Result<> Prepare(bool create);
  Result<> RebuildTerms();
  Result<> AddTerms(std::int64_t chunk_id, std::string_view head, std::string_view text);

  std::unique_ptr<Database> database_;
};

// What stands above a chunk and names its subject: document, title and headings.
std::string HeadOf(const Passage& passage);

}  // namespace tatara::search
