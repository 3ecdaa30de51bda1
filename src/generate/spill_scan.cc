// What a spill folder holds when it is opened.

#include <sys/stat.h>

#include <algorithm>
#include <optional>

#include "spill_store.h"

namespace tatara::generate {

namespace fs = std::filesystem;

namespace {

constexpr std::size_t kEntriesMax = 1U << 20;

std::optional<Digest> DigestOfHex(std::string_view hex) {
  Digest digest;
  if (hex.size() != 2 * digest.size()) return std::nullopt;
  const auto value = [](char c) {
    return c >= '0' && c <= '9' ? c - '0' : c >= 'a' && c <= 'f' ? c - 'a' + 10 : -1;
  };
  for (std::size_t i = 0; i < digest.size(); ++i) {
    const int high = value(hex[2 * i]), low = value(hex[2 * i + 1]);
    if (high < 0 || low < 0) return std::nullopt;
    digest[i] = static_cast<std::byte>(high * 16 + low);
  }
  return digest;
}

bool IsRealFolder(const fs::directory_entry& entry) {
  std::error_code error;
  return fs::is_directory(entry.symlink_status(error));
}

// Reads on as far as it can; a folder that vanishes meanwhile is an empty one.
template <typename Use>
void ForEachIn(const fs::path& folder, const Use& use) {
  std::error_code error;
  fs::directory_iterator it(folder, error);
  for (; !error && it != fs::directory_iterator(); it.increment(error)) use(*it);
}

// A folder that a store made: 32 digits of an identity.
bool LooksLikeIdentity(const std::string& name) {
  return name.size() == 32 && name.find_first_not_of("0123456789abcdef") == std::string::npos;
}

}  // namespace

Result<std::unique_ptr<SpillStore>> SpillStore::Open(SpillOptions options) {
  const fs::path folder = options.root / ToHex(ByteSpan(options.identity)).substr(0, 32);
  std::error_code error;
  const bool is_new = fs::create_directories(options.root, error);
  if (is_new) fs::permissions(options.root, fs::perms::owner_all, error);
  fs::create_directory(folder, error);
  if (!fs::is_directory(folder, error)) {
    return Refuse("{0}: the folder for pages of the cache cannot be made: {1}", folder.string(),
                  error.message());
  }
  fs::permissions(folder, fs::perms::owner_all, error);
  auto lock = FileLock::Acquire(folder / "lock", 0);
  if (!lock.ok()) {
    return MakeError(ErrorKind::kUnavailable, "{0}: another process keeps pages of the cache there",
                     folder.string());
  }
  auto store =
      std::unique_ptr<SpillStore>(new SpillStore(std::move(options), std::move(lock).value()));
  store->Scan();
  store->ScanOthers();
  {
    std::unique_lock held(store->mutex_);
    store->KeepWithinBound(held);
    store->RemoveOld(held);
  }
  SpillStore* const raw = store.get();
  store->thread_ = std::thread([raw] { raw->Run(); });
  return store;
}

void SpillStore::Scan() {
  std::error_code error;
  ForEachIn(folder_, [&](const fs::directory_entry& scope) {
    const auto digest = DigestOfHex(scope.path().filename().string());
    if (digest && IsRealFolder(scope)) ScanScope(scope.path(), *digest);
  });
  // Ordered by when they were used last: the files' times say it.
  std::vector<std::pair<std::int64_t, PageKey>> by_time;
  by_time.reserve(entries_.size());
  for (auto& [key, entry] : entries_) {
    struct stat status;
    if (::stat(PathOf(entry.scope, key).c_str(), &status) == 0) {
      entry.used_unix = status.st_mtim.tv_sec;
      by_time.emplace_back(status.st_mtim.tv_sec * 1'000'000'000 + status.st_mtim.tv_nsec, key);
    }
  }
  std::sort(by_time.begin(), by_time.end());
  for (const auto& [time, key] : by_time) {
    by_use_.splice(by_use_.end(), by_use_, entries_.at(key).used_at);
  }
}

// Only names that this store gives are touched, whatever else somebody put there.
void SpillStore::ScanScope(const fs::path& folder, const Digest& scope) {
  ForEachIn(folder, [&](const fs::directory_entry& file) {
    std::error_code error;
    const std::string name = file.path().filename().string();
    const bool is_page = file.path().extension() == ".page";
    const auto key = DigestOfHex(file.path().stem().string());
    const bool whole = is_page && key && fs::is_regular_file(file.symlink_status(error)) &&
                       static_cast<std::int64_t>(file.file_size(error)) == FileBytes();
    if (whole && entries_.size() < kEntriesMax && !entries_.contains(*key)) {
      by_use_.push_back(*key);
      entries_[*key] = {.scope = scope, .used_at = std::prev(by_use_.end()), .on_disk = true};
      ++n_on_disk_;
    } else if (is_page || name.ends_with(".page.new")) {
      ++counters_.rejected;
      fs::remove(file.path(), error);
    }
  });
}

void SpillStore::ScanOthers() {
  ForEachIn(options_.root, [&](const fs::directory_entry& identity) {
    if (identity.path() == folder_ || !IsRealFolder(identity) ||
        !LooksLikeIdentity(identity.path().filename().string())) {
      return;
    }
    // Those that another engine uses have a bound of their own.
    if (!FileLock::Acquire(identity.path() / "lock", 0).ok()) return;
    OtherFolder other{.path = identity.path()};
    ForEachIn(identity.path(), [&](const fs::directory_entry& scope) {
      if (!IsRealFolder(scope)) return;
      ForEachIn(scope.path(), [&](const fs::directory_entry& file) {
        std::error_code error;
        const auto bytes = file.file_size(error);
        if (!error) other.bytes += static_cast<std::int64_t>(bytes);
        other.used = std::max(other.used, fs::last_write_time(file.path(), error));
      });
    });
    others_bytes_ += other.bytes;
    others_.push_back(std::move(other));
  });
  std::ranges::sort(others_, std::greater<>(), &OtherFolder::used);
}

}  // namespace tatara::generate
