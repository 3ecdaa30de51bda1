// A decoder that trains: all weights in one f32 array, the loss of a batch of sequences, and its
// gradient. Families: gpt2, llama (also Mistral's and SmolLM2's form), qwen2, qwen3, gemma2,
// gemma3. Names, shapes and layouts are those of GGUF (Gemma's norm weights include the published
// "1 +"), so the weights with Keys() are a model that Model::Load reads, and its f32 path gives the
// same logits, bit for bit.
//
// Gradients are sums over tokens, not means: chains over the tokens of successive calls, ascending.
// Cutting a batch between sequences into several calls therefore changes no bit, neither of the
// gradients nor of the loss. Nothing depends on the number of threads.
//
// Thread safety: one call at a time (activations are kept inside). Ownership: weights and gradients
// are the caller's.
#pragma once

#include <cstdint>
#include <memory>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "tatara/base/error.h"
#include "tatara/base/metadata.h"
#include "tatara/base/thread_pool.h"

namespace tatara::model {

struct TrainableShape {
  std::string architecture = "gpt2";
  int n_vocab = 0;
  int n_layers = 0;
  int n_embd = 0;
  int n_heads = 0;
  int n_kv_heads = 0;  // 0: n_heads
  int n_ff = 0;        // 0: 4 * n_embd
  int n_ctx = 0;
  double norm_eps = 1e-5;
  double rope_base = 10000;
  bool tied = true;  // the head is the embedding
  int head_dim = 0;  // 0: n_embd / n_heads
  // A token sees this many keys, itself included; 0: all. llama: in every layer. gemma2, gemma3: of
  // every `window_period` layers (0: the family's 2 or 6) the last sees all.
  int window = 0;
  int window_period = 0;
  double rope_base_window = 10000;      // of gemma3's layers with a window
  double score_cap = 0, logit_cap = 0;  // gemma2's soft caps; 0: none
};

struct Parameter {
  std::string name;         // as in GGUF
  std::int64_t n_rows = 0;  // 1 for vectors
  std::int64_t n_cols = 0;
  std::int64_t offset = 0;  // of its first value in the array, a multiple of 16
  bool decays = false;      // matrices do, vectors do not
  double deviation = 0;     // of the normal distribution that it starts from; 0: `start`
  float start = 0;

  std::int64_t size() const { return n_rows * n_cols; }
};

// Token ids and targets of n_sequences x n_tokens positions. A target below 0 counts for nothing.
struct TrainingBatch {
  std::int64_t n_sequences = 0;
  std::int64_t n_tokens = 0;
  std::span<const std::int32_t> tokens;
  std::span<const std::int32_t> targets;
  // Where not empty: for each token the place in its sequence where its document starts. Earlier
  // tokens are not seen and positions count from there.
  std::span<const std::int32_t> first_keys;
  // Index of the first sequence in the whole batch of this step; dropout is keyed by it.
  std::int64_t first_sequence = 0;
};

// `rate` after the embedding and after both blocks of each layer, `attention_rate` of the
// attention's weights (numerics/training.h). Below 2^43 places of a batch: sequences * heads *
// tokens^2, and sequences * tokens * n_embd.
struct TrainingDropout {
  double rate = 0;
  std::uint64_t seed = 0;
  std::uint64_t step = 0;
  double attention_rate = 0;
};

// What the forward pass keeps of each layer for the way back. kBF16: inputs of products, gates, the
// attention and norms inside a block are rounded once, to the nearest bf16, where they are written,
// and both ways go on from what was rounded. The stream through the blocks goes on in f32; the copy
// of it that the way back reads is rounded. Statistics stay f32. LossAndGradient alone rounds: Loss
// and Logits keep nothing and are those of the model that runs.
enum class Storage { kF32, kBF16 };

struct TrainableOptions {
  // Keeps each layer's input only, in f32, and computes the rest again when it is needed: the same
  // bits, whatever the storage.
  bool recompute = false;
  Storage storage = Storage::kF32;
};

class Trainable {
 public:
  virtual ~Trainable() = default;
  // Refuses sizes that do not fit together and unknown families.
  static Result<std::unique_ptr<Trainable>> Make(const TrainableShape& shape,
                                                 const TrainableOptions& options = {});

  virtual const TrainableShape& shape() const = 0;
  // In a fixed order without overlap; the few values between them are 0 for ever.
  virtual const std::vector<Parameter>& parameters() const = 0;
  virtual std::int64_t n_values() const = 0;  // of the array of weights
  virtual std::int64_t n_parameters() const = 0;
  // A gradient's array is longer where the head is tied: its part is a chain of its own until
  // FinishGradient adds it.
  virtual std::int64_t n_gradient_values() const = 0;

  // Adds the batch's losses to `loss`, token after token, and its gradients to `gradient`.
  virtual void LossAndGradient(const TrainingBatch& batch, std::span<const float> weights,
                               const TrainingDropout& dropout, std::span<float> gradient,
                               double& loss, ThreadPool& pool) = 0;
  // Whole shards of a step's batch in one call: shard i has the sequences before shard_ends[i], a
  // power of two of shards, at most 1,024. `gradient`, of n_values at least, becomes what
  // LossAndGradient from zeros and FinishGradient give for each shard, added over the tree of
  // neighbours, bit for bit; what lies between parameters stays. losses[i] gets that of shard i
  // added. Keeps the logits of all positions.
  virtual void GradientOfShards(const TrainingBatch& batch,
                                std::span<const std::int64_t> shard_ends,
                                std::span<const float> weights, const TrainingDropout& dropout,
                                std::span<float> gradient, std::span<double> losses,
                                ThreadPool& pool) = 0;
  virtual void Loss(const TrainingBatch& batch, std::span<const float> weights, double& loss,
                    ThreadPool& pool) = 0;
  virtual void FinishGradient(std::span<float> gradient) const = 0;
  // n_sequences * n_tokens rows of n_vocab; targets are not looked at.
  virtual void Logits(const TrainingBatch& batch, std::span<const float> weights,
                      std::span<float> logits, ThreadPool& pool) = 0;

  // Of the first sequence whose way forward (without dropout) meets a value that is not finite: the
  // first layer whose output has one, as "token_embd", "blk.3" or "output"; empty where none has.
  virtual std::string FirstNotFinite(const TrainingBatch& batch, std::span<const float> weights,
                                     ThreadPool& pool);

  // Starting weights, by (seed, tensor, element) alone.
  virtual void Initialise(std::uint64_t seed, std::span<float> weights, ThreadPool& pool) const;
  // The keys that Model::Load needs; no tokenizer.
  Metadata Keys() const;
  // What a call on that many positions keeps inside, weights and gradients apart, within a few
  // per cent.
  double ActivationBytes(double n_positions, const TrainableOptions& options) const;
};

}  // namespace tatara::model
