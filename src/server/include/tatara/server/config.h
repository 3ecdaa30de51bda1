// The server's configuration: one TOML file, overridden by the environment, overridden by the
// command line. One table of settings (config_table.cc) is behind the reader, the commented
// example, the documentation and what a reload may change, so none of them can lack a key. Thread
// safety: values.
#pragma once

#include <cstdint>
#include <filesystem>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "tatara/assistant/service.h"
#include "tatara/base/error.h"
#include "tatara/server/server.h"

namespace tatara::server {

// Of every engine; what generate::EngineOptions and the embedder take, in plain values.
struct EngineSettings {
  int n_threads = 0;
  std::string activations = "int8";
  std::int64_t context_tokens = 0;
  std::int64_t cache_tokens = 0;
  int chunk_tokens = 512;
  int step_tokens = 0;
  int step_ms_max = 100;
  bool fair = true;
  bool prefix_cache = true;
  std::int64_t spill_bytes_max = std::int64_t{4} << 30;  // in HOME/pages; 0: nothing goes there
  std::int64_t spill_keep_seconds = 7 * 24 * 3600;
};

struct LogSettings {
  std::string level = "info";  // "debug", "info", "warning", "error"
  std::string file;            // empty: standard error
  bool json = false;
  bool prompts = false;  // bodies of requests, which hold what people wrote
};

struct TracingSettings {
  std::string endpoint;  // "http://127.0.0.1:4318/v1/traces"; empty: no tracing
  std::string service_name = "tatara";
  int queue_max = 2048;
};

struct Config {
  std::vector<std::string> models;  // empty: the one that `ask` would take
  ServerOptions server;
  assistant::ServiceOptions service;
  EngineSettings engine;
  LogSettings log;
  TracingSettings tracing;
};

struct ConfigSources {
  std::filesystem::path file;            // empty: none
  std::vector<std::string> environment;  // "NAME=VALUE"; names that begin with TATARA_SERVE_ count
  std::vector<std::pair<std::string, std::string>>
      overrides;  // key and value, as in the environment
};
// Refused with the file and line, the variable or the option: an unknown key (with the nearest
// known one), a value of another type or outside its range, settings that contradict each other.
Result<Config> LoadConfig(const ConfigSources& sources);

// What differs between two configurations, by key.
struct ConfigChange {
  std::vector<std::string> live;           // taken over while the server runs
  std::vector<std::string> needs_restart;  // as they were, until it starts again
};
ConfigChange CompareConfigs(const Config& running, const Config& wanted);
// `running` with the live settings of `wanted`.
Config WithLiveSettings(const Config& running, const Config& wanted);

// A file with every key, its default and what it is for, in the user's language; all of it is
// commented out, so as it is it changes nothing.
std::string ConfigExample();
// docs/configuration.md.
std::string ConfigMarkdown();

}  // namespace tatara::server
