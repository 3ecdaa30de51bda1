#include "tatara/model/row_changer.h"

namespace tatara::model {

// A head without a tensor of its own is the embedding.
const weights::TensorView* RowChanger::ViewOf(std::string_view tensor) const {
  const weights::TensorView* view = store_.Find(tensor);
  return view == nullptr && tensor == "output.weight" ? store_.Find("token_embd.weight") : view;
}

Result<> RowChanger::Check() const {
  for (const auto& [name, part] : file_.parts) {
    const weights::TensorView* view = ViewOf(name);
    const bool fits = view != nullptr && view->n_dims == 2 && name != "token_embd.weight" &&
                      view->n_rows() == part.b.n_rows && view->n_cols() == part.a.n_cols;
    if (!fits) {
      return Refuse("{0}: the adapter changes '{1}' as a matrix of {2} x {3}, which {4} has not",
                    file_.path.string(), name, part.b.n_rows, part.a.n_cols,
                    store_.path().string());
    }
  }
  return Ok{};
}

Result<> RowChanger::Change(std::string_view tensor, std::int64_t first_row,
                            std::span<float> rows) {
  const auto part = file_.parts.find(tensor);
  if (part == file_.parts.end()) return Ok{};
  if (merged_ != tensor) {
    merger_.emplace(part->second, scale_, pool_);
    merged_ = tensor;
  }
  return merger_->Merge(*ViewOf(tensor), file_.path.string(), first_row, rows);
}

}  // namespace tatara::model
