#include "tensors.h"

#include <algorithm>
#include <limits>
#include <utility>

#include "keys.h"
#include "tatara/base/check.h"
#include "tatara/base/utf8.h"

namespace tatara::model {

void Embedding::Row(std::int64_t id, std::span<float> out) const {
  TATARA_CHECK(id >= 0 && id < table.n_rows());
  const auto row_bytes =
      static_cast<std::size_t>(numerics::StorageBytes(table.dtype, table.n_cols()));
  numerics::Dequantize(
      table.dtype, table.data.subspan(static_cast<std::size_t>(id) * row_bytes, row_bytes), out);
}

TensorLoader::TensorLoader(const weights::TensorStore& store, ThreadPool& pool,
                           ProgressSink* progress, const MergeOptions& merge)
    : store_(store), pool_(pool), progress_(progress), merge_(merge) {
  for (const auto& [name, view] : store.tensors()) bytes_total_ += view.data.size();
}

void TensorLoader::Count(std::string_view name, const weights::TensorView& view) {
  if (!taken_.insert(std::string(name)).second) return;
  n_parameters_ += view.n_rows() * view.n_cols();
  bytes_done_ += view.data.size();
  if (progress_ != nullptr) progress_->Report("load", bytes_done_, bytes_total_);
}

Result<> TensorLoader::LoadBias(const std::string& name, Bias bias, std::int64_t n_out,
                                Linear& linear) {
  const std::string bias_name = name + ".bias";
  if (bias == Bias::kRequired || (bias == Bias::kOptional && Has(bias_name))) {
    TATARA_TRY(linear.bias, LoadVector(bias_name, n_out));
  }
  return Ok{};
}

Result<Linear> TensorLoader::LoadLinearAs(const std::string& known_as, const std::string& name,
                                          std::int64_t n_out, std::int64_t n_in, Bias bias) {
  Linear linear;
  const std::string weight_name = name + ".weight";
  TATARA_TRY(const weights::TensorView view, store_.Get(weight_name, n_out, n_in));
  TATARA_RETURN_IF_ERROR(PackPlace({known_as + ".weight", 0, n_out, n_in, view}, linear));
  Count(weight_name, view);
  TATARA_RETURN_IF_ERROR(LoadBias(name, bias, n_out, linear));
  return linear;
}

Result<Linear> TensorLoader::LoadExpert(const std::string& name, std::int64_t n_out,
                                        std::int64_t n_in, Bias bias) {
  Linear linear;
  const std::string weight_name = name + ".weight";
  TATARA_TRY(const weights::TensorView view, store_.Get(weight_name, n_out, n_in));
  linear.w = numerics::Matrix::Pack(view.dtype, n_out, n_in, view.data, pool_);
  packed_bytes_ += linear.w.packed_bytes();
  Count(weight_name, view);
  TATARA_RETURN_IF_ERROR(LoadBias(name, bias, n_out, linear));
  return linear;
}

Result<> TensorLoader::PackPlace(LinearPlace place, Linear& linear) {
  const weights::AdapterPart* part = nullptr;
  if (merge_.adapter != nullptr) {
    const auto found = merge_.adapter->parts.find(place.tensor);
    if (found != merge_.adapter->parts.end()) part = &found->second;
  }
  if (part != nullptr) {
    TATARA_TRY(linear.w, PackMerged(place, *part));
  } else {
    const weights::TensorView& view = place.view;
    const auto row_bytes = static_cast<std::size_t>(numerics::StorageBytes(view.dtype, place.n_in));
    linear.w = numerics::Matrix::Pack(
        view.dtype, place.n_out, place.n_in,
        view.data.subspan(static_cast<std::size_t>(place.first_row) * row_bytes,
                          static_cast<std::size_t>(place.n_out) * row_bytes),
        pool_);
  }
  packed_bytes_ += linear.w.packed_bytes();
  linear.place = static_cast<int>(places_.size());
  places_.push_back(std::move(place));
  return Ok{};
}

Result<numerics::Matrix> TensorLoader::PackMerged(const LinearPlace& place,
                                                  const weights::AdapterPart& part) {
  const std::string path = merge_.adapter->path.string();
  if (part.a.n_cols != place.n_in || part.b.n_rows != place.view.n_rows()) {
    return Refuse(
        "{0}: the adapter changes '{1}' as a matrix of {2} x {3}, but the model's is {4} x {5}",
        path, Printable(place.tensor), part.b.n_rows, part.a.n_cols, place.view.n_rows(),
        place.n_in);
  }
  std::vector<float> values(static_cast<std::size_t>(place.n_out * place.n_in));
  RowMerger merger(part, merge_.scale, pool_);
  TATARA_RETURN_IF_ERROR(merger.Merge(place.view, path, place.first_row, values));
  const numerics::DType type = MergedType(place.view.dtype, merge_.requantise);
  TATARA_TRY(const std::vector<std::byte> bytes, EncodeRows(type, values, path, place.tensor));
  return numerics::Matrix::Pack(type, place.n_out, place.n_in, bytes, pool_);
}

Result<std::vector<float>> TensorLoader::LoadVector(const std::string& name, std::int64_t n) {
  return LoadTable(name, 1, n);
}

Result<std::vector<float>> TensorLoader::LoadTable(const std::string& name, std::int64_t n_rows,
                                                   std::int64_t n_cols) {
  TATARA_TRY(const weights::TensorView view, store_.Get(name, n_rows, n_cols));
  std::vector<float> values(static_cast<std::size_t>(n_rows * n_cols));
  numerics::Dequantize(view.dtype, view.data, values);
  packed_bytes_ += static_cast<std::int64_t>(values.size() * sizeof(float));
  Count(name, view);
  return values;
}

Result<weights::TensorView> TensorLoader::GetExperts(const std::string& name,
                                                     const ExpertRows& rows) const {
  TATARA_TRY(const weights::TensorView view,
             store_.Get(name, rows.n_experts * rows.rows_of_one, rows.n_in));
  const std::int64_t expected = rows.flat ? view.n_rows() : rows.rows_of_one;
  if (view.shape[1] != expected) {
    return Refuse("{0}: tensor '{1}' holds matrices of {2} rows, expected {3}",
                  store_.path().string(), name, view.shape[1], expected);
  }
  return view;
}

Result<std::vector<Linear>> TensorLoader::LoadTransposed(const std::string& name,
                                                         const ExpertRows& rows) {
  const std::string weight_name = name + ".weight";
  TATARA_TRY(const weights::TensorView view, GetExperts(weight_name, rows));
  const auto row_bytes = static_cast<std::size_t>(numerics::StorageBytes(view.dtype, rows.n_in));
  const auto n_in = static_cast<std::size_t>(rows.n_in),
             n_out = static_cast<std::size_t>(rows.n_out);
  std::vector<float> row(n_in), turned(n_in * n_out);
  std::vector<Linear> linears(static_cast<std::size_t>(rows.n_experts));
  for (std::size_t e = 0; e < linears.size(); ++e) {
    for (std::size_t r = 0; r < n_out; ++r) {
      const std::size_t at = e * static_cast<std::size_t>(rows.rows_of_one) +
                             static_cast<std::size_t>(rows.first_row) + r;
      numerics::Dequantize(view.dtype, view.data.subspan(at * row_bytes, row_bytes), row);
      for (std::size_t i = 0; i < n_in; ++i) turned[i * n_out + r] = row[i];
    }
    linears[e].w = numerics::Matrix::Pack(numerics::DType::kF32, rows.n_in, rows.n_out,
                                          std::as_bytes(std::span(turned)), pool_);
    packed_bytes_ += linears[e].w.packed_bytes();
  }
  Count(weight_name, view);
  return linears;
}

Result<std::vector<Linear>> TensorLoader::LoadExperts(const std::string& name,
                                                      const ExpertRows& rows, Bias bias) {
  const std::string weight_name = name + ".weight";
  TATARA_TRY(const weights::TensorView view, GetExperts(weight_name, rows));
  const auto row_bytes = static_cast<std::size_t>(numerics::StorageBytes(view.dtype, rows.n_in));
  std::vector<Linear> linears(static_cast<std::size_t>(rows.n_experts));
  for (std::size_t e = 0; e < linears.size(); ++e) {
    const std::size_t first =
        e * static_cast<std::size_t>(rows.rows_of_one) + static_cast<std::size_t>(rows.first_row);
    linears[e].w = numerics::Matrix::Pack(
        view.dtype, rows.n_out, rows.n_in,
        view.data.subspan(first * row_bytes, static_cast<std::size_t>(rows.n_out) * row_bytes),
        pool_);
    packed_bytes_ += linears[e].w.packed_bytes();
  }
  Count(weight_name, view);
  const std::string bias_name = name + ".bias";
  if (bias == Bias::kNone || (bias == Bias::kOptional && !Has(bias_name))) return linears;
  TATARA_TRY(const weights::TensorView biases,
             store_.Get(bias_name, rows.n_experts, rows.rows_of_one));
  std::vector<float> all(static_cast<std::size_t>(rows.n_experts * rows.rows_of_one));
  numerics::Dequantize(biases.dtype, biases.data, all);
  for (std::size_t e = 0; e < linears.size(); ++e) {
    const auto first =
        all.begin() + static_cast<std::ptrdiff_t>(e) * rows.rows_of_one + rows.first_row;
    linears[e].bias.assign(first, first + rows.n_out);
  }
  packed_bytes_ += static_cast<std::int64_t>(all.size() * sizeof(float));
  Count(bias_name, biases);
  return linears;
}

Result<Linear> TensorLoader::LoadRowsOf(const std::string& name, const ExpertRows& rows,
                                        Bias bias) {
  TATARA_CHECK(rows.n_experts == 1);
  Linear linear;
  const std::string weight_name = name + ".weight";
  TATARA_TRY(const weights::TensorView view, store_.Get(weight_name, rows.rows_of_one, rows.n_in));
  TATARA_RETURN_IF_ERROR(
      PackPlace({weight_name, rows.first_row, rows.n_out, rows.n_in, view}, linear));
  Count(weight_name, view);
  Linear whole;  // whose bias is the tensor's
  TATARA_RETURN_IF_ERROR(LoadBias(name, bias, rows.rows_of_one, whole));
  if (!whole.bias.empty()) {
    const auto first = whole.bias.begin() + rows.first_row;
    linear.bias.assign(first, first + rows.n_out);
  }
  return linear;
}

void TensorLoader::IgnoreLayer(int layer) {
  const std::string prefix = "blk." + std::to_string(layer) + ".";
  const auto& all = store_.tensors();
  for (auto at = all.lower_bound(prefix); at != all.end() && at->first.starts_with(prefix); ++at) {
    taken_.insert(at->first);
  }
}

Result<std::vector<float>> TensorLoader::LoadRopeFactors(const std::string& name, std::int64_t n) {
  TATARA_TRY(std::vector<float> factors, LoadVector(name, n));
  for (const float factor : factors) {
    if (!(factor > 0 && factor <= std::numeric_limits<float>::max())) {
      return Refuse("{0}: the tensor '{1}' divides a rotary frequency by {2}",
                    store_.path().string(), name, factor);
    }
  }
  return factors;
}

Result<Embedding> TensorLoader::LoadEmbedding(const std::string& name, std::int64_t n_embd,
                                              std::int64_t n_vocab_max) {
  const weights::TensorView* found = store_.Find(name);
  const std::int64_t n_vocab = found == nullptr ? 1 : found->n_rows();
  TATARA_TRY(const weights::TensorView view, store_.Get(name, n_vocab, n_embd));
  if (n_vocab > n_vocab_max) {
    return Refuse("{0}: the tensor '{1}' has {2} rows; at most {3} are accepted",
                  store_.path().string(), name, n_vocab, n_vocab_max);
  }
  Count(name, view);
  return Embedding{view};
}

Result<> TensorLoader::Finish() const {
  for (const auto& [name, view] : store_.tensors()) {
    if (!taken_.contains(name)) {
      return Refuse(
          "{0}: the tensor '{1}' is of no use to this architecture as it is computed here; "
          "ignoring it could give wrong answers",
          store_.path().string(), Printable(name));
    }
  }
  if (merge_.adapter == nullptr) return Ok{};
  for (const auto& [name, part] : merge_.adapter->parts) {
    if (std::ranges::find(places_, name, &LinearPlace::tensor) == places_.end()) {
      return Refuse(
          "{0}: the adapter changes '{1}', which is no matrix of this model that adapters can "
          "change (experts, embeddings, norms and biases are not)",
          merge_.adapter->path.string(), Printable(name));
    }
  }
  return Ok{};
}

}  // namespace tatara::model
