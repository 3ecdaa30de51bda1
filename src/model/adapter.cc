#include "tatara/model/adapter.h"

#include <algorithm>
#include <cmath>
#include <new>

#include "keys.h"
#include "tatara/base/check.h"
#include "tatara/base/utf8.h"
#include "tatara/model/model.h"

namespace tatara::model {
namespace {

constexpr std::int64_t kRatioRows = 64;  // that DoRA's norms are computed for at a time

numerics::Matrix PackRows(const weights::AdapterMatrix& m, std::int64_t first_row,
                          std::int64_t n_rows, ThreadPool& pool) {
  const auto row_bytes = static_cast<std::size_t>(numerics::StorageBytes(m.dtype, m.n_cols));
  return numerics::Matrix::Pack(
      m.dtype, n_rows, m.n_cols,
      ByteSpan(m.data).subspan(static_cast<std::size_t>(first_row) * row_bytes,
                               static_cast<std::size_t>(n_rows) * row_bytes),
      pool);
}

Result<std::vector<float>> RatiosOf(const weights::AdapterFile& file,
                                    const weights::AdapterPart& part, const LinearPlace& place,
                                    double scale, ThreadPool& pool) {
  std::vector<float> ratios(static_cast<std::size_t>(place.n_out));
  RowMerger merger(part, scale, pool);
  for (std::int64_t row = 0; row < place.n_out; row += kRatioRows) {
    const std::int64_t n = std::min(kRatioRows, place.n_out - row);
    TATARA_RETURN_IF_ERROR(merger.Ratios(
        place.view, file.path.string(), place.first_row + row,
        std::span(ratios).subspan(static_cast<std::size_t>(row), static_cast<std::size_t>(n))));
  }
  return ratios;
}

// The rows of the adapter's change that the linears of the model have.
std::int64_t RowsTaken(std::span<const LinearPlace> linears, std::string_view tensor) {
  std::int64_t n_rows = 0;
  for (const LinearPlace& place : linears) n_rows += place.tensor == tensor ? place.n_out : 0;
  return n_rows;
}

Result<> CheckFits(const weights::AdapterFile& file, const Model& model) {
  const std::string path = file.path.string();
  if (!file.architecture.empty() && file.architecture != model.info().architecture) {
    return Refuse("{0}: an adapter for '{1}' models, but this is a '{2}' model", path,
                  Printable(file.architecture), model.info().architecture);
  }
  for (const auto& [name, part] : file.parts) {
    const std::int64_t n_rows = RowsTaken(model.linears(), name);
    const auto place = std::ranges::find(model.linears(), name, &LinearPlace::tensor);
    if (n_rows == 0 || n_rows != place->view.n_rows()) {
      return Refuse(
          "{0}: the adapter changes '{1}', which is no matrix of this model that adapters can "
          "change (experts, embeddings, norms and biases are not)",
          path, Printable(name));
    }
    if (part.a.n_cols != place->n_in || part.b.n_rows != n_rows) {
      return Refuse(
          "{0}: the adapter changes '{1}' as a matrix of {2} x {3}, but the model's is {4} x {5}",
          path, Printable(name), part.b.n_rows, part.a.n_cols, n_rows, place->n_in);
    }
  }
  return Ok{};
}

}  // namespace

Result<std::shared_ptr<const Adapter>> Adapter::Make(const weights::AdapterFile& file,
                                                     const Model& model, double scale,
                                                     ThreadPool& pool) {
  TATARA_RETURN_IF_ERROR(CheckFits(file, model));
  try {
    auto adapter = std::shared_ptr<Adapter>(new Adapter);
    for (const LinearPlace& place : model.linears()) {
      std::unique_ptr<Part>& slot = adapter->parts_.emplace_back();
      const auto found = file.parts.find(place.tensor);
      if (found == file.parts.end()) continue;
      const weights::AdapterPart& part = found->second;
      slot = std::make_unique<Part>();
      slot->a = PackRows(part.a, 0, part.a.n_rows, pool);
      slot->b = PackRows(part.b, place.first_row, place.n_out, pool);
      slot->scale = static_cast<float>(scale * part.scale);
      if (!part.magnitude.empty()) {
        TATARA_TRY(slot->ratio, RatiosOf(file, part, place, scale, pool));
      }
      adapter->bytes_ += slot->a.packed_bytes() + slot->b.packed_bytes() +
                         static_cast<std::int64_t>(slot->ratio.size() * sizeof(float));
    }
    return std::shared_ptr<const Adapter>(std::move(adapter));
  } catch (const std::bad_alloc&) {
    return MakeError(ErrorKind::kUnavailable, "{0}: not enough memory for this adapter",
                     file.path.string());
  }
}

}  // namespace tatara::model
