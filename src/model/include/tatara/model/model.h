// A loaded language model: packed weights and the forward pass of its architecture.
// Thread safety: one Forward at a time per Model (it keeps scratch memory).
#pragma once

#include <cstdint>
#include <memory>
#include <span>
#include <string>
#include <vector>

#include "tatara/base/error.h"
#include "tatara/base/progress.h"
#include "tatara/base/thread_pool.h"
#include "tatara/model/adapter.h"
#include "tatara/model/kv_pool.h"
#include "tatara/numerics/matrix.h"
#include "tatara/weights/tensor_store.h"

namespace tatara::model {

struct ModelInfo {
  std::string architecture;  // "llama", "qwen2", "gemma3"
  int n_layers = 0;
  int n_embd = 0;
  int n_vocab = 0;
  std::int64_t n_ctx = 0;  // positions the model was trained for
  std::int64_t n_parameters = 0;
  std::int64_t weight_bytes = 0;  // packed, in memory
  std::vector<LayerCacheShape> cache;
  int page_tokens = numerics::kPageTokens;  // of the pages that Forward expects
  bool merged = false;                      // an adapter was added to the weights
};

struct LoadOptions {
  numerics::Activations activations = numerics::Activations::kInt8;
  MergeOptions merge;  // an adapter that is added to the weights (adapter.h)
};

// Tokens of one sequence in a pass: consecutive positions that follow what its pages already hold.
// No token is fed twice into a page, and none is left out: recurrent layers could not go back.
struct SequenceSlice {
  std::span<const std::int32_t> tokens;
  std::int64_t position = 0;   // of tokens[0]
  std::span<const int> pages;  // the i-th holds positions i * page_tokens ... of this sequence
  std::span<const std::int32_t>
      logit_rows;                    // indices into `tokens`, ascending, whose logits are wanted
  const Adapter* adapter = nullptr;  // made for this model; the same for all of a sequence
};

class Model {
 public:
  virtual ~Model() = default;

  // Picks the architecture by general.architecture; refused by name where unknown or where a tensor
  // or key is missing or of another shape.
  static Result<std::unique_ptr<Model>> Load(std::shared_ptr<const weights::TensorStore> store,
                                             const LoadOptions& options, ThreadPool& pool,
                                             ProgressSink* progress = nullptr);

  const ModelInfo& info() const { return info_; }
  // The matrices that adapters can change.
  std::span<const LinearPlace> linears() const { return linears_; }
  numerics::Activations activations() const { return activations_; }
  // f16 with 8-bit activations, f32 with f32 ones.
  numerics::CacheType cache_type() const;

  // One pass over the weights for all slices together. Writes keys and values into the pages, and
  // logits: (sum of logit_rows) x n_vocab, slice after slice. Token ids are in [0, n_vocab); no two
  // slices write the same page. The result of a slice does not depend on what else is in the pass,
  // bit for bit.
  virtual void Forward(std::span<const SequenceSlice> slices, KvPool& kv, ThreadPool& pool,
                       std::span<float> logits) = 0;

  // As Forward, but instead of logits the states that the head would read, after the last norm:
  // (sum of logit_rows) x n_embd. Only of decoders whose file has a pooling type (encoder.h).
  virtual void ForwardStates(std::span<const SequenceSlice> slices, KvPool& kv, ThreadPool& pool,
                             std::span<float> states);

 protected:
  ModelInfo info_;
  std::vector<LinearPlace> linears_;
  numerics::Activations activations_ = numerics::Activations::kInt8;
};

}  // namespace tatara::model
