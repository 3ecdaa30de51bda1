// Cuts products into items of work: some groups of 16 rows times a strip of tokens. Cutting never
// divides a chain, so it changes no bit; chains cut over k carry their f32 accumulator through
// memory.
#include <algorithm>
#include <array>
#include <cstring>

#include "packed_matrix.h"
#include "prepared_rows.h"
#include "quant_dispatch.h"
#include "tatara/base/check.h"

namespace tatara::numerics {
namespace {

// A strip and a chunk are sized for the caches: activations of a tile of 12 tokens over a chunk
// fill 24 KiB of L1; a strip (192 KiB) and eight groups of Q8_0 rows (278 KiB) over a chunk stay in
// L2. Each pass over the weights then serves 96 tokens, so it needs a few GB/s only.
constexpr std::int64_t kStripTokens = 96;
constexpr std::int64_t kChunk = 2048;       // values of k; whole blocks of every type
constexpr std::int64_t kItemGroupsMax = 8;  // with several tokens
constexpr std::int64_t kItemBytes =
    65'536;                           // of weights; with one tile of tokens: some microseconds
constexpr std::int64_t kPanel = 256;  // values of k dequantised at a time: 16 KiB
constexpr std::int64_t kItemsPerThread = 4;  // at least, so that threads end together

struct Strip {
  std::int64_t first, n;
};

// Rows [group, group + n_groups) * 16 of one job times the tokens of one strip.
struct Item {
  const MatMulJob* job;
  const Matrix::Packed* w;
  std::int64_t group, n_groups;
  Strip strip;
};

// Where a group's 16 outputs of a strip are gathered: y itself, or scratch where the last group has
// fewer rows than 16.
class Accumulators {
 public:
  explicit Accumulators(const Item& item)
      : item_(item), ragged_group_(item.w->n_rows / kGroupRows) {
    for (std::int64_t g = item.group; g < item.group + item.n_groups; ++g) {
      for (std::int64_t t = 0; t < item.strip.n; ++t) {
        std::memset(at(g, t), 0, kGroupRows * sizeof(float));
      }
    }
  }
  float* at(std::int64_t group, std::int64_t token) {
    if (group == ragged_group_) return scratch_ + token * kGroupRows;
    return item_.job->y + (item_.strip.first + token) * item_.job->y_stride + group * kGroupRows;
  }
  std::int64_t stride(std::int64_t group) const {
    return group == ragged_group_ ? kGroupRows : item_.job->y_stride;
  }
  void Finish() {
    if (item_.group + item_.n_groups <= ragged_group_) return;
    const std::int64_t row = ragged_group_ * kGroupRows;
    const auto bytes = static_cast<std::size_t>(item_.w->n_rows - row) * sizeof(float);
    for (std::int64_t t = 0; t < item_.strip.n; ++t) {
      float* y = item_.job->y + (item_.strip.first + t) * item_.job->y_stride + row;
      std::memcpy(y, scratch_ + t * kGroupRows, bytes);
    }
  }

 private:
  const Item& item_;
  std::int64_t ragged_group_;  // n_groups where no group is ragged
  alignas(64) float scratch_[kStripTokens * kGroupRows];
};

// The largest tile for what is left of a strip; the last one to three tokens form a tile of their
// own.
int TileTokens(std::int64_t left, int tile_tokens) {
  if (left < kTokenGroup) return static_cast<int>(left);
  const std::int64_t whole = left / kTokenGroup * kTokenGroup;
  if (whole > tile_tokens && whole < 2 * tile_tokens) {  // two tiles of about one size
    return static_cast<int>((whole / kTokenGroup + 1) / 2 * kTokenGroup);
  }
  return static_cast<int>(std::min<std::int64_t>(whole, tile_tokens));
}

void QuantisedItem(const Item& item, const PreparedRows& rows, const QuantKernels& kernels) {
  const Matrix::Packed& w = *item.w;
  const PackedTraits& traits = w.traits();
  const auto product = kernels.product[static_cast<int>(w.dtype)];
  const std::int64_t n_blocks = w.n_blocks();
  const bool one_tile = item.strip.n <= kernels.tile_tokens;
  const std::int64_t chunk = one_tile ? n_blocks : kChunk / traits.block_elements;
  Accumulators acc(item);
  for (std::int64_t b = 0; b < n_blocks; b += chunk) {
    int tile = 0;
    for (std::int64_t t = 0; t < item.strip.n; t += tile) {
      tile = TileTokens(item.strip.n - t, kernels.tile_tokens);
      const std::int64_t token = item.strip.first + t;
      const std::int64_t width = std::min(tile, kTokenGroup);
      const std::int64_t q_at = token * w.n_cols + b * traits.block_elements * width;
      ProductArgs args = {
          .quants = nullptr,
          .scales = nullptr,
          .n_blocks = std::min(chunk, n_blocks - b),
          .q = rows.q.as<const std::int8_t>() + q_at,
          .d = rows.d.as<const float>() + token * n_blocks + b * width,
          .sums =
              rows.sums.as<const std::int32_t>() + (token * n_blocks + b * width) * rows.sum_words,
          .wide = rows.has_wide ? rows.wide.as<const std::int16_t>() + q_at : nullptr,
          .q_stride = kTokenGroup * w.n_cols,
          .d_stride = kTokenGroup * n_blocks,
          .sums_stride = kTokenGroup * n_blocks * rows.sum_words,
          .n_tokens = tile,
          .acc = nullptr,
          .acc_stride = 0,
      };
      for (std::int64_t g = item.group; g < item.group + item.n_groups; ++g) {
        args.quants = w.quants(g) + b * traits.quant_bytes;
        args.scales = w.scales(g) + b * traits.scale_bytes;
        args.acc = acc.at(g, t);
        args.acc_stride = acc.stride(g);
        product(args);
      }
    }
  }
  acc.Finish();
}

void FloatItem(const Item& item, const ActivationRows::State& x, const KernelSet& kernels) {
  const Matrix::Packed& w = *item.w;
  const PackedTraits& traits = w.traits();
  const auto unpack = kernels.quant->unpack[static_cast<int>(w.dtype)];
  alignas(64) float unpacked[kPanel * kGroupRows];
  Accumulators acc(item);
  for (std::int64_t g = item.group; g < item.group + item.n_groups; ++g) {
    for (std::int64_t k = 0; k < w.n_cols; k += kPanel) {
      const std::int64_t n_k = std::min(kPanel, w.n_cols - k);
      const std::int64_t b = k / traits.block_elements;
      const std::uint8_t* quants = w.quants(g) + b * traits.quant_bytes;
      const float* panel = reinterpret_cast<const float*>(quants);
      if (unpack != nullptr) {
        unpack(quants, w.scales(g) + b * traits.scale_bytes, n_k, unpacked);
        panel = unpacked;
      }
      kernels.floats->panel_product(panel, n_k, x.x + item.strip.first * x.n_cols + k, x.n_cols,
                                    item.strip.n, acc.at(g, 0), acc.stride(g));
    }
  }
  acc.Finish();
}

// How many groups of one job an item takes.
std::int64_t ItemGroups(const Matrix::Packed& w, std::int64_t all_items, bool one_tile,
                        int n_threads) {
  const std::int64_t by_size =
      one_tile ? std::max<std::int64_t>(1, kItemBytes / (w.group_bytes + 1)) : kItemGroupsMax;
  const std::int64_t by_threads =
      n_threads == 1 ? by_size : all_items / (kItemsPerThread * n_threads);
  return std::clamp<std::int64_t>(by_threads, 1, by_size);
}

constexpr std::size_t kJobsMax = 8;  // of one parallel loop

void RunJobs(const KernelSet& kernels, std::span<const MatMulJob> jobs, ActivationRows::State& x,
             Activations activations, ThreadPool& pool) {
  const std::int64_t n_strips = (x.n_rows + kStripTokens - 1) / kStripTokens;
  const bool one_tile = x.n_rows <= kernels.quant->tile_tokens;
  std::int64_t all_groups = 0;
  for (const MatMulJob& job : jobs) all_groups += job.w->packed().n_groups;

  std::array<std::int64_t, kJobsMax> groups_of_item{};
  std::array<std::int64_t, kJobsMax> items_end{};  // of job j inside one strip
  std::int64_t items_of_strip = 0;
  for (std::size_t j = 0; j < jobs.size(); ++j) {
    const Matrix::Packed& w = jobs[j].w->packed();
    groups_of_item[j] = ItemGroups(w, all_groups * n_strips, one_tile, pool.n_threads());
    items_of_strip += (w.n_groups + groups_of_item[j] - 1) / groups_of_item[j];
    items_end[j] = items_of_strip;
  }
  pool.For(n_strips * items_of_strip, [&](std::int64_t index, int) {
    const std::int64_t in_strip = index % items_of_strip;
    std::size_t j = 0;
    while (in_strip >= items_end[j]) ++j;
    const Matrix::Packed& w = jobs[j].w->packed();
    const std::int64_t group = (in_strip - (j == 0 ? 0 : items_end[j - 1])) * groups_of_item[j];
    const std::int64_t first = index / items_of_strip * kStripTokens;
    const Item item = {.job = &jobs[j],
                       .w = &w,
                       .group = group,
                       .n_groups = std::min(groups_of_item[j], w.n_groups - group),
                       .strip = {first, std::min(kStripTokens, x.n_rows - first)}};
    if (activations == Activations::kInt8 && TraitsOf(w.dtype).quantised) {
      QuantisedItem(item, x.OfBlock(w.traits().block_elements), *kernels.quant);
    } else {
      FloatItem(item, x, kernels);
    }
  });
}

}  // namespace

void MatMulWith(const KernelSet& kernels, std::span<const MatMulJob> jobs, ActivationRows& x,
                Activations activations, ThreadPool& pool) {
  ActivationRows::State& state = x.state();
  for (const MatMulJob& job : jobs) {
    TATARA_CHECK(!job.w->empty() && job.w->n_cols() == state.n_cols);
    TATARA_CHECK(job.y_stride >= job.w->n_rows());
    const DType dtype = job.w->dtype();
    if (activations == Activations::kInt8 && TraitsOf(dtype).quantised) {
      const bool wide = dtype == DType::kQ8_0 && kernels.quant->needs_wide_for_q8_0;
      Prepare(state, TraitsOf(dtype).block_elements, wide, *kernels.quant, pool);
    }
  }
  for (std::size_t j = 0; j < jobs.size(); j += kJobsMax) {
    RunJobs(kernels, jobs.subspan(j, std::min(kJobsMax, jobs.size() - j)), state, activations,
            pool);
  }
}

void MatMul(std::span<const MatMulJob> jobs, ActivationRows& x, Activations activations,
            ThreadPool& pool) {
  const Isa isa = ActiveIsa();
  MatMulWith({.quant = &QuantKernelsOf(isa), .floats = &FloatKernelsOf(isa)}, jobs, x, activations,
             pool);
}

}  // namespace tatara::numerics
