#include "tatara/ledger/keys.h"

#include <fcntl.h>
#include <sodium.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>

#include "base64.h"
#include "tatara/base/files.h"
#include "tatara/base/sha256.h"

namespace tatara::ledger {
namespace {

namespace fs = std::filesystem;

constexpr std::string_view kSecretPrefix = "tatara-ed25519-secret-key:1:";
constexpr std::string_view kPublicPrefix = "tatara-ed25519-public-key:1:";
constexpr std::uint64_t kKeyFileBytesMax = 1024;

// Key files hold the prefix, base64 of the key, a line end.
template <std::size_t kSize>
bool ParseKeyFile(std::string_view text, std::string_view prefix,
                  std::array<unsigned char, kSize>& key) {
  if (!text.starts_with(prefix)) return false;
  text.remove_prefix(prefix.size());
  if (text.ends_with('\n')) text.remove_suffix(1);
  const auto bytes = FromBase64(text);
  if (!bytes || bytes->size() != kSize) return false;
  std::copy(bytes->begin(), bytes->end(), reinterpret_cast<char*>(key.data()));
  return true;
}

template <std::size_t kSize>
std::string KeyFile(std::string_view prefix, const std::array<unsigned char, kSize>& key) {
  const std::string_view bytes(reinterpret_cast<const char*>(key.data()), key.size());
  return std::string(prefix) + ToBase64(bytes) + "\n";
}

Result<> StartSodium() {
  if (sodium_init() < 0)
    return MakeError(ErrorKind::kUnavailable, "libsodium can not start on this machine");
  return Ok{};
}

Result<> MakePrivateFolder(const fs::path& folder) {
  std::error_code error;
  fs::create_directories(folder.parent_path(), error);
  if (::mkdir(folder.c_str(), 0700) == 0) return Ok{};
  if (errno != EEXIST) return ErrnoError("{0}: cannot make the folder: {1}", folder.string());
  // Made by hand, to put trusted keys there: the secret that comes in needs it private.
  if (::chmod(folder.c_str(), 0700) != 0) {
    return ErrnoError("{0}: cannot make the folder: {1}", folder.string());
  }
  return Ok{};
}

// Writes a new secret aside and links it into place: where another process was first, its key
// stays.
Result<> CreateSecret(const fs::path& path) {
  std::array<unsigned char, 64> secret;
  PublicKey unused;
  crypto_sign_keypair(unused.data(), secret.data());
  const fs::path aside = path.string() + "." + std::to_string(::getpid());
  std::string content = KeyFile(kSecretPrefix, secret);
  auto written = WriteFileAtomically(aside, content, {.mode = 0600});
  sodium_memzero(secret.data(), secret.size());
  sodium_memzero(content.data(), content.size());
  TATARA_RETURN_IF_ERROR(written);
  const bool linked = ::link(aside.c_str(), path.c_str()) == 0 || errno == EEXIST;
  const int link_errno = errno;
  ::unlink(aside.c_str());
  errno = link_errno;
  if (!linked) return ErrnoError("{0}: cannot write: {1}", path.string());
  return SyncFolder(path.parent_path());
}

Result<PublicKey> ReadPublicKey(const fs::path& path) {
  TATARA_TRY(const std::string text, ReadWholeFile(path, kKeyFileBytesMax));
  PublicKey key;
  if (!ParseKeyFile(text, kPublicPrefix, key)) {
    return Refuse("{0}: not a public key of Tatara (one line beginning with {1})", path.string(),
                  kPublicPrefix);
  }
  return key;
}

}  // namespace

std::string KeyId(const PublicKey& key) {
  return Sha256Hex(std::as_bytes(std::span(key)));
}

Result<SigningKey> SigningKey::LoadOrCreate(const fs::path& home) {
  TATARA_RETURN_IF_ERROR(StartSodium());
  const fs::path folder = home / "keys", path = folder / "ed25519";
  TATARA_RETURN_IF_ERROR(MakePrivateFolder(folder));
  if (::access(path.c_str(), F_OK) != 0) TATARA_RETURN_IF_ERROR(CreateSecret(path));
  struct stat status;
  if (::stat(path.c_str(), &status) != 0) return ErrnoError("{0}: cannot read: {1}", path.string());
  if ((status.st_mode & 077) != 0) {
    return Refuse("{0}: others can read this secret key; make it private with: chmod 600 {0}",
                  path.string());
  }
  TATARA_TRY(std::string text, ReadWholeFile(path, kKeyFileBytesMax));
  SigningKey key;
  const bool right = ParseKeyFile(text, kSecretPrefix, key.secret_);
  sodium_memzero(text.data(), text.size());
  if (!right)
    return Refuse("{0}: not a secret key of Tatara; move it away to have a new one made",
                  path.string());
  crypto_sign_ed25519_sk_to_pk(key.public_.data(), key.secret_.data());
  const fs::path public_path = folder / "ed25519.pub";
  // Written again where it belongs to another secret, or its own receipts would not be trusted.
  const std::string public_file = KeyFile(kPublicPrefix, key.public_);
  const auto there = ReadWholeFile(public_path, kKeyFileBytesMax);
  if (!there.ok() || there.value() != public_file) {
    TATARA_RETURN_IF_ERROR(WriteFileAtomically(public_path, public_file));
  }
  return key;
}

SigningKey::SigningKey(SigningKey&& other) noexcept
    : secret_(other.secret_), public_(other.public_) {
  sodium_memzero(other.secret_.data(), other.secret_.size());
}

SigningKey::~SigningKey() {
  sodium_memzero(secret_.data(), secret_.size());
}

Signature SigningKey::Sign(std::string_view message) const {
  Signature signature;
  crypto_sign_detached(signature.data(), nullptr,
                       reinterpret_cast<const unsigned char*>(message.data()), message.size(),
                       secret_.data());
  return signature;
}

bool SignatureIsRight(const PublicKey& key, std::string_view message, const Signature& signature) {
  return sodium_init() >= 0 &&
         crypto_sign_verify_detached(signature.data(),
                                     reinterpret_cast<const unsigned char*>(message.data()),
                                     message.size(), key.data()) == 0;
}

Result<std::vector<TrustedKey>> LoadTrustedKeys(const fs::path& home) {
  std::vector<TrustedKey> keys;
  const fs::path own = home / "keys" / "ed25519.pub";
  if (::access(own.c_str(), F_OK) == 0) {
    TATARA_TRY(const PublicKey key, ReadPublicKey(own));
    keys.push_back({"this machine", key});
  }
  std::vector<fs::path> paths;
  std::error_code error;
  for (fs::directory_iterator it(home / "keys" / "trusted", error), end; !error && it != end;
       it.increment(error)) {
    if (it->path().extension() == ".pub") paths.push_back(it->path());
  }
  if (error && error != std::errc::no_such_file_or_directory) {
    return MakeError(ErrorKind::kIo, "{0}: cannot read: {1}", (home / "keys" / "trusted").string(),
                     error.message());
  }
  std::sort(paths.begin(), paths.end());
  for (const fs::path& path : paths) {
    TATARA_TRY(const PublicKey key, ReadPublicKey(path));
    keys.push_back({path.stem().string(), key});
  }
  return keys;
}

}  // namespace tatara::ledger
