// The DSSE envelope of a receipt (github.com/secure-systems-lab/dsse, protocol v1.0): exactly one
// signature, with its public key beside it, in exactly one spelling.
#pragma once

#include <optional>
#include <string>
#include <string_view>

#include "tatara/base/error.h"
#include "tatara/ledger/keys.h"

namespace tatara::ledger {

// The envelope around a payload: one line of JSON and a line end.
std::string Seal(std::string_view payload, const SigningKey& key);

struct Opened {
  std::string payload;
  PublicKey key{};
  bool signature_is_right = false;
  // Where the envelope itself can not be read: what is wrong ("payload type", "public key", …) and
  // why.
  std::optional<Error> problem;
  std::string place;
};
Opened OpenEnvelope(std::string_view bytes);

}  // namespace tatara::ledger
