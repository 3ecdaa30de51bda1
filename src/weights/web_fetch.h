// One file over HTTPS, by libcurl, into a PartialFile. Goes on where an earlier attempt stopped,
// follows a bounded number of redirects itself (so that every address is noted and a token goes to
// one host only), and gives up on an address that can not be reached within seconds. Proxies as
// curl's variables say (https_proxy, all_proxy, no_proxy); certificate authorities as the curl
// program's (CURL_CA_BUNDLE, SSL_CERT_FILE, SSL_CERT_DIR). Thread safety: from any thread.
#pragma once

#include <cstdint>
#include <functional>
#include <string>

#include "fetch_context.h"
#include "partial_file.h"
#include "tatara/base/error.h"

namespace tatara::weights {

struct WebRequest {
  std::string url;
  std::string token;  // "Authorization: Bearer", sent to the host of `url` only; may be empty
  std::uint64_t n_bytes = 0;     // that the file must have; 0: unknown
  bool digest_is_known = false;  // then any earlier bytes may be kept, the digest decides
  std::function<Result<>(std::uint64_t)>
      check_room;  // told how many bytes are to come; may be empty
};

// Errors: kUnavailable and kNotFound of the source, kRefused for what it serves, kIo of this
// machine's disk, kCancelled.
Result<> FetchWeb(const WebRequest& request, PartialFile& file, FetchContext& context);

}  // namespace tatara::weights
