#include "spill_store.h"

#include <sys/stat.h>

#include <algorithm>
#include <chrono>
#include <new>

namespace tatara::generate {

namespace fs = std::filesystem;

namespace {

constexpr std::chrono::minutes kOldEvery(10);

}  // namespace

SpillStore::SpillStore(SpillOptions options, FileLock lock)
    : options_(std::move(options)),
      folder_(options_.root / ToHex(ByteSpan(options_.identity)).substr(0, 32)),
      folder_lock_(std::move(lock)) {}

SpillStore::~SpillStore() {
  {
    const std::lock_guard lock(mutex_);
    stop_ = true;
    work_.notify_all();
  }
  if (thread_.joinable()) thread_.join();
}

fs::path SpillStore::PathOf(const Digest& scope, const PageKey& key) const {
  return folder_ / ToHex(ByteSpan(scope)) / (ToHex(ByteSpan(key)) + ".page");
}

void SpillStore::Use(Entry& entry) {
  by_use_.splice(by_use_.end(), by_use_, entry.used_at);
  entry.used_unix = options_.clock->UnixSeconds();
}

void SpillStore::Save(const Digest& scope, const PageKey& key, ByteSpan page, int wait_ms) {
  std::unique_lock lock(mutex_);
  if (const auto it = entries_.find(key); it != entries_.end()) {
    Use(it->second);
    return;
  }
  const auto has_room = [&] { return queued_bytes_ + page.size() <= kQueueBytesMax; };
  if (wait_ms > 0) done_.wait_for(lock, std::chrono::milliseconds(wait_ms), has_room);
  if (!has_room() || FileBytes() > options_.bytes_max) {
    ++counters_.dropped;
    return;
  }
  queued_bytes_ += page.size();
  lock.unlock();
  std::shared_ptr<const Buffer> copy;
  try {
    copy = std::make_shared<const Buffer>(page.begin(), page.end());
  } catch (const std::bad_alloc&) {
  }
  lock.lock();
  if (copy == nullptr || entries_.contains(key)) {
    queued_bytes_ -= page.size();
    return;
  }
  by_use_.push_back(key);
  entries_[key] = {.scope = scope,
                   .used_at = std::prev(by_use_.end()),
                   .bytes = std::move(copy),
                   .used_unix = options_.clock->UnixSeconds()};
  to_write_.push_back(key);
  work_.notify_one();
}

SpillStore::Found SpillStore::Ask(const PageKey& key) {
  const std::lock_guard lock(mutex_);
  const auto it = entries_.find(key);
  if (it == entries_.end()) return Found::kNo;
  Entry& entry = it->second;
  Use(entry);
  if (entry.bytes != nullptr) return Found::kLoaded;
  if (entry.loading) return Found::kLoading;
  if (loaded_.size() + to_load_.size() >= kLoadedMax) {
    // Whoever asked for the oldest may have gone; else it asks again.
    if (loaded_.empty()) return Found::kLoading;
    if (const auto old = entries_.find(loaded_.front()); old != entries_.end()) {
      if (old->second.on_disk) old->second.bytes = nullptr;
    }
    loaded_.pop_front();
  }
  entry.loading = true;
  to_load_.push_back(key);
  work_.notify_one();
  return Found::kLoading;
}

bool SpillStore::Take(const PageKey& key, std::span<std::byte> page) {
  std::shared_ptr<const Buffer> bytes;
  {
    const std::lock_guard lock(mutex_);
    const auto it = entries_.find(key);
    if (it == entries_.end() || it->second.bytes == nullptr) return false;
    bytes = it->second.bytes;
    if (it->second.on_disk) {
      it->second.bytes = nullptr;
      std::erase(loaded_, key);
    }
  }
  std::ranges::copy(*bytes, page.begin());
  return true;
}

void SpillStore::WaitForLoad(int wait_ms) {
  std::unique_lock lock(mutex_);
  const std::uint64_t before = n_loads_ended_;
  done_.wait_for(lock, std::chrono::milliseconds(wait_ms),
                 [&] { return n_loads_ended_ != before || to_load_.empty(); });
}

void SpillStore::WaitIdle() {
  std::unique_lock lock(mutex_);
  done_.wait(lock, [&] { return to_write_.empty() && to_load_.empty() && !busy_; });
}

void SpillStore::Erase(const PageKey& key) {
  const auto it = entries_.find(key);
  if (it->second.on_disk) --n_on_disk_;
  by_use_.erase(it->second.used_at);
  std::erase(loaded_, key);
  entries_.erase(it);
}

void SpillStore::Forget(const Digest& scope) {
  std::unique_lock lock(mutex_);
  std::vector<PageKey> keys;
  for (const auto& [key, entry] : entries_) {
    if (entry.scope == scope) keys.push_back(key);
  }
  for (const PageKey& key : keys) Erase(key);
  // What is being written now is removed by the thread, which finds it forgotten.
  done_.wait(lock, [&] { return !busy_; });
  std::error_code error;
  fs::directory_iterator it(options_.root, error);
  for (std::error_code end; !end && it != fs::directory_iterator(); it.increment(end)) {
    fs::remove_all(it->path() / ToHex(ByteSpan(scope)), error);
  }
}

SpillCounters SpillStore::counters() const {
  const std::lock_guard lock(mutex_);
  SpillCounters now = counters_;
  now.pages = n_on_disk_;
  now.bytes = n_on_disk_ * FileBytes();
  return now;
}

void SpillStore::Run() {
  std::unique_lock lock(mutex_);
  while (true) {
    const bool woken = work_.wait_for(
        lock, kOldEvery, [&] { return stop_ || !to_write_.empty() || !to_load_.empty(); });
    if (!woken) {
      RemoveOld(lock);
      continue;
    }
    if (to_write_.empty() && (stop_ || to_load_.empty())) return;
    busy_ = true;
    // Somebody waits for what is to be loaded.
    if (!to_load_.empty() && !stop_) {
      LoadNext(lock);
    } else {
      WriteNext(lock);
      KeepWithinBound(lock);
    }
    busy_ = false;
    done_.notify_all();
  }
}

void SpillStore::WriteNext(std::unique_lock<std::mutex>& lock) {
  const PageKey key = to_write_.front();
  to_write_.pop_front();
  queued_bytes_ -= options_.page_bytes;
  const auto it = entries_.find(key);
  if (it == entries_.end() || it->second.bytes == nullptr || it->second.on_disk) return;
  const Digest scope = it->second.scope;
  const std::shared_ptr<const Buffer> bytes = it->second.bytes;
  const fs::path path = PathOf(scope, key);
  lock.unlock();
  ::mkdir(path.parent_path().c_str(), 0700);
  const bool written = options_.write(path, {options_.identity, key}, *bytes);
  lock.lock();
  const auto entry = entries_.find(key);
  if (!written) {
    ++counters_.dropped;
    if (entry != entries_.end()) Erase(key);
    return;
  }
  if (entry == entries_.end()) {  // forgotten meanwhile
    std::error_code error;
    fs::remove(path, error);
    fs::remove(path.parent_path(), error);  // where it is empty
    return;
  }
  entry->second.on_disk = true;
  entry->second.bytes = nullptr;
  ++n_on_disk_;
  ++counters_.written;
}

void SpillStore::LoadNext(std::unique_lock<std::mutex>& lock) {
  const PageKey key = to_load_.front();
  const auto it = entries_.find(key);
  if (it == entries_.end()) {
    to_load_.pop_front();
    ++n_loads_ended_;
    return;
  }
  const fs::path path = PathOf(it->second.scope, key);
  lock.unlock();
  auto bytes = std::make_shared<Buffer>(options_.page_bytes);
  const SpillRead read = ReadSpillFile(path, {options_.identity, key}, *bytes);
  if (read == SpillRead::kBroken) {
    std::error_code error;
    fs::remove(path, error);
  }
  lock.lock();
  to_load_.pop_front();
  ++n_loads_ended_;
  const auto entry = entries_.find(key);
  if (entry == entries_.end()) return;
  entry->second.loading = false;
  if (read == SpillRead::kWhole) {
    entry->second.bytes = std::move(bytes);
    loaded_.push_back(key);
    return;
  }
  if (read == SpillRead::kBroken) ++counters_.rejected;
  Erase(key);
}

// Folders of other identities go before a page of this one: nobody uses them now.
void SpillStore::KeepWithinBound(std::unique_lock<std::mutex>& lock) {
  while (n_on_disk_ * FileBytes() + others_bytes_ > options_.bytes_max) {
    std::error_code error;
    if (!others_.empty()) {
      const OtherFolder other = std::move(others_.back());
      others_.pop_back();
      others_bytes_ -= other.bytes;
      lock.unlock();
      // An engine that began to use it meanwhile keeps it.
      if (auto held = FileLock::Acquire(other.path / "lock", 0); held.ok()) {
        fs::remove_all(other.path, error);
      }
      lock.lock();
      continue;
    }
    if (!RemoveOldest(lock)) return;
  }
}

void SpillStore::RemoveOld(std::unique_lock<std::mutex>& lock) {
  if (options_.keep_seconds == 0) return;
  const std::int64_t oldest_kept = options_.clock->UnixSeconds() - options_.keep_seconds;
  while (!by_use_.empty() && entries_.at(by_use_.front()).used_unix < oldest_kept) {
    if (!RemoveOldest(lock)) return;
  }
}

// Of those on disk, the least recently used; false where there is none.
bool SpillStore::RemoveOldest(std::unique_lock<std::mutex>& lock) {
  const auto oldest = std::ranges::find_if(by_use_, [&](const PageKey& key) {
    const Entry& entry = entries_.at(key);
    return entry.on_disk && !entry.loading;
  });
  if (oldest == by_use_.end()) return false;
  const PageKey key = *oldest;
  const fs::path path = PathOf(entries_.at(key).scope, key);
  Erase(key);
  ++counters_.removed;
  lock.unlock();
  std::error_code error;
  fs::remove(path, error);
  lock.lock();
  return true;
}

}  // namespace tatara::generate
