// The table of settings. Thread safety: values; `value` points into the Config that it was made of.
#pragma once

#include <cstdint>
#include <limits>
#include <string>
#include <string_view>
#include <variant>
#include <vector>

#include "tatara/server/config.h"

namespace tatara::server {

using SettingValue = std::variant<bool*, int*, std::int64_t*, std::size_t*, double*, std::string*,
                                  std::vector<std::string>*>;

struct Setting {
  std::string_view key;  // "host", "limits.body_bytes": at most one table deep
  SettingValue value;
  std::string_view help;                       // English, a literal with a translation
  bool live = false;                           // taken over by a reload
  double least = 0, most = 0;                  // of numbers
  std::vector<std::string_view> choices = {};  // of texts; empty: any
};

std::vector<Setting> SettingsOf(Config& config);
// "TATARA_SERVE_LIMITS_BODY_BYTES"
std::string EnvironmentName(std::string_view key);
// As TOML writes it.
std::string ValueText(const Setting& setting);
// "true or false", "a whole number, 0 to 65535", ...
std::string TypeText(const Setting& setting);

}  // namespace tatara::server
