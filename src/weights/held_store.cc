#include "held_store.h"
#include "tatara/base/utf8.h"

namespace tatara::weights {

std::span<std::byte> HeldStore::Allocate(std::size_t n_bytes) {
  // Uninitialised: the caller writes all of it.
  made_.push_back(std::make_unique_for_overwrite<std::byte[]>(n_bytes));
  return {made_.back().get(), n_bytes};
}

Result<> HeldStore::Add(std::string name, TensorView view) {
  const auto [at, added] = tensors_.try_emplace(std::move(name), view);
  if (!added) {
    return Refuse("{0}: the tensor '{1}' is there twice", path_.string(), Printable(at->first));
  }
  at->second.name = at->first;
  return Ok{};
}

std::optional<std::uint64_t> CountedBytes(numerics::DType dtype, std::uint64_t n_cols,
                                          std::uint64_t n_rows) {
  const numerics::DTypeTraits& traits = numerics::TraitsOf(dtype);
  const auto block = static_cast<std::uint64_t>(traits.block_elements);
  if (n_cols % block != 0) return std::nullopt;
  std::uint64_t bytes = n_cols / block;
  if (__builtin_mul_overflow(bytes, static_cast<std::uint64_t>(traits.block_bytes), &bytes) ||
      __builtin_mul_overflow(bytes, n_rows, &bytes)) {
    return std::nullopt;
  }
  return bytes;
}

}  // namespace tatara::weights
