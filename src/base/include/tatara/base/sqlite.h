// SQLite with Results: errors name the database file and what SQLite said.
// Thread safety: one thread at a time per Database and its Statements.
#pragma once

#include <cstdint>
#include <memory>
#include <string>
#include <string_view>

#include "tatara/base/error.h"

struct sqlite3;
struct sqlite3_stmt;

namespace tatara::sqlite {

class Database;

// A prepared statement; Bind and Step, Reset to use it again. Must not outlive its Database.
class Statement {
 public:
  Statement(Statement&&) noexcept = default;

  Statement& Bind(int index, std::int64_t value);
  Statement& Bind(int index, int value) { return Bind(index, static_cast<std::int64_t>(value)); }
  Statement& Bind(int index, std::string_view text);  // copied
  // True for a row, false at the end.
  Result<bool> Step();
  // Steps to the end and resets.
  Result<> Run();
  void Reset();

  std::int64_t Int(int column) const;
  std::string Text(int column) const;

 private:
  friend class Database;
  struct Finalize {
    void operator()(sqlite3_stmt* statement) const;
  };
  Statement(Database* database, sqlite3_stmt* statement)
      : database_(database), statement_(statement) {}
  Database* database_;
  std::unique_ptr<sqlite3_stmt, Finalize> statement_;
  bool bind_failed_ = false;
};

class Database {
 public:
  struct Options {
    bool create = false;
    int wait_ms_max = 10'000;
  };
  static Result<std::unique_ptr<Database>> Open(const std::string& path, const Options& options);

  Result<Statement> Prepare(std::string_view sql);
  Result<> Run(const char* sql);  // one or more statements without parameters
  std::int64_t LastRowId() const;
  Error Failure() const;  // what went wrong last
  const std::string& path() const { return path_; }

 private:
  struct Close {
    void operator()(sqlite3* database) const;
  };
  Database(std::string path, sqlite3* database) : path_(std::move(path)), database_(database) {}
  std::string path_;
  std::unique_ptr<sqlite3, Close> database_;
};

// BEGIN IMMEDIATE; rolls back on destruction unless committed.
class Transaction {
 public:
  static Result<Transaction> Begin(Database& database);
  Transaction(Transaction&& other) noexcept : database_(other.database_) {
    other.database_ = nullptr;
  }
  Transaction& operator=(Transaction&&) = delete;
  ~Transaction();
  Result<> Commit();

 private:
  explicit Transaction(Database* database) : database_(database) {}
  Database* database_;
};

// A program's own tables: application_id and user_version name them in the file.
struct Tables {
  std::int64_t application_id = 0;
  std::int64_t version = 0;
  std::string schema;  // statements that make them
};
// WAL; what was committed survives a power cut. Makes the tables in an empty file where `create`;
// refuses a file that holds others. Two processes may come at the same time.
Result<> PrepareTables(Database& database, const Tables& tables, bool create);

}  // namespace tatara::sqlite
