#include "tatara/assistant/history.h"

#include <list>
#include <mutex>

#include "history_file.h"
#include "task_thread.h"
#include "tatara/base/sha256.h"

namespace tatara::assistant {
namespace {

class HistoryFolder final : public History {
 public:
  explicit HistoryFolder(HistoryOptions options)
      : options_(std::move(options)),
        clock_(options_.clock != nullptr ? *options_.clock : SystemClock()),
        thread_(options_.tasks_max) {}

  Result<> Post(std::string key, std::function<void()> function) override {
    return thread_.Post(std::move(key), std::move(function));
  }
  Result<ConversationHead> Create(std::string_view tenant, std::string_view title) override {
    const std::lock_guard lock(mutex_);
    TATARA_TRY(HistoryFile * file, FileOf(tenant));
    return file->Create(title, clock_.UnixSeconds());
  }
  Result<std::vector<ConversationHead>> List(std::string_view tenant,
                                             const ListWish& wish) override {
    const std::lock_guard lock(mutex_);
    TATARA_TRY(HistoryFile * file, FileOf(tenant));
    return file->List(wish);
  }
  Result<std::vector<ConversationMatch>> Search(std::string_view tenant, std::string_view query,
                                                int limit) override {
    const std::lock_guard lock(mutex_);
    TATARA_TRY(HistoryFile * file, FileOf(tenant));
    return file->Search(query, limit);
  }
  Result<StoredConversation> Get(std::string_view tenant, std::string_view id) override {
    const std::lock_guard lock(mutex_);
    TATARA_TRY(HistoryFile * file, FileOf(tenant));
    return file->Get(id);
  }
  Result<ConversationHead> Update(std::string_view tenant, std::string_view id,
                                  const Change& change) override {
    const std::lock_guard lock(mutex_);
    TATARA_TRY(HistoryFile * file, FileOf(tenant));
    return file->Update(id, change);
  }
  Result<ConversationHead> Put(std::string_view tenant, std::string_view id,
                               const HistoryMessage& message) override {
    const std::lock_guard lock(mutex_);
    TATARA_TRY(HistoryFile * file, FileOf(tenant));
    return file->Put(id, message, clock_.UnixSeconds());
  }
  Result<> Delete(std::string_view tenant, std::string_view id) override {
    const std::lock_guard lock(mutex_);
    TATARA_TRY(HistoryFile * file, FileOf(tenant));
    const Result<> deleted = file->Delete(id);
    if (file->needs_scrub()) PostScrub(std::string(tenant));
    return deleted;
  }
  Result<int> DeleteAll(std::string_view tenant) override {
    const std::lock_guard lock(mutex_);
    TATARA_TRY(HistoryFile * file, FileOf(tenant));
    return file->DeleteAll();
  }

 private:
  struct OpenFile {
    std::string name;
    std::unique_ptr<HistoryFile> file;
  };

  // A step between other work, and the next one after it. Where it can not be posted, or fails,
  // opening the file goes on with it.
  void PostScrub(std::string tenant) {
    const Result<> posted = thread_.Post(Caller{}.key, [this, tenant] {
      const std::lock_guard lock(mutex_);
      const Result<HistoryFile*> file = FileOf(tenant);
      if (!file.ok() || !(*file)->needs_scrub() || !(*file)->ScrubStep().ok()) return;
      if ((*file)->needs_scrub()) PostScrub(tenant);
    });
    (void)posted.ok();
  }

  // A tenant's name may hold anything; its digest is a file name.
  Result<HistoryFile*> FileOf(std::string_view tenant) {
    const std::string name = ToHex(Sha256Of(AsBytes(tenant))).substr(0, 32) + ".sqlite";
    for (auto at = open_.begin(); at != open_.end(); ++at) {
      if (at->name != name) continue;
      open_.splice(open_.begin(), open_, at);  // used last
      return open_.front().file.get();
    }
    TATARA_TRY(auto file, HistoryFile::Open(options_.folder / name, options_));
    if (file->needs_scrub()) PostScrub(std::string(tenant));  // a crash came between
    open_.push_front({.name = name, .file = std::move(file)});
    if (open_.size() > static_cast<std::size_t>(options_.open_max)) open_.pop_back();
    return open_.front().file.get();
  }

  const HistoryOptions options_;
  const Clock& clock_;
  std::mutex mutex_;
  std::list<OpenFile> open_;
  TaskThread thread_;  // last, so that its tasks end first
};

}  // namespace

Result<std::unique_ptr<History>> History::Open(HistoryOptions options) {
  std::error_code error;
  std::filesystem::create_directories(options.folder, error);
  if (!error) {
    std::filesystem::permissions(options.folder, std::filesystem::perms::owner_all, error);
  }
  if (error) {
    return MakeError(ErrorKind::kIo, "{0}: {1}", options.folder.string(), error.message());
  }
  return std::unique_ptr<History>(std::make_unique<HistoryFolder>(std::move(options)));
}

}  // namespace tatara::assistant
