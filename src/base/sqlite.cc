#include "tatara/base/sqlite.h"

#include <sqlite3.h>

namespace tatara::sqlite {

Statement& Statement::Bind(int index, std::int64_t value) {
  bind_failed_ |= sqlite3_bind_int64(statement_.get(), index, value) != SQLITE_OK;
  return *this;
}

Statement& Statement::Bind(int index, std::string_view text) {
  bind_failed_ |= sqlite3_bind_text64(statement_.get(), index, text.data(), text.size(),
                                      SQLITE_TRANSIENT, SQLITE_UTF8) != SQLITE_OK;
  return *this;
}

Result<bool> Statement::Step() {
  if (bind_failed_) return database_->Failure();
  switch (sqlite3_step(statement_.get())) {
    case SQLITE_ROW:
      return true;
    case SQLITE_DONE:
      return false;
    default:
      return database_->Failure();
  }
}

Result<> Statement::Run() {
  while (true) {
    const Result<bool> row = Step();
    if (!row.ok()) {
      const Error error = row.error();
      Reset();
      return error;
    }
    if (!*row) break;
  }
  Reset();
  return Ok{};
}

void Statement::Reset() {
  sqlite3_reset(statement_.get());
  sqlite3_clear_bindings(statement_.get());
  bind_failed_ = false;
}

std::int64_t Statement::Int(int column) const {
  return sqlite3_column_int64(statement_.get(), column);
}

std::string Statement::Text(int column) const {
  const void* text = sqlite3_column_text(statement_.get(), column);
  const int bytes = sqlite3_column_bytes(statement_.get(), column);
  if (text == nullptr || bytes <= 0) return {};
  return std::string(static_cast<const char*>(text), static_cast<std::size_t>(bytes));
}

void Statement::Finalize::operator()(sqlite3_stmt* statement) const {
  sqlite3_finalize(statement);
}

void Database::Close::operator()(sqlite3* database) const {
  sqlite3_close(database);
}

Result<std::unique_ptr<Database>> Database::Open(const std::string& path, const Options& options) {
  sqlite3* raw = nullptr;
  const int flags =
      SQLITE_OPEN_READWRITE | SQLITE_OPEN_NOMUTEX | (options.create ? SQLITE_OPEN_CREATE : 0);
  const int status = sqlite3_open_v2(path.c_str(), &raw, flags, nullptr);
  std::unique_ptr<Database> database(new Database(path, raw));
  if (raw == nullptr) return MakeError(ErrorKind::kIo, "{0}: {1}", path, "out of memory");
  if (status != SQLITE_OK) return database->Failure();
  sqlite3_extended_result_codes(raw, 1);
  sqlite3_busy_timeout(raw, options.wait_ms_max);
  return database;
}

Result<Statement> Database::Prepare(std::string_view sql) {
  sqlite3_stmt* raw = nullptr;
  if (sqlite3_prepare_v2(database_.get(), sql.data(), static_cast<int>(sql.size()), &raw,
                         nullptr) != SQLITE_OK) {
    return Failure();
  }
  return Statement(this, raw);
}

Result<> Database::Run(const char* sql) {
  if (sqlite3_exec(database_.get(), sql, nullptr, nullptr, nullptr) != SQLITE_OK) return Failure();
  return Ok{};
}

std::int64_t Database::LastRowId() const {
  return sqlite3_last_insert_rowid(database_.get());
}

Error Database::Failure() const {
  const int code = sqlite3_extended_errcode(database_.get());
  const char* said = sqlite3_errmsg(database_.get());
  switch (code & 0xFF) {
    case SQLITE_BUSY:
    case SQLITE_LOCKED:
      return MakeError(ErrorKind::kUnavailable,
                       "{0}: another process is writing to it; try again when that has ended",
                       path_);
    case SQLITE_FULL:
      return MakeError(ErrorKind::kIo,
                       "{0}: no room left on the disk; everything in it is as it was before",
                       path_);
    case SQLITE_NOTADB:
    case SQLITE_CORRUPT:
      return Refuse("{0}: not a database of this program, or damaged ({1})", path_, said);
    default:
      return MakeError(ErrorKind::kIo, "{0}: {1}", path_, said);
  }
}

Result<Transaction> Transaction::Begin(Database& database) {
  TATARA_RETURN_IF_ERROR(database.Run("BEGIN IMMEDIATE"));
  return Transaction(&database);
}

Transaction::~Transaction() {
  // Fails only where SQLite has rolled back by itself already.
  if (database_ != nullptr) (void)database_->Run("ROLLBACK").ok();
}

Result<> Transaction::Commit() {
  TATARA_RETURN_IF_ERROR(database_->Run("COMMIT"));
  database_ = nullptr;
  return Ok{};
}

Result<> PrepareTables(Database& database, const Tables& tables, bool create) {
  // FULL: an acknowledged transaction survives a power cut.
  TATARA_RETURN_IF_ERROR(
      database.Run("PRAGMA journal_mode=WAL; PRAGMA synchronous=FULL; PRAGMA foreign_keys=ON"));
  TATARA_TRY(Statement ask, database.Prepare("SELECT (SELECT * FROM pragma_application_id), "
                                             "(SELECT * FROM pragma_user_version), "
                                             "(SELECT count(*) FROM sqlite_schema)"));
  TATARA_TRY(const bool row, ask.Step());
  if (!row) return database.Failure();
  std::int64_t application = ask.Int(0), version = ask.Int(1);
  const bool empty = ask.Int(2) == 0;
  ask.Reset();
  if (empty && create) {
    TATARA_TRY(Transaction transaction, Transaction::Begin(database));
    // Another process may have made the tables while this one waited.
    TATARA_TRY(Statement again, database.Prepare("SELECT count(*) FROM sqlite_schema"));
    TATARA_TRY(const bool counted, again.Step());
    const bool still_empty = counted && again.Int(0) == 0;
    again.Reset();
    if (still_empty) {
      TATARA_RETURN_IF_ERROR(database.Run(tables.schema.c_str()));
      TATARA_RETURN_IF_ERROR(
          database.Run(fmt::format("PRAGMA application_id={}; PRAGMA user_version={}",
                                   tables.application_id, tables.version)
                           .c_str()));
    }
    TATARA_RETURN_IF_ERROR(transaction.Commit());
    application = tables.application_id;
    version = tables.version;
  }
  if (application != tables.application_id) {
    return Refuse("{0}: not a database of this program, or damaged ({1})", database.path(),
                  "application_id");
  }
  if (version != tables.version) {
    return Refuse("{0}: tables of version {1}; this program knows version {2}", database.path(),
                  version, tables.version);
  }
  return Ok{};
}

}  // namespace tatara::sqlite
