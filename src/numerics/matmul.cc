// Cuts products into items of work: some groups of 16 rows times a strip of tokens. Cutting never
// divides a chain, so it changes no bit; chains cut over k carry their f32 accumulator through
// memory.
#include <algorithm>
#include <array>
#include <cstring>

#include "packed_matrix.h"
#include "prepared_rows.h"
#include "quant_dispatch.h"
#include "raw_unpack.h"
#include "tatara/base/check.h"

namespace tatara::numerics {
namespace {

// Sized for the caches. The weights of one product call over a chunk of k fill at most kChunkBytes
// of L1 and stay there for all tokens of a strip; the activations of a strip over a chunk (4-bit
// weights: 96 x 1,280 bytes) stay in L2. A pass over the weights serves 96 tokens, so it needs a
// few GB/s only.
constexpr std::int64_t kStripTokens = 96;
constexpr std::int64_t kChunkBytes = 32'768;
constexpr std::int64_t kFewTokens = 16;  // up to so many, memory sets the pace: rows in one piece
constexpr std::int64_t kItemGroupsMax = 12;  // with more tokens
constexpr std::int64_t kItemBytes = 65'536;  // of weights, with few tokens: some microseconds
constexpr std::int64_t kPanel = 256;         // values of k dequantised at a time: 16 KiB
constexpr std::int64_t kItemsPerThread = 4;  // at least, so that threads end together

// Rows [group, group + n_groups) * 16 of one job times the tokens of one strip.
struct Item {
  const MatMulJob* job;
  const Matrix::Packed* w;
  std::int64_t group, n_groups;
  RowRange strip;
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
  bool IsRagged(std::int64_t group) const { return group == ragged_group_; }
  float* at(std::int64_t group, std::int64_t token) {
    if (IsRagged(group)) return scratch_ + token * kGroupRows;
    return item_.job->y + (item_.strip.first + token) * item_.job->y_stride + group * kGroupRows;
  }
  std::int64_t stride(std::int64_t group) const {
    return IsRagged(group) ? kGroupRows : item_.job->y_stride;
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

// Tokens of the next tile; the last one to three of a strip form a tile of their own.
int TileTokens(std::int64_t left, int tile_tokens) {
  if (left < kTokenGroup) return static_cast<int>(left);
  return static_cast<int>(std::min<std::int64_t>(left / kTokenGroup * kTokenGroup, tile_tokens));
}

// Blocks of k that the calls of an item take at a time: all, or so many that their weights stay in
// L1.
std::int64_t ChunkBlocks(const Matrix::Packed& w, std::int64_t n_tokens, int row_groups) {
  if (n_tokens <= kFewTokens) return w.n_blocks();
  const PackedTraits traits = w.traits();
  const std::int64_t block_bytes = traits.quant_bytes + traits.scale_bytes;
  return std::max<std::int64_t>(1, kChunkBytes / (row_groups * block_bytes));
}

// The tokens of a strip times one call's groups of rows over one chunk of blocks.
void MultiplyStrip(const Item& item, const PreparedRows& rows, const QuantKernels& kernels,
                   Accumulators& acc, ProductArgs args, std::int64_t group, std::int64_t block) {
  const Matrix::Packed& w = *item.w;
  const auto product = kernels.product[static_cast<int>(w.dtype)];
  const std::int64_t n_blocks = w.n_blocks();
  const int block_elements = w.traits().block_elements;
  for (std::int64_t t = 0; t < item.strip.n; t += args.n_tokens) {
    args.n_tokens = TileTokens(item.strip.n - t, kernels.tile_tokens);
    const std::int64_t token = item.strip.first + t;
    const std::int64_t width = std::min(args.n_tokens, kTokenGroup);
    const std::int64_t q_at = token * w.n_cols + block * block_elements * width;
    const std::int64_t d_at = token * n_blocks + block * width;
    args.q = rows.q.as<const std::int8_t>() + q_at;
    args.d = rows.d.as<const float>() + d_at;
    args.sums = rows.sums.as<const std::int32_t>() + d_at * rows.sum_words;
    args.wide = rows.has_wide ? rows.wide.as<const std::int16_t>() + q_at : nullptr;
    args.acc = acc.at(group, t);
    args.acc_stride = acc.stride(group);
    product(args);
  }
}

void QuantisedItem(const Item& item, const PreparedRows& rows, const QuantKernels& kernels) {
  const Matrix::Packed& w = *item.w;
  const PackedTraits traits = w.traits();
  const std::int64_t n_blocks = w.n_blocks();
  const std::int64_t chunk = ChunkBlocks(w, item.strip.n, kernels.row_groups);
  ProductArgs args = {};
  args.group_bytes = w.group_bytes;
  args.q_stride = kTokenGroup * w.n_cols;
  args.d_stride = kTokenGroup * n_blocks;
  args.sums_stride = kTokenGroup * n_blocks * rows.sum_words;
  Accumulators acc(item);
  const std::int64_t end = item.group + item.n_groups;
  for (std::int64_t b = 0; b < n_blocks; b += chunk) {
    args.n_blocks = std::min(chunk, n_blocks - b);
    for (std::int64_t g = item.group; g < end; g += args.n_groups) {
      // A ragged group has its outputs elsewhere, so it goes alone; it is the last of its matrix.
      const bool together =
          g + kernels.row_groups <= end && !acc.IsRagged(g + kernels.row_groups - 1);
      args.n_groups = together ? kernels.row_groups : 1;
      args.quants = w.quants(g) + b * traits.quant_bytes;
      args.scales = w.scales(g) + b * traits.scale_bytes;
      MultiplyStrip(item, rows, kernels, acc, args, g, b);
    }
  }
  acc.Finish();
}

void FloatItem(const Item& item, const ActivationRows::State& x, const KernelSet& kernels) {
  const Matrix::Packed& w = *item.w;
  const PackedTraits traits = w.traits();
  const auto unpack = IsRaw(w.dtype) ? nullptr : kernels.quant->unpack[static_cast<int>(w.dtype)];
  alignas(64) float unpacked[kPanel * kGroupRows];
  Accumulators acc(item);
  for (std::int64_t g = item.group; g < item.group + item.n_groups; ++g) {
    for (std::int64_t k = 0; k < w.n_cols; k += kPanel) {
      const std::int64_t n_k = std::min(kPanel, w.n_cols - k);
      const std::int64_t b = k / traits.block_elements;
      const std::uint8_t* quants = w.quants(g) + b * traits.quant_bytes;
      const float* panel = reinterpret_cast<const float*>(quants);
      if (IsRaw(w.dtype)) {
        UnpackRaw(w.dtype, quants, n_k, unpacked);
        panel = unpacked;
      } else if (unpack != nullptr) {
        unpack(quants, w.scales(g) + b * traits.scale_bytes, n_k, unpacked);
        panel = unpacked;
      }
      kernels.floats->panel_product(panel, n_k, x.x + item.strip.first * x.n_cols + k, x.n_cols,
                                    item.strip.n, acc.at(g, 0), acc.stride(g));
    }
  }
  acc.Finish();
}

// How many groups of one job an item takes: some microseconds of work, but enough items for all
// threads to end together; whole calls where possible.
std::int64_t ItemGroups(const Matrix::Packed& w, std::int64_t n_tokens, std::int64_t all_groups,
                        int row_groups, int n_threads) {
  const std::int64_t by_size =
      n_tokens <= kFewTokens ? std::max<std::int64_t>(row_groups, kItemBytes / (w.group_bytes + 1))
                             : kItemGroupsMax;
  const std::int64_t by_threads = all_groups / (kItemsPerThread * n_threads);
  const std::int64_t groups = std::max<std::int64_t>(1, std::min(by_size, by_threads));
  return groups < row_groups ? groups : groups / row_groups * row_groups;
}

std::int64_t CeilDiv(std::int64_t a, std::int64_t b) {
  return (a + b - 1) / b;
}

void RunItem(const Item& item, const KernelSet& kernels, ActivationRows::State& x,
             Activations activations) {
  if (activations == Activations::kInt8 && TraitsOf(item.w->dtype).quantised) {
    QuantisedItem(item, x.OfBlock(item.w->traits().block_elements), *kernels.quant);
  } else {
    FloatItem(item, x, kernels);
  }
}

// Jobs that each take the rows of one segment: the experts of a mixture, many of few rows. All in
// one parallel loop, a job's strips one after the other.
void RunSegmentJobs(const KernelSet& kernels, std::span<const MatMulJob> jobs,
                    ActivationRows::State& x, Activations activations, ThreadPool& pool) {
  const auto rows_of = [&](const MatMulJob& job) {
    return x.segments[static_cast<std::size_t>(job.segment)];
  };
  std::int64_t all_groups = 0;
  for (const MatMulJob& job : jobs) {
    all_groups += job.w->packed().n_groups * CeilDiv(rows_of(job).n, kStripTokens);
  }
  x.items_end.clear();
  x.groups_of_item.clear();
  const std::size_t n_most = std::max(jobs.size(), 2 * static_cast<std::size_t>(x.n_rows));
  x.items_end.reserve(n_most);
  x.groups_of_item.reserve(n_most);
  std::int64_t n_items = 0;
  for (const MatMulJob& job : jobs) {
    const Matrix::Packed& w = job.w->packed();
    const std::int64_t n_rows = rows_of(job).n;
    const std::int64_t groups =
        ItemGroups(w, n_rows, all_groups, kernels.quant->row_groups, pool.n_threads());
    n_items += CeilDiv(n_rows, kStripTokens) * CeilDiv(w.n_groups, groups);
    x.groups_of_item.push_back(groups);
    x.items_end.push_back(n_items);
  }
  pool.For(n_items, [&](std::int64_t index, int) {
    const auto job = static_cast<std::size_t>(std::ranges::upper_bound(x.items_end, index) -
                                              x.items_end.begin());
    const Matrix::Packed& w = jobs[job].w->packed();
    const RowRange rows = rows_of(jobs[job]);
    const std::int64_t groups = x.groups_of_item[job];
    const std::int64_t items_of_strip = CeilDiv(w.n_groups, groups);
    const std::int64_t item = index - (job == 0 ? 0 : x.items_end[job - 1]);
    const std::int64_t group = item % items_of_strip * groups;
    const std::int64_t done = item / items_of_strip * kStripTokens;
    RunItem({.job = &jobs[job],
             .w = &w,
             .group = group,
             .n_groups = std::min(groups, w.n_groups - group),
             .strip = {rows.first + done, std::min(kStripTokens, rows.n - done)}},
            kernels, x, activations);
  });
}

constexpr std::size_t kJobsMax = 8;  // of one parallel loop

void RunJobs(const KernelSet& kernels, std::span<const MatMulJob> jobs, ActivationRows::State& x,
             Activations activations, ThreadPool& pool) {
  const std::int64_t n_strips = (x.n_rows + kStripTokens - 1) / kStripTokens;
  std::int64_t all_groups = 0;
  for (const MatMulJob& job : jobs) all_groups += job.w->packed().n_groups;

  std::array<std::int64_t, kJobsMax> groups_of_item{};
  std::array<std::int64_t, kJobsMax> items_end{};  // of job j inside one strip
  std::int64_t items_of_strip = 0;
  for (std::size_t j = 0; j < jobs.size(); ++j) {
    const Matrix::Packed& w = jobs[j].w->packed();
    groups_of_item[j] =
        ItemGroups(w, x.n_rows, all_groups * n_strips, kernels.quant->row_groups, pool.n_threads());
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
    RunItem(item, kernels, x, activations);
  });
}

}  // namespace

void MatMulWith(const KernelSet& kernels, std::span<const MatMulJob> jobs, ActivationRows& x,
                Activations activations, ThreadPool& pool) {
  ActivationRows::State& state = x.state();
  const bool segmented = !jobs.empty() && jobs.front().segment >= 0;
  for (const MatMulJob& job : jobs) {
    TATARA_CHECK(segmented ? job.segment >= 0 &&
                                 static_cast<std::size_t>(job.segment) < state.segments.size()
                           : job.segment < 0 && state.segments.empty());
    TATARA_CHECK(!job.w->empty() && job.w->n_cols() == state.n_cols);
    TATARA_CHECK(job.y_stride >= job.w->n_rows());
    const DType dtype = job.w->dtype();
    if (activations == Activations::kInt8 && TraitsOf(dtype).quantised) {
      const bool wide = dtype == DType::kQ8_0 && kernels.quant->needs_wide_for_q8_0;
      Prepare(state, TraitsOf(dtype).block_elements, wide, *kernels.quant, pool);
    }
  }
  if (segmented) return RunSegmentJobs(kernels, jobs, state, activations, pool);
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
