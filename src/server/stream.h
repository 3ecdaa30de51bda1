// A connection's bytes, plain or under TLS, as Asio's and Beast's operations take a stream.
// Thread safety: the thread of its context only.
#pragma once

#include <boost/asio/basic_stream_socket.hpp>
#include <boost/asio/io_context.hpp>
#include <boost/asio/ip/tcp.hpp>
#include <boost/asio/ssl/context.hpp>
#include <boost/asio/ssl/stream.hpp>
#include <boost/beast/core/basic_stream.hpp>
#include <memory>
#include <optional>
#include <utility>

namespace tatara::server {

class AnyStream {
 public:
  using Tcp = boost::asio::ip::tcp;
  using executor_type = boost::asio::io_context::executor_type;
  using Socket = boost::asio::basic_stream_socket<Tcp, executor_type>;
  using Plain = boost::beast::basic_stream<Tcp, executor_type>;
  using TlsContext = std::shared_ptr<boost::asio::ssl::context>;

  // Null: plain.
  AnyStream(Socket socket, TlsContext context)
      : context_(std::move(context)), tcp_(std::move(socket)) {
    if (context_) tls_.emplace(tcp_, *context_);
  }
  AnyStream(const AnyStream&) = delete;
  AnyStream& operator=(const AnyStream&) = delete;

  bool is_tls() const { return tls_.has_value(); }
  executor_type get_executor() noexcept { return tcp_.get_executor(); }
  // Times count for what begins after they are set, reads and writes apart.
  Plain& tcp() { return tcp_; }
  Socket& socket() { return tcp_.socket(); }

  template <typename Handler>
  void async_handshake(Handler&& handler) {
    tls_->async_handshake(boost::asio::ssl::stream_base::server, std::forward<Handler>(handler));
  }
  // Says that nothing more comes, and waits until the other end has said so too.
  template <typename Handler>
  void async_shutdown(Handler&& handler) {
    tls_->async_shutdown(std::forward<Handler>(handler));
  }
  template <typename Buffers, typename Handler>
  auto async_read_some(const Buffers& buffers, Handler&& handler) {
    if (tls_) return tls_->async_read_some(buffers, std::forward<Handler>(handler));
    return tcp_.async_read_some(buffers, std::forward<Handler>(handler));
  }
  template <typename Buffers, typename Handler>
  auto async_write_some(const Buffers& buffers, Handler&& handler) {
    if (tls_) return tls_->async_write_some(buffers, std::forward<Handler>(handler));
    return tcp_.async_write_some(buffers, std::forward<Handler>(handler));
  }

 private:
  const TlsContext context_;
  Plain tcp_;
  std::optional<boost::asio::ssl::stream<Plain&>> tls_;
};

}  // namespace tatara::server
