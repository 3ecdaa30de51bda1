// SHA-256 (FIPS 180-4), by OpenSSL.
// Thread safety: one object, one thread.
#pragma once

#include <array>
#include <cstddef>
#include <memory>
#include <string>
#include <string_view>

#include "tatara/base/bytes.h"

namespace tatara {

using Digest = std::array<std::byte, 32>;

class Sha256 {
 public:
  Sha256();
  ~Sha256();
  Sha256(Sha256&&) noexcept;
  Sha256& operator=(Sha256&&) noexcept;

  Sha256& Update(ByteSpan bytes);
  Sha256& Update(std::string_view text) { return Update(AsBytes(text)); }
  Digest Finish();  // once

 private:
  struct State;
  std::unique_ptr<State> state_;
};

Digest Sha256Of(ByteSpan bytes);
std::string Sha256Hex(ByteSpan bytes);
std::string Sha256Hex(std::string_view text);
std::string ToHex(const Digest& digest);

}  // namespace tatara
