// Checkpoints: OUT/checkpoints/step-00000250/ with
//   weights.safetensors     every parameter under its GGUF name, f32; averaged where the recipe
//                           says so
//   optimizer.safetensors   the same names, "first." and "second." before them, F32 or BF16 as they
//                           are stored; with an average "weights." (those that training goes on
//                           from) and "copy.N."
//   keys.gguf               of a run in phases: what this checkpoint's model has for keys
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
#include "tatara/base/metadata.h"
#include "tatara/learn/trainer.h"

namespace tatara::learn {

struct CheckpointInfo {
  std::int64_t step = 0;
  std::string recipe_digest, data_digest;
  std::int64_t best_step = 0;  // 0: none validated yet
  double best_loss = 0;
  std::int64_t metrics_lines = 0;  // of metrics.jsonl, written by then
};

std::filesystem::path CheckpointPath(const std::filesystem::path& out, std::int64_t step);

// `keys`: of the model as it is now, where those in the run's folder are not; may be null.
Result<> SaveCheckpoint(const std::filesystem::path& out, const CheckpointInfo& info,
                        const Trainer& trainer, const Metadata* keys = nullptr);
// Into the trainer's state. Refuses another recipe or other data, and files that are not what
// checkpoint.json says.
Result<CheckpointInfo> LoadCheckpoint(const std::filesystem::path& path,
                                      const CheckpointInfo& expected, Trainer& trainer);
// SHA-256 of the two files: as checkpoint.json states them, and as SaveCheckpoint would write them.
struct CheckpointDigests {
  std::string weights, optimizer;
};
Result<CheckpointDigests> ReadCheckpointDigests(const std::filesystem::path& path);
CheckpointDigests DigestsOfCheckpoint(const Trainer& trainer);

// Steps of the whole checkpoints, ascending.
std::vector<std::int64_t> ListCheckpoints(const std::filesystem::path& out);
// Which checkpoints stay: the last `n_kept` of them, and of what has a reason to stay, `besides`.
// With a bound as many are removed, from the oldest, as have to go for `bytes_next` more to fit;
// the last one and `besides` never.
struct KeptCheckpoints {
  int n_kept = 1;
  std::vector<std::int64_t> besides;
  std::uint64_t bytes_max = 0;  // 0: no bound
  std::uint64_t bytes_next = 0;
};
Result<> RemoveOldCheckpoints(const std::filesystem::path& out, const KeptCheckpoints& kept);
// All of later steps, as after going back.
Result<> RemoveCheckpointsAfter(const std::filesystem::path& out, std::int64_t step);
// Of one checkpoint's files, checkpoint.json counted as 64 KiB.
std::uint64_t CheckpointBytes(const Trainer& trainer);

// What a step says that is to be rolled back: the trainer gets the state of its RollBackStep, but
// goes on with the data after the suspect ones. Returns the checkpoint's info.
Result<CheckpointInfo> RollBack(const std::filesystem::path& out, const CheckpointInfo& expected,
                                Trainer& trainer, ThreadPool& pool);

}  // namespace tatara::learn
