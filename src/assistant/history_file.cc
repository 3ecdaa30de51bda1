#include "history_file.h"

#include <fcntl.h>
#include <unistd.h>

#include <algorithm>

#include "history_search.h"
#include "tatara/base/philox.h"
#include "tatara/search/fold.h"

namespace tatara::assistant {
namespace {

using sqlite::Statement;
using sqlite::Transaction;

// PRAGMA application_id: "TtrH". PRAGMA user_version: the tables below.
constexpr std::int64_t kApplicationId = 0x54747248;
constexpr std::int64_t kSchemaVersion = 1;
constexpr int kWaitMsMax = 10'000;
constexpr int kScrubPages = 400;  // written in one step: some 100 ms
constexpr int kScrubStepsAtOnce = 3;

// Rows of `texts`: 2 * id for the content of a message, 2 * id + 1 for the title of a conversation,
// folded (search/fold.h). AUTOINCREMENT: the row of something deleted is never given again.
constexpr const char* kSchema = R"sql(
CREATE TABLE meta (key TEXT PRIMARY KEY, value INTEGER NOT NULL) WITHOUT ROWID;
CREATE TABLE conversations (
  id INTEGER PRIMARY KEY AUTOINCREMENT, key TEXT NOT NULL UNIQUE, title TEXT NOT NULL, active TEXT NOT NULL,
  created INTEGER NOT NULL, updated INTEGER NOT NULL);
CREATE INDEX conversations_by_time ON conversations(updated, id);
CREATE TABLE messages (
  id INTEGER PRIMARY KEY AUTOINCREMENT, conversation INTEGER NOT NULL REFERENCES conversations(id),
  key TEXT NOT NULL, parent TEXT NOT NULL, role TEXT NOT NULL, content TEXT NOT NULL, reasoning TEXT NOT NULL,
  model TEXT NOT NULL, receipt TEXT NOT NULL, finish TEXT NOT NULL, details TEXT NOT NULL, created INTEGER NOT NULL,
  UNIQUE(conversation, key));
)sql";
constexpr const char* kTexts =
    "CREATE VIRTUAL TABLE texts USING fts5(body, conversation UNINDEXED, tokenize='trigram');";

// Then, wherever a row of conversations is `c`: the columns that HeadAt reads.
constexpr const char* kHead =
    "c.id, c.key, c.title, c.created, c.updated, "
    "(SELECT count(*) FROM messages WHERE conversation = c.id)";

ConversationHead HeadAt(const Statement& row) {
  return {.id = row.Text(1),
          .title = row.Text(2),
          .created_unix = row.Int(3),
          .updated_unix = row.Int(4),
          .n_messages = static_cast<int>(row.Int(5))};
}

Error NoSuch(std::string_view id) {
  return MakeError(ErrorKind::kNotFound, "there is no conversation '{0}'", id.substr(0, 64));
}

bool IsMessageId(std::string_view id) {
  return !id.empty() && id.size() <= 64 && std::all_of(id.begin(), id.end(), [](char c) {
    return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') || c == '-' ||
           c == '_';
  });
}

Result<> CheckTitle(std::string_view title) {
  if (title.size() <= kTitleBytesMax) return Ok{};
  return Refuse("title: {0} bytes, at most {1}", title.size(), kTitleBytesMax);
}

Result<> CheckMessage(const HistoryMessage& message) {
  if (!IsMessageId(message.id)) {
    return Refuse("id: expected 1 to 64 letters, digits, '-' or '_'");
  }
  if (message.role != "user" && message.role != "assistant") {
    return Refuse("role: expected 'user' or 'assistant'");
  }
  const std::size_t bytes = message.content.size() + message.reasoning.size();
  if (bytes > kMessageBytesMax) {
    return Refuse("content: {0} bytes with the reasoning, at most {1}", bytes, kMessageBytesMax);
  }
  if (message.details.size() > kDetailsBytesMax) {
    return Refuse("details: {0} bytes, at most {1}", message.details.size(), kDetailsBytesMax);
  }
  for (const auto& [name, text] :
       {std::pair("model", &message.model), std::pair("receipt", &message.receipt),
        std::pair("finish", &message.finish)}) {
    if (text->size() > kNameBytesMax) {
      return Refuse("{0}: {1} bytes, at most {2}", name, text->size(), kNameBytesMax);
    }
  }
  return Ok{};
}

std::int64_t BytesOf(const HistoryMessage& message) {
  return static_cast<std::int64_t>(message.content.size() + message.reasoning.size() +
                                   message.details.size());
}

}  // namespace

Result<std::unique_ptr<HistoryFile>> HistoryFile::Open(const std::filesystem::path& path,
                                                       const HistoryOptions& options) {
  // SQLite gives its other files the mode of the first.
  const int fd = open(path.c_str(), O_RDWR | O_CREAT | O_CLOEXEC, 0600);
  if (fd < 0) return ErrnoError("{0}: cannot write: {1}", path.string());
  close(fd);
  TATARA_TRY(auto database,
             sqlite::Database::Open(path.string(), {.create = true, .wait_ms_max = kWaitMsMax}));
  const sqlite::Tables tables{
      .application_id = kApplicationId,
      .version = kSchemaVersion,
      .schema = fmt::format("{} {} INSERT INTO meta VALUES('fold_version',{})", kSchema, kTexts,
                            search::kFoldVersion)};
  TATARA_RETURN_IF_ERROR(sqlite::PrepareTables(*database, tables, /*create=*/true));
  // What is deleted is overwritten.
  TATARA_RETURN_IF_ERROR(database->Run("PRAGMA secure_delete=ON"));
  std::unique_ptr<HistoryFile> file(new HistoryFile(std::move(database), options));
  TATARA_TRY(Statement ask, file->database_->Prepare("SELECT 1 FROM meta WHERE key = 'scrub'"));
  TATARA_TRY(file->needs_scrub_, ask.Step());
  ask.Reset();
  return file;
}

Result<HistoryFile::Found> HistoryFile::Find(std::string_view id) {
  TATARA_TRY(Statement ask,
             database_->Prepare(fmt::format(
                 "SELECT {}, c.active, (SELECT coalesce(sum(length(CAST(content AS BLOB)) + "
                 "length(CAST(reasoning AS BLOB)) + length(CAST(details AS BLOB))), 0) FROM "
                 "messages WHERE "
                 "conversation = c.id) FROM conversations c WHERE c.key = ?",
                 kHead)));
  TATARA_TRY(const bool row, ask.Bind(1, id).Step());
  if (!row) return NoSuch(id);
  return Found{.row = ask.Int(0), .head = HeadAt(ask), .active = ask.Text(6), .bytes = ask.Int(7)};
}

Result<> HistoryFile::CheckRoom() {
  TATARA_TRY(Statement ask, database_->Prepare("SELECT (SELECT * FROM pragma_page_count) * "
                                               "(SELECT * FROM pragma_page_size)"));
  TATARA_TRY(const bool row, ask.Step());
  if (row && ask.Int(0) < options_.bytes_max) return Ok{};
  return MakeError(ErrorKind::kUnavailable,
                   "the history is full ({0} bytes); delete conversations that are not needed",
                   options_.bytes_max);
}

Result<ConversationHead> HistoryFile::Create(std::string_view title, std::int64_t now_unix) {
  TATARA_RETURN_IF_ERROR(CheckTitle(title));
  TATARA_RETURN_IF_ERROR(CheckRoom());
  TATARA_TRY(Transaction transaction, Transaction::Begin(*database_));
  TATARA_TRY(Statement count, database_->Prepare("SELECT count(*) FROM conversations"));
  TATARA_TRY(const bool row, count.Step());
  if (row && count.Int(0) >= options_.conversations_max) {
    return MakeError(ErrorKind::kUnavailable,
                     "the history has {0} conversations, and no more are taken; delete some",
                     options_.conversations_max);
  }
  count.Reset();
  ConversationHead head{.id = fmt::format("conv_{:016x}{:016x}", FreshSeed(), FreshSeed()),
                        .title = std::string(title),
                        .created_unix = now_unix,
                        .updated_unix = now_unix};
  TATARA_TRY(Statement insert, database_->Prepare("INSERT INTO conversations(key, title, active, "
                                                  "created, updated) VALUES(?,?,'',?,?)"));
  TATARA_RETURN_IF_ERROR(
      insert.Bind(1, head.id).Bind(2, title).Bind(3, now_unix).Bind(4, now_unix).Run());
  const std::int64_t id = database_->LastRowId();
  TATARA_RETURN_IF_ERROR(Index(2 * id + 1, id, title));
  TATARA_RETURN_IF_ERROR(transaction.Commit());
  return head;
}

Result<> HistoryFile::Index(std::int64_t text_row, std::int64_t conversation_row,
                            std::string_view text) {
  TATARA_TRY(Statement insert, database_->Prepare("INSERT OR REPLACE INTO texts(rowid, body, "
                                                  "conversation) VALUES(?,?,?)"));
  return insert.Bind(1, text_row).Bind(2, search::Folded(text)).Bind(3, conversation_row).Run();
}

Result<std::vector<ConversationHead>> HistoryFile::List(const History::ListWish& wish) {
  const int limit = std::clamp(wish.limit, 1, kHistoryPageMax);
  std::string condition;
  if (!wish.after.empty()) {
    condition = "WHERE (c.updated, c.id) < (SELECT updated, id FROM conversations WHERE key = ?2)";
    TATARA_RETURN_IF_ERROR(Find(wish.after).ok() ? Result<>(Ok{}) : NoSuch(wish.after));
  }
  TATARA_TRY(Statement ask,
             database_->Prepare(fmt::format("SELECT {} FROM conversations c {} ORDER BY c.updated "
                                            "DESC, c.id DESC LIMIT ?1",
                                            kHead, condition)));
  ask.Bind(1, limit);
  if (!wish.after.empty()) ask.Bind(2, wish.after);
  std::vector<ConversationHead> heads;
  while (true) {
    TATARA_TRY(const bool row, ask.Step());
    if (!row) return heads;
    heads.push_back(HeadAt(ask));
  }
}

Result<std::vector<ConversationMatch>> HistoryFile::Search(std::string_view query, int limit) {
  std::vector<ConversationMatch> matches;
  const std::vector<std::string> words = SearchWords(query);
  if (words.empty()) return matches;
  // The index finds words of three characters and more; the rest is looked for in what is left.
  std::string conditions = "1";
  const std::string expression = TrigramExpression(words);
  if (!expression.empty()) conditions += " AND t.texts MATCH ?2";
  for (std::size_t i = 0; i < words.size(); ++i) {
    conditions += fmt::format(" AND instr(t.body, ?{}) > 0", i + 3);
  }
  if (expression.empty()) conditions += " AND ?2 = ''";
  TATARA_TRY(
      Statement ask,
      database_->Prepare(fmt::format(
          "SELECT {}, m.text FROM (SELECT t.conversation AS conversation, "
          "max(CASE WHEN t.rowid % 2 = 0 THEN t.rowid ELSE 0 END) AS text FROM texts t "
          "WHERE {} GROUP BY t.conversation) m JOIN conversations c ON c.id = m.conversation "
          "ORDER BY c.updated DESC, c.id DESC LIMIT ?1",
          kHead, conditions)));
  ask.Bind(1, std::clamp(limit, 1, kHistoryPageMax)).Bind(2, expression);
  for (std::size_t i = 0; i < words.size(); ++i) ask.Bind(static_cast<int>(i) + 3, words[i]);
  while (true) {
    TATARA_TRY(const bool row, ask.Step());
    if (!row) return matches;
    TATARA_TRY(std::string snippet, Snippet(ask.Int(6), words));
    matches.push_back({.head = HeadAt(ask), .snippet = std::move(snippet)});
  }
}

Result<std::string> HistoryFile::Snippet(std::int64_t text_row,
                                         const std::vector<std::string>& words) {
  if (text_row == 0) return std::string();  // the title alone
  TATARA_TRY(Statement ask, database_->Prepare("SELECT content FROM messages WHERE id = ?"));
  TATARA_TRY(const bool row, ask.Bind(1, text_row / 2).Step());
  return row ? SnippetOf(ask.Text(0), words) : std::string();
}

Result<StoredConversation> HistoryFile::Get(std::string_view id) {
  TATARA_TRY(Found found, Find(id));
  StoredConversation conversation{.head = std::move(found.head), .active = std::move(found.active)};
  TATARA_TRY(Statement ask,
             database_->Prepare("SELECT key, parent, role, content, reasoning, model, receipt, "
                                "finish, details, created FROM messages WHERE conversation = ? "
                                "ORDER BY id"));
  ask.Bind(1, found.row);
  while (true) {
    TATARA_TRY(const bool row, ask.Step());
    if (!row) return conversation;
    conversation.messages.push_back({.id = ask.Text(0),
                                     .parent = ask.Text(1),
                                     .role = ask.Text(2),
                                     .content = ask.Text(3),
                                     .reasoning = ask.Text(4),
                                     .model = ask.Text(5),
                                     .receipt = ask.Text(6),
                                     .finish = ask.Text(7),
                                     .details = ask.Text(8),
                                     .created_unix = ask.Int(9)});
  }
}

Result<ConversationHead> HistoryFile::Update(std::string_view id, const History::Change& change) {
  TATARA_TRY(Transaction transaction, Transaction::Begin(*database_));
  TATARA_TRY(Found found, Find(id));
  if (change.title != nullptr) {
    TATARA_RETURN_IF_ERROR(CheckTitle(*change.title));
    TATARA_TRY(Statement update,
               database_->Prepare("UPDATE conversations SET title = ? WHERE id = ?"));
    TATARA_RETURN_IF_ERROR(update.Bind(1, *change.title).Bind(2, found.row).Run());
    TATARA_RETURN_IF_ERROR(Index(2 * found.row + 1, found.row, *change.title));
    found.head.title = *change.title;
  }
  if (change.active != nullptr) {
    TATARA_TRY(Statement ask, database_->Prepare("SELECT 1 FROM messages WHERE conversation = ? "
                                                 "AND key = ?"));
    TATARA_TRY(const bool row, ask.Bind(1, found.row).Bind(2, *change.active).Step());
    if (!row) return Refuse("active: the conversation has no message of this id");
    ask.Reset();
    TATARA_TRY(Statement update,
               database_->Prepare("UPDATE conversations SET active = ? WHERE id = ?"));
    TATARA_RETURN_IF_ERROR(update.Bind(1, *change.active).Bind(2, found.row).Run());
  }
  TATARA_RETURN_IF_ERROR(transaction.Commit());
  return found.head;
}

Result<> HistoryFile::CheckParent(const Found& found, const HistoryMessage& message) {
  TATARA_TRY(Statement old,
             database_->Prepare("SELECT parent, role, length(CAST(content AS BLOB)) + "
                                "length(CAST(reasoning AS BLOB)) + length(CAST(details AS BLOB)) "
                                "FROM messages WHERE conversation = ? AND key = ?"));
  TATARA_TRY(const bool known, old.Bind(1, found.row).Bind(2, message.id).Step());
  const std::int64_t bytes = found.bytes + BytesOf(message) - (known ? old.Int(2) : 0);
  if (bytes > kConversationBytesMax) {
    return Refuse("the conversation would have {0} bytes, at most {1}", bytes,
                  kConversationBytesMax);
  }
  if (known) {
    if (old.Text(0) == message.parent && old.Text(1) == message.role) return Ok{};
    return Refuse("id: the conversation has a message of this id with another parent or role");
  }
  if (found.head.n_messages >= kMessagesMax) {
    return Refuse("the conversation has {0} messages, and no more are taken", kMessagesMax);
  }
  if (message.parent.empty()) return Ok{};
  TATARA_TRY(Statement ask, database_->Prepare("SELECT 1 FROM messages WHERE conversation = ? AND "
                                               "key = ?"));
  TATARA_TRY(const bool row, ask.Bind(1, found.row).Bind(2, message.parent).Step());
  if (!row) return Refuse("parent: the conversation has no message of this id");
  return Ok{};
}

Result<std::int64_t> HistoryFile::Write(const Found& found, const HistoryMessage& message) {
  TATARA_TRY(
      Statement insert,
      database_->Prepare(
          "INSERT INTO messages(conversation, key, parent, role, content, reasoning, model, "
          "receipt, "
          "finish, details, created) VALUES(?,?,?,?,?,?,?,?,?,?,?) ON CONFLICT(conversation, key) "
          "DO UPDATE SET content=excluded.content, reasoning=excluded.reasoning, "
          "model=excluded.model, receipt=excluded.receipt, finish=excluded.finish, "
          "details=excluded.details RETURNING id"));
  insert.Bind(1, found.row).Bind(2, message.id).Bind(3, message.parent).Bind(4, message.role);
  insert.Bind(5, message.content).Bind(6, message.reasoning).Bind(7, message.model);
  insert.Bind(8, message.receipt).Bind(9, message.finish).Bind(10, message.details);
  TATARA_TRY(const bool row, insert.Bind(11, message.created_unix).Step());
  const std::int64_t id = row ? insert.Int(0) : 0;
  TATARA_RETURN_IF_ERROR(insert.Run());
  return id;
}

Result<ConversationHead> HistoryFile::Put(std::string_view id, const HistoryMessage& message,
                                          std::int64_t now_unix) {
  TATARA_RETURN_IF_ERROR(CheckMessage(message));
  TATARA_RETURN_IF_ERROR(CheckRoom());
  TATARA_TRY(Transaction transaction, Transaction::Begin(*database_));
  TATARA_TRY(Found found, Find(id));
  TATARA_RETURN_IF_ERROR(CheckParent(found, message));
  TATARA_TRY(const std::int64_t row, Write(found, message));
  TATARA_RETURN_IF_ERROR(Index(2 * row, found.row, message.content));
  TATARA_TRY(Statement update, database_->Prepare("UPDATE conversations SET active = ?, updated = "
                                                  "max(updated, ?) WHERE id = ?"));
  TATARA_RETURN_IF_ERROR(update.Bind(1, message.id).Bind(2, now_unix).Bind(3, found.row).Run());
  TATARA_RETURN_IF_ERROR(transaction.Commit());
  TATARA_TRY(Found after, Find(id));
  return after.head;
}

Result<> HistoryFile::Delete(std::string_view id) {
  {
    TATARA_TRY(Transaction transaction, Transaction::Begin(*database_));
    TATARA_TRY(const Found found, Find(id));
    for (const char* sql :
         {"DELETE FROM texts WHERE rowid IN (SELECT 2 * id FROM messages WHERE conversation = ?)",
          "DELETE FROM texts WHERE rowid = 2 * ? + 1",
          "DELETE FROM messages WHERE conversation = ?",
          "DELETE FROM conversations WHERE id = ?"}) {
      TATARA_TRY(Statement statement, database_->Prepare(sql));
      TATARA_RETURN_IF_ERROR(statement.Bind(1, found.row).Run());
    }
    TATARA_RETURN_IF_ERROR(database_->Run("INSERT OR REPLACE INTO meta VALUES('scrub', 1)"));
    TATARA_RETURN_IF_ERROR(transaction.Commit());
  }
  needs_scrub_ = true;
  scrubbing_ = false;
  // A small history is done with it at once.
  for (int i = 0; i < kScrubStepsAtOnce && needs_scrub_; ++i) TATARA_RETURN_IF_ERROR(ScrubStep());
  return Ok{};
}

Result<int> HistoryFile::DeleteAll() {
  int n = 0;
  {
    TATARA_TRY(Transaction transaction, Transaction::Begin(*database_));
    TATARA_TRY(Statement count, database_->Prepare("SELECT count(*) FROM conversations"));
    TATARA_TRY(const bool row, count.Step());
    n = row ? static_cast<int>(count.Int(0)) : 0;
    count.Reset();
    TATARA_RETURN_IF_ERROR(
        database_->Run("DROP TABLE texts; DELETE FROM messages; DELETE FROM conversations"));
    TATARA_RETURN_IF_ERROR(database_->Run(kTexts));
    TATARA_RETURN_IF_ERROR(database_->Run("DELETE FROM meta WHERE key = 'scrub'"));
    TATARA_RETURN_IF_ERROR(transaction.Commit());
  }
  needs_scrub_ = scrubbing_ = false;
  TATARA_RETURN_IF_ERROR(database_->Run("VACUUM"));
  TATARA_RETURN_IF_ERROR(database_->Run("PRAGMA wal_checkpoint(TRUNCATE)"));
  return n;
}

// Of rows that changed, as FTS5 counts its work: less than 2 where nothing was left to do.
Result<std::int64_t> HistoryFile::MergeIndex(int pages) {
  const auto changes = [&]() -> Result<std::int64_t> {
    TATARA_TRY(Statement ask, database_->Prepare("SELECT total_changes()"));
    TATARA_TRY(const bool row, ask.Step());
    return row ? ask.Int(0) : 0;
  };
  TATARA_TRY(const std::int64_t before, changes());
  TATARA_RETURN_IF_ERROR(database_->Run(
      fmt::format("INSERT INTO texts(texts, rank) VALUES('merge', {})", pages).c_str()));
  TATARA_TRY(const std::int64_t after, changes());
  return after - before;
}

// FTS5, "The 'merge' command": a negative number begins to merge all parts of the index into one,
// which drops what was deleted; positive ones go on with it.
Result<> HistoryFile::ScrubStep() {
  if (!needs_scrub_) return Ok{};
  TATARA_TRY(const std::int64_t changes, MergeIndex(scrubbing_ ? kScrubPages : -kScrubPages));
  scrubbing_ = true;
  if (changes >= 2) return Ok{};
  TATARA_RETURN_IF_ERROR(database_->Run("DELETE FROM meta WHERE key = 'scrub'"));
  TATARA_RETURN_IF_ERROR(database_->Run("PRAGMA wal_checkpoint(TRUNCATE)"));
  needs_scrub_ = scrubbing_ = false;
  return Ok{};
}

}  // namespace tatara::assistant
