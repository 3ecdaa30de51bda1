// A run's folder, read back: the recipe that it was made by, what was measured at each step, which
// checkpoints are there.
// Thread safety: free functions and values. A run that is being written may be read.
#pragma once

#include <cstdint>
#include <filesystem>
#include <map>
#include <optional>
#include <string>
#include <vector>

#include "tatara/base/error.h"
#include "tatara/learn/recipe.h"

namespace tatara::learn {

// source.json: the recipe's text as it was read, what --set changed, and where it lay.
std::string RunSourceJson(const Recipe& recipe);

struct RunFolder {
  std::filesystem::path path;
  Recipe recipe;  // n_vocab may be 0: then it is that of the data
  std::string canonical_recipe;
  std::string recipe_digest;
  std::string data_manifest;
  std::vector<std::int64_t> checkpoints;  // steps, ascending
};

// A folder that holds recipe.json and source.json.
bool IsRunFolder(const std::filesystem::path& path);
Result<RunFolder> ReadRunFolder(const std::filesystem::path& path);

// What metrics.jsonl says of one step.
struct StepMetrics {
  std::optional<double> loss, gradient_norm, learning_rate, validation_loss, weight_norm;
  std::map<std::string, double>
      source_losses;    // validation loss by source, where there are several
  std::string weights;  // Trainer::Digest, where it was taken
};
// By step; a step that was gone back to counts as it was run last. A last line that is only half
// there is passed over; other lines that are no metrics are refused by number.
Result<std::map<std::int64_t, StepMetrics>> ReadMetrics(const std::filesystem::path& run);

// A line by itself, in the order in which things happened.
struct MetricsLine {
  std::int64_t step = 0;
  std::string event;  // "skip", "rollback" (spikes.h), or empty
  StepMetrics metrics;
};
Result<std::vector<MetricsLine>> ReadMetricsLines(const std::filesystem::path& run);

}  // namespace tatara::learn
