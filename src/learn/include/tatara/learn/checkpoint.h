// Checkpoints: OUT/checkpoints/step-00000250/ with
//   weights.safetensors     every parameter under its GGUF name, f32; averaged where the recipe
//                           says so
//   optimizer.safetensors   the same names, "first." and "second." before them; with an average
//                           "weights." (those that training goes on from) and "copy.N."
//   checkpoint.json         step, digests of the two files, of recipe and data, the best so far
// Written beside its place, synced, then renamed: a checkpoint is whole or not there, whenever the
// process or the machine stops. Reading one compares the digests first.
// Thread safety: one writer per run (run.h takes a lock).
#pragma once

#include <cstdint>
#include <filesystem>
#include <string>
#include <vector>

#include "tatara/base/error.h"
#include "tatara/learn/trainer.h"

namespace tatara::learn {

struct CheckpointInfo {
  std::int64_t step = 0;
  std::string recipe_digest, data_digest;
  std::int64_t best_step = 0;  // 0: none validated yet
  double best_loss = 0;
};

std::filesystem::path CheckpointPath(const std::filesystem::path& out, std::int64_t step);

Result<> SaveCheckpoint(const std::filesystem::path& out, const CheckpointInfo& info,
                        const Trainer& trainer);
// Into the trainer's state. Refuses another recipe or other data, and files that are not what
// checkpoint.json says.
Result<CheckpointInfo> LoadCheckpoint(const std::filesystem::path& path,
                                      const CheckpointInfo& expected, Trainer& trainer);
// Steps of the whole checkpoints, ascending.
std::vector<std::int64_t> ListCheckpoints(const std::filesystem::path& out);
// All but the last `n_kept` and the best; and what an interrupted write left.
Result<> RemoveOldCheckpoints(const std::filesystem::path& out, int n_kept, std::int64_t best_step);

}  // namespace tatara::learn
