// The keys of programs and people that call this machine's server: HOME/keys/api-keys.json.
//
// A key is "tatara-" and 64 hexadecimal digits: 256 bits of the system's randomness. What is kept
// of it is a keyed hash (BLAKE2b-256, RFC 7693, under a hash key of this file's own). A slow hash
// like Argon2id exists because people choose passwords that can be guessed at so many a second;
// 2^256 keys can not be guessed at any speed, and a slow hash would cost every request its tens of
// milliseconds and give strangers a way to keep the server busy. The hash key makes hashes of one
// installation useless for recognising keys in another. It is in the same file: whoever can read
// one of them could read both, and keys that outlive a lost hash key would be of no use.
//
// A given key is hashed and compared with every kept hash to its end, so neither the place of a
// difference nor which key it was shows in time; a prefix of a key is another key and fits nothing.
//
// The file has mode 0600 in a folder of mode 0700, is replaced whole (the old or the new, never a
// part) under a lock against other processes, and is read again within kKeysReadAgainSeconds after
// another process changed it, so a key that is revoked while a server runs stops there too.
// Thread safety: every function from any thread.
#pragma once

#include <cstdint>
#include <filesystem>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "tatara/base/clock.h"
#include "tatara/base/error.h"

namespace tatara::govern {

inline constexpr std::size_t kApiKeysMax = 4096;
inline constexpr std::size_t kApiKeyNameBytesMax = 100;
inline constexpr std::size_t kTenantBytesMax = 64;
inline constexpr int kKeysReadAgainSeconds = 1;

struct ApiKey {
  std::string id;      // 12 hexadecimal digits; stands in logs, receipts and lists
  std::string name;    // what it is for, in its maker's words; valid keys have different names
  std::string tenant;  // whose data its calls see; lower-case letters, digits, '-', '_', '.'
  std::int64_t created_unix = 0;
  std::int64_t last_used_unix = 0;  // 0: never
  std::int64_t revoked_unix = 0;    // 0: valid
};

struct NewApiKey {
  ApiKey key;
  std::string secret;  // shown once, kept nowhere
};

class ApiKeys {
 public:
  // Makes nothing where there is no file yet. A key in the older form, HOME/keys/api, is taken over
  // under the name "first" and that file removed. Refused: a file that others can read, or that is
  // not one of these.
  static Result<std::unique_ptr<ApiKeys>> Open(const std::filesystem::path& home,
                                               const Clock& clock = SystemClock());
  ~ApiKeys();

  std::vector<ApiKey> List() const;  // oldest first, revoked ones too
  Result<NewApiKey> Add(std::string_view name, std::string_view tenant);
  // Where no valid key is there; of several processes that ask at once one makes it.
  Result<std::optional<NewApiKey>> AddFirst();
  // By id, or by the name of a valid key. Stays in the list.
  Result<ApiKey> Revoke(std::string_view id_or_name);

  // Whose key this is, where it is a valid one; its time of use is noted.
  std::optional<ApiKey> Check(std::string_view secret);
  // Whether the key with this id is valid now.
  bool IsValid(std::string_view id);
  // Writes the noted times, where there are new ones. Not done by Check, which must not wait for a
  // disk.
  Result<> SaveLastUsed();

 private:
  struct State;
  explicit ApiKeys(std::unique_ptr<State> state);
  std::unique_ptr<State> state_;
};

}  // namespace tatara::govern
