// A loaded embedding model or cross-encoder: token ids of whole sequences in, one vector or one row
// of class scores a sequence out. Nothing is kept between calls but scratch memory.
//
// The result of a sequence depends on nothing but its own tokens, bit for bit: not on what else is
// in the call, on threads or on the instruction set. Attention reads keys and values in f32 on both
// paths.
//
// Thread safety: one call at a time per Encoder.
#pragma once

#include <cstdint>
#include <memory>
#include <span>
#include <string>
#include <vector>

#include "tatara/base/error.h"
#include "tatara/base/metadata.h"
#include "tatara/base/progress.h"
#include "tatara/base/thread_pool.h"
#include "tatara/model/model.h"
#include "tatara/weights/tensor_store.h"

namespace tatara::model {

// How the last states of a sequence's tokens become one vector:
//   kMean   their sum, a chain over tokens ascending from +0, divided by their number;
//   kFirst  the first token's ("[CLS]", "<s>");  kLast  the last token's;
//   kNone   all of them, one row a token.
enum class Pooling { kNone, kMean, kFirst, kLast };

struct EncoderInfo {
  std::string architecture;  // "bert", "modern-bert", ...
  int n_layers = 0;
  int n_embd = 0;
  int n_vocab = 0;
  std::int64_t n_ctx = 0;  // most tokens of a sequence
  std::int64_t n_parameters = 0;
  std::int64_t weight_bytes = 0;          // packed, in memory
  Pooling pooling = Pooling::kMean;       // as the file says
  int n_segments = 0;                     // token types; 0: the model has none
  int n_classes = 0;                      // outputs of the classification head; 0: no head
  std::vector<std::string> class_labels;  // n_classes names, or none
  bool is_decoder = false;  // a language model's states; its classes are words that might follow
};

struct EncoderInput {
  std::span<const std::int32_t> tokens;  // 1 .. n_ctx ids in [0, n_vocab)
  // Tokens from here on are of the second segment, as BERT's cross-encoders want the passage; where
  // the model has no second one, or for 0, all are of the first.
  std::int64_t second_segment = 0;
};

class Encoder {
 public:
  virtual ~Encoder() = default;

  // True where the file is of an encoder's architecture, or a decoder that says how its states are
  // pooled (ARCH.pooling_type other than 0).
  static bool IsEncoder(const Metadata& metadata);
  // As Model::Load. A decoder without a pooling type is refused.
  static Result<std::unique_ptr<Encoder>> Load(std::shared_ptr<const weights::TensorStore> store,
                                               const LoadOptions& options, ThreadPool& pool,
                                               ProgressSink* progress = nullptr);

  const EncoderInfo& info() const { return info_; }
  numerics::Activations activations() const { return activations_; }

  // Rows of Encode's output: one an input, or one a token with kNone.
  static std::int64_t OutputRows(std::span<const EncoderInput> inputs, Pooling pooling);
  // out: OutputRows x n_embd, not scaled to length 1. Refused where memory for the batch is short.
  Result<> Encode(std::span<const EncoderInput> inputs, Pooling pooling, ThreadPool& pool,
                  std::span<float> out);
  // The classification head's outputs (logits), n_inputs x n_classes; the model has a head.
  Result<> Classify(std::span<const EncoderInput> inputs, ThreadPool& pool, std::span<float> out);

 protected:
  // The last states of all tokens, one input's below the other's: (tokens, n_embd). They live until
  // the next call. The inputs together have at most kBatchTokens and batch_pages(), or there is
  // only one.
  virtual Result<std::span<const float>> States(std::span<const EncoderInput> inputs,
                                                ThreadPool& pool) = 0;
  // scores (n_rows, n_classes) of pooled vectors (n_rows, n_embd), which it may overwrite.
  virtual void Head(std::span<float> pooled, ThreadPool& pool, std::span<float> scores);

  // Pages of 64 tokens that the keys and values of an input take, and most of a batch.
  static std::int64_t PagesOf(const EncoderInput& input);
  virtual std::int64_t batch_pages() const { return 256; }

  // Enough rows for the matrix kernels; more only takes memory.
  static constexpr std::int64_t kBatchTokens = 1024;

  EncoderInfo info_;
  numerics::Activations activations_ = numerics::Activations::kInt8;
};

}  // namespace tatara::model
