// Adapters of a loaded model, in two forms:
//   hot     beside the weights, any number of them, each sequence of a pass with its own or none:
//           y = W x, then y = fma(s, B (A x), y), for DoRA y = ratio * y, then the bias; A and B as
//           stored, f32 chains (rule 6 of the numerics contract), whatever the path of W
//   merged  one of them added to the weights while they are loaded (LoadOptions::merge):
//           w' = fma(s, chain of b_r a_r over r ascending, w), for DoRA w' = ratio * w'
// ratio = magnitude / sqrt(sum of squares of a row of fma(s, B A, W)). Merged matrices stay f32, so
// on the 8-bit path their products are f32 ones; that, and rounding, is what tells the forms apart:
// README.md states how far.
//
// Thread safety: an Adapter is immutable, any thread. Ownership: it holds its numbers and needs the
// model only while it is made.
#pragma once

#include <cstdint>
#include <memory>
#include <span>
#include <string>
#include <vector>

#include "tatara/base/error.h"
#include "tatara/base/thread_pool.h"
#include "tatara/numerics/matrix.h"
#include "tatara/weights/adapter_file.h"
#include "tatara/weights/tensor_store.h"

namespace tatara::model {

class Model;

// One adapter that is added to the weights. Borrowed while a model is loaded.
struct MergeOptions {
  const weights::AdapterFile* adapter = nullptr;  // null: none
  double scale = 1;                               // times the file's own
  // Merged matrices go back to a type like the one they had (MergedType); else they stay f32.
  bool requantise = false;
};

// F32, F16 and BF16 stay; every quantised type becomes Q8_0, whose rounding is simple and small.
numerics::DType MergedType(numerics::DType dtype, bool requantise);

// A matrix of a loaded model that adapters can change.
struct LinearPlace {
  std::string tensor;          // "blk.0.attn_q.weight"
  std::int64_t first_row = 0;  // where only some rows of the tensor are this matrix
  std::int64_t n_out = 0;
  std::int64_t n_in = 0;
  weights::TensorView view;  // of the whole tensor
};

class Adapter {
 public:
  // Refused, by name, where the file changes something that is no matrix of the model, or one of
  // another shape.
  static Result<std::shared_ptr<const Adapter>> Make(const weights::AdapterFile& file,
                                                     const Model& model, double scale,
                                                     ThreadPool& pool);

  struct Part {
    numerics::Matrix a;  // (rank, n_in)
    numerics::Matrix b;  // (n_out, rank)
    float scale = 0;
    std::vector<float> ratio;  // (n_out); empty where it is no DoRA
  };
  // Null where the linear is not changed. `linear` is its place in Model::linears().
  const Part* PartOf(int linear) const { return parts_.at(static_cast<std::size_t>(linear)).get(); }
  std::int64_t bytes() const { return bytes_; }

 private:
  Adapter() = default;
  std::vector<std::unique_ptr<Part>> parts_;
  std::int64_t bytes_ = 0;
};

// Rows of merged matrices. Keeps memory for some of them. Thread safety: one thread.
class RowMerger {
 public:
  // `part` and `pool` outlive this object.
  RowMerger(const weights::AdapterPart& part, double scale, ThreadPool& pool);

  // Rows [first_row, ...) of `tensor`, whose part this is, with the change added; `out` is a whole
  // number of rows. Refused where a row's norm is 0 or not finite, which DoRA divides by.
  Result<> Merge(const weights::TensorView& tensor, std::string_view origin, std::int64_t first_row,
                 std::span<float> out);
  // What DoRA multiplies these rows by.
  Result<> Ratios(const weights::TensorView& tensor, std::string_view origin,
                  std::int64_t first_row, std::span<float> out);

 private:
  void AddProduct(const weights::TensorView& tensor, std::int64_t first_row, std::span<float> rows);
  Result<float> RatioOf(const weights::TensorView& tensor, std::string_view origin,
                        std::int64_t row, std::span<const float> merged) const;
  const weights::AdapterPart& part_;
  float scale_;
  ThreadPool& pool_;
  std::int64_t n_in_;
  numerics::Matrix a_transposed_;  // (n_in, rank)
  std::vector<float> b_;           // (n_out, rank)
  std::vector<float> product_;     // rows of B A
  numerics::ActivationRows rows_;
};

// All rows of a merged matrix as bytes of `dtype`: F32, F16, BF16 or Q8_0 (ggml's reference
// rounding). Refused where a number does not fit.
Result<std::vector<std::byte>> EncodeRows(numerics::DType dtype, std::span<const float> values,
                                          std::string_view origin, std::string_view tensor);

}  // namespace tatara::model
