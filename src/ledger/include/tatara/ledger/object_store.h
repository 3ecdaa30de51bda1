// Bytes by their SHA-256: FOLDER/objects/ab/cd…, read-only files, written aside, fsynced and
// renamed, so that an object is there whole or not at all. What nothing reaches any more is
// collected.
//
// Thread safety: any thread, any number of processes on one folder.
#pragma once

#include <chrono>
#include <cstdint>
#include <filesystem>
#include <set>
#include <string>
#include <string_view>
#include <vector>

#include "tatara/base/error.h"

namespace tatara::ledger {

// 64 lower-case hexadecimal digits.
bool IsDigestText(std::string_view text);

class ObjectStore {
 public:
  // `folder` is made with the first object.
  explicit ObjectStore(std::filesystem::path folder) : folder_(std::move(folder)) {}

  // The digest, once the object is on disk. One that is there already is not written again, but
  // counts as young from now on.
  Result<std::string> Put(std::string_view bytes) const;
  // A copy of a file of any size.
  Result<std::string> PutFile(const std::filesystem::path& file) const;

  bool Has(std::string_view digest) const;
  // Where it lies, whether it is there or not. Refused: what is no digest.
  Result<std::filesystem::path> PathOf(std::string_view digest) const;
  // Held against its digest. Refuses objects larger than `bytes_max`.
  Result<std::string> Get(std::string_view digest, std::uint64_t bytes_max) const;
  // kNotFound, or refused where its bytes are not those of its name.
  Result<> Verify(std::string_view digest) const;

  Result<std::vector<std::string>> All() const;  // ascending

  struct Collected {
    std::uint64_t n_objects = 0;
    std::uint64_t bytes = 0;
  };
  struct CollectOptions {
    // Younger files stay: their writer may not have said yet what they are for.
    std::chrono::seconds age_min{3600};
    bool dry_run = false;  // counts what would go
  };
  // Removes what is not in `reached`, and leftovers of writers that were stopped. Others may put
  // objects meanwhile: what was put after `reached` was read is young.
  Result<Collected> Collect(const std::set<std::string, std::less<>>& reached,
                            const CollectOptions& options) const;

 private:
  Result<> Land(const std::filesystem::path& aside, const std::string& digest) const;
  std::filesystem::path folder_;
};

}  // namespace tatara::ledger
