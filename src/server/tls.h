// The certificate and key of this server. Thread safety: any thread.
#pragma once

#include <boost/asio/ssl/context.hpp>
#include <memory>

#include "tatara/server/server.h"

namespace tatara::server {

// Null where no files are named. TLS 1.2 (forward secret, authenticated ciphers only) and 1.3.
Result<std::shared_ptr<boost::asio::ssl::context>> LoadTls(const ServerOptions& options);

}  // namespace tatara::server
