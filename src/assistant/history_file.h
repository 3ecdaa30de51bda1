// One tenant's conversations in one SQLite file. Thread safety: one thread at a time.
#pragma once

#include <memory>

#include "tatara/assistant/history.h"
#include "tatara/base/sqlite.h"

namespace tatara::assistant {

class HistoryFile {
 public:
  // Makes the file when missing, for its owner's eyes only.
  static Result<std::unique_ptr<HistoryFile>> Open(const std::filesystem::path& path,
                                                   const HistoryOptions& options);

  Result<ConversationHead> Create(std::string_view title, std::int64_t now_unix);
  Result<std::vector<ConversationHead>> List(const History::ListWish& wish);
  Result<std::vector<ConversationMatch>> Search(std::string_view query, int limit);
  Result<StoredConversation> Get(std::string_view id);
  Result<ConversationHead> Update(std::string_view id, const History::Change& change);
  Result<ConversationHead> Put(std::string_view id, const HistoryMessage& message,
                               std::int64_t now_unix);
  Result<> Delete(std::string_view id);
  Result<int> DeleteAll();

  // What was deleted leaves traces in the search index until its parts are merged, and in the log;
  // that takes seconds in a large history, so it is done in steps. Survives a crash.
  bool needs_scrub() const { return needs_scrub_; }
  Result<> ScrubStep();

 private:
  HistoryFile(std::unique_ptr<sqlite::Database> database, const HistoryOptions& options)
      : database_(std::move(database)), options_(options) {}
  struct Found {
    std::int64_t row = 0;
    ConversationHead head;
    std::string active;
    std::int64_t bytes = 0;  // of its messages
  };
  Result<Found> Find(std::string_view id);
  Result<> CheckRoom();
  Result<> CheckParent(const Found& found, const HistoryMessage& message);
  Result<std::int64_t> Write(const Found& found, const HistoryMessage& message);
  Result<> Index(std::int64_t text_row, std::int64_t conversation_row, std::string_view text);
  Result<std::string> Snippet(std::int64_t text_row, const std::vector<std::string>& words);
  Result<std::int64_t> MergeIndex(int pages);
  std::unique_ptr<sqlite::Database> database_;
  const HistoryOptions options_;
  bool needs_scrub_ = false;
  bool scrubbing_ = false;
};

}  // namespace tatara::assistant
