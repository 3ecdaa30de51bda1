#include "adapter_parts.h"
#include "tatara/base/utf8.h"

#include <algorithm>
#include <cmath>

namespace tatara::weights {
namespace {

using numerics::DType;

bool AllFinite(std::span<const float> values) {
  return std::ranges::all_of(values, [](float v) { return std::isfinite(v); });
}

// The tensor's numbers, which are checked to be finite.
Result<std::vector<float>> FiniteValues(const TensorStore& store, const TensorView& view) {
  const bool is_float =
      view.dtype == DType::kF32 || view.dtype == DType::kF16 || view.dtype == DType::kBF16;
  if (!is_float) {
    return Refuse("{0}: tensor '{1}' has the type {2}; adapters are read in F32, F16 and BF16",
                  store.path().string(), Printable(view.name), numerics::TraitsOf(view.dtype).name);
  }
  std::vector<float> values(static_cast<std::size_t>(view.n_rows() * view.n_cols()));
  numerics::Dequantize(view.dtype, view.data, values);
  if (!AllFinite(values)) {
    return Refuse("{0}: tensor '{1}' holds a number that is not finite", store.path().string(),
                  Printable(view.name));
  }
  return values;
}

Result<> CheckPart(const std::string& path, const std::string& name, const AdapterPart& part) {
  if (part.a.data.empty() || part.b.data.empty()) {
    return Refuse("{0}: the adapter's change of '{1}' lacks one of its two factors", path,
                  Printable(name));
  }
  if (part.a.n_rows < 1 || part.a.n_rows > kAdapterRankMax || part.b.n_cols != part.a.n_rows) {
    return Refuse(
        "{0}: the adapter's change of '{1}' has factors of {2} x {3} and {4} x {5}; expected rank "
        "x inputs and outputs x rank, with a rank from 1 to {6}",
        path, Printable(name), part.a.n_rows, part.a.n_cols, part.b.n_rows, part.b.n_cols,
        kAdapterRankMax);
  }
  if (!part.magnitude.empty() &&
      static_cast<std::int64_t>(part.magnitude.size()) != part.b.n_rows) {
    return Refuse("{0}: the adapter's magnitude of '{1}' has {2} numbers, expected {3}", path,
                  Printable(name), part.magnitude.size(), part.b.n_rows);
  }
  return Ok{};
}

}  // namespace

Result<AdapterMatrix> ReadFactor(const TensorStore& store, const TensorView& view) {
  if (view.n_dims != 2) {
    return Refuse("{0}: tensor '{1}' has {2} dimensions; a factor of an adapter has 2",
                  store.path().string(), Printable(view.name), view.n_dims);
  }
  TATARA_TRY([[maybe_unused]] const std::vector<float> values, FiniteValues(store, view));
  return AdapterMatrix{view.dtype, view.n_rows(), view.n_cols(),
                       std::vector<std::byte>(view.data.begin(), view.data.end())};
}

Result<std::vector<float>> ReadMagnitude(const TensorStore& store, const TensorView& view) {
  if (view.n_rows() != 1 && view.n_cols() != 1) {
    return Refuse("{0}: tensor '{1}' has {2} rows of {3}; a magnitude is a vector",
                  store.path().string(), Printable(view.name), view.n_rows(), view.n_cols());
  }
  return FiniteValues(store, view);
}

Result<> CheckParts(const AdapterFile& file) {
  if (file.parts.empty()) {
    return Refuse("{0}: an adapter without any tensor", file.path.string());
  }
  for (const auto& [name, part] : file.parts) {
    TATARA_RETURN_IF_ERROR(CheckPart(file.path.string(), name, part));
  }
  return Ok{};
}

bool AdapterFile::is_dora() const {
  return std::ranges::any_of(parts, [](const auto& at) { return !at.second.magnitude.empty(); });
}

std::int64_t AdapterFile::rank_max() const {
  std::int64_t most = 0;
  for (const auto& [name, part] : parts) most = std::max(most, part.rank());
  return most;
}

}  // namespace tatara::weights
