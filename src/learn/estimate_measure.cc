#include "estimate_measure.h"

#include <fmt/format.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cmath>
#include <cstring>
#include <fstream>
#include <map>
#include <string>
#include <utility>

#include "estimate_clock.h"
#include "muon.h"
#include "optimizer.h"
#include "pieces.h"
#include "tatara/base/files.h"
#include "tatara/base/sha256.h"
#include "tatara/learn/moments.h"
#include "tatara/learn/trainer.h"
#include "tatara/numerics/bf16_storage.h"
#include "tatara/numerics/ops.h"
#include "tatara/numerics/training.h"

namespace tatara::learn {
namespace {

using Floats = std::vector<float>;

constexpr double kSecondsOfPass = 1;
constexpr std::int64_t kMuonSideMax = 1024;
constexpr double kValuesMeasuredMax = 1 << 26;
constexpr std::size_t kBytesMeasured = 16 << 20;
constexpr std::size_t kBytesCopied = 64 << 20;  // past the caches

model::TrainingBatch CallOf(const MeasuredBatch& batch, std::size_t number) {
  const auto n = static_cast<std::size_t>(batch.n_sequences * batch.n_tokens);
  const std::size_t at = number % (batch.tokens.size() / n) * n;
  model::TrainingBatch call{.n_sequences = batch.n_sequences, .n_tokens = batch.n_tokens};
  call.tokens = std::span(batch.tokens).subspan(at, n);
  call.targets = std::span(batch.targets).subspan(at, n);
  if (!batch.first_keys.empty()) call.first_keys = std::span(batch.first_keys).subspan(at, n);
  return call;
}

model::TrainingBatch FirstTokens(const model::TrainingBatch& call, std::int64_t n) {
  const auto size = static_cast<std::size_t>(n);
  model::TrainingBatch one{.n_sequences = 1, .n_tokens = n};
  one.tokens = call.tokens.first(size);
  one.targets = call.targets.first(size);
  if (!call.first_keys.empty()) one.first_keys = call.first_keys.first(size);
  return one;
}

// A line through a whole context and a quarter of one.
void MeasureSamples(model::Trainable& trainable, std::span<const float> weights,
                    const model::TrainingBatch& call, ThreadPool& pool, PassSeconds& seconds) {
  Floats logits;
  const auto take = [&](std::int64_t n) {
    const model::TrainingBatch one = FirstTokens(call, n);
    logits.resize(static_cast<std::size_t>(n * trainable.shape().n_vocab));
    return Median(pool.n_threads(), kSecondsOfPass / 5,
                  [&] { trainable.Logits(one, weights, logits, pool); });
  };
  const std::int64_t many = call.n_tokens, few = std::max<std::int64_t>(1, many / 4);
  const double at_many = take(many), at_few = many == few ? at_many : take(few);
  const auto span = static_cast<double>(std::max<std::int64_t>(1, many - few));
  seconds.sample_seen = std::max(0.0, (at_many - at_few) / span);
  seconds.sample = at_many - seconds.sample_seen * static_cast<double>(many);
}

}  // namespace

MeasuredBatch MadeUpBatch(std::int64_t n_sequences, std::int64_t n_tokens, int n_vocab) {
  MeasuredBatch batch{.n_sequences = n_sequences, .n_tokens = n_tokens};
  batch.tokens.resize(static_cast<std::size_t>(n_sequences * n_tokens));
  for (std::size_t i = 0; i < batch.tokens.size(); ++i) {
    batch.tokens[i] = static_cast<std::int32_t>(i * 7919 % static_cast<std::size_t>(n_vocab));
  }
  batch.targets = batch.tokens;
  return batch;
}

PassSeconds MeasurePass(model::Trainable& trainable, std::span<const float> weights,
                        const MeasuredBatch& batch, ThreadPool& pool) {
  PassSeconds seconds;
  double loss = 0;
  std::size_t number = 0;
  {
    const bool whole = batch.n_shards > 0;
    Floats gradient(
        static_cast<std::size_t>(whole ? trainable.n_values() : trainable.n_gradient_values()));
    std::vector<double> losses(static_cast<std::size_t>(batch.n_shards));
    std::vector<std::int64_t> ends;
    for (int i = 1; i <= batch.n_shards; ++i) {
      ends.push_back(batch.n_sequences * i / batch.n_shards);
    }
    seconds.train = Median(pool.n_threads(), kSecondsOfPass, [&] {
      const model::TrainingBatch call = CallOf(batch, number++);
      if (whole) {
        trainable.GradientOfShards(call, ends, weights, batch.dropout, gradient, losses, pool);
        return;
      }
      trainable.LossAndGradient(call, weights, batch.dropout, gradient, loss, pool);
      trainable.FinishGradient(gradient);
    });
  }
  const model::TrainingBatch one = FirstTokens(CallOf(batch, 0), batch.n_tokens);
  seconds.forward = Median(pool.n_threads(), kSecondsOfPass / 2,
                           [&] { trainable.Loss(one, weights, loss, pool); });
  MeasureSamples(trainable, weights, one, pool, seconds);
  return seconds;
}

// ---- the optimiser

namespace {

// Matrices by shape, q, k and v by themselves, and how often each occurs.
std::map<std::pair<std::int64_t, std::int64_t>, double> MuonShapes(
    const model::Trainable& trainable) {
  std::map<std::pair<std::int64_t, std::int64_t>, double> shapes;
  for (const model::Parameter& p : trainable.parameters()) {
    if (!TakesMuon(p)) continue;
    const int n_parts = MuonParts(p);
    shapes[{p.n_rows / n_parts, p.n_cols}] += n_parts;
  }
  return shapes;
}

double MeasureMuon(const model::Trainable& trainable, ThreadPool& pool) {
  double seconds = 0;
  for (const auto& [shape, count] : MuonShapes(trainable)) {
    const std::int64_t n_rows = std::min(shape.first, kMuonSideMax);
    const std::int64_t n_columns = std::min(shape.second, kMuonSideMax);
    const Floats gradient = MeasuredValues(n_rows * n_columns);
    Floats weights = gradient, momentum = gradient;
    Muon muon;
    seconds += count * MuonFlops(shape.first, shape.second) / MuonFlops(n_rows, n_columns) *
               Median(pool.n_threads(), kSecondsOfOne, [&] {
                 muon.Update({.n_rows = n_rows, .n_columns = n_columns, .learning_rate = 1e-9},
                             gradient, weights, momentum, pool);
               });
  }
  return seconds;
}

// Division and norm as in a step, in one way through memory; the mean is written for Muon alone.
void MeasuredNorm(bool writes, Floats& gradient, std::int64_t n, ThreadPool& pool) {
  std::vector<double> squares(static_cast<std::size_t>(n / kPiece + 1));
  ForPieces(n, pool, [&](std::size_t first, std::size_t size) {
    for (std::size_t i = 0; i < size; i += numerics::kSquaresPiece) {
      const std::span<float> piece =
          std::span(gradient).subspan(first + i, std::min(numerics::kSquaresPiece, size - i));
      std::array<float, numerics::kSquaresPiece> mean;
      const std::span<float> to = writes ? piece : std::span(mean).first(piece.size());
      if (!writes) std::ranges::copy(piece, to.begin());
      numerics::Divide(1.5F, to);
      squares[first / static_cast<std::size_t>(kPiece)] += numerics::SumOfSquaresF64(to);
    }
  });
}

// The update itself, on arrays of the run's size.
double MeasureWholeUpdate(const OptimizerRecipe& o, const model::Trainable& trainable,
                          Floats& gradient, ThreadPool& pool) {
  const std::int64_t n = trainable.n_values();
  TrainerState state;
  state.weights = MeasuredValues(n);
  MakeMoments(o, trainable, state);
  if (o.average != Average::kNone) state.average = state.weights;
  Optimizer optimizer;
  double seconds = Median(pool.n_threads(), 4 * kSecondsOfOne, [&] {
    MeasuredNorm(o.kind == OptimizerKind::kMuon, gradient, n, pool);
    optimizer.Update(o, trainable, {.step = 10, .rate = o.learning_rate * 1e-9}, gradient, state,
                     pool);
    if (o.average == Average::kEma) UpdateAverage(o, 1, state, pool);
  });
  if (o.average == Average::kLawa) {
    state.copies.assign(static_cast<std::size_t>(o.average_count), state.weights);
    seconds += Median(pool.n_threads(), kSecondsOfOne,
                      [&] { UpdateAverage(o, o.average_every, state, pool); }) /
               static_cast<double>(o.average_every);
  }
  return seconds;
}

// AdamW by the value, Muon by the matrix, averages as additions.
double CountUpUpdate(const OptimizerRecipe& o, const model::Trainable& trainable, double add,
                     Floats& gradient, ThreadPool& pool) {
  const auto n = static_cast<std::int64_t>(gradient.size());
  Floats weights = gradient;
  const std::vector<model::Parameter> all = {{.n_rows = 1, .n_cols = n}};
  const auto has = [](const model::Parameter&) { return true; };
  Moments first(o.moments, all, has), second(o.moments, all, has);
  const numerics::AdamWStep step{.step = 10, .learning_rate = 1e-9};
  const auto update = [&](std::size_t at, std::size_t size) {
    const std::span<const float> g = std::span(gradient).subspan(at, size);
    const std::span<float> w = std::span(weights).subspan(at, size);
    if (first.narrow.empty()) {
      numerics::AdamW(step, g, w, std::span(first.wide).subspan(at, size),
                      std::span(second.wide).subspan(at, size));
    } else {
      numerics::AdamW(step, {.first_place = at}, g, w, std::span(first.narrow).subspan(at, size),
                      std::span(second.narrow).subspan(at, size));
    }
  };
  const double a_value = Median(pool.n_threads(), 2 * kSecondsOfOne,
                                [&] {
                                  MeasuredNorm(o.kind == OptimizerKind::kMuon, gradient, n, pool);
                                  ForPieces(n, pool, update);
                                }) /
                         static_cast<double>(n);
  const double additions = o.average == Average::kEma ? 1
                           : o.average == Average::kLawa
                               ? (2.0 + o.average_count) / static_cast<double>(o.average_every)
                               : 0;
  const double seconds = static_cast<double>(trainable.n_values()) * (a_value + additions * add);
  return o.kind == OptimizerKind::kMuon ? seconds + MeasureMuon(trainable, pool) : seconds;
}

}  // namespace

OptimizerSeconds MeasureOptimizer(const OptimizerRecipe& recipe, const model::Trainable& trainable,
                                  ThreadPool& pool) {
  const auto n_values = static_cast<double>(trainable.n_values());
  const auto n = static_cast<std::int64_t>(std::min(n_values, kValuesMeasuredMax));
  Floats gradient = MeasuredValues(n), other = gradient;
  OptimizerSeconds seconds{.measured = n_values <= kValuesMeasuredMax};
  const auto count = static_cast<double>(n);
  seconds.clear = Median(pool.n_threads(), kSecondsOfOne,
                         [&] {
                           ForPieces(n, pool, [&](std::size_t at, std::size_t size) {
                             std::ranges::fill(std::span(other).subspan(at, size), 0.0F);
                           });
                         }) /
                  count;
  seconds.add = Median(pool.n_threads(), kSecondsOfOne,
                       [&] {
                         ForPieces(n, pool, [&](std::size_t at, std::size_t size) {
                           numerics::Add(std::span(gradient).subspan(at, size),
                                         std::span(other).subspan(at, size));
                         });
                       }) /
                count;
  other = {};
  seconds.finish = seconds.measured ? MeasureWholeUpdate(recipe, trainable, gradient, pool)
                                    : CountUpUpdate(recipe, trainable, seconds.add, gradient, pool);
  return seconds;
}

// ---- around the steps

double MeasureStart(ThreadPool& pool) {
  const model::TrainableShape shape{.architecture = "llama",
                                    .n_vocab = 2048,
                                    .n_layers = 1,
                                    .n_embd = 64,
                                    .n_heads = 1,
                                    .n_ctx = 1};
  const auto trainable = model::Trainable::Make(shape);
  if (!trainable.ok()) return 0;
  Floats weights(static_cast<std::size_t>((*trainable)->n_values()));
  return Median(pool.n_threads(), kSecondsOfOne,
                [&] { (*trainable)->Initialise(1, weights, pool); }) /
         static_cast<double>(weights.size());
}

double MeasureHash() {
  const std::string bytes(kBytesMeasured, 'x');
  return Median(1, kSecondsOfOne / 2, [&] { Sha256Of(AsBytes(bytes)); }) /
         static_cast<double>(kBytesMeasured);
}

double MeasureDisk(const std::filesystem::path& folder) {
  const std::string bytes(kBytesMeasured, 'x');
  const auto path = folder / fmt::format(".tatara-estimate-{}", getpid());
  bool written = true;
  const double seconds =
      Median(kOnTheWall, 0, [&] { written = written && WriteFileAtomically(path, bytes).ok(); });
  std::error_code ignored;
  std::filesystem::remove(path, ignored);
  return written ? seconds / static_cast<double>(kBytesMeasured) : 0;
}

double MeasureCopy() {
  const std::string from(kBytesCopied, 'x');
  std::string to(kBytesCopied, 'y');
  return Median(1, kSecondsOfOne, [&] { std::memcpy(to.data(), from.data(), to.size()); }) /
         static_cast<double>(kBytesCopied);
}

ProcessBytes MeasureProcess() {
  ProcessBytes bytes;
  std::ifstream status("/proc/self/status");
  for (std::string line; std::getline(status, line);) {
    for (const auto& [key, value] : {std::pair{"VmRSS:", &bytes.now}, {"VmHWM:", &bytes.peak}}) {
      if (line.starts_with(key)) *value = std::atof(line.c_str() + 6) * 1024;
    }
  }
  return bytes;
}

double MachineBytes() {
  return static_cast<double>(sysconf(_SC_PHYS_PAGES)) * static_cast<double>(sysconf(_SC_PAGESIZE));
}

}  // namespace tatara::learn
