// The web console's own files: the page, its scripts and styles. For everybody, since they hold no
// data; what they show comes from the APIs, which ask for the key.
#pragma once

#include "api.h"

namespace tatara::server {

// True, and answered, where the path is one of the console's and the method GET or HEAD.
bool ServeConsole(const ApiCall& call);

// A coding with quality above zero in an Accept-Encoding header (RFC 9110, section 12.5.3).
bool AcceptsGzip(std::string_view accept_encoding);
// Whether an If-None-Match header names this entity tag; compared weakly (section 13.1.2).
bool NamesEtag(std::string_view if_none_match, std::string_view etag);

}  // namespace tatara::server
