// A pass counted up from its kernels, for what is too large to be run as it is.
#include <algorithm>
#include <cmath>
#include <map>
#include <utility>
#include <vector>

#include "estimate_clock.h"
#include "estimate_measure.h"
#include "tatara/numerics/ops.h"
#include "tatara/numerics/product.h"
#include "tatara/numerics/training.h"
#include "tatara/numerics/training_attention.h"
#include "tatara/weights/tensor_store.h"

namespace tatara::learn {
namespace {

using Floats = std::vector<float>;
using model::TrainableShape;

// Products of these sizes run at the speed of larger ones: several blocks of 192 x 256 x 256.
constexpr std::int64_t kRowsMax = 512, kColumnsMax = 1024, kInnerMax = 1024;
constexpr std::int64_t kAttentionTokensMax = 1024;
constexpr std::int64_t kRowsMeasured = 64;
constexpr std::int64_t kDequantizedMax = 1 << 20;

// Weights and their gradients come from memory: between two passes over one layer the others have
// been through the caches. Each call gives another piece of a buffer larger than those.
class Uncached {
 public:
  Uncached() : values_(MeasuredValues(kFloats)) {}
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
  double forward = 0, inputs = 0, weights = 0;
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
  const Floats x = MeasuredValues(size.n_tokens * size.n_inputs);
  Floats y = MeasuredValues(size.n_tokens * size.n_outputs), dx(x.size());
  const auto take = [&](auto body) {
    return times * Median(pool.n_threads(), kSecondsOfOne, body);
  };
  return {take([&] {
            numerics::LinearForward(size, x.data(), buffers.weights.Next(n_weights), y.data(),
                                    buffers.workspace, pool);
          }),
          take([&] {
            numerics::LinearBackward(size, y.data(), buffers.weights.Next(n_weights),
                                     numerics::ChainStart::kFromZero, dx.data(), buffers.workspace,
                                     pool);
          }),
          take([&] {
            numerics::LinearWeightGradient(size, y.data(), x.data(),
                                           buffers.gradients.Next(n_weights), buffers.workspace,
                                           pool);
          })};
}

struct BothWays {
  double forward = 0, backward = 0;
  BothWays operator*(double times) const { return {forward * times, backward * times}; }
  BothWays& operator+=(const BothWays& other) {
    forward += other.forward;
    backward += other.backward;
    return *this;
  }
};

// Pairs of a query and a key that it sees.
double PairsOf(double n_tokens, double window) {
  const double seen = window == 0 ? n_tokens : std::min(n_tokens, window);
  return seen * (seen + 1) / 2 + (n_tokens - seen) * seen;
}

struct AttentionKind {
  int window = 0;
  double dropout = 0;
};

// Of all heads of one layer over all sequences.
BothWays MeasureAttention(const TrainableShape& s, const AttentionKind& kind,
                          std::int64_t n_sequences, std::int64_t n_tokens, ThreadPool& pool) {
  const int n_kv = s.n_kv_heads == 0 ? s.n_heads : s.n_kv_heads;
  const int group = s.n_heads / n_kv;
  const int kv_heads = std::min(n_kv, std::max(1, pool.n_threads()));
  const int head_dim = s.head_dim == 0 ? s.n_embd / s.n_heads : s.head_dim;
  const std::int64_t tokens = std::min(n_tokens, kAttentionTokensMax);
  const std::int64_t q_stride = std::int64_t{kv_heads} * group * head_dim;
  const std::int64_t kv_stride = std::int64_t{kv_heads} * head_dim;
  const Floats q = MeasuredValues(tokens * q_stride), k = MeasuredValues(tokens * kv_stride);
  const Floats dout = q;
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
  attention.window = kind.window;
  attention.dropout.rate = kind.dropout;
  attention.soft_cap = static_cast<float>(s.score_cap);
  const numerics::AttentionOutput output{out.data(), maxima.data(), sums.data()};
  numerics::AttentionGradients gradients;
  gradients.dout = dout.data(), gradients.dq = dq.data();
  gradients.dk = dk.data(), gradients.dv = dv.data();
  numerics::AttentionWorkspace workspace;
  const double times = static_cast<double>(n_sequences) * n_kv / kv_heads *
                       PairsOf(static_cast<double>(n_tokens), kind.window) /
                       PairsOf(static_cast<double>(tokens), kind.window);
  const BothWays measured{
      Median(pool.n_threads(), kSecondsOfOne,
             [&] { numerics::CausalAttention(attention, output, workspace, pool); }),
      Median(pool.n_threads(), kSecondsOfOne, [&] {
        numerics::CausalAttentionBackward(attention, output, gradients, workspace, pool);
      })};
  return measured * times;
}

// Every layer, with its window or without.
BothWays MeasureAttentions(const TrainableShape& s, double dropout, std::int64_t n_sequences,
                           std::int64_t n_tokens, ThreadPool& pool) {
  int n_windowed = 0;
  for (int i = 0; i < s.n_layers && s.window > 0; ++i) {
    n_windowed += s.window_period == 0 || i % s.window_period < s.window_period - 1 ? 1 : 0;
  }
  BothWays all;
  if (n_windowed > 0) {
    all += MeasureAttention(s, {s.window, dropout}, n_sequences, n_tokens, pool) * n_windowed;
  }
  if (n_windowed < s.n_layers) {
    all +=
        MeasureAttention(s, {0, dropout}, n_sequences, n_tokens, pool) * (s.n_layers - n_windowed);
  }
  return all;
}

// ---- what works on rows: seconds a row, one thread

template <typename F>
double SecondsOfRow(F body) {
  return Median(1, kSecondsOfOne / 4,
                [&] {
                  for (std::int64_t row = 0; row < kRowsMeasured; ++row) body();
                }) /
         kRowsMeasured;
}

// A norm with what its way back needs, and the sum after the block.
BothWays MeasureNorm(numerics::NormKind kind, std::int64_t n, bool trains) {
  const bool layer_norm = kind == numerics::NormKind::kLayer;
  const Floats x = MeasuredValues(n), weight = x;
  Floats y(x.size()), dx(x.size()), dweight(x.size());
  numerics::NormStatistics at;
  return {SecondsOfRow([&] {
            at = layer_norm ? numerics::LayerStatistics(x, 1e-5F)
                            : numerics::RmsStatistics(x, 1e-5F);
            if (layer_norm) {
              numerics::LayerNorm(x, weight, weight, 1e-5F, y);
            } else {
              numerics::RmsNorm(x, weight, 1e-5F, y);
            }
          }),
          SecondsOfRow([&] {
            numerics::NormBackward(kind, x, weight, y, at, dx);
            if (trains) numerics::NormWeightGradient(x, y, at, dweight);
          })};
}

// The activation, its matrix of gates included.
BothWays MeasureActivation(const TrainableShape& s, std::int64_t n_ff) {
  const bool gelu = s.architecture == "gpt2" || s.architecture.starts_with("gemma");
  const auto kind = gelu ? numerics::Activation::kGeluTanh : numerics::Activation::kSilu;
  Floats inner = MeasuredValues(n_ff), up = inner, dinner = inner, dup = inner;
  if (s.architecture == "gpt2") {
    return {SecondsOfRow([&] {
              std::ranges::copy(inner, dinner.begin());
              numerics::GeluTanh(dinner);
            }),
            SecondsOfRow([&] { numerics::ActivationBackward(kind, up, inner, dup); })};
  }
  return {SecondsOfRow([&] { (gelu ? numerics::GeluTanhMul : numerics::SiluMul)(up, inner, dup); }),
          SecondsOfRow([&] { numerics::GateBackward(kind, up, up, inner, dinner, dup); })};
}

BothWays MeasureRotation(const TrainableShape& s, int n_heads, int head_dim) {
  if (s.architecture == "gpt2") return {};
  Floats x = MeasuredValues(std::int64_t{n_heads} * head_dim);
  const Floats turn(static_cast<std::size_t>(head_dim / 2), 0.7F);
  const double seconds = SecondsOfRow(
      [&] { numerics::Rope(x, n_heads, head_dim, numerics::RopeLayout::kHalves, turn, turn); });
  return {seconds, seconds};
}

double MeasureSum(std::int64_t n) {
  const Floats x = MeasuredValues(n);
  Floats y = x;
  return SecondsOfRow([&] { numerics::Add(x, y); });
}

// Of one layer.
BothWays MeasureRows(const TrainableShape& s, std::int64_t n_ff, bool trains) {
  const bool gpt2 = s.architecture == "gpt2", gemma = s.architecture.starts_with("gemma");
  const auto kind = gpt2 ? numerics::NormKind::kLayer : numerics::NormKind::kRms;
  const int head_dim = s.head_dim == 0 ? s.n_embd / s.n_heads : s.head_dim;
  const int n_kv_heads = s.n_kv_heads == 0 ? s.n_heads : s.n_kv_heads;
  const int n_heads = s.n_heads + n_kv_heads;
  BothWays row = MeasureNorm(kind, s.n_embd, trains) * (gemma ? 4 : 2);
  if (s.architecture == "qwen3" || s.architecture == "gemma3") {
    row += MeasureNorm(numerics::NormKind::kRms, head_dim, trains) * n_heads;
  }
  row += MeasureActivation(s, n_ff);
  row += MeasureRotation(s, n_heads, head_dim);
  // Both blocks are added to the stream and copied once.
  row += BothWays{1, 1} * (4 * MeasureSum(s.n_embd));
  if (gpt2) {
    const std::int64_t n_bias =
        std::int64_t{head_dim} * (n_heads + n_kv_heads) + n_ff + 2 * s.n_embd;
    row += BothWays{1, trains ? 1.0 : 0.0} * MeasureSum(n_bias);
  }
  return row;
}

BothWays MeasureLoss(int n_vocab) {
  const Floats logits = MeasuredValues(n_vocab);
  Floats scratch(logits.size());
  const auto take = [&](bool gradient) {
    return Median(1, kSecondsOfOne / 4, [&] {
      scratch = logits;
      gradient ? numerics::CrossEntropy(scratch, 0) : numerics::CrossEntropyLoss(scratch, 0);
    });
  };
  return {take(false), take(true)};
}

// ---- matrices

struct Shape {
  std::int64_t n_rows = 0, n_cols = 0;
  double count = 0;
  double not_again = 0;  // of the count, those that a recomputed forward pass leaves out
  bool is_head = false;
  bool is_a = false;  // of an adapter
};

// Distinct shapes of the matrices that multiply, and how often each occurs.
std::vector<Shape> ShapesOf(const std::vector<model::Parameter>& parameters,
                            const TrainableShape& model) {
  const bool norm_follows = model.architecture.starts_with("gemma");  // the last product's output
  const bool tied = model.tied;
  std::vector<Shape> shapes;
  for (const model::Parameter& p : parameters) {
    const bool is_embedding = p.name == "token_embd.weight";
    if (p.n_rows <= 1 || p.name == "position_embd.weight" || (is_embedding && !tied)) continue;
    const bool is_a = p.name.ends_with(".lora_a");
    const bool is_head = is_embedding || p.name == "output.weight";
    const auto found = std::ranges::find_if(shapes, [&](const Shape& shape) {
      return shape.n_rows == p.n_rows && shape.n_cols == p.n_cols && shape.is_head == is_head &&
             shape.is_a == is_a;
    });
    const double not_again = !norm_follows && p.name.find(".ffn_down.") != p.name.npos ? 1 : 0;
    if (found != shapes.end()) {
      ++found->count;
      found->not_again += not_again;
    } else {
      shapes.push_back({p.n_rows, p.n_cols, 1, not_again, is_head, is_a});
    }
  }
  return shapes;
}

// A value of a frozen matrix that stays as the file has it, over all threads.
double MeasureDequantizing(const Recipe& recipe, ThreadPool& pool) {
  if (!recipe.adapter.shape.quantised_base) return 0;
  const auto store = weights::OpenTensorStore(recipe.base.path);
  if (!store.ok()) return 0;
  const weights::TensorView* largest = nullptr;
  for (const auto& [name, view] : (*store)->tensors()) {
    if (!name.starts_with("blk.") || view.n_rows() <= 1) continue;
    if (largest == nullptr || view.data.size() > largest->data.size()) largest = &view;
  }
  if (largest == nullptr) return 0;
  const std::int64_t n_cols = largest->n_cols();
  const std::int64_t n_rows = std::min(largest->n_rows(), 1 + kDequantizedMax / n_cols);
  const auto row_bytes = static_cast<std::size_t>(numerics::StorageBytes(largest->dtype, n_cols));
  Floats to(static_cast<std::size_t>(n_rows * n_cols));
  return Median(pool.n_threads(), kSecondsOfOne,
                [&] {
                  pool.For(n_rows, [&](std::int64_t row, int) {
                    const auto at = static_cast<std::size_t>(row);
                    numerics::Dequantize(
                        largest->dtype, largest->data.subspan(at * row_bytes, row_bytes),
                        std::span(to).subspan(at * static_cast<std::size_t>(n_cols),
                                              static_cast<std::size_t>(n_cols)));
                  });
                }) /
         static_cast<double>(to.size());
}

struct PassParts {
  double layers = 0, head = 0, backward = 0, head_backward = 0, not_again = 0;
  double norms = 0;  // DoRA's, of a call
};

// |W + s B A| of every row: B A, a copy of W, the sum, the squares.
double MeasureNorms(const Recipe& recipe, const model::Trainable& trainable, LinearBuffers& buffers,
                    ThreadPool& pool) {
  std::map<std::pair<std::int64_t, std::int64_t>, double> counts;
  std::int64_t n_in = 0;
  for (const model::Parameter& p : trainable.parameters()) {
    if (p.name.ends_with(".lora_a")) n_in = p.n_cols;
    if (p.name.ends_with(".lora_b")) ++counts[{p.n_rows, n_in}];
  }
  double seconds = 0;
  for (const auto& [shape, count] : counts) {
    const double rows = static_cast<double>(shape.first) / pool.n_threads();
    seconds +=
        count * (MeasureLinear(shape.first, shape.second, recipe.adapter.shape.rank, buffers, pool)
                     .forward +
                 rows * 3 * MeasureSum(shape.second));
  }
  return seconds;
}

// The factors beside the frozen matrices: products as trainable_base.h states them, the sums and
// dropout that go with them.
void AddAdapter(const Recipe& recipe, const model::Trainable& trainable, std::int64_t n_rows,
                LinearBuffers& buffers, ThreadPool& pool, PassParts& pass) {
  const bool dora = recipe.adapter.shape.dora;
  const double rows = static_cast<double>(n_rows) / pool.n_threads();
  for (const Shape& shape : ShapesOf(trainable.parameters(), trainable.shape())) {
    const LinearSeconds s = MeasureLinear(n_rows, shape.n_rows, shape.n_cols, buffers, pool);
    const bool is_a = shape.is_a;
    double forward = s.forward;
    double backward = s.inputs + s.weights + ((is_a ? 1 : 0) + (dora ? 1 : 0)) * s.forward;
    if (is_a && recipe.adapter.shape.dropout > 0) {
      Floats x = MeasuredValues(shape.n_cols);
      const numerics::DropoutKey key{.rate = recipe.adapter.shape.dropout};
      const double drop = SecondsOfRow([&] { numerics::Dropout(key, 0, x); });
      const double sum = MeasureSum(shape.n_cols);
      forward += rows * (drop + sum), backward += rows * 2 * (drop + sum);
    } else if (!is_a) {
      forward += rows * MeasureSum(shape.n_rows) * (dora ? 2 : 1);
      if (dora) backward += rows * MeasureSum(shape.n_rows) * 4;
    }
    pass.layers += shape.count * forward;
    pass.backward += shape.count * backward;
    // The change of a layer's last product is not needed again either.
    pass.not_again += shape.not_again * forward;
  }
  if (dora) pass.norms = MeasureNorms(recipe, trainable, buffers, pool);
}

PassParts MeasureProducts(const Recipe& recipe, const model::Trainable& trainable,
                          const std::vector<model::Parameter>& matrices, std::int64_t n_rows,
                          ThreadPool& pool) {
  const bool frozen = recipe.adapter.kind != AdapterKind::kNone;
  const bool again = frozen && recipe.adapter.shape.dora;
  const double dequantizing = frozen ? MeasureDequantizing(recipe, pool) : 0;
  LinearBuffers buffers;
  PassParts pass;
  for (const Shape& shape : ShapesOf(matrices, trainable.shape())) {
    LinearSeconds s = MeasureLinear(n_rows, shape.n_rows, shape.n_cols, buffers, pool);
    const double widening =
        dequantizing * static_cast<double>(shape.n_rows) * static_cast<double>(shape.n_cols);
    s.forward += widening;
    s.inputs += widening;
    (shape.is_head ? pass.head : pass.layers) += shape.count * s.forward;
    (shape.is_head ? pass.head_backward : pass.backward) +=
        shape.count * (s.inputs + (frozen ? 0 : s.weights));
    if (again && !shape.is_head) pass.backward += shape.count * s.forward;
    pass.not_again += shape.not_again * s.forward;
  }
  if (frozen) AddAdapter(recipe, trainable, n_rows, buffers, pool, pass);
  return pass;
}

std::int64_t InnerSize(const TrainableShape& s) {
  return s.n_ff == 0 ? std::int64_t{4} * s.n_embd : s.n_ff;
}

}  // namespace

PassSeconds MeasureKernels(const Recipe& recipe, const model::Trainable& trainable,
                           const CountedUp& what, ThreadPool& pool) {
  const std::int64_t n_sequences = what.n_sequences;
  const TrainableShape& s = trainable.shape();
  const bool frozen = recipe.adapter.kind != AdapterKind::kNone;
  const std::int64_t n_tokens = recipe.training.context, n_rows = n_sequences * n_tokens;
  const auto whole = model::Trainable::Make(s);
  if (!whole.ok()) return {};
  PassParts pass = MeasureProducts(recipe, trainable, (*whole)->parameters(), n_rows, pool);
  // A frozen head, and one of a loss alone, multiply for tokens that count.
  const double head_of_loss = what.counted * pass.head;
  if (frozen) pass.head *= what.counted, pass.head_backward *= what.counted;
  const double rows = static_cast<double>(n_rows) / pool.n_threads();
  const BothWays attention =
      MeasureAttentions(s, recipe.training.attention_dropout, n_sequences, n_tokens, pool);
  const BothWays row = MeasureRows(s, InnerSize(s), !frozen) * (rows * s.n_layers);
  const BothWays loss = MeasureLoss(s.n_vocab) * (rows * what.counted);
  pass.layers += attention.forward + row.forward;
  pass.backward += attention.backward + row.backward;
  if (recipe.training.dropout > 0) {
    Floats x = MeasuredValues(s.n_embd);
    const numerics::DropoutKey key{.rate = recipe.training.dropout};
    const double drops =
        (2.0 * s.n_layers + 1) * rows * SecondsOfRow([&] { numerics::Dropout(key, 0, x); });
    pass.layers += drops, pass.backward += drops;
  }
  PassSeconds seconds;
  seconds.forward =
      (pass.layers + head_of_loss + loss.forward) / static_cast<double>(n_sequences) + pass.norms;
  seconds.sample_seen = seconds.forward / static_cast<double>(n_tokens);
  seconds.train =
      pass.layers + pass.head + pass.backward + pass.head_backward + pass.norms + loss.backward;
  if (recipe.run.recompute) {
    seconds.train += (pass.layers - pass.not_again) * (s.n_layers - 1) / s.n_layers;
  }
  return seconds;
}

}  // namespace tatara::learn
