// Takes a model's tensors out of a store: shapes checked, matrices packed for the kernels, and at
// the end proof that no tensor was left over, since one that nobody uses may be one that changes
// the answers. Thread safety: one thread.
#pragma once

#include <cstdint>
#include <memory>
#include <set>
#include <span>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "tatara/base/error.h"
#include "tatara/base/progress.h"
#include "tatara/base/thread_pool.h"
#include "tatara/model/adapter.h"
#include "tatara/numerics/matrix.h"
#include "tatara/weights/tensor_store.h"

namespace tatara::model {

inline constexpr int kNoPlace = -1;

// y = W x + b: w is (outputs, inputs), bias (outputs) or empty.
struct Linear {
  numerics::Matrix w;
  std::vector<float> bias;
  int place = kNoPlace;  // in Model::linears(), where adapters can change it
};

enum class Bias { kNone, kOptional, kRequired };

// The token embedding, read row by row from the mapped file.
struct Embedding {
  weights::TensorView table;  // (n_vocab, n_embd)
  // Exact dequantisation of one row; out: n_embd values.
  void Row(std::int64_t id, std::span<float> out) const;
};

class TensorLoader {
 public:
  // `store`, `pool` and the merged adapter outlive this object.
  TensorLoader(const weights::TensorStore& store, ThreadPool& pool, ProgressSink* progress,
               const MergeOptions& merge = {});

  bool Has(std::string_view name) const { return store_.Find(name) != nullptr; }

  // "NAME.weight" (n_out x n_in), packed, and "NAME.bias" (n_out) as `bias` says.
  Result<Linear> LoadLinear(const std::string& name, std::int64_t n_out, std::int64_t n_in,
                            Bias bias = Bias::kNone) {
    return LoadLinearAs(name, name, n_out, n_in, bias);
  }
  // The same for a matrix that adapters know by another name: a head that is the embedding too.
  Result<Linear> LoadLinearAs(const std::string& known_as, const std::string& name,
                              std::int64_t n_out, std::int64_t n_in, Bias bias = Bias::kNone);
  // The same for a matrix that adapters can not change: one that Pass::Project does not multiply.
  Result<Linear> LoadExpert(const std::string& name, std::int64_t n_out, std::int64_t n_in,
                            Bias bias = Bias::kNone);
  // A vector of n values, whatever type it is stored in.
  Result<std::vector<float>> LoadVector(const std::string& name, std::int64_t n);
  // Of every matrix e of the tensor "NAME.weight" (n_experts x rows_of_one x n_in) the rows from
  // first_row on, n_out of them; with the same of "NAME.bias" (n_experts x rows_of_one).
  struct ExpertRows {
    std::int64_t n_experts = 0, n_in = 0, rows_of_one = 0, first_row = 0, n_out = 0;
    bool flat = false;  // the file has the matrices as one, (n_experts x rows_of_one) x n_in
  };
  Result<std::vector<Linear>> LoadExperts(const std::string& name, const ExpertRows& rows,
                                          Bias bias = Bias::kNone);
  // The same rows of every matrix as the columns of one, rounded to nothing: n_in outputs of n_out
  // inputs, in f32.
  Result<std::vector<Linear>> LoadTransposed(const std::string& name, const ExpertRows& rows);
  // A tensor that the published model has and never reads; absent is as good.
  void LeaveOut(const std::string& name) { taken_.insert(name); }
  // A small matrix as it is read: n_rows x n_cols values.
  Result<std::vector<float>> LoadTable(const std::string& name, std::int64_t n_rows,
                                       std::int64_t n_cols);
  // One matrix out of such a tensor with n_experts 1, or of a plain matrix.
  Result<Linear> LoadRowsOf(const std::string& name, const ExpertRows& rows,
                            Bias bias = Bias::kNone);
  // Tensors "blk.LAYER..." belong to something that is not run.
  void IgnoreLayer(int layer);
  // Divisors of rotary frequencies: n finite values above 0.
  Result<std::vector<float>> LoadRopeFactors(const std::string& name, std::int64_t n);
  // Rows of the file itself, nothing copied. n_vocab comes from the tensor's own shape, at most
  // n_vocab_max.
  Result<Embedding> LoadEmbedding(const std::string& name, std::int64_t n_embd,
                                  std::int64_t n_vocab_max);

  // Refused where the store holds a tensor that was not taken, or the merged adapter changes
  // something that was not loaded as a linear.
  Result<> Finish() const;

  // Of the linears that were loaded, in the order of their `place`.
  const std::vector<LinearPlace>& places() const { return places_; }

  std::int64_t n_parameters() const { return n_parameters_; }  // of all tensors taken, each once
  std::int64_t packed_bytes() const { return packed_bytes_; }

 private:
  Result<weights::TensorView> GetExperts(const std::string& name, const ExpertRows& rows) const;
  void Count(std::string_view name, const weights::TensorView& view);
  Result<> LoadBias(const std::string& name, Bias bias, std::int64_t n_out, Linear& linear);
  // Gives the linear a place and packs its rows of the place's tensor, merged where asked for.
  Result<> PackPlace(LinearPlace place, Linear& linear);
  Result<numerics::Matrix> PackMerged(const LinearPlace& place, const weights::AdapterPart& part);

  const weights::TensorStore& store_;
  ThreadPool& pool_;
  ProgressSink* progress_;
  std::uint64_t bytes_total_ = 0;
  std::uint64_t bytes_done_ = 0;
  std::int64_t n_parameters_ = 0;
  std::int64_t packed_bytes_ = 0;
  std::set<std::string, std::less<>> taken_;
  MergeOptions merge_;
  std::vector<LinearPlace> places_;
};

}  // namespace tatara::model
