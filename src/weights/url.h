// Web addresses: which are used at all, and what of them is shown. Parsed by libcurl.
// Thread safety: free functions, no state.
#pragma once

#include <string>
#include <string_view>

#include "tatara/base/error.h"

namespace tatara::weights {

// https with a host and no user or password; http only for loopback addresses (tests, a mirror on
// this machine).
Result<> CheckWebAddress(std::string_view url);

// "https://host:443"; empty for what is no address.
std::string AddressOf(std::string_view url);

// The address and path: without a query, which may hold a signature, and without user and password.
std::string ShownUrl(std::string_view url);

// Percent-encodes everything outside the unreserved characters of RFC 3986 but keeps '/'.
std::string EncodePath(std::string_view path);

}  // namespace tatara::weights
