// keys: the keys of the server's callers.
#include "commands.h"
#include "json_output.h"
#include "tatara/base/clock.h"
#include "tatara/base/files.h"
#include "tatara/base/localise.h"
#include "tatara/govern/api_keys.h"
#include "terminal.h"

namespace tatara::cli {
namespace {

Json TimeJson(std::int64_t unix_seconds) {
  return unix_seconds == 0 ? Json() : Json(FormatUtc(unix_seconds));
}

Json KeyJson(const govern::ApiKey& key) {
  return {{"id", key.id},
          {"name", key.name},
          {"tenant", key.tenant},
          {"created", TimeJson(key.created_unix)},
          {"last_used", TimeJson(key.last_used_unix)},
          {"revoked", TimeJson(key.revoked_unix)}};
}

Result<int> AddKey(govern::ApiKeys& keys, const KeysOptions& options) {
  TATARA_TRY(const govern::NewApiKey made, keys.Add(options.name, options.tenant));
  if (options.json) {
    Json json = KeyJson(made.key);
    json["key"] = made.secret;
    OutJson(json);
    return 0;
  }
  Out(made.secret + "\n");
  Remark(Tr("this key is shown this once; its id is {0}, its tenant '{1}'", made.key.id,
            made.key.tenant));
  return 0;
}

std::string State(const govern::ApiKey& key) {
  if (key.revoked_unix != 0) return Tr("revoked {0}", FormatUtc(key.revoked_unix));
  return key.last_used_unix == 0 ? Tr("never used")
                                 : Tr("last used {0}", FormatUtc(key.last_used_unix));
}

Result<int> ListKeys(const govern::ApiKeys& keys, const KeysOptions& options) {
  const std::vector<govern::ApiKey> list = keys.List();
  if (options.json) {
    Json json = Json::array();
    for (const govern::ApiKey& key : list) json.push_back(KeyJson(key));
    OutJson({{"keys", std::move(json)}});
    return 0;
  }
  for (const govern::ApiKey& key : list) {
    Out(fmt::format("{}  {}  {}  ({})\n", key.id, key.tenant, key.name, State(key)));
  }
  if (list.empty()) Out(Tr("there are no keys; make one: tatara keys add NAME") + "\n");
  return 0;
}

Result<int> RevokeKey(govern::ApiKeys& keys, const KeysOptions& options) {
  TATARA_TRY(const govern::ApiKey key, keys.Revoke(options.name));
  if (options.json) {
    OutJson(KeyJson(key));
  } else {
    Out(Tr("revoked: {0} ({1})", key.id, key.name) + "\n");
  }
  return 0;
}

}  // namespace

Result<int> Keys(const KeysOptions& options) {
  TATARA_TRY(const auto keys, govern::ApiKeys::Open(TataraHome()));
  switch (options.action) {
    case KeysOptions::Action::kAdd:
      return AddKey(*keys, options);
    case KeysOptions::Action::kList:
      return ListKeys(*keys, options);
    case KeysOptions::Action::kRevoke:
      return RevokeKey(*keys, options);
  }
  return 0;
}

}  // namespace tatara::cli
