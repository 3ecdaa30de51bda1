#include "tatara/base/sha256.h"

#include <openssl/evp.h>

#include "tatara/base/check.h"

namespace tatara {

struct Sha256::State {
  EVP_MD_CTX* context = EVP_MD_CTX_new();
  ~State() { EVP_MD_CTX_free(context); }
};

Sha256::Sha256() : state_(std::make_unique<State>()) {
  TATARA_CHECK(state_->context != nullptr);
  TATARA_CHECK(EVP_DigestInit_ex(state_->context, EVP_sha256(), nullptr) == 1);
}
Sha256::~Sha256() = default;
Sha256::Sha256(Sha256&&) noexcept = default;
Sha256& Sha256::operator=(Sha256&&) noexcept = default;

Sha256& Sha256::Update(ByteSpan bytes) {
  TATARA_CHECK(EVP_DigestUpdate(state_->context, bytes.data(), bytes.size()) == 1);
  return *this;
}

Digest Sha256::Finish() {
  Digest digest;
  unsigned size = 0;
  TATARA_CHECK(EVP_DigestFinal_ex(state_->context, reinterpret_cast<unsigned char*>(digest.data()),
                                  &size) == 1);
  TATARA_CHECK(size == digest.size());
  return digest;
}

Digest Sha256Of(ByteSpan bytes) {
  return Sha256().Update(bytes).Finish();
}
std::string ToHex(const Digest& digest) {
  return ToHex(ByteSpan(digest));
}
std::string Sha256Hex(ByteSpan bytes) {
  return ToHex(Sha256Of(bytes));
}
std::string Sha256Hex(std::string_view text) {
  return Sha256Hex(AsBytes(text));
}

std::string ToHex(ByteSpan bytes) {
  static constexpr char kDigits[] = "0123456789abcdef";
  std::string out;
  out.reserve(bytes.size() * 2);
  for (const std::byte b : bytes) {
    out += kDigits[std::to_integer<unsigned>(b) >> 4];
    out += kDigits[std::to_integer<unsigned>(b) & 15];
  }
  return out;
}

}  // namespace tatara
