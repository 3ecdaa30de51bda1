// A whole repository of the Hugging Face hub as a model to pull: which of its files are needed, how
// large they are, under which licence. The hub's base address is HF_ENDPOINT, as its own clients
// have it. Source of the listing: the hub's API, GET /api/models/ORG/REPO/revision/REV?blobs=true.
// Thread safety: free functions, no state.
#pragma once

#include <filesystem>
#include <string>
#include <string_view>

#include "fetch_context.h"
#include "source_spec.h"
#include "tatara/base/error.h"
#include "tatara/weights/catalogue.h"

namespace tatara::weights {

struct HubAddress {
  std::string url, token;
};
// Of one file, or of the repository's listing where the source names no file.
HubAddress OnTheHub(const SourceSpec& spec);

inline constexpr std::uint64_t kHubListingBytesMax = 64 << 20;

// From the listing's text. Revisions are pinned to the commit that it names, so that all files are
// of one version. Refused where nothing can be run: no safetensors, or several GGUF models, which
// it names.
Result<CatalogueEntry> EntryFromListing(const SourceSpec& spec, std::string_view json);

// Fetches the listing, through a file in `work` (existing).
Result<CatalogueEntry> EntryFromHub(const SourceSpec& spec, const std::filesystem::path& work,
                                    FetchContext& context);

}  // namespace tatara::weights
