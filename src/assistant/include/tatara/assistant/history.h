// Conversations kept for the people who had them: one SQLite file for each tenant,
// FOLDER/ID.sqlite, readable by this program's user only. A conversation is a tree of messages, so
// that an answer asked for again or a changed question stands beside the old one.
//
// What a function acknowledged survives a crash. What was deleted is overwritten in the file at
// once, and gone from its search index and its write-ahead log soon after (seconds in a large
// history).
//
// Thread safety: any thread; the functions wait for each other and for the disk. Doors that must
// not wait hand work to Post.
#pragma once

#include <cstdint>
#include <filesystem>
#include <functional>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "tatara/base/clock.h"
#include "tatara/base/error.h"

namespace tatara::assistant {

inline constexpr std::size_t kTitleBytesMax = 1024;
inline constexpr std::size_t kMessageBytesMax = 1U << 20;   // content and reasoning together
inline constexpr std::size_t kDetailsBytesMax = 64U << 10;  // of a message
inline constexpr std::size_t kNameBytesMax = 256;           // model, receipt
inline constexpr int kMessagesMax = 4096;                   // of a conversation
inline constexpr std::int64_t kConversationBytesMax = 16LL << 20;
inline constexpr int kHistoryPageMax = 100;  // entries of one list
inline constexpr std::size_t kSearchBytesMax = 1024;
inline constexpr std::size_t kSearchWordsMax = 8;

struct HistoryMessage {
  std::string id;      // 1 to 64 letters, digits, '-', '_'; the caller's own
  std::string parent;  // another message of the conversation; empty: it begins one
  std::string role;    // "user" or "assistant"
  std::string content, reasoning;
  std::string model, receipt, finish;
  std::string details;  // whatever else the caller keeps with it; empty: nothing
  std::int64_t created_unix = 0;
};

struct ConversationHead {
  std::string id;  // "conv_" and 32 hexadecimal digits
  std::string title;
  std::int64_t created_unix = 0, updated_unix = 0;
  int n_messages = 0;
};

struct StoredConversation {
  ConversationHead head;
  std::string active;                    // the message where it was left; empty where there is none
  std::vector<HistoryMessage> messages;  // a parent before its children
};

struct ConversationMatch {
  ConversationHead head;
  std::string snippet;  // of the newest message that matches; empty where only the title does
};

struct HistoryOptions {
  std::filesystem::path folder;        // made when missing
  std::int64_t bytes_max = 1LL << 30;  // of one tenant's file; then nothing new is taken
  int conversations_max = 50'000;      // of one tenant
  int open_max = 32;                   // files that are open at the same time
  int tasks_max = 1024;                // waiting in Post
  const Clock* clock = nullptr;        // null: the system's
};

class History {
 public:
  static Result<std::unique_ptr<History>> Open(HistoryOptions options);
  virtual ~History() = default;

  // Runs a function on the history's own thread; kUnavailable where too many wait, of this key
  // (Caller::key) or of all.
  virtual Result<> Post(std::string key, std::function<void()> function) = 0;

  virtual Result<ConversationHead> Create(std::string_view tenant, std::string_view title) = 0;
  struct ListWish {
    std::string after;  // a conversation's id; empty: from the newest
    int limit = 50;
  };
  // Latest changed first.
  virtual Result<std::vector<ConversationHead>> List(std::string_view tenant,
                                                     const ListWish& wish) = 0;
  // Conversations with a message, or a title, that has every word of the query somewhere. Width,
  // case and kind of kana make no difference.
  virtual Result<std::vector<ConversationMatch>> Search(std::string_view tenant,
                                                        std::string_view query, int limit) = 0;
  // kNotFound where the tenant has no such conversation; so with all that follow.
  virtual Result<StoredConversation> Get(std::string_view tenant, std::string_view id) = 0;
  struct Change {
    const std::string* title = nullptr;  // null: as it is
    const std::string* active = nullptr;
  };
  virtual Result<ConversationHead> Update(std::string_view tenant, std::string_view id,
                                          const Change& change) = 0;
  // Adds a message or, where its id is known, puts it in the place of the earlier one, which must
  // have had the same parent and role. It becomes the active one.
  virtual Result<ConversationHead> Put(std::string_view tenant, std::string_view id,
                                       const HistoryMessage& message) = 0;
  virtual Result<> Delete(std::string_view tenant, std::string_view id) = 0;
  virtual Result<int> DeleteAll(std::string_view tenant) = 0;  // how many there were
};

// The conversation as Markdown: its title, and the path to its active message.
std::string ConversationMarkdown(const StoredConversation& conversation, Language language);

}  // namespace tatara::assistant
