// The HTTP door: the APIs that existing clients speak, over one assistant::Service.
// Thread safety: Start, Stop and the destructor from one thread.
#pragma once

#include <cstdint>
#include <filesystem>
#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "tatara/assistant/service.h"
#include "tatara/base/error.h"
#include "tatara/server/request_facts.h"

namespace tatara::server {

// Keys, which come from outside. Thread safety: any thread; answers without waiting for a disk.
class KeyCheck {
 public:
  virtual ~KeyCheck() = default;
  // Whose key this is; nothing where it is no valid one.
  virtual std::optional<assistant::Caller> Check(std::string_view secret) = 0;
  // Whether the key with this id (Caller::key) is still valid: a session ends with its key.
  virtual bool StillValid(std::string_view id) = 0;
};

// What became of the spans of requests.
struct SpanCounts {
  std::uint64_t sent = 0;
  std::uint64_t dropped = 0;  // the queue was full
  std::uint64_t failed = 0;   // the collector did not take them
};

struct ServerOptions {
  std::string host = "127.0.0.1";  // a numeric address or "localhost"
  int port = 8080;                 // 0: any free one
  bool strict = false;             // fields that no API has are refused
  // Where the conversations of the console are kept, a file for each tenant; empty: none are.
  std::filesystem::path history_folder;
  std::int64_t history_bytes_max = std::int64_t{1} << 30;  // of one tenant

  // Who calls, by "Authorization: Bearer KEY", X-Api-Key or the page's cookie. Without keys, or
  // where none is given and none required, everybody is assistant::Caller{}.
  std::shared_ptr<KeyCheck> keys;
  bool require_key = false;  // except for /health, /ready and the page; a must beyond loopback
  // Names under which this server is reached, besides addresses and this machine's own names. On
  // loopback only loopback names count by themselves.
  std::vector<std::string> hosts;
  // Origins ("https://app.example") whose pages may call, with a key; none by default.
  std::vector<std::string> cors_origins;
  double session_idle_seconds = 12 * 3600;  // of the page's cookie; a week in any case
  bool cookies_secure = false;              // where browsers reach this server by https only

  // Both or none: PEM files of the certificate (with those above it) and its private key, which
  // others must not be able to read. TLS 1.2 and 1.3.
  std::string tls_certificate, tls_key;
  // Under TLS: browsers that came once by a name come by https only, for so long (RFC 6797), also
  // to other ports of that name. Addresses and loopback names are left out. 0: not said.
  std::int64_t hsts_seconds = 24 * 3600;

  RequestObserver on_request;
  std::function<SpanCounts()> span_counts;  // for /metrics; empty: none are made
  bool log_bodies = false;                  // RequestFacts::body is filled

  int n_threads = 2;  // of the HTTP layer
  int connections_max = 2048;
  // From one address; of IPv6 one /64. 0: 256, and connections_max where host is on loopback.
  int connections_per_address_max = 0;
  int requests_per_key_max = 128;  // in flight; calls without a key have the service's bounds
  std::size_t header_bytes_max = 16U << 10;
  std::size_t body_bytes_max = 16U << 20;
  std::size_t unsent_bytes_max = 4U << 20;  // of a stream whose reader is slow; then it is ended
  double idle_seconds = 75;                 // between requests of a connection
  double header_seconds = 10;               // for a whole header
  double body_seconds = 60;                 // for a whole body
  double write_seconds = 30;                // without any progress
  double drain_seconds = 30;                // at the end, for requests that still run
};

class Server {
 public:
  // Refused: an address that is not one of this machine's or taken, one beyond loopback without a
  // key. `service` must outlive the server.
  static Result<std::unique_ptr<Server>> Start(assistant::Service& service, ServerOptions options);
  virtual ~Server() = default;

  virtual int port() const = 0;
  virtual std::string address() const = 0;  // "http://127.0.0.1:8080"
  // From now on: strict, hosts, cors_origins, session_idle_seconds, hsts_seconds, log_bodies and
  // the limits of `options`; and the TLS files are read again. All else stays. Refused, and nothing
  // changed, where those files can not be used.
  virtual Result<> Reload(const ServerOptions& options) = 0;
  // No new connections; requests that run may end within drain_seconds; then all is closed.
  virtual void Stop() = 0;
};

// Whether TLS can be spoken with these files, as Start would say; Ok where none are named.
Result<> CheckTlsFiles(const ServerOptions& options);

// Whether this names the loopback interface: 127.0.0.0/8, ::1, localhost.
bool IsLoopback(const std::string& host);

}  // namespace tatara::server
