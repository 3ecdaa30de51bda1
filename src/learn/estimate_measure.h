// Times of the kernels that training runs, measured on this machine, each within some tens of
// milliseconds.
// Thread safety: one call at a time.
#pragma once

#include <cstdint>
#include <filesystem>

#include "passes.h"
#include "tatara/base/thread_pool.h"
#include "tatara/learn/recipe.h"
#include "tatara/model/trainable.h"

namespace tatara::learn {

struct PassSeconds {
  double train = 0;    // forward and backward over one micro-batch
  double forward = 0;  // over one sequence, as in validation
};

// The pass itself: weights, gradient and activations are made for it.
PassSeconds MeasurePass(model::Trainable& trainable, const PassPlan& plan, std::int64_t n_tokens,
                        ThreadPool& pool);
// From its parts: every product's shape on at most some hundred rows and columns, attention over at
// most 1,024 tokens, and what works on rows; counted up.
PassSeconds MeasureKernels(const model::Trainable& trainable, bool recompute,
                           std::int64_t n_sequences, std::int64_t n_tokens, ThreadPool& pool);

// For each value of a gradient: adding two up, setting to zero, dividing, the norm, and AdamW.
struct OptimizerSeconds {
  double add = 0, clear = 0, finish = 0;  // finish: division, norm and update
};
OptimizerSeconds MeasureOptimizer(double n_values, model::Storage moments, ThreadPool& pool);

// Of one step: what Muon takes for the matrices inside layers.
double MeasureMuon(const model::Trainable& trainable, ThreadPool& pool);

// Seconds a value: drawing the weights that a run starts from.
double MeasureStart(ThreadPool& pool);

// Seconds a byte: SHA-256, and writing to a disk with fsync (0 where the folder is not writable).
double MeasureHash();
double MeasureDisk(const std::filesystem::path& folder);

// Bytes that this process holds now, and the most that it held.
struct ProcessBytes {
  double now = 0, peak = 0;
};
ProcessBytes MeasureProcess();
double MachineBytes();

}  // namespace tatara::learn
