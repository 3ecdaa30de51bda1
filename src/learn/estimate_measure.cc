#include "estimate_measure.h"

#include <fmt/format.h>
#include <unistd.h>

#include <algorithm>
#include <chrono>
#include <cmath>
#include <ctime>
#include <fstream>
#include <string>
#include <vector>

#include "muon.h"
#include "tatara/base/files.h"
#include "tatara/base/sha256.h"
#include "tatara/numerics/bf16_storage.h"
#include "tatara/numerics/ops.h"
#include "tatara/numerics/product.h"
#include "tatara/numerics/training.h"
#include "tatara/numerics/training_attention.h"

namespace tatara::learn {
namespace {

using Clock = std::chrono::steady_clock;
using Floats = std::vector<float>;

// Products of these sizes run at the speed of larger ones: several blocks of 192 x 256 x 256.
constexpr std::int64_t kRowsMax = 512, kColumnsMax = 1024, kInnerMax = 1024;
constexpr std::int64_t kAttentionTokensMax = 1024;
constexpr std::int64_t kRowsMeasured = 64;
constexpr double kSecondsOfOne = 0.04;  // a measurement is repeated this long
constexpr double kSecondsOfPass = 0.6;
constexpr std::size_t kRoundsMin = 3, kRoundsMax = 400;
constexpr int kOnTheWall = 2;  // for Now: waiting for a disk counts
constexpr double kValuesMeasuredMax = 1 << 26;
constexpr std::size_t kBytesMeasured = 16 << 20;

double SecondsSince(Clock::time_point start) {
  return std::chrono::duration<double>(Clock::now() - start).count();
}

// With one thread the process's own time, which others on the machine do not lengthen; else time on
// the wall.
double Now(int n_threads) {
  if (n_threads > 1) return std::chrono::duration<double>(Clock::now().time_since_epoch()).count();
  timespec time{};
  clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &time);
  return static_cast<double>(time.tv_sec) + static_cast<double>(time.tv_nsec) * 1e-9;
}

// The median of some rounds after a first one, which pays for memory.
template <typename F>
double Median(int n_threads, double seconds_max, F body) {
  body();
  std::vector<double> rounds;
  const auto start = Clock::now();
  while (rounds.size() < kRoundsMin ||
         (rounds.size() < kRoundsMax && SecondsSince(start) < seconds_max)) {
    const double before = Now(n_threads);
    body();
    rounds.push_back(Now(n_threads) - before);
  }
  const auto middle = rounds.begin() + static_cast<std::ptrdiff_t>(rounds.size() / 2);
  std::ranges::nth_element(rounds, middle);
  return *middle;
}

Floats Values(std::int64_t n) {
  Floats values(static_cast<std::size_t>(n));
  for (std::size_t i = 0; i < values.size(); ++i) {
    values[i] = static_cast<float>(static_cast<int>(i * 2654435761U >> 24) - 128) * 1e-3F;
  }
  return values;
}

// Weights and their gradients come from memory: between two passes over one layer the others have
// been through the caches. Each call gives another piece of a buffer larger than those.
class Uncached {
 public:
  Uncached() : values_(Values(kFloats)) {}
  float* Next(std::int64_t n) {
    if (at_ + n > kFloats) at_ = 0;
    float* const piece = values_.data() + at_;
    at_ += n;
    return piece;
  }

 private:
  static constexpr std::int64_t kFloats = 24 << 20;
  Floats values_;
  std::int64_t at_ = 0;
};

struct LinearBuffers {
  Uncached weights, gradients;
  numerics::ProductWorkspace workspace;
};

// The three products of a linear layer, in seconds for all of it.
struct LinearSeconds {
  double forward = 0, backward = 0;
};

LinearSeconds MeasureLinear(std::int64_t n_rows, std::int64_t n_outputs, std::int64_t n_inputs,
                            LinearBuffers& buffers, ThreadPool& pool) {
  const numerics::LinearSize size{.n_tokens = std::min(n_rows, kRowsMax),
                                  .n_inputs = std::min(n_inputs, kInnerMax),
                                  .n_outputs = std::min(n_outputs, kColumnsMax)};
  const double times = static_cast<double>(n_rows) / static_cast<double>(size.n_tokens) *
                       static_cast<double>(n_inputs) / static_cast<double>(size.n_inputs) *
                       static_cast<double>(n_outputs) / static_cast<double>(size.n_outputs);
  const std::int64_t n_weights = size.n_outputs * size.n_inputs;
  const Floats x = Values(size.n_tokens * size.n_inputs);
  Floats y = Values(size.n_tokens * size.n_outputs), dx(x.size());
  LinearSeconds seconds;
  seconds.forward = times * Median(pool.n_threads(), kSecondsOfOne, [&] {
                      numerics::LinearForward(size, x.data(), buffers.weights.Next(n_weights),
                                              y.data(), buffers.workspace, pool);
                    });
  seconds.backward =
      times * Median(pool.n_threads(), 2 * kSecondsOfOne, [&] {
        numerics::LinearBackward(size, y.data(), buffers.weights.Next(n_weights),
                                 numerics::ChainStart::kFromZero, dx.data(), buffers.workspace,
                                 pool);
        numerics::LinearWeightGradient(size, y.data(), x.data(), buffers.gradients.Next(n_weights),
                                       buffers.workspace, pool);
      });
  return seconds;
}

// Of all heads of one layer over all sequences.
LinearSeconds MeasureAttention(const model::TrainableShape& s, std::int64_t n_sequences,
                               std::int64_t n_tokens, ThreadPool& pool) {
  const int n_kv = s.n_kv_heads == 0 ? s.n_heads : s.n_kv_heads;
  const int group = s.n_heads / n_kv;
  const int kv_heads = std::min(n_kv, std::max(1, pool.n_threads()));
  const int head_dim = s.head_dim == 0 ? s.n_embd / s.n_heads : s.head_dim;
  const std::int64_t tokens = std::min(n_tokens, kAttentionTokensMax);
  const std::int64_t q_stride = std::int64_t{kv_heads} * group * head_dim;
  const std::int64_t kv_stride = std::int64_t{kv_heads} * head_dim;
  const Floats q = Values(tokens * q_stride), k = Values(tokens * kv_stride), dout = q;
  Floats out(q.size()), dq(q.size()), dk(k.size()), dv(k.size());
  Floats maxima(static_cast<std::size_t>(tokens * kv_heads * group)), sums(maxima.size());
  numerics::TrainingAttention attention;
  attention.n_sequences = 1;
  attention.n_tokens = tokens;
  attention.n_heads = kv_heads * group;
  attention.n_kv_heads = kv_heads;
  attention.head_dim = head_dim;
  attention.scale = 1 / std::sqrt(static_cast<float>(head_dim));
  attention.q = q.data(), attention.k = k.data(), attention.v = k.data();
  attention.q_stride = q_stride, attention.k_stride = attention.v_stride = kv_stride;
  const numerics::AttentionOutput output{out.data(), maxima.data(), sums.data()};
  numerics::AttentionGradients gradients;
  gradients.dout = dout.data(), gradients.dq = dq.data();
  gradients.dk = dk.data(), gradients.dv = dv.data();
  numerics::AttentionWorkspace workspace;
  // Work grows with the square of the tokens, but for what padding and the diagonal take.
  const double longer = static_cast<double>(n_tokens) / static_cast<double>(tokens);
  const double times = static_cast<double>(n_sequences) * longer * longer * n_kv / kv_heads;
  return {times * Median(pool.n_threads(), kSecondsOfOne,
                         [&] { numerics::CausalAttention(attention, output, workspace, pool); }),
          times * Median(pool.n_threads(), kSecondsOfOne, [&] {
            numerics::CausalAttentionBackward(attention, output, gradients, workspace, pool);
          })};
}

// Seconds a row of norms, activations and residuals of one layer, and of the loss; one thread.
struct RowSeconds {
  double forward = 0, backward = 0, loss = 0, loss_backward = 0;
};

RowSeconds MeasureRows(const model::TrainableShape& s, std::int64_t n_ff) {
  const bool layer_norm = s.architecture == "gpt2";
  const auto kind = layer_norm ? numerics::NormKind::kLayer : numerics::NormKind::kRms;
  const auto activation =
      layer_norm ? numerics::Activation::kGeluTanh : numerics::Activation::kSilu;
  const Floats x = Values(s.n_embd), weight = Values(s.n_embd);
  Floats y(x.size()), dx(x.size()), dweight(x.size());
  Floats inner = Values(n_ff), up = inner, dinner = inner, dup = inner;
  RowSeconds seconds;
  const auto norm = [&] {
    for (int i = 0; i < 2; ++i) {
      if (layer_norm) {
        numerics::LayerNorm(x, weight, weight, 1e-5F, y);
      } else {
        numerics::RmsNorm(x, weight, 1e-5F, y);
      }
      numerics::Add(x, y);
    }
  };
  seconds.forward =
      Median(1, kSecondsOfOne / 4,
             [&] {
               for (std::int64_t row = 0; row < kRowsMeasured; ++row) {
                 norm();
                 layer_norm ? numerics::GeluTanh(inner) : numerics::SiluMul(up, inner, dinner);
               }
             }) /
      kRowsMeasured;
  seconds.backward = Median(1, kSecondsOfOne / 4,
                            [&] {
                              for (std::int64_t row = 0; row < kRowsMeasured; ++row) {
                                for (int i = 0; i < 2; ++i) {
                                  const auto at = layer_norm ? numerics::LayerStatistics(x, 1e-5F)
                                                             : numerics::RmsStatistics(x, 1e-5F);
                                  numerics::NormBackward(kind, x, weight, y, at, dx);
                                  numerics::NormWeightGradient(x, y, at, dweight);
                                }
                                if (layer_norm) {
                                  numerics::ActivationBackward(activation, up, dinner, dup);
                                } else {
                                  numerics::GateBackward(activation, up, up, dinner, dinner, dup);
                                }
                              }
                            }) /
                     kRowsMeasured;
  const Floats logits = Values(s.n_vocab);
  Floats scratch(logits.size());
  const auto loss = [&](bool gradient) {
    return Median(1, kSecondsOfOne / 4, [&] {
      scratch = logits;
      gradient ? numerics::CrossEntropy(scratch, 0) : numerics::CrossEntropyLoss(scratch, 0);
    });
  };
  seconds.loss = loss(false);
  seconds.loss_backward = loss(true);
  return seconds;
}

struct Shape {
  std::int64_t n_rows = 0, n_cols = 0;
  double count = 0;
  double not_again = 0;  // of the count, those that a recomputed forward pass leaves out
  bool is_head = false;
};

// Distinct shapes of the matrices that multiply, and how often each occurs.
std::vector<Shape> ShapesOf(const model::Trainable& trainable) {
  std::vector<Shape> shapes;
  const bool tied = trainable.shape().tied;
  for (const model::Parameter& p : trainable.parameters()) {
    const bool is_embedding = p.name == "token_embd.weight";
    if (p.n_rows <= 1 || p.name == "position_embd.weight" || (is_embedding && !tied)) continue;
    const bool is_head = is_embedding || p.name == "output.weight";
    const auto found = std::ranges::find_if(shapes, [&](const Shape& shape) {
      return shape.n_rows == p.n_rows && shape.n_cols == p.n_cols && shape.is_head == is_head;
    });
    const double not_again = p.name.ends_with(".ffn_down.weight") ? 1 : 0;
    if (found != shapes.end()) {
      ++found->count;
      found->not_again += not_again;
    } else {
      shapes.push_back({p.n_rows, p.n_cols, 1, not_again, is_head});
    }
  }
  return shapes;
}

}  // namespace

PassSeconds MeasurePass(model::Trainable& trainable, const PassPlan& plan, std::int64_t n_tokens,
                        ThreadPool& pool) {
  const std::int64_t n_sequences = plan.sequences;
  const std::int64_t n_rows = n_sequences * n_tokens;
  std::vector<std::int32_t> tokens(static_cast<std::size_t>(n_rows)), targets(tokens.size());
  for (std::size_t i = 0; i < tokens.size(); ++i) {
    tokens[i] =
        static_cast<std::int32_t>(i * 7919 % static_cast<std::size_t>(trainable.shape().n_vocab));
    targets[i] = tokens[i];
  }
  const Floats weights = Values(trainable.n_values());
  Floats gradient(static_cast<std::size_t>(plan.gradient_values));
  double loss = 0;
  std::vector<double> losses(static_cast<std::size_t>(plan.shards));
  std::vector<std::int64_t> ends;
  for (int i = 1; i <= plan.shards; ++i) ends.push_back(n_sequences * i / plan.shards);
  const model::TrainingBatch batch{
      .n_sequences = n_sequences, .n_tokens = n_tokens, .tokens = tokens, .targets = targets};
  PassSeconds seconds;
  seconds.train = Median(pool.n_threads(), kSecondsOfPass, [&] {
    if (plan.shards > 0) {
      trainable.GradientOfShards(batch, ends, weights, {}, gradient, losses, pool);
      return;
    }
    trainable.LossAndGradient(batch, weights, {}, gradient, loss, pool);
    trainable.FinishGradient(gradient);
  });
  const auto size = static_cast<std::size_t>(n_tokens);
  seconds.forward = Median(pool.n_threads(), kSecondsOfPass / 3, [&] {
    trainable.Loss({.n_sequences = 1,
                    .n_tokens = n_tokens,
                    .tokens = std::span(tokens).first(size),
                    .targets = std::span(targets).first(size)},
                   weights, loss, pool);
  });
  return seconds;
}

PassSeconds MeasureKernels(const model::Trainable& trainable, bool recompute,
                           std::int64_t n_sequences, std::int64_t n_tokens, ThreadPool& pool) {
  const model::TrainableShape& s = trainable.shape();
  const std::int64_t n_rows = n_sequences * n_tokens;
  const double n_layers = s.n_layers;
  LinearBuffers buffers;
  double layers_forward = 0, head_forward = 0, backward = 0, not_again = 0;
  std::int64_t n_ff = s.n_ff;
  for (const Shape& shape : ShapesOf(trainable)) {
    const LinearSeconds seconds = MeasureLinear(n_rows, shape.n_rows, shape.n_cols, buffers, pool);
    (shape.is_head ? head_forward : layers_forward) += shape.count * seconds.forward;
    backward += shape.count * seconds.backward;
    not_again += shape.not_again * seconds.forward;
    if (!shape.is_head && n_ff == 0) n_ff = shape.n_rows;
  }
  const LinearSeconds attention = MeasureAttention(s, n_sequences, n_tokens, pool);
  const RowSeconds row = MeasureRows(s, n_ff);
  const double rows = static_cast<double>(n_rows) / pool.n_threads();
  layers_forward += n_layers * (attention.forward + rows * row.forward);
  backward += n_layers * (attention.backward + rows * row.backward);
  PassSeconds seconds;
  seconds.forward =
      (layers_forward + head_forward + rows * row.loss) / static_cast<double>(n_sequences);
  seconds.train = layers_forward + head_forward + backward + rows * row.loss_backward;
  if (recompute) seconds.train += (layers_forward - not_again) * (n_layers - 1) / n_layers;
  return seconds;
}

OptimizerSeconds MeasureOptimizer(double n_values, model::Storage moments, ThreadPool& pool) {
  constexpr std::int64_t kPiece = 1 << 16;
  const auto n = static_cast<std::int64_t>(std::min(n_values, kValuesMeasuredMax));
  Floats weights = Values(n), gradient = weights, first = weights, second(weights.size(), 1e-4F);
  const bool narrow = moments == model::Storage::kBF16;
  std::vector<std::uint16_t> halves(narrow ? 2 * weights.size() : 0);
  const auto for_pieces = [&](auto body) {
    pool.For((n + kPiece - 1) / kPiece, [&](std::int64_t item, int) {
      const auto at = static_cast<std::size_t>(item * kPiece);
      body(at, std::min<std::size_t>(kPiece, static_cast<std::size_t>(n) - at));
    });
  };
  const auto part = [](Floats& values, std::size_t at, std::size_t size) {
    return std::span(values).subspan(at, size);
  };
  OptimizerSeconds seconds;
  const auto count = static_cast<double>(n);
  seconds.clear = Median(pool.n_threads(), kSecondsOfOne,
                         [&] {
                           for_pieces([&](std::size_t at, std::size_t size) {
                             std::ranges::fill(part(first, at, size), 0.0F);
                           });
                         }) /
                  count;
  seconds.add = Median(pool.n_threads(), kSecondsOfOne,
                       [&] {
                         for_pieces([&](std::size_t at, std::size_t size) {
                           numerics::Add(part(first, at, size), part(gradient, at, size));
                         });
                       }) /
                count;
  double sum = 0;
  seconds.finish =
      Median(pool.n_threads(), 2 * kSecondsOfOne,
             [&] {
               for_pieces([&](std::size_t at, std::size_t size) {
                 for (std::size_t i = 0; i < size; i += numerics::kSquaresPiece) {
                   const std::span<float> piece =
                       part(gradient, at + i, std::min(numerics::kSquaresPiece, size - i));
                   numerics::Divide(1.5F, piece);
                   const double squares = numerics::SumOfSquaresF64(piece);
                   if (at == 0) sum += squares;
                 }
               });
               const numerics::AdamWStep step{.step = 10, .learning_rate = 1e-9};
               for_pieces([&](std::size_t at, std::size_t size) {
                 if (narrow) {
                   const std::span<std::uint16_t> both(halves.data() + 2 * at, 2 * size);
                   numerics::AdamW(step, {.first_place = at}, part(gradient, at, size),
                                   part(weights, at, size), both.first(size), both.last(size));
                   return;
                 }
                 numerics::AdamW(step, part(gradient, at, size), part(weights, at, size),
                                 part(first, at, size), part(second, at, size));
               });
             }) /
      count;
  return seconds;
}

double MeasureMuon(const model::Trainable& trainable, ThreadPool& pool) {
  double seconds = 0;
  for (const Shape& shape : ShapesOf(trainable)) {
    if (shape.is_head) continue;
    const std::int64_t n_rows = std::min(shape.n_rows, kInnerMax);
    const std::int64_t n_columns = std::min(shape.n_cols, kInnerMax);
    // Products of the matrix with squares of its smaller side.
    const auto work = [](std::int64_t rows, std::int64_t columns) {
      return static_cast<double>(rows) * static_cast<double>(columns) *
             static_cast<double>(std::min(rows, columns));
    };
    const Floats gradient = Values(n_rows * n_columns);
    Floats weights = gradient, momentum = gradient;
    Muon muon;
    seconds += shape.count * work(shape.n_rows, shape.n_cols) / work(n_rows, n_columns) *
               Median(pool.n_threads(), kSecondsOfOne, [&] {
                 muon.Update({.n_rows = n_rows, .n_columns = n_columns, .learning_rate = 1e-9},
                             gradient, weights, momentum, pool);
               });
  }
  return seconds;
}

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
