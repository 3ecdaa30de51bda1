#include "tatara/server/config.h"

#include <fmt/format.h>

#include <toml++/toml.h>
#include <algorithm>
#include <charconv>
#include <cmath>
#include <map>
#include <set>

#include "config_table.h"
#include "tatara/base/files.h"
#include "tatara/base/localise.h"
#include "tatara/base/nearest.h"

namespace tatara::server {
namespace {

constexpr std::uint64_t kFileBytesMax = 1 << 20;
constexpr std::size_t kListMax = 256;
constexpr std::size_t kTextBytesMax = 4096;
constexpr std::string_view kEnvironmentPrefix = "TATARA_SERVE_";

// Where a value was found, for messages: "FILE:LINE", a variable, an option.
using Place = std::string;

Error WrongValue(const Place& place, const Setting& setting, std::string_view found) {
  return Refuse("{0}: {1}: expected {2}, found {3}", place, setting.key, TypeText(setting),
                found.substr(0, 200));
}

Result<> SetNumber(const Place& place, const Setting& setting, double number) {
  return std::visit(
      [&](auto* value) -> Result<> {
        using T = std::decay_t<decltype(*value)>;
        if constexpr (std::is_arithmetic_v<T> && !std::is_same_v<T, bool>) {
          const bool whole = std::is_same_v<T, double> || number == std::trunc(number);
          if (!whole || !(number >= setting.least && number <= setting.most)) {
            return WrongValue(place, setting, fmt::format("{}", number));
          }
          *value = static_cast<T>(number);
          return Ok{};
        } else {
          return WrongValue(place, setting, "a number");
        }
      },
      setting.value);
}

Result<> SetText(const Place& place, const Setting& setting, std::string text) {
  auto* const* value = std::get_if<std::string*>(&setting.value);
  if (value == nullptr) return WrongValue(place, setting, "a text");
  const auto& choices = setting.choices;
  const bool offered =
      choices.empty() || std::find(choices.begin(), choices.end(), text) != choices.end();
  if (!offered || text.size() > kTextBytesMax) return WrongValue(place, setting, text);
  **value = std::move(text);
  return Ok{};
}

Result<> SetList(const Place& place, const Setting& setting, std::vector<std::string> list) {
  auto* const* value = std::get_if<std::vector<std::string>*>(&setting.value);
  if (value == nullptr) return WrongValue(place, setting, "an array");
  if (list.size() > kListMax) {
    return WrongValue(place, setting, fmt::format("{} entries", list.size()));
  }
  **value = std::move(list);
  return Ok{};
}

Result<> SetFlag(const Place& place, const Setting& setting, bool flag) {
  auto* const* value = std::get_if<bool*>(&setting.value);
  if (value == nullptr) return WrongValue(place, setting, flag ? "true" : "false");
  **value = flag;
  return Ok{};
}

// From the environment or the command line: lists are separated by commas.
Result<> SetFromText(const Place& place, const Setting& setting, const std::string& text) {
  if (std::holds_alternative<std::string*>(setting.value)) return SetText(place, setting, text);
  if (std::holds_alternative<bool*>(setting.value)) {
    if (text != "true" && text != "false") return WrongValue(place, setting, "'" + text + "'");
    return SetFlag(place, setting, text == "true");
  }
  if (std::holds_alternative<std::vector<std::string>*>(setting.value)) {
    std::vector<std::string> list;
    for (std::size_t at = 0; at < text.size();) {
      const std::size_t comma = std::min(text.find(',', at), text.size());
      if (comma > at) list.push_back(text.substr(at, comma - at));
      at = comma + 1;
    }
    return SetList(place, setting, std::move(list));
  }
  double number = 0;
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), number);
  if (error != std::errc() || end != text.data() + text.size() || text.empty()) {
    return WrongValue(place, setting, "'" + text + "'");
  }
  return SetNumber(place, setting, number);
}

Error UnknownKey(const Place& place, std::string_view key, const std::vector<Setting>& table) {
  std::vector<std::string_view> known;
  for (const Setting& setting : table) known.push_back(setting.key);
  std::string near = Nearest(key, known);
  if (near.empty()) {  // right in the wrong table, or without its table
    const auto last = [](std::string_view name) { return name.substr(name.find('.') + 1); };
    for (const std::string_view name : known) {
      if (last(name) == last(key)) near = std::string(name);
    }
  }
  if (near.empty()) {
    return Refuse("{0}: there is no setting '{1}' (see: tatara serve --print-config)", place, key);
  }
  return Refuse("{0}: there is no setting '{1}'; did you mean '{2}'?", place, key, near);
}

const Setting* Find(const std::vector<Setting>& table, std::string_view key) {
  for (const Setting& setting : table) {
    if (setting.key == key) return &setting;
  }
  return nullptr;
}

class TomlReader {
 public:
  TomlReader(std::string file, const std::vector<Setting>& table)
      : file_(std::move(file)), table_(table) {}

  Result<> Read(const toml::table& root) {
    for (const auto& [key, node] : root) {
      const std::string name(key.str());
      if (const toml::table* inner = node.as_table()) {
        TATARA_RETURN_IF_ERROR(ReadTable(name, *inner));
      } else {
        TATARA_RETURN_IF_ERROR(ReadValue(name, node));
      }
    }
    return Ok{};
  }

 private:
  Place PlaceOf(const toml::node& node) const {
    return fmt::format("{}:{}", file_, node.source().begin.line);
  }
  Result<> ReadTable(const std::string& name, const toml::table& inner) {
    const bool known = std::any_of(table_.begin(), table_.end(), [&](const Setting& setting) {
      return setting.key.starts_with(name + ".");
    });
    if (!known) return UnknownTable(name, inner);
    for (const auto& [key, node] : inner) {
      TATARA_RETURN_IF_ERROR(ReadValue(name + "." + std::string(key.str()), node));
    }
    return Ok{};
  }
  Error UnknownTable(const std::string& name, const toml::table& inner) const {
    std::set<std::string_view> known;
    for (const Setting& setting : table_) {
      if (const auto dot = setting.key.find('.'); dot != setting.key.npos) {
        known.insert(setting.key.substr(0, dot));
      }
    }
    const std::vector<std::string_view> names(known.begin(), known.end());
    const std::string near = Nearest(name, names);
    if (near.empty()) return UnknownKey(PlaceOf(inner), name, table_);
    return Refuse("{0}: there is no setting '{1}'; did you mean '{2}'?", PlaceOf(inner), name,
                  near);
  }
  Result<> ReadValue(const std::string& key, const toml::node& node) {
    const Setting* setting = Find(table_, key);
    const Place place = PlaceOf(node);
    if (setting == nullptr) return UnknownKey(place, key, table_);
    if (const auto* flag = node.as_boolean()) return SetFlag(place, *setting, flag->get());
    if (const auto* text = node.as_string()) return SetText(place, *setting, text->get());
    if (const auto* whole = node.as_integer()) {
      return SetNumber(place, *setting, static_cast<double>(whole->get()));
    }
    if (const auto* number = node.as_floating_point()) {
      return SetNumber(place, *setting, number->get());
    }
    const toml::array* array = node.as_array();
    if (array == nullptr) return WrongValue(place, *setting, "a value of another type");
    std::vector<std::string> list;
    for (const toml::node& entry : *array) {
      const auto* text = entry.as_string();
      if (text == nullptr) return WrongValue(PlaceOf(entry), *setting, "something else in it");
      list.push_back(text->get());
    }
    return SetList(place, *setting, std::move(list));
  }
  const std::string file_;
  const std::vector<Setting>& table_;
};

Result<> ReadFile(const std::filesystem::path& path, const std::vector<Setting>& table) {
  TATARA_TRY(const std::string text, ReadWholeFile(path, kFileBytesMax));
  try {
    const toml::table root = toml::parse(text);
    return TomlReader(path.string(), table).Read(root);
  } catch (const toml::parse_error& error) {
    return Refuse("{0}: not TOML: {1}",
                  fmt::format("{}:{}", path.string(), error.source().begin.line),
                  error.description());
  } catch (const std::exception& error) {
    return Refuse("{0}: not TOML: {1}", path.string(), error.what());
  }
}

Result<> ReadEnvironment(const std::vector<std::string>& environment,
                         const std::vector<Setting>& table) {
  for (const std::string& entry : environment) {
    if (!entry.starts_with(kEnvironmentPrefix)) continue;
    const std::size_t equals = std::min(entry.find('='), entry.size());
    const std::string name = entry.substr(0, equals);
    const auto it = std::find_if(table.begin(), table.end(), [&](const Setting& setting) {
      return EnvironmentName(setting.key) == name;
    });
    if (it != table.end()) {
      TATARA_RETURN_IF_ERROR(
          SetFromText(name, *it, entry.substr(std::min(equals + 1, entry.size()))));
      continue;
    }
    std::vector<std::string> names;
    for (const Setting& setting : table) names.push_back(EnvironmentName(setting.key));
    const std::vector<std::string_view> views(names.begin(), names.end());
    const std::string near = Nearest(name, views);
    if (near.empty()) {
      return Refuse("{0}: there is no setting '{1}' (see: tatara serve --print-config)",
                    "environment", name);
    }
    return Refuse("{0}: there is no setting '{1}'; did you mean '{2}'?", "environment", name, near);
  }
  return Ok{};
}

bool IsOrigin(std::string_view text) {
  for (const std::string_view scheme : {"https://", "http://"}) {
    if (!text.starts_with(scheme)) continue;
    const std::string_view rest = text.substr(scheme.size());
    return !rest.empty() && rest.find_first_of("/?#@* ") == rest.npos;
  }
  return false;
}

Result<> Validate(Config& config) {
  ServerOptions& server = config.server;
  if (server.tls_certificate.empty() != server.tls_key.empty()) {
    return Refuse("tls.certificate and tls.key belong together; one of them is not set");
  }
  for (const std::string& origin : server.cors_origins) {
    if (!IsOrigin(origin)) {
      return Refuse("cors_origins: '{0}' is no origin like https://app.example", origin);
    }
  }
  for (const std::string& host : server.hosts) {
    if (host.empty() || host.find_first_of(":/* ") != host.npos) {
      return Refuse("hosts: '{0}' is no name; it goes without scheme and port", host);
    }
  }
  const std::string& endpoint = config.tracing.endpoint;
  if (!endpoint.empty() && !endpoint.starts_with("http://") && !endpoint.starts_with("https://")) {
    return Refuse("tracing.endpoint: '{0}' is no http or https address", endpoint);
  }
  server.log_bodies = config.log.prompts;
  if (!server.tls_certificate.empty()) server.cookies_secure = true;
  if (!IsLoopback(server.host)) server.require_key = true;
  return Ok{};
}

std::string Comment(std::string_view text) {
  std::string out;
  for (std::size_t at = 0; at < text.size();) {
    constexpr std::size_t kWidth = 96;
    std::size_t end = text.size();
    if (end - at > kWidth) {
      const std::size_t space = text.rfind(' ', at + kWidth);
      if (space != text.npos && space > at) end = space;
    }
    out += fmt::format("# {}\n", text.substr(at, end - at));
    at = end + 1;
  }
  return out;
}

}  // namespace

Result<Config> LoadConfig(const ConfigSources& sources) {
  Config config;
  const std::vector<Setting> table = SettingsOf(config);
  if (!sources.file.empty()) TATARA_RETURN_IF_ERROR(ReadFile(sources.file, table));
  TATARA_RETURN_IF_ERROR(ReadEnvironment(sources.environment, table));
  for (const auto& [key, value] : sources.overrides) {
    const Setting* setting = Find(table, key);
    if (setting == nullptr) return UnknownKey("--set", key, table);
    TATARA_RETURN_IF_ERROR(SetFromText("--set", *setting, value));
  }
  TATARA_RETURN_IF_ERROR(Validate(config));
  return config;
}

ConfigChange CompareConfigs(const Config& running, const Config& wanted) {
  Config a = running, b = wanted;
  const std::vector<Setting> before = SettingsOf(a), after = SettingsOf(b);
  ConfigChange change;
  for (std::size_t i = 0; i < before.size(); ++i) {
    if (ValueText(before[i]) == ValueText(after[i])) continue;
    (before[i].live ? change.live : change.needs_restart).emplace_back(before[i].key);
  }
  return change;
}

Config WithLiveSettings(const Config& running, const Config& wanted) {
  Config result = running, from = wanted;
  const std::vector<Setting> to = SettingsOf(result), source = SettingsOf(from);
  for (std::size_t i = 0; i < to.size(); ++i) {
    if (!to[i].live) continue;
    std::visit([&](auto* value) { *value = *std::get<decltype(value)>(source[i].value); },
               to[i].value);
  }
  result.server.log_bodies = result.log.prompts;
  return result;
}

std::string ConfigExample() {
  Config config;
  std::string text =
      Comment(Tr("Settings of `tatara serve`: HOME/tatara.toml, or --config FILE. What is written "
                 "here are the defaults. Every key can be overridden by an environment variable, "
                 "such as {0}.",
                 EnvironmentName("limits.body_bytes")));
  std::string_view section;
  for (const Setting& setting : SettingsOf(config)) {
    const std::size_t dot = setting.key.find('.');
    const std::string_view table = dot == setting.key.npos ? "" : setting.key.substr(0, dot);
    const std::string_view name =
        dot == setting.key.npos ? setting.key : setting.key.substr(dot + 1);
    if (table != section) text += fmt::format("\n[{}]\n", section = table);
    text += "\n" + Comment(Tr(setting.help));
    text += fmt::format("# {} = {}\n", name, ValueText(setting));
  }
  return text;
}

std::string ConfigMarkdown() {
  Config config;
  std::string text =
      "# Configuration of `tatara serve`\n\n"
      "One TOML file: `TATARA_HOME/tatara.toml`, or `--config FILE`. `tatara serve --print-config` "
      "prints one with every\nkey and its default, `tatara serve --check` reads it and says what "
      "is "
      "wrong, with file and line. Stronger than\nthe file are environment variables, and stronger "
      "than those are the options of the command line\n(`--set KEY=VALUE` for any key). A reload "
      "(SIGHUP) reads the file again: what is marked *live* changes at once,\nthe rest is named in "
      "the log and waits for the next start. This page is printed by the table that the "
      "program\nreads by; a test compares them.\n\n"
      "| key | variable | default | values | |\n|---|---|---|---|---|\n";
  for (const Setting& setting : SettingsOf(config)) {
    text += fmt::format("| `{}`{} | `{}` | `{}` | {} | {} |\n", setting.key,
                        setting.live ? " *live*" : "", EnvironmentName(setting.key),
                        ValueText(setting), TypeText(setting), setting.help);
  }
  text +=
      "\nLists in variables and options are separated by commas. A reload also reads the files of "
      "`tls` and opens\n`log.file` again. Keys of callers are not settings: `tatara keys`.\n";
  return text;
}

}  // namespace tatara::server
