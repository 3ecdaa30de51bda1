#include "envelope.h"

#include <algorithm>
#include <nlohmann/json.hpp>

#include "base64.h"
#include "tatara/base/json_nesting.h"
#include "tatara/ledger/receipt.h"

namespace tatara::ledger {
namespace {

using Json = nlohmann::ordered_json;

// Pre-authentication encoding: what is signed.
std::string Pae(std::string_view type, std::string_view payload) {
  return "DSSEv1 " + std::to_string(type.size()) + " " + std::string(type) + " " +
         std::to_string(payload.size()) + " " + std::string(payload);
}

std::string Write(std::string_view type, std::string_view payload64, std::string_view key_id,
                  std::string_view key64, std::string_view signature64) {
  const Json signature = {{"keyid", key_id}, {"publicKey", key64}, {"sig", signature64}};
  return Json{{"payloadType", type},
              {"payload", payload64},
              {"signatures", Json::array({signature})}}
             .dump() +
         "\n";
}

template <std::size_t kSize>
bool FromBase64To(const std::string& text, std::array<unsigned char, kSize>& out) {
  const auto bytes = FromBase64(text);
  if (!bytes || bytes->size() != kSize) return false;
  std::copy(bytes->begin(), bytes->end(), out.begin());
  return true;
}

struct Parts {
  std::string type, payload64, key_id, key64, signature64;
};

// The five strings; nothing where the shape is another.
std::optional<Parts> PartsOf(const Json& json) {
  const auto text = [](const Json& object, const char* key) -> std::optional<std::string> {
    const auto it = object.find(key);
    if (it == object.end() || !it->is_string()) return std::nullopt;
    return it->get<std::string>();
  };
  if (!json.is_object() || !json.contains("signatures")) return std::nullopt;
  const Json& signatures = json["signatures"];
  if (!signatures.is_array() || signatures.size() != 1 || !signatures[0].is_object())
    return std::nullopt;
  const auto type = text(json, "payloadType"), payload = text(json, "payload");
  const auto id = text(signatures[0], "keyid"), key = text(signatures[0], "publicKey"),
             signature = text(signatures[0], "sig");
  if (!type || !payload || !id || !key || !signature) return std::nullopt;
  return Parts{*type, *payload, *id, *key, *signature};
}

std::size_t FirstDifference(std::string_view a, std::string_view b) {
  return static_cast<std::size_t>(std::mismatch(a.begin(), a.end(), b.begin(), b.end()).first -
                                  a.begin());
}

}  // namespace

std::string Seal(std::string_view payload, const SigningKey& key) {
  const auto base64 = [](const auto& bytes) {
    return ToBase64({reinterpret_cast<const char*>(bytes.data()), bytes.size()});
  };
  const Signature signature = key.Sign(Pae(kReceiptPayloadType, payload));
  return Write(kReceiptPayloadType, ToBase64(payload), KeyId(key.public_key()),
               base64(key.public_key()), base64(signature));
}

Opened OpenEnvelope(std::string_view bytes) {
  Opened opened;
  const auto fail = [&](std::string place, Error problem) {
    opened.place = std::move(place);
    opened.problem = std::move(problem);
    return opened;
  };
  if (JsonNestsTooDeeply(bytes))
    return fail("envelope", Refuse("envelope: nested more than {0} deep", kJsonNestingMax));
  std::optional<Parts> parts;
  try {
    parts = PartsOf(Json::parse(bytes));
  } catch (const nlohmann::json::parse_error& error) {
    return fail("envelope, byte " + std::to_string(error.byte),
                Refuse("envelope: byte {0}: not JSON", error.byte));
  } catch (const nlohmann::json::exception& error) {
    return fail("envelope", Refuse("envelope: not JSON: {0}", error.what()));
  }
  if (!parts) {
    return fail(
        "envelope",
        Refuse("envelope: not a signed receipt (payloadType, payload and one signature with "
               "keyid, publicKey and sig)"));
  }
  const std::string again =
      Write(parts->type, parts->payload64, parts->key_id, parts->key64, parts->signature64);
  if (again != bytes) {
    const std::size_t at = FirstDifference(again, bytes);
    return fail("envelope, byte " + std::to_string(at),
                Refuse("envelope: byte {0} is not as a receipt is written", at));
  }
  if (parts->type != kReceiptPayloadType) {
    return fail("payload type", Refuse("payload type: found '{0}', expected '{1}'", parts->type,
                                       kReceiptPayloadType));
  }
  const auto payload = FromBase64(parts->payload64);
  if (!payload) return fail("payload", Refuse("payload: not base64"));
  if (JsonNestsTooDeeply(*payload))
    return fail("payload", Refuse("payload: nested more than {0} deep", kJsonNestingMax));
  opened.payload = *payload;
  Signature signature;
  if (!FromBase64To(parts->signature64, signature)) {
    return fail("signature", Refuse("signature: not 64 bytes of base64"));
  }
  if (!FromBase64To(parts->key64, opened.key)) {
    return fail("public key", Refuse("public key: not 32 bytes of base64"));
  }
  opened.signature_is_right = SignatureIsRight(opened.key, Pae(parts->type, *payload), signature);
  if (KeyId(opened.key) != parts->key_id) {
    if (opened.signature_is_right)
      return fail("key id", Refuse("key id: not the digest of the public key"));
    return fail("public key", Refuse("public key: does not have the key id {0}", parts->key_id));
  }
  return opened;
}

}  // namespace tatara::ledger
