#include "store.h"

#include <algorithm>

#include "tatara/search/fold.h"

namespace tatara::search {
namespace {

// PRAGMA application_id: "TtrK". PRAGMA user_version: the tables below.
constexpr std::int64_t kApplicationId = 0x5474724B;
constexpr std::int64_t kSchemaVersion = 1;
// Changes whenever the chunks of some document change.
constexpr int kCuttingVersion = 1;
constexpr char kPathSeparator = '\x1F';  // between headings of a path

constexpr const char* kSchema = R"sql(
CREATE TABLE meta (key TEXT PRIMARY KEY, value INTEGER NOT NULL) WITHOUT ROWID;
CREATE TABLE documents (
  id INTEGER PRIMARY KEY, path TEXT NOT NULL UNIQUE, name TEXT NOT NULL UNIQUE, title TEXT NOT NULL,
  encoding TEXT NOT NULL, sha256 TEXT NOT NULL, bytes INTEGER NOT NULL, cutting_version INTEGER NOT NULL,
  n_chunks INTEGER NOT NULL, added_unix INTEGER NOT NULL, text TEXT NOT NULL);
CREATE TABLE chunks (
  id INTEGER PRIMARY KEY AUTOINCREMENT, document_id INTEGER NOT NULL REFERENCES documents(id),
  heading_path TEXT NOT NULL, line_first INTEGER NOT NULL, line_last INTEGER NOT NULL, table_head TEXT NOT NULL,
  text TEXT NOT NULL);
CREATE INDEX chunks_of_document ON chunks(document_id);
-- Holds no text: terms are made from the chunk (fold.h) when it is added and again when it is removed.
-- The ascii tokenizer splits at the blanks between terms and leaves everything else whole.
CREATE VIRTUAL TABLE terms USING fts5(head, body, content='', tokenize="ascii tokenchars '.'");
CREATE VIRTUAL TABLE term_counts USING fts5vocab(terms, 'row');
)sql";

std::string Joined(const std::vector<Term>& terms) {
  std::string joined;
  for (const Term& term : terms) {
    if (!joined.empty()) joined += ' ';
    joined += term.text;
  }
  return joined;
}

std::vector<std::string> SplitPath(std::string_view joined) {
  std::vector<std::string> parts;
  while (!joined.empty()) {
    const std::size_t end = std::min(joined.find(kPathSeparator), joined.size());
    parts.emplace_back(joined.substr(0, end));
    joined.remove_prefix(std::min(end + 1, joined.size()));
  }
  return parts;
}

std::string JoinPath(const std::vector<std::string>& parts) {
  std::string joined;
  for (const std::string& part : parts) {
    if (!joined.empty()) joined += kPathSeparator;
    joined += part;
  }
  return joined;
}

}  // namespace

std::string HeadOf(const Passage& passage) {
  std::string head = passage.document;
  if (const std::size_t dot = head.rfind('.'); dot != std::string::npos) head.resize(dot);
  // The title is often the outermost heading too.
  const bool repeated =
      !passage.heading_path.empty() && passage.heading_path.front() == passage.title;
  if (!repeated) head += "\n" + passage.title;
  for (const std::string& heading : passage.heading_path) head += "\n" + heading;
  return head;
}

Result<std::unique_ptr<Store>> Store::Open(const std::filesystem::path& path, bool create,
                                           int wait_ms_max) {
  TATARA_TRY(auto database,
             Database::Open(path.string(), {.create = create, .wait_ms_max = wait_ms_max}));
  std::unique_ptr<Store> store(new Store(std::move(database)));
  TATARA_RETURN_IF_ERROR(store->Prepare(create));
  return store;
}

Result<> Store::Prepare(bool create) {
  const sqlite::Tables tables{.application_id = kApplicationId,
                              .version = kSchemaVersion,
                              .schema = fmt::format("{} INSERT INTO meta VALUES('fold_version',{})",
                                                    kSchema, kFoldVersion)};
  TATARA_RETURN_IF_ERROR(sqlite::PrepareTables(*database_, tables, create));
  TATARA_TRY(Statement fold, database_->Prepare("SELECT value FROM meta WHERE key='fold_version'"));
  TATARA_TRY(const bool has_fold, fold.Step());
  const bool same_terms = has_fold && fold.Int(0) == kFoldVersion;
  fold.Reset();
  return same_terms ? Result<>(Ok{}) : RebuildTerms();
}

Result<> Store::RebuildTerms() {
  TATARA_TRY(Transaction transaction, Transaction::Begin(*database_));
  TATARA_RETURN_IF_ERROR(database_->Run("INSERT INTO terms(terms) VALUES('delete-all')"));
  TATARA_TRY(Statement ids, database_->Prepare("SELECT id FROM chunks ORDER BY id"));
  while (true) {
    TATARA_TRY(const bool row, ids.Step());
    if (!row) break;
    TATARA_TRY(const StoredChunk chunk, Chunk(ids.Int(0)));
    TATARA_RETURN_IF_ERROR(AddTerms(chunk.id, HeadOf(chunk.passage), chunk.passage.text));
  }
  ids.Reset();
  TATARA_RETURN_IF_ERROR(database_->Run(
      fmt::format("INSERT OR REPLACE INTO meta VALUES('fold_version',{})", kFoldVersion).c_str()));
  return transaction.Commit();
}

Result<> Store::AddTerms(std::int64_t chunk_id, std::string_view head, std::string_view text) {
  TATARA_TRY(Statement insert,
             database_->Prepare("INSERT INTO terms(rowid, head, body) VALUES(?,?,?)"));
  return insert.Bind(1, chunk_id)
      .Bind(2, Joined(TermsOf(head)))
      .Bind(3, Joined(TermsOf(text)))
      .Run();
}

Result<std::optional<StoredDocument>> Store::Find(std::string_view path) {
  TATARA_TRY(Statement find,
             database_->Prepare("SELECT id, name, sha256, cutting_version, n_chunks FROM documents "
                                "WHERE path=?"));
  find.Bind(1, path);
  TATARA_TRY(const bool row, find.Step());
  if (!row) return std::optional<StoredDocument>();
  StoredDocument found{.id = find.Int(0),
                       .name = find.Text(1),
                       .sha256 = find.Text(2),
                       .cutting_version = static_cast<int>(find.Int(3)),
                       .n_chunks = static_cast<int>(find.Int(4))};
  // Chunks of another version of the cutting are made anew.
  if (found.cutting_version != kCuttingVersion) found.sha256.clear();
  return std::optional(std::move(found));
}

Result<std::vector<std::string>> Store::PathsBelow(std::string_view folder) {
  std::string low(folder);
  if (!low.ends_with('/')) low += '/';
  std::string high = low;
  high.back() = '/' + 1;
  TATARA_TRY(Statement below,
             database_->Prepare("SELECT path FROM documents WHERE path=? OR (path>=? AND path<?) "
                                "ORDER BY path"));
  below.Bind(1, folder).Bind(2, low).Bind(3, high);
  std::vector<std::string> paths;
  while (true) {
    TATARA_TRY(const bool row, below.Step());
    if (!row) return paths;
    paths.push_back(below.Text(0));
  }
}

Result<std::vector<DocumentInfo>> Store::List() {
  TATARA_TRY(Statement list,
             database_->Prepare("SELECT name, path, title, encoding, sha256, bytes, n_chunks, "
                                "added_unix FROM documents ORDER BY name"));
  std::vector<DocumentInfo> infos;
  while (true) {
    TATARA_TRY(const bool row, list.Step());
    if (!row) return infos;
    infos.push_back({.document = list.Text(0),
                     .path = list.Text(1),
                     .title = list.Text(2),
                     .encoding = list.Text(3),
                     .sha256 = list.Text(4),
                     .bytes = static_cast<std::uint64_t>(list.Int(5)),
                     .n_chunks = static_cast<int>(list.Int(6)),
                     .added_unix = list.Int(7)});
  }
}

Result<std::string> Store::TextOf(std::string_view path) {
  TATARA_TRY(Statement text, database_->Prepare("SELECT text FROM documents WHERE path=?"));
  text.Bind(1, path);
  TATARA_TRY(const bool row, text.Step());
  if (!row)
    return MakeError(ErrorKind::kNotFound, "{0}: no such document in this collection", path);
  return text.Text(0);
}

Result<bool> Store::NameIsTaken(std::string_view name, std::string_view by_other_than_path) {
  TATARA_TRY(Statement taken,
             database_->Prepare("SELECT 1 FROM documents WHERE name=? AND path<>?"));
  taken.Bind(1, name).Bind(2, by_other_than_path);
  return taken.Step();
}

Result<> Store::Insert(const DocumentInfo& info, const documents::Document& document) {
  TATARA_TRY(
      Statement insert,
      database_->Prepare(
          "INSERT INTO documents(path, name, title, encoding, sha256, bytes, cutting_version, "
          "n_chunks, added_unix, text) VALUES(?,?,?,?,?,?,?,?,?,?)"));
  insert.Bind(1, info.path).Bind(2, info.document).Bind(3, info.title).Bind(4, info.encoding);
  insert.Bind(5, info.sha256)
      .Bind(6, static_cast<std::int64_t>(info.bytes))
      .Bind(7, kCuttingVersion);
  insert.Bind(8, info.n_chunks).Bind(9, info.added_unix).Bind(10, document.text);
  TATARA_RETURN_IF_ERROR(insert.Run());
  const std::int64_t document_id = database_->LastRowId();

  TATARA_TRY(Statement chunk_insert,
             database_->Prepare(
                 "INSERT INTO chunks(document_id, heading_path, line_first, line_last, table_head, "
                 "text) VALUES(?,?,?,?,?,?)"));
  for (const documents::Chunk& chunk : document.chunks) {
    const std::string_view text = document.TextOf(chunk);
    // The terms are made from the path as it will be read again, since removing makes them once
    // more.
    const std::string heading_path = JoinPath(chunk.heading_path);
    chunk_insert.Bind(1, document_id).Bind(2, heading_path).Bind(3, chunk.line_first);
    chunk_insert.Bind(4, chunk.line_last).Bind(5, chunk.table_head).Bind(6, text);
    TATARA_RETURN_IF_ERROR(chunk_insert.Run());
    const Passage passage{
        .document = info.document, .title = info.title, .heading_path = SplitPath(heading_path)};
    TATARA_RETURN_IF_ERROR(AddTerms(database_->LastRowId(), HeadOf(passage), text));
  }
  return Ok{};
}

Result<> Store::Delete(std::int64_t document_id) {
  TATARA_TRY(Statement ids,
             database_->Prepare("SELECT id FROM chunks WHERE document_id=? ORDER BY id"));
  ids.Bind(1, document_id);
  TATARA_TRY(
      Statement forget,
      database_->Prepare("INSERT INTO terms(terms, rowid, head, body) VALUES('delete',?,?,?)"));
  while (true) {
    TATARA_TRY(const bool row, ids.Step());
    if (!row) break;
    TATARA_TRY(const StoredChunk chunk, Chunk(ids.Int(0)));
    forget.Bind(1, chunk.id).Bind(2, Joined(TermsOf(HeadOf(chunk.passage))));
    TATARA_RETURN_IF_ERROR(forget.Bind(3, Joined(TermsOf(chunk.passage.text))).Run());
  }
  ids.Reset();
  TATARA_TRY(Statement drop_chunks, database_->Prepare("DELETE FROM chunks WHERE document_id=?"));
  TATARA_RETURN_IF_ERROR(drop_chunks.Bind(1, document_id).Run());
  TATARA_TRY(Statement drop, database_->Prepare("DELETE FROM documents WHERE id=?"));
  return drop.Bind(1, document_id).Run();
}

Result<std::vector<std::int64_t>> Store::ChunksWithAny(const std::vector<std::string>& terms,
                                                       int chunks_max) {
  std::vector<std::int64_t> ids;
  if (terms.empty()) return ids;
  std::string match;
  for (const std::string& term : terms) {
    if (!match.empty()) match += " OR ";
    // Terms hold letters, digits and '.' only; quoted all the same.
    match += '"' + term + '"';
  }
  TATARA_TRY(Statement search, database_->Prepare("SELECT rowid FROM terms WHERE terms MATCH ? "
                                                  "ORDER BY bm25(terms, 2.0, 1.0), rowid LIMIT ?"));
  search.Bind(1, match).Bind(2, chunks_max);
  while (true) {
    TATARA_TRY(const bool row, search.Step());
    if (!row) return ids;
    ids.push_back(search.Int(0));
  }
}

Result<std::int64_t> Store::ChunksWith(const std::string& term) {
  TATARA_TRY(Statement count, database_->Prepare("SELECT doc FROM term_counts WHERE term=?"));
  count.Bind(1, term);
  TATARA_TRY(const bool row, count.Step());
  return row ? count.Int(0) : std::int64_t{0};
}

Result<std::int64_t> Store::ChunkCount() {
  TATARA_TRY(Statement count, database_->Prepare("SELECT count(*) FROM chunks"));
  TATARA_TRY(const bool row, count.Step());
  return row ? count.Int(0) : std::int64_t{0};
}

Result<StoredChunk> Store::Chunk(std::int64_t id) {
  TATARA_TRY(
      Statement find,
      database_->Prepare(
          "SELECT d.name, d.path, d.sha256, d.title, c.heading_path, c.line_first, c.line_last, "
          "c.text, c.table_head FROM chunks c JOIN documents d ON d.id=c.document_id "
          "WHERE c.id=?"));
  find.Bind(1, id);
  TATARA_TRY(const bool row, find.Step());
  if (!row)
    return Refuse("{0}: not a database of this program, or damaged ({1})", database_->path(),
                  "chunks");
  StoredChunk chunk{.id = id};
  chunk.passage = {.document = find.Text(0),
                   .path = find.Text(1),
                   .document_sha256 = find.Text(2),
                   .title = find.Text(3),
                   .heading_path = SplitPath(find.Text(4)),
                   .line_first = static_cast<int>(find.Int(5)),
                   .line_last = static_cast<int>(find.Int(6)),
                   .text = find.Text(7),
                   .table_head = find.Text(8)};
  return chunk;
}

}  // namespace tatara::search
