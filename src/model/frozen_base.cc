#include "frozen_base.h"

#include <sys/mman.h>

#include <algorithm>
#include <cmath>
#include <span>

#include "tatara/base/utf8.h"
#include "tatara/model/trainable_base.h"

namespace tatara::model {
namespace {

constexpr std::int64_t kValuesOfAnItem = 1 << 16;

}  // namespace

void DequantizeRows(const weights::TensorView& view, std::int64_t first, std::int64_t n, float* out,
                    ThreadPool& pool) {
  const std::int64_t n_cols = view.n_cols();
  const auto row_bytes = static_cast<std::size_t>(numerics::StorageBytes(view.dtype, n_cols));
  const std::int64_t at_once = std::max<std::int64_t>(1, kValuesOfAnItem / n_cols);
  pool.For((n + at_once - 1) / at_once, [&](std::int64_t item, int) {
    const std::int64_t from = item * at_once, count = std::min(at_once, n - from);
    numerics::Dequantize(view.dtype,
                         view.data.subspan(static_cast<std::size_t>(first + from) * row_bytes,
                                           static_cast<std::size_t>(count) * row_bytes),
                         {out + from * n_cols, static_cast<std::size_t>(count * n_cols)});
  });
}

Result<std::unique_ptr<FrozenBase>> FrozenBase::Make(
    std::shared_ptr<const weights::TensorStore> store, const TrainableLayout& layout,
    bool keep_matrices, ThreadPool& pool) {
  std::unique_ptr<FrozenBase> base(new FrozenBase);
  base->bytes_ = static_cast<std::size_t>(layout.n_values) * sizeof(float);
  void* const mapped = mmap(nullptr, base->bytes_, PROT_READ | PROT_WRITE,
                            MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
  if (mapped == MAP_FAILED) {
    return ErrnoError("{0}: no memory for the frozen weights: {1}", store->path().string());
  }
  base->values_ = static_cast<float*>(mapped);
  for (const Parameter& p : layout.parameters) {
    TATARA_TRY(const weights::TensorView view, store->Get(p.name, p.n_rows, p.n_cols));
    if (keep_matrices && p.n_rows > 1) {
      base->in_file_.emplace(p.offset, view);
      continue;
    }
    DequantizeRows(view, 0, p.n_rows, base->values_ + p.offset, pool);
  }
  base->store_ = std::move(store);
  return base;
}

FrozenBase::~FrozenBase() {
  if (values_ != nullptr) munmap(values_, bytes_);
}

Result<> TakeWeights(const weights::TensorStore& store, const Trainable& trainable,
                     std::span<float> weights, ThreadPool& pool) {
  for (const Parameter& p : trainable.parameters()) {
    TATARA_TRY(const weights::TensorView view, store.Get(p.name, p.n_rows, p.n_cols));
    DequantizeRows(view, 0, p.n_rows, weights.data() + p.offset, pool);
    const auto values =
        weights.subspan(static_cast<std::size_t>(p.offset), static_cast<std::size_t>(p.size()));
    if (!std::ranges::all_of(values, [](float x) { return std::isfinite(x); })) {
      return Refuse("{0}: tensor '{1}' holds a number that is not finite", store.path().string(),
                    Printable(p.name));
    }
  }
  return Ok{};
}

}  // namespace tatara::model
