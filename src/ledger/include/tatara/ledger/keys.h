// The signing key of this machine and the public keys that it trusts (Ed25519, by libsodium).
// The secret never leaves HOME/keys/ed25519 (mode 0600, folder 0700) and is never logged.
// Thread safety: values; LoadOrCreate from any thread or process.
#pragma once

#include <array>
#include <filesystem>
#include <string>
#include <string_view>
#include <vector>

#include "tatara/base/error.h"

namespace tatara::ledger {

using PublicKey = std::array<unsigned char, 32>;
using Signature = std::array<unsigned char, 64>;

// Hexadecimal SHA-256 of the 32 bytes.
std::string KeyId(const PublicKey& key);

class SigningKey {
 public:
  // Makes the key on first use; of several processes that do so at once one wins and all get its
  // key. HOME/keys/ed25519.pub holds the public part, to be copied into another machine's
  // HOME/keys/trusted/.
  static Result<SigningKey> LoadOrCreate(const std::filesystem::path& home);
  ~SigningKey();
  SigningKey(SigningKey&& other) noexcept;
  SigningKey& operator=(SigningKey&&) = delete;

  const PublicKey& public_key() const { return public_; }
  Signature Sign(std::string_view message) const;

 private:
  SigningKey() = default;
  std::array<unsigned char, 64> secret_{};
  PublicKey public_{};
};

bool SignatureIsRight(const PublicKey& key, std::string_view message, const Signature& signature);

struct TrustedKey {
  std::string name;  // "this machine", or the file's name in keys/trusted
  PublicKey key;
};

// This machine's own key where it has one, and every *.pub of HOME/keys/trusted. A file that is no
// public key is refused by name.
Result<std::vector<TrustedKey>> LoadTrustedKeys(const std::filesystem::path& home);

}  // namespace tatara::ledger
