#include "tls.h"

#include <openssl/err.h>
#include <openssl/ssl.h>
#include <openssl/x509err.h>
#include <sys/stat.h>

namespace tatara::server {
namespace {

namespace ssl = boost::asio::ssl;

// RFC 9325, section 4.2; those of TLS 1.3 are all of this kind.
constexpr const char* kCiphers12 =
    "ECDHE-ECDSA-AES128-GCM-SHA256:ECDHE-RSA-AES128-GCM-SHA256:ECDHE-ECDSA-AES256-GCM-SHA384:"
    "ECDHE-RSA-AES256-GCM-SHA384:ECDHE-ECDSA-CHACHA20-POLY1305:ECDHE-RSA-CHACHA20-POLY1305";

Result<> CheckPrivate(const std::string& path) {
  struct stat status;
  if (::stat(path.c_str(), &status) != 0) return ErrnoError("{0}: cannot read: {1}", path);
  if ((status.st_mode & 007) != 0) {
    return Refuse("{0}: others can read this private key; make it private with: chmod o-rwx {0}",
                  path);
  }
  return Ok{};
}

}  // namespace

Result<std::shared_ptr<ssl::context>> LoadTls(const ServerOptions& options) {
  if (options.tls_certificate.empty()) return std::shared_ptr<ssl::context>();
  TATARA_RETURN_IF_ERROR(CheckPrivate(options.tls_key));
  boost::system::error_code error;
  auto context = std::make_shared<ssl::context>(ssl::context::tls_server);
  SSL_CTX* native = context->native_handle();
  context->set_options(ssl::context::default_workarounds | ssl::context::no_compression, error);
  SSL_CTX_set_min_proto_version(native, TLS1_2_VERSION);
  SSL_CTX_set_options(native, SSL_OP_NO_RENEGOTIATION | SSL_OP_CIPHER_SERVER_PREFERENCE |
                                  SSL_OP_IGNORE_UNEXPECTED_EOF);
  SSL_CTX_set_mode(native, SSL_MODE_RELEASE_BUFFERS);
  SSL_CTX_set_cipher_list(native, kCiphers12);
  // A key under a password would make a server that starts by itself ask nobody.
  context->set_password_callback([](std::size_t, ssl::context::password_purpose) { return ""; },
                                 error);
  context->use_certificate_chain_file(options.tls_certificate, error);
  if (error) {
    return Refuse("{0}: no certificate that can be used: {1}", options.tls_certificate,
                  error.message());
  }
  context->use_private_key_file(options.tls_key, ssl::context::pem, error);
  const bool mismatch =
      error && ERR_GET_LIB(static_cast<unsigned long>(error.value())) == ERR_LIB_X509 &&
      ERR_GET_REASON(static_cast<unsigned long>(error.value())) == X509_R_KEY_VALUES_MISMATCH;
  if (error && !mismatch) {
    return Refuse("{0}: no private key that can be used: {1}", options.tls_key, error.message());
  }
  if (mismatch || SSL_CTX_check_private_key(native) != 1) {
    ERR_clear_error();
    return Refuse("{0}: this private key does not belong to the certificate in {1}",
                  options.tls_key, options.tls_certificate);
  }
  return context;
}

Result<> CheckTlsFiles(const ServerOptions& options) {
  TATARA_TRY([[maybe_unused]] const auto context, LoadTls(options));
  return Ok{};
}

}  // namespace tatara::server
