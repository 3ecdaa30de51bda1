#include "receipt_store.h"

#include <fcntl.h>
#include <fmt/format.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>

#include "tatara/base/files.h"
#include "tatara/base/sha256.h"

namespace tatara::assistant {

namespace fs = std::filesystem;

namespace {

std::string TenantFolder(std::string_view tenant) {
  return Sha256Hex(fmt::format("tatara receipts of\n{}", tenant));
}

std::string FileName(std::string_view id) {
  return Sha256Hex(fmt::format("tatara receipt\n{}", id)) + ".json";
}

Error NoReceipt(std::string_view id) {
  return MakeError(ErrorKind::kNotFound, "there is no receipt '{0}' of yours (any more)",
                   id.substr(0, 200));
}

template <typename Use>
void ForEachIn(const fs::path& folder, const Use& use) {
  std::error_code error;
  fs::directory_iterator it(folder, error);
  for (; !error && it != fs::directory_iterator(); it.increment(error)) use(*it);
}

bool IsRealFolder(const fs::directory_entry& entry) {
  std::error_code error;
  return fs::is_directory(entry.symlink_status(error));
}

bool IsHex(std::string_view name, std::size_t n) {
  return name.size() == n && name.find_first_not_of("0123456789abcdef") == std::string::npos;
}

// The seconds that begin the name of a folder that this store made, "SECONDS-NUMBER"; -1: another.
std::int64_t BegunOf(const std::string& name) {
  std::int64_t seconds = 0;
  std::size_t i = 0;
  for (; i < name.size() && i < 12 && name[i] >= '0' && name[i] <= '9'; ++i) {
    seconds = seconds * 10 + (name[i] - '0');
  }
  return i == 12 && name.size() > 13 && name[12] == '-' ? seconds : -1;
}

bool WriteWhole(const fs::path& path, std::string_view content) {
  const std::string aside = path.string() + ".new";
  ::unlink(aside.c_str());
  const int fd = ::open(aside.c_str(), O_WRONLY | O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC, 0600);
  if (fd < 0) return false;
  bool written = true;
  while (written && !content.empty()) {
    const ssize_t n = ::write(fd, content.data(), content.size());
    if (n < 0 && errno == EINTR) continue;
    written = n > 0;
    if (written) content.remove_prefix(static_cast<std::size_t>(n));
  }
  if (::close(fd) == 0 && written && ::rename(aside.c_str(), path.c_str()) == 0) return true;
  ::unlink(aside.c_str());
  return false;
}

}  // namespace

ReceiptStore::ReceiptStore(ReceiptStoreOptions options) : options_(std::move(options)) {
  Scan();
  KeepWithinBounds();
  if (keeps()) sync_ = std::make_unique<DiskSync>(options_.root.parent_path(), options_.sync);
}

void ReceiptStore::Scan() {
  ForEachIn(options_.root, [&](const fs::directory_entry& tenant) {
    const std::string tenant_name = tenant.path().filename().string();
    if (!IsHex(tenant_name, 64) || !IsRealFolder(tenant)) return;
    ForEachIn(tenant.path(), [&](const fs::directory_entry& folder) {
      const std::string name = folder.path().filename().string();
      const std::int64_t begun = BegunOf(name);
      if (begun < 0 || !IsRealFolder(folder)) return;
      Folder found{.begun_unix = begun};
      ForEachIn(folder.path(), [&](const fs::directory_entry& file) {
        std::error_code error;
        // Of a process that was killed while it wrote.
        if (file.path().extension() == ".new") {
          fs::remove(file.path(), error);
          return;
        }
        const auto bytes = file.file_size(error);
        if (!error) found.bytes += static_cast<std::int64_t>(bytes);
      });
      Tenant& entry = tenants_[tenant_name];
      entry.folders[name] = found;
      entry.bytes += found.bytes;
      counts_.bytes += found.bytes;
      ++n_folders_;
    });
  });
}

void ReceiptStore::RemoveOldest(const std::string& tenant) {
  Tenant& entry = tenants_.at(tenant);
  const auto oldest = entry.folders.begin();
  entry.bytes -= oldest->second.bytes;
  counts_.bytes -= oldest->second.bytes;
  std::error_code error;
  fs::remove_all(options_.root / tenant / oldest->first, error);
  entry.folders.erase(oldest);
  if (!entry.folders.empty()) return;
  fs::remove(options_.root / tenant, error);
  tenants_.erase(tenant);
}

void ReceiptStore::KeepWithinBounds() {
  // A folder goes when its youngest receipt is too old.
  const std::int64_t oldest_kept =
      options_.clock->UnixSeconds() - options_.keep_seconds - kFolderSeconds;
  std::vector<std::string> names;
  for (const auto& [name, tenant] : tenants_) names.push_back(name);
  for (const std::string& name : names) {
    while (tenants_.contains(name) &&
           (tenants_.at(name).folders.begin()->second.begun_unix < oldest_kept || !keeps())) {
      RemoveOldest(name);
    }
  }
  while (counts_.bytes > options_.bytes_max && !tenants_.empty()) {
    const auto most = std::ranges::max_element(
        tenants_, {}, [](const auto& entry) { return entry.second.bytes; });
    RemoveOldest(std::string(most->first));
  }
}

bool ReceiptStore::Keep(std::string_view tenant, std::string_view id, std::string_view content) {
  if (!keeps()) return false;
  const std::string tenant_name = TenantFolder(tenant);
  const std::lock_guard lock(mutex_);
  const std::int64_t now = options_.clock->UnixSeconds();
  const fs::path tenant_path = options_.root / tenant_name;
  std::error_code error;
  if (fs::create_directories(options_.root, error)) ::chmod(options_.root.c_str(), 0700);
  ::mkdir(tenant_path.c_str(), 0700);
  Tenant& entry = tenants_[tenant_name];
  const bool is_open = !entry.folders.empty() &&
                       now - entry.folders.rbegin()->second.begun_unix < kFolderSeconds &&
                       entry.folders.rbegin()->second.bytes < options_.bytes_max / kFoldersPerBound;
  if (!is_open) {
    // Never before the one before it, whatever the clock says.
    const std::int64_t begun =
        entry.folders.empty() ? now : std::max(now, entry.folders.rbegin()->second.begun_unix);
    std::string name = fmt::format("{:012}-{:08}", begun, n_folders_++);
    while (entry.folders.contains(name)) name = fmt::format("{:012}-{:08}", begun, n_folders_++);
    entry.folders[name] = {.begun_unix = begun};
    ::mkdir((tenant_path / name).c_str(), 0700);
  }
  auto& [name, folder] = *entry.folders.rbegin();
  fs::path path = tenant_path / name / FileName(id);
  const bool kept = content.size() <= kReceiptBytesMax && WriteWhole(path, content);
  ++(kept ? counts_.kept : counts_.lost);
  if (kept) {
    sync_->Add(std::move(path));
    const auto bytes = static_cast<std::int64_t>(content.size());
    folder.bytes += bytes;
    entry.bytes += bytes;
    counts_.bytes += bytes;
  }
  KeepWithinBounds();
  return kept;
}

// The newest of that id; an empty path where there is none. Called with the lock held.
fs::path ReceiptStore::PathOf(std::string_view tenant, std::string_view id) const {
  const std::string tenant_name = TenantFolder(tenant);
  const auto entry = tenants_.find(tenant_name);
  if (entry == tenants_.end()) return {};
  const std::string file = FileName(id);
  for (auto it = entry->second.folders.rbegin(); it != entry->second.folders.rend(); ++it) {
    fs::path path = options_.root / tenant_name / it->first / file;
    if (::access(path.c_str(), F_OK) == 0) return path;
  }
  return {};
}

Result<std::string> ReceiptStore::Find(std::string_view tenant, std::string_view id) {
  const std::lock_guard lock(mutex_);
  KeepWithinBounds();
  const fs::path path = PathOf(tenant, id);
  if (path.empty()) return NoReceipt(id);
  return ReadWholeFile(path, kReceiptBytesMax);
}

Result<> ReceiptStore::Delete(std::string_view tenant, std::string_view id) {
  const std::lock_guard lock(mutex_);
  const fs::path path = PathOf(tenant, id);
  std::error_code error;
  if (path.empty()) return NoReceipt(id);
  const auto bytes = static_cast<std::int64_t>(fs::file_size(path, error));
  if (!fs::remove(path, error)) {
    return Refuse("the receipt '{0}' could not be removed: {1}", id.substr(0, 200),
                  error.message());
  }
  Tenant& entry = tenants_.at(TenantFolder(tenant));
  entry.folders.at(path.parent_path().filename().string()).bytes -= bytes;
  entry.bytes -= bytes;
  counts_.bytes -= bytes;
  return Ok{};
}

void ReceiptStore::DeleteAll(std::string_view tenant) {
  const std::string name = TenantFolder(tenant);
  const std::lock_guard lock(mutex_);
  if (const auto entry = tenants_.find(name); entry != tenants_.end()) {
    counts_.bytes -= entry->second.bytes;
    tenants_.erase(entry);
  }
  std::error_code error;
  fs::remove_all(options_.root / name, error);
}

ReceiptCounts ReceiptStore::counts() const {
  const std::lock_guard lock(mutex_);
  ReceiptCounts counts = counts_;
  if (sync_) {
    counts.durable = sync_->counts().durable;
    counts.not_durable = sync_->counts().failed;
  }
  return counts;
}

}  // namespace tatara::assistant
