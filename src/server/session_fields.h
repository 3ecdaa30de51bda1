// The fields of /v1/session.
#pragma once

#include "json_fields.h"

namespace tatara::server {

inline constexpr TextField kSessionKey{"key", "A key of this server: tatara keys add NAME."};

}  // namespace tatara::server
