// adapter_config.json: how strong each change is, and proof that it asks for nothing else. Source:
// peft's LoraConfig and how its layers use it. Thread safety: values.
#pragma once

#include <cstdint>
#include <filesystem>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "tatara/base/error.h"

namespace tatara::weights {

// A value for the modules whose name ends with these words, or is them.
struct ModulePattern {
  std::string words;
  bool whole = false;
  double value = 0;
};

struct AdapterConfig {
  double alpha = 0;
  std::int64_t rank = 0;
  bool rank_stabilised = false;  // alpha / sqrt(rank); Kalajdzievski 2023, arXiv:2312.03732
  bool dora = false;
  std::vector<ModulePattern> alphas, ranks;  // the first that fits counts

  double ScaleOf(std::string_view module, std::int64_t rank) const;
  std::int64_t RankOf(std::string_view module) const;
};

Result<AdapterConfig> ReadAdapterConfig(const std::filesystem::path& path);

}  // namespace tatara::weights
