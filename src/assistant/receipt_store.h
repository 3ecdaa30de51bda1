// What receipts are made of, on disk until they are too old or too many: a folder for each tenant,
// named by a digest, in it folders that are filled one after the other, in them a file for each
// receipt, named by a digest of its id. Folders have mode 0700, files 0600.
//
// A receipt is there for whoever looks after Keep returned, also after a kill -9: the file is
// whole before it gets its name. It is on the disk soon after (disk_sync.h): a power cut may take
// the receipts of the last moments, and counts() tells how many are durable. Why it is not waited
// for: docs/decisions/0007. Old folders go as a whole. Where the bound asks for room, the oldest
// folder of the tenant that has the most goes, so that nobody pushes out the receipts of others.
// Thread safety: any thread.
#pragma once

#include <cstdint>
#include <filesystem>
#include <map>
#include <memory>
#include <mutex>
#include <string>
#include <string_view>
#include <vector>

#include "disk_sync.h"
#include "tatara/base/clock.h"
#include "tatara/base/error.h"

namespace tatara::assistant {

struct ReceiptStoreOptions {
  std::filesystem::path root;
  std::int64_t keep_seconds = 0;  // 0: none are kept
  std::int64_t bytes_max = 0;
  const Clock* clock = nullptr;
  DiskSync::Calls sync = DiskSync::KernelCalls();
};

struct ReceiptCounts {
  std::int64_t kept = 0;         // since the start
  std::int64_t durable = 0;      // of them, on the disk
  std::int64_t lost = 0;         // could not be written
  std::int64_t not_durable = 0;  // the disk did not take them
  std::int64_t bytes = 0;
};

class ReceiptStore {
 public:
  static constexpr std::size_t kReceiptBytesMax = 64U << 20;
  // A folder is full with this part of the bound, and closed after an hour.
  static constexpr std::int64_t kFoldersPerBound = 64;
  static constexpr std::int64_t kFolderSeconds = 3600;

  explicit ReceiptStore(ReceiptStoreOptions options);

  bool keeps() const { return options_.keep_seconds > 0 && options_.bytes_max > 0; }
  // False where it could not be written; that is counted.
  bool Keep(std::string_view tenant, std::string_view id, std::string_view content);
  // kNotFound where the tenant has none of this id.
  Result<std::string> Find(std::string_view tenant, std::string_view id);
  Result<> Delete(std::string_view tenant, std::string_view id);
  void DeleteAll(std::string_view tenant);
  ReceiptCounts counts() const;

 private:
  struct Folder {
    std::int64_t begun_unix = 0;
    std::int64_t bytes = 0;
  };
  struct Tenant {
    std::map<std::string, Folder> folders;  // by name: in the order they were begun
    std::int64_t bytes = 0;
  };
  void Scan();
  void RemoveOldest(const std::string& tenant);
  void KeepWithinBounds();
  std::filesystem::path PathOf(std::string_view tenant, std::string_view id) const;

  const ReceiptStoreOptions options_;
  mutable std::mutex mutex_;
  std::map<std::string, Tenant> tenants_;  // by the name of their folder
  std::int64_t n_folders_ = 0;
  ReceiptCounts counts_;
  std::unique_ptr<DiskSync> sync_;  // where receipts are kept
};

}  // namespace tatara::assistant
