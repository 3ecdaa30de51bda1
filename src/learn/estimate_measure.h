// Times of what a run does, measured on this machine: passes and updates as they are, or the
// kernels that they are made of, each within some tens of milliseconds.
// Thread safety: one call at a time.
#pragma once

#include <cstdint>
#include <filesystem>
#include <span>
#include <vector>

#include "tatara/base/thread_pool.h"
#include "tatara/learn/recipe.h"
#include "tatara/model/trainable.h"

namespace tatara::learn {

// Sequences of the data, or made-up ones; a pass takes `n_sequences` of them, the next pass the
// next ones.
struct MeasuredBatch {
  std::int64_t n_sequences = 0;
  std::int64_t n_tokens = 0;
  int n_shards = 0;  // whole ones that a pass takes; 0: a part of one (passes.h)
  std::vector<std::int32_t> tokens, targets, first_keys;
  model::TrainingDropout dropout;
};
// Made up: all tokens count and each sequence is one document.
MeasuredBatch MadeUpBatch(std::int64_t n_sequences, std::int64_t n_tokens, int n_vocab);

struct PassSeconds {
  double train = 0;    // forward and backward over one micro-batch
  double forward = 0;  // over one sequence, as in validation
  // A token of a sample that follows n others: sample + n * sample_seen.
  double sample = 0, sample_seen = 0;
};

// The pass itself, on these weights; the gradient and activations are made for it.
PassSeconds MeasurePass(model::Trainable& trainable, std::span<const float> weights,
                        const MeasuredBatch& batch, ThreadPool& pool);

// From its parts: every product's shape on at most some hundred rows and columns, attention over at
// most 1,024 tokens, and what works on rows; counted up. `recipe` says what is trained.
struct CountedUp {
  std::int64_t n_sequences = 1;
  double counted = 1;  // of the tokens, the share that has a target
};
PassSeconds MeasureKernels(const Recipe& recipe, const model::Trainable& trainable,
                           const CountedUp& what, ThreadPool& pool);

// Of a value: setting a gradient to zero, adding two up. Of a step: division, norm, update and
// averages; `measured` is false where it was counted up from smaller arrays.
struct OptimizerSeconds {
  double clear = 0, add = 0, finish = 0;
  bool measured = false;
};
OptimizerSeconds MeasureOptimizer(const OptimizerRecipe& recipe, const model::Trainable& trainable,
                                  ThreadPool& pool);

// A value: drawing the weights that a run starts from.
double MeasureStart(ThreadPool& pool);

// A byte: SHA-256; writing to a disk with fsync (0 where the folder is not writable); copying.
double MeasureHash();
double MeasureDisk(const std::filesystem::path& folder);
double MeasureCopy();

// Bytes that this process holds now, and the most that it held.
struct ProcessBytes {
  double now = 0, peak = 0;
};
ProcessBytes MeasureProcess();
double MachineBytes();

}  // namespace tatara::learn
