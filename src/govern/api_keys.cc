#include "tatara/govern/api_keys.h"

#include <sodium.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <map>
#include <mutex>

#include "key_file.h"
#include "tatara/base/bytes.h"
#include "tatara/base/files.h"

namespace tatara::govern {
namespace {

namespace fs = std::filesystem;

constexpr std::uint64_t kFileBytesMax = 4U << 20;
constexpr int kLockWaitMsMax = 10'000;
constexpr std::size_t kSecretBytesMax = 256;
constexpr std::string_view kSecretPrefix = "tatara-";

std::string RandomHex(std::size_t n_bytes) {
  std::string bytes(n_bytes, '\0');
  randombytes_buf(bytes.data(), bytes.size());
  return ToHex(AsBytes(bytes));
}

Result<> MakePrivateFolder(const fs::path& folder) {
  std::error_code error;
  fs::create_directories(folder.parent_path(), error);
  if (::mkdir(folder.c_str(), 0700) != 0 && errno != EEXIST) {
    return ErrnoError("{0}: cannot make the folder: {1}", folder.string());
  }
  if (::chmod(folder.c_str(), 0700) != 0) {
    return ErrnoError("{0}: cannot make the folder: {1}", folder.string());
  }
  return Ok{};
}

// What tells one version of a file from the next: it is replaced by renaming, so its inode changes.
struct Version {
  ino_t inode = 0;
  off_t size = 0;
  std::int64_t changed_ns = 0;
  bool operator==(const Version&) const = default;
};

Version VersionOf(const struct stat& status) {
  return {status.st_ino, status.st_size,
          std::int64_t{status.st_mtim.tv_sec} * 1'000'000'000 + status.st_mtim.tv_nsec};
}

}  // namespace

struct ApiKeys::State {
  State(fs::path folder, const Clock& used) : path(folder / "api-keys.json"), clock(used) {}

  const fs::path path;
  const Clock& clock;
  std::mutex mutex;  // of all below
  KeyFile file;
  Version version;
  std::int64_t looked_ns = 0;
  std::map<std::string, std::int64_t> used;  // ids; noted, not yet written

  // Absent: an empty file with a hash key that no key was hashed under yet.
  Result<> Read() {
    struct stat status;
    if (::stat(path.c_str(), &status) != 0) {
      if (errno != ENOENT) return ErrnoError("{0}: cannot read: {1}", path.string());
      file.keys.clear();
      version = {};
      randombytes_buf(file.hash_key.data(), file.hash_key.size());
      return Ok{};
    }
    if ((status.st_mode & 077) != 0) {
      return Refuse("{0}: others can read this file of keys; make it private with: chmod 600 {0}",
                    path.string());
    }
    TATARA_TRY(const std::string text, ReadWholeFile(path, kFileBytesMax));
    TATARA_TRY(file, ParseKeyFile(text, path.string()));
    version = VersionOf(status);
    return Ok{};
  }

  Result<> Write() {
    for (KeptKey& kept : file.keys) {
      const auto noted = used.find(kept.key.id);
      if (noted != used.end()) {
        kept.key.last_used_unix = std::max(kept.key.last_used_unix, noted->second);
      }
    }
    TATARA_RETURN_IF_ERROR(WriteFileAtomically(path, FormatKeyFile(file), {.mode = 0600}));
    used.clear();
    struct stat status;
    if (::stat(path.c_str(), &status) == 0) version = VersionOf(status);
    return Ok{};
  }

  // Under the lock of all processes: what is there now, changed by `change`, written.
  template <typename F>
  auto Change(F change) -> decltype(change()) {
    const std::lock_guard lock(mutex);
    TATARA_RETURN_IF_ERROR(MakePrivateFolder(path.parent_path()));
    TATARA_TRY([[maybe_unused]] const auto file_lock,
               FileLock::Acquire(path.string() + ".lock", kLockWaitMsMax));
    TATARA_RETURN_IF_ERROR(Read());
    TATARA_TRY(auto result, change());
    TATARA_RETURN_IF_ERROR(Write());
    return result;
  }

  // A file that is broken now leaves the keys that were known; who changes it is told there.
  void ReadAgainWhereChanged() {
    const std::int64_t now = clock.MonotonicNanoseconds();
    if (now - looked_ns < std::int64_t{kKeysReadAgainSeconds} * 1'000'000'000) return;
    looked_ns = now;
    struct stat status;
    const bool there = ::stat(path.c_str(), &status) == 0;
    if ((there ? VersionOf(status) : Version{}) == version) return;
    const KeyFile before = file;
    if (!Read().ok()) file = before;
  }

  bool NameTaken(std::string_view name) const {
    return std::any_of(file.keys.begin(), file.keys.end(), [&](const KeptKey& kept) {
      return kept.key.revoked_unix == 0 && kept.key.name == name;
    });
  }
  bool AnyValid() const {
    return std::any_of(file.keys.begin(), file.keys.end(),
                       [](const KeptKey& kept) { return kept.key.revoked_unix == 0; });
  }

  Result<NewApiKey> AddSecret(std::string_view name, std::string_view tenant, std::string secret) {
    if (file.keys.size() >= kApiKeysMax) {
      return Refuse("{0}: {1} keys, at most {2} are held", path.string(), file.keys.size(),
                    kApiKeysMax);
    }
    NewApiKey made{.key = {.name = std::string(name),
                           .tenant = std::string(tenant),
                           .created_unix = clock.UnixSeconds()},
                   .secret = std::move(secret)};
    const auto id_taken = [&](const KeptKey& kept) { return kept.key.id == made.key.id; };
    do {
      made.key.id = RandomHex(6);
    } while (std::any_of(file.keys.begin(), file.keys.end(), id_taken));
    file.keys.push_back({made.key, file.HashOf(made.secret)});
    return made;
  }
  Result<NewApiKey> AddFresh(std::string_view name, std::string_view tenant) {
    return AddSecret(name, tenant, std::string(kSecretPrefix) + RandomHex(32));
  }

  // HOME/keys/api held one key in the clear.
  Result<> TakeOverOlderForm() {
    const fs::path older = path.parent_path() / "api";
    std::error_code error;
    if (!fs::exists(older, error)) return Ok{};
    TATARA_TRY(std::string secret, ReadWholeFile(older, 4096));
    while (!secret.empty() && (secret.back() == '\n' || secret.back() == ' ')) secret.pop_back();
    if (!secret.empty() && secret.size() <= kSecretBytesMax) {
      TATARA_RETURN_IF_ERROR(Change([&]() -> Result<> {
        const KeyHash hash = file.HashOf(secret);
        const bool known = std::any_of(file.keys.begin(), file.keys.end(),
                                       [&](const KeptKey& kept) { return kept.hash == hash; });
        if (known) return Ok{};
        TATARA_TRY(const auto made, AddSecret(NameTaken("first") ? "first, taken over" : "first",
                                              "default", secret));
        return Ok{};
      }));
    }
    sodium_memzero(secret.data(), secret.size());
    ::unlink(older.c_str());
    ::unlink((older.string() + ".lock").c_str());
    return SyncFolder(path.parent_path());
  }
};

ApiKeys::ApiKeys(std::unique_ptr<State> state) : state_(std::move(state)) {}
ApiKeys::~ApiKeys() = default;

Result<std::unique_ptr<ApiKeys>> ApiKeys::Open(const fs::path& home, const Clock& clock) {
  if (sodium_init() < 0) {
    return MakeError(ErrorKind::kUnavailable, "libsodium can not start on this machine");
  }
  auto state = std::make_unique<State>(home / "keys", clock);
  TATARA_RETURN_IF_ERROR(state->TakeOverOlderForm());
  TATARA_RETURN_IF_ERROR(state->Read());
  return std::unique_ptr<ApiKeys>(new ApiKeys(std::move(state)));
}

std::vector<ApiKey> ApiKeys::List() const {
  const std::lock_guard lock(state_->mutex);
  state_->ReadAgainWhereChanged();
  std::vector<ApiKey> keys;
  for (const KeptKey& kept : state_->file.keys) {
    keys.push_back(kept.key);
    const auto noted = state_->used.find(kept.key.id);
    if (noted != state_->used.end()) keys.back().last_used_unix = noted->second;
  }
  return keys;
}

Result<NewApiKey> ApiKeys::Add(std::string_view name, std::string_view tenant) {
  TATARA_RETURN_IF_ERROR(CheckKeyName(name));
  TATARA_RETURN_IF_ERROR(CheckTenant(tenant));
  return state_->Change([&]() -> Result<NewApiKey> {
    if (state_->NameTaken(name)) return Refuse("a valid key has the name '{0}' already", name);
    return state_->AddFresh(name, tenant);
  });
}

Result<std::optional<NewApiKey>> ApiKeys::AddFirst() {
  return state_->Change([&]() -> Result<std::optional<NewApiKey>> {
    if (state_->AnyValid()) return std::optional<NewApiKey>();
    TATARA_TRY(NewApiKey made, state_->AddFresh("first", "default"));
    return std::optional<NewApiKey>(std::move(made));
  });
}

Result<ApiKey> ApiKeys::Revoke(std::string_view id_or_name) {
  return state_->Change([&]() -> Result<ApiKey> {
    std::vector<KeptKey>& keys = state_->file.keys;
    auto it = std::find_if(keys.begin(), keys.end(),
                           [&](const KeptKey& kept) { return kept.key.id == id_or_name; });
    if (it == keys.end()) {
      it = std::find_if(keys.begin(), keys.end(), [&](const KeptKey& kept) {
        return kept.key.revoked_unix == 0 && kept.key.name == id_or_name;
      });
    }
    if (it == keys.end()) {
      return MakeError(ErrorKind::kNotFound, "there is no key with the id or name '{0}'",
                       id_or_name);
    }
    if (it->key.revoked_unix == 0) it->key.revoked_unix = state_->clock.UnixSeconds();
    return it->key;
  });
}

std::optional<ApiKey> ApiKeys::Check(std::string_view secret) {
  if (secret.empty() || secret.size() > kSecretBytesMax) return std::nullopt;
  const std::lock_guard lock(state_->mutex);
  state_->ReadAgainWhereChanged();
  const KeyHash hash = state_->file.HashOf(secret);
  const KeptKey* found = nullptr;
  for (const KeptKey& kept : state_->file.keys) {
    if (sodium_memcmp(kept.hash.data(), hash.data(), hash.size()) == 0) found = &kept;
  }
  if (found == nullptr || found->key.revoked_unix != 0) return std::nullopt;
  state_->used[found->key.id] = state_->clock.UnixSeconds();
  return found->key;
}

bool ApiKeys::IsValid(std::string_view id) {
  const std::lock_guard lock(state_->mutex);
  state_->ReadAgainWhereChanged();
  const auto& keys = state_->file.keys;
  return std::any_of(keys.begin(), keys.end(), [&](const KeptKey& kept) {
    return kept.key.id == id && kept.key.revoked_unix == 0;
  });
}

Result<> ApiKeys::SaveLastUsed() {
  {
    const std::lock_guard lock(state_->mutex);
    if (state_->used.empty()) return Ok{};
  }
  return state_->Change([]() -> Result<> { return Ok{}; });
}

}  // namespace tatara::govern
