// Products with frozen matrices, and what an adapter adds to them, forward and backward.
#include "trainable_low_rank.h"

#include <algorithm>
#include <cmath>

#include "tatara/base/nearest.h"
#include "tatara/numerics/ops.h"
#include "trainable_decoder.h"

namespace tatara::model {
namespace {

constexpr std::int64_t kTileFloats = 1 << 18;      // dequantised at a time
constexpr std::uint32_t kAdapterSites = 1U << 29;  // of dropout, below those of attention
constexpr std::string_view kBlock = "blk.", kWeight = ".weight";

std::int64_t TileRows(std::int64_t n_in) {
  return std::max<std::int64_t>(16, kTileFloats / n_in / 16 * 16);
}

// "attn_q" of "blk.0.attn_q.weight"; empty for what is no matrix of a block.
std::string_view TargetOf(const Parameter& p) {
  std::string_view name = p.name;
  if (p.n_rows <= 1 || !name.starts_with(kBlock) || !name.ends_with(kWeight)) return {};
  name.remove_suffix(kWeight.size());
  return name.substr(name.find('.', kBlock.size()) + 1);
}

std::vector<std::string> TargetsOf(const TrainableLayout& layout) {
  std::vector<std::string> names;
  for (const Parameter& p : layout.parameters) {
    const std::string_view target = TargetOf(p);
    if (!target.empty() && std::ranges::find(names, target) == names.end()) {
      names.emplace_back(target);
    }
  }
  return names;
}

std::int64_t Take(Tuning& tuning, Parameter parameter) {
  parameter.offset = tuning.n_values;
  tuning.n_values += (parameter.size() + 15) / 16 * 16;
  tuning.parameters.push_back(std::move(parameter));
  return tuning.parameters.back().offset;
}

void AddPart(const Parameter& p, Tuning& tuning) {
  const AdapterShape& shape = tuning.adapter;
  LowRankPart part{.n_in = p.n_cols, .n_out = p.n_rows};
  part.site = kAdapterSites + static_cast<std::uint32_t>(tuning.parts.size());
  // The variance of PEFT's uniform start, 1 / (3 n_in); B starts from 0, so the model does.
  part.a = Take(tuning, {.name = p.name + ".lora_a",
                         .n_rows = shape.rank,
                         .n_cols = p.n_cols,
                         .decays = true,
                         .deviation = std::sqrt(1.0 / (3.0 * static_cast<double>(p.n_cols)))});
  part.b =
      Take(tuning,
           {.name = p.name + ".lora_b", .n_rows = p.n_rows, .n_cols = shape.rank, .decays = true});
  if (shape.dora) {
    part.magnitude =
        Take(tuning, {.name = p.name + ".lora_magnitude", .n_rows = 1, .n_cols = p.n_rows});
  }
  tuning.parts.emplace(p.offset, std::move(part));
}

}  // namespace

Result<std::unique_ptr<Tuning>> LayOutAdapter(const TrainableLayout& layout,
                                              const AdapterShape& adapter) {
  constexpr int kRankMax = 1024;
  if (adapter.rank < 1 || adapter.rank > kRankMax || !(std::fabs(adapter.alpha) <= 1e6) ||
      !(adapter.dropout >= 0 && adapter.dropout < 1)) {
    return Refuse("adapter: rank {0}, alpha {1} or dropout {2} is out of range", adapter.rank,
                  adapter.alpha, adapter.dropout);
  }
  const std::vector<std::string> known = TargetsOf(layout);
  for (const std::string& target : adapter.targets) {
    if (std::ranges::find(known, target) != known.end()) continue;
    std::string all;
    for (const std::string& name : known) all += (all.empty() ? "" : ", ") + name;
    return Refuse("adapter: '{0}' is no matrix of the blocks of '{1}' models; there are {2}",
                  target, layout.shape.architecture, all);
  }
  auto tuning = std::make_unique<Tuning>();
  tuning->adapter = adapter;
  tuning->scale = static_cast<float>(adapter.alpha / adapter.rank);
  const std::vector<std::string>& wanted = adapter.targets.empty() ? known : adapter.targets;
  for (const Parameter& p : layout.parameters) {
    const std::string_view target = TargetOf(p);
    if (!target.empty() && std::ranges::find(wanted, target) != wanted.end()) AddPart(p, *tuning);
  }
  return tuning;
}

// ---- the frozen matrix

// y = x W^T, y_stride floats between its rows.
void TrainableDecoder::MatrixForward(const Call& call, std::int64_t weight, const LinearSize& size,
                                     const float* x, float* y, std::int64_t y_stride) {
  const weights::TensorView* const view = InFile(weight);
  const numerics::MatrixView in{x, size.n_inputs, 1};
  if (view == nullptr) {
    numerics::Product({size.n_tokens, size.n_outputs, size.n_inputs}, in,
                      {call.weights + weight, 1, size.n_inputs}, ChainStart::kFromZero, y, y_stride,
                      products_, call.pool);
    return;
  }
  ForTiles(call, *view, size, [&](std::int64_t first, std::int64_t n, const float* tile) {
    numerics::Product({size.n_tokens, n, size.n_inputs}, in, {tile, 1, size.n_inputs},
                      ChainStart::kFromZero, y + first, y_stride, products_, call.pool);
  });
}

// dx = dy W from +0 or going on; chains over outputs go on from tile to tile.
void TrainableDecoder::MatrixBackward(const Call& call, std::int64_t weight, const LinearSize& size,
                                      const numerics::MatrixView& dy, ChainStart start, float* dx) {
  const weights::TensorView* const view = InFile(weight);
  if (view == nullptr) {
    numerics::Product({size.n_tokens, size.n_inputs, size.n_outputs}, dy,
                      {call.weights + weight, size.n_inputs, 1}, start, dx, size.n_inputs,
                      products_, call.pool);
    return;
  }
  ForTiles(call, *view, size, [&](std::int64_t first, std::int64_t n, const float* tile) {
    numerics::Product({size.n_tokens, size.n_inputs, n}, {dy.data + first, dy.row_stride, 1},
                      {tile, size.n_inputs, 1}, first == 0 ? start : ChainStart::kFromOutput, dx,
                      size.n_inputs, products_, call.pool);
  });
}

const weights::TensorView* TrainableDecoder::InFile(std::int64_t weight) const {
  return tuning_ == nullptr ? nullptr : tuning_->base->InFile(weight);
}

template <typename F>
void TrainableDecoder::ForTiles(const Call& call, const weights::TensorView& view,
                                const LinearSize& size, F body) {
  const std::int64_t at_once = std::min(TileRows(size.n_inputs), size.n_outputs);
  tuning_->tile.resize(static_cast<std::size_t>(at_once * size.n_inputs));
  for (std::int64_t first = 0; first < size.n_outputs; first += at_once) {
    const std::int64_t n = std::min(at_once, size.n_outputs - first);
    DequantizeRows(view, first, n, tuning_->tile.data(), call.pool);
    body(first, n, tuning_->tile.data());
  }
}

// One row of the embedding.
void TrainableDecoder::EmbeddingRow(const Call& call, std::int32_t token,
                                    std::span<float> to) const {
  const weights::TensorView* const view = InFile(layout_.embedding);
  if (view == nullptr) {
    std::copy_n(call.weights + layout_.embedding + std::int64_t{token} * shape_.n_embd, to.size(),
                to.begin());
    return;
  }
  const std::size_t bytes = static_cast<std::size_t>(
      numerics::StorageBytes(view->dtype, static_cast<std::int64_t>(to.size())));
  numerics::Dequantize(view->dtype,
                       view->data.subspan(static_cast<std::size_t>(token) * bytes, bytes), to);
}

// ---- what is added to it

// The adapter's input: x, or x dropped by place.
const float* TrainableDecoder::AdapterInput(const Call& call, const LowRankPart& part,
                                            const float* x) {
  const double rate = call.backward ? tuning_->adapter.dropout : 0;
  if (rate == 0) return x;
  const std::int64_t n = part.n_in;
  tuning_->dropped.assign(x, x + call.n_rows * n);
  DropAdapter(call, part, tuning_->dropped);
  return tuning_->dropped.data();
}

void TrainableDecoder::DropAdapter(const Call& call, const LowRankPart& part, Floats& x) {
  const numerics::DropoutKey key{.seed = call.dropout.seed,
                                 .site = part.site,
                                 .step = call.dropout.step,
                                 .rate = tuning_->adapter.dropout};
  const std::int64_t n = part.n_in, first = call.batch.first_sequence * call.batch.n_tokens;
  ForRows(call, [&](std::int64_t row) {
    numerics::Dropout(key, static_cast<std::uint64_t>((first + row) * n), Row(x, row, n));
  });
}

// y: rows of W x, without the bias.
void TrainableDecoder::LowRankForward(const Call& call, const LowRankPart& part, const float* x,
                                      float* y, std::int64_t y_stride) {
  Tuning& t = *tuning_;
  const std::int64_t rank = t.adapter.rank, rows = call.n_rows;
  const float* const in = AdapterInput(call, part, x);
  t.low.resize(static_cast<std::size_t>(rows * rank));
  t.change.resize(static_cast<std::size_t>(rows * part.n_out));
  numerics::Product({rows, rank, part.n_in}, {in, part.n_in, 1},
                    {call.adapter + part.a, 1, part.n_in}, ChainStart::kFromZero, t.low.data(),
                    rank, products_, call.pool);
  numerics::Product({rows, part.n_out, rank}, {t.low.data(), rank, 1},
                    {call.adapter + part.b, 1, rank}, ChainStart::kFromZero, t.change.data(),
                    part.n_out, products_, call.pool);
  ForRows(call, [&](std::int64_t row) {
    const std::span<float> out(y + row * y_stride, static_cast<std::size_t>(part.n_out));
    numerics::AddScaled(t.scale, Row(std::as_const(t.change), row, part.n_out), out);
    if (part.magnitude == kNone) return;
    for (std::size_t i = 0; i < out.size(); ++i) {
      out[i] = call.adapter[part.magnitude + static_cast<std::int64_t>(i)] / part.norms[i] * out[i];
    }
  });
}

// The gradient before the adapter's factors: dy, for DoRA ratio * dy; there the gradient of the
// magnitudes is added too, which needs the product again.
numerics::MatrixView TrainableDecoder::BeforeMagnitude(const Call& call, const LowRankPart& part,
                                                       std::int64_t weight, const float* x,
                                                       const numerics::MatrixView& dy) {
  if (part.magnitude == kNone) return dy;
  Tuning& t = *tuning_;
  const std::int64_t n = part.n_out;
  t.du.resize(static_cast<std::size_t>(call.n_rows * n));
  MatrixForward(call, weight, {call.n_rows, part.n_in, n}, x, t.du.data(), n);
  LowRankPart plain = part;
  plain.magnitude = kNone;
  LowRankForward(call, plain, x, t.du.data(), n);
  ForColumns(
      call, n, call.adapter_gradient + part.magnitude,
      [&](std::int64_t first, std::size_t size, std::int64_t from, std::int64_t end, float* sums) {
        for (std::int64_t row = from; row < end; ++row) {
          const float* const d = dy.data + row * dy.row_stride + first;
          float* const u = t.du.data() + row * n + first;
          for (std::size_t i = 0; i < size; ++i) {
            const std::size_t column = static_cast<std::size_t>(first) + i;
            const float norm = part.norms[column];
            sums[i] = std::fma(d[i], u[i] / norm, sums[i]);
            u[i] = call.adapter[static_cast<std::size_t>(part.magnitude) + column] / norm * d[i];
          }
        }
      });
  return {t.du.data(), n, 1};
}

// Adds to dx, and the gradients of A and B; du as BeforeMagnitude gives it.
void TrainableDecoder::LowRankBackward(const Call& call, const LowRankPart& part, const float* x,
                                       const numerics::MatrixView& du, float* dx) {
  Tuning& t = *tuning_;
  const std::int64_t rank = t.adapter.rank, rows = call.n_rows;
  const float* const in = AdapterInput(call, part, x);
  for (Floats* values : {&t.low, &t.dlow}) values->resize(static_cast<std::size_t>(rows * rank));
  numerics::Product({rows, rank, part.n_in}, {in, part.n_in, 1},
                    {call.adapter + part.a, 1, part.n_in}, ChainStart::kFromZero, t.low.data(),
                    rank, products_, call.pool);
  numerics::Product({rows, rank, part.n_out}, du, {call.adapter + part.b, rank, 1},
                    ChainStart::kFromZero, t.dlow.data(), rank, products_, call.pool);
  ForRows(call, [&](std::int64_t row) {
    numerics::Scale(t.scale, Row(t.low, row, rank));
    numerics::Scale(t.scale, Row(t.dlow, row, rank));
  });
  GradientProduct(call, {part.n_out, rank, rows}, du.Transposed(), {t.low.data(), rank, 1},
                  call.adapter_gradient + part.b, rank);
  GradientProduct(call, {rank, part.n_in, rows}, {t.dlow.data(), 1, rank}, {in, part.n_in, 1},
                  call.adapter_gradient + part.a, part.n_in);
  const bool drops = t.adapter.dropout > 0;
  if (drops) t.dropped.resize(static_cast<std::size_t>(rows * part.n_in));
  numerics::Product({rows, part.n_in, rank}, {t.dlow.data(), rank, 1},
                    {call.adapter + part.a, part.n_in, 1},
                    drops ? ChainStart::kFromZero : ChainStart::kFromOutput,
                    drops ? t.dropped.data() : dx, part.n_in, products_, call.pool);
  if (!drops) return;
  DropAdapter(call, part, t.dropped);
  ForRows(call, [&](std::int64_t row) {
    numerics::Add(Row(std::as_const(t.dropped), row, part.n_in),
                  {dx + row * part.n_in, static_cast<std::size_t>(part.n_in)});
  });
}

// |W + s B A| of every row, as a merged adapter has them.
void TrainableDecoder::PrepareNorms(const Call& call) {
  if (tuning_ == nullptr || !tuning_->adapter.dora) return;
  Tuning& t = *tuning_;
  const std::int64_t rank = t.adapter.rank;
  for (auto& [weight, part] : t.parts) {
    part.norms.resize(static_cast<std::size_t>(part.n_out));
    const std::int64_t at_once = std::min(TileRows(part.n_in), part.n_out);
    const auto n_tile = static_cast<std::size_t>(at_once * part.n_in);
    t.change.resize(std::max(t.change.size(), n_tile));
    t.tile.resize(std::max(t.tile.size(), n_tile));
    const weights::TensorView* const view = InFile(weight);
    for (std::int64_t first = 0; first < part.n_out; first += at_once) {
      const std::int64_t n = std::min(at_once, part.n_out - first);
      if (view != nullptr) {
        DequantizeRows(*view, first, n, t.tile.data(), call.pool);
      } else {
        std::copy_n(call.weights + weight + first * part.n_in, n * part.n_in, t.tile.data());
      }
      numerics::Product({n, part.n_in, rank}, {call.adapter + part.b + first * rank, rank, 1},
                        {call.adapter + part.a, part.n_in, 1}, ChainStart::kFromZero,
                        t.change.data(), part.n_in, products_, call.pool);
      call.pool.For(n, [&](std::int64_t row, int) {
        const std::span<float> w = Row(t.tile, row, part.n_in);
        numerics::AddScaled(t.scale, Row(std::as_const(t.change), row, part.n_in), w);
        part.norms[static_cast<std::size_t>(first + row)] = std::sqrt(numerics::SumOfSquares(w));
      });
    }
  }
}

// DoRA's magnitudes start as the rows' norms, so that the model starts as the base.
void TrainableDecoder::Initialise(std::uint64_t seed, std::span<float> weights,
                                  ThreadPool& pool) const {
  Trainable::Initialise(seed, weights, pool);
  if (tuning_ == nullptr || !tuning_->adapter.dora) return;
  for (const auto& [weight, part] : tuning_->parts) {
    const weights::TensorView* const view = InFile(weight);
    Floats row(static_cast<std::size_t>(part.n_in));
    for (std::int64_t i = 0; i < part.n_out; ++i) {
      if (view != nullptr) {
        DequantizeRows(*view, i, 1, row.data(), pool);
      } else {
        std::copy_n(tuning_->base->values() + weight + i * part.n_in, part.n_in, row.data());
      }
      weights[static_cast<std::size_t>(part.magnitude + i)] =
          std::sqrt(numerics::SumOfSquares(row));
    }
  }
}

Result<std::unique_ptr<Trainable>> MakeAdapterTrainable(
    std::shared_ptr<const weights::TensorStore> base, const AdapterShape& adapter,
    const TrainableOptions& options, ThreadPool& pool) {
  TATARA_TRY(const TrainableShape shape, ShapeOf(*base));
  TATARA_TRY(TrainableLayout layout, LayOut(shape));
  TATARA_TRY(std::unique_ptr<Tuning> tuning, LayOutAdapter(layout, adapter));
  TATARA_TRY(tuning->base, FrozenBase::Make(std::move(base), layout, adapter.quantised_base, pool));
  return std::unique_ptr<Trainable>(
      std::make_unique<TrainableDecoder>(std::move(layout), options, std::move(tuning)));
}

}  // namespace tatara::model
