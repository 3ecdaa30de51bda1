// What a run would take, before it is made: floating-point operations as the kernels count them,
// time on this machine from kernels measured here and now, peak memory, energy, money, and the loss
// that laws of scale expect.
//
// Time: what is small enough is measured as it is, with the run's own data: opening the data, the
// pass over a micro-batch, the update, a validation, a token of a sample. Else products (by shape),
// attention, norms, activations and losses are measured on smaller sizes and counted up. Hashing
// and writing are measured by the byte. With one thread this is the process's own time, else time
// on the wall. Every phase is a part of the sum; the memory's peak is that of the largest.
// Thread safety: one call at a time.
#pragma once

#include <cstdint>
#include <filesystem>
#include <string>
#include <vector>

#include "tatara/base/error.h"
#include "tatara/base/progress.h"
#include "tatara/learn/loss_law.h"
#include "tatara/learn/recipe.h"

namespace tatara::learn {

struct EstimateOptions {
  int n_threads = 1;
  int n_workers = 1;          // processes of so many threads each, on this machine (workers.h)
  std::filesystem::path out;  // where checkpoints would be written; the disk is measured there
  // By kernels even where a pass could be measured as it is: for tests.
  bool by_kernels = false;
  const StopFlag* stop = nullptr;  // may be null
};

struct EstimatedTime {   // in seconds, of the whole run
  double start = 0;      // opening the data, the first weights, a base under an adapter
  double passes = 0;     // forward and backward
  double optimizer = 0;  // adding shards up, norm, update, averages
  double exchange = 0;   // of gradients between processes
  double validation = 0;
  double samples = 0;
  double checkpoints = 0;
  double questions = 0;  // that `tatara tune` asks before and after
  double all() const {
    return start + passes + optimizer + exchange + validation + samples + checkpoints + questions;
  }
};

struct EstimatedMemory {  // in bytes, at the peak, of one process
  double process = 0;     // the program and the data, as they are now
  double frozen = 0;      // a base under an adapter
  double weights = 0;     // that train, two moments, averages
  double gradients = 0;
  double activations = 0;
  double writing = 0;  // a checkpoint
  double all() const { return process + frozen + weights + gradients + activations + writing; }
};

// What the recipe's [estimate] says of other machines and of prices.
struct EstimatedCost {
  double seconds = 0;
  double kilowatt_hours = 0;  // 0: no watts are stated
  double money = 0;           // 0: no price is stated
};

struct Estimate {
  std::int64_t n_parameters = 0;
  double steps = 0, tokens = 0;
  double kernel_flops_per_step = 0;  // what the kernels will have counted (numerics/flops.h)
  double flops = 0;                  // of the whole run's steps
  bool by_kernels = false;
  double measured_seconds = 0;  // that measuring took
  double flops_per_second = 0;  // of the passes, on this machine
  EstimatedTime time;
  EstimatedMemory memory;
  double memory_of_all = 0;  // processes together
  double machine_bytes = 0;
  EstimatedCost here;
  EstimatedCost devices;  // seconds 0: none are stated
  ExpectedLoss loss;
  std::vector<std::string> notes;  // what is not in it, in the current language
};

Result<Estimate> EstimateRun(Recipe recipe, const EstimateOptions& options);

}  // namespace tatara::learn
