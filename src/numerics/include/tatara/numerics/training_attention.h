// Causal attention for training, forward and backward, over whole sequences in f32.
//
// Forward: rule 5 with tiles of 64 keys; the bits are those of the cached attention with an f32
// cache. Backward recomputes the weights p = exp(s - m) / l, s = scale * chain, from the row's
// final m and l. For each key head, its query heads ascending, then blocks of 64 queries ascending:
// dp = chain over the value's dimension of fma(do, v, .); ds = (p * (dp - D)) * scale,
// D = Dot(do, o); dq = chain over the block's keys ascending; dk = chain over (head, query)
// ascending of fma(ds, q, .), dv of fma(p, do, .). A block's keys are those from the first that one
// of its queries sees to its last query; keys that a query does not see count with weight +0.
//
// With a soft cap s = cap * tanh(s / cap) after the scale, and ds is multiplied by 1 - t * t, t = s
// / cap of the capped score. With dropout (Dropout of training.h on p and on dp; ds keeps p itself)
// the output is the chain over the block's keys ascending of fma(dropped p, v, .).
//
// Thread safety: free functions; a workspace belongs to one caller.
#pragma once

#include <cstdint>
#include <memory>

#include "tatara/base/thread_pool.h"
#include "tatara/numerics/product.h"
#include "tatara/numerics/training.h"

namespace tatara::numerics {

struct TrainingAttention {
  std::int64_t n_sequences = 0;
  std::int64_t n_tokens = 0;  // of each sequence
  int n_heads = 0;
  int n_kv_heads = 0;  // divides n_heads
  int head_dim = 0;
  float scale = 1;
  // A token's heads lie side by side; rows of tokens are `stride` floats apart, sequences follow
  // one another.
  const float* q = nullptr;
  const float* k = nullptr;
  const float* v = nullptr;
  std::int64_t q_stride = 0, k_stride = 0, v_stride = 0;
  // Where not null, the first key (position in its sequence) that each token sees, so that packed
  // documents stay apart: n_sequences x n_tokens, at most the token's own position.
  const std::int32_t* first_keys = nullptr;
  int window = 0;      // a query at p sees keys p - window + 1 .. p; 0: all up to p
  float soft_cap = 0;  // 0: none
  // The place of the weight of key k for query i of head h of sequence s is (((first_sequence + s)
  // * n_heads + h) * n_tokens + i) * n_tokens + k.
  DropoutKey dropout;
  std::int64_t first_sequence = 0;
};

// out: rows of n_heads * head_dim values without gaps. maxima, sums: n_sequences x n_heads x
// n_tokens, for the backward pass.
struct AttentionOutput {
  float* out = nullptr;
  float* maxima = nullptr;
  float* sums = nullptr;
};

// Rows are laid out as those of q, k and v (each with that stride) and overwritten.
struct AttentionGradients {
  const float* dout = nullptr;  // as out
  float* dq = nullptr;
  float* dk = nullptr;
  float* dv = nullptr;
};

class AttentionWorkspace {
 public:
  AttentionWorkspace();
  ~AttentionWorkspace();
  AttentionWorkspace(AttentionWorkspace&&) noexcept;
  AttentionWorkspace& operator=(AttentionWorkspace&&) noexcept;

  struct State;
  State& state() { return *state_; }

 private:
  std::unique_ptr<State> state_;
};

void CausalAttention(const TrainingAttention& attention, const AttentionOutput& output,
                     AttentionWorkspace& workspace, ThreadPool& pool);
void CausalAttentionBackward(const TrainingAttention& attention, const AttentionOutput& output,
                             const AttentionGradients& gradients, AttentionWorkspace& workspace,
                             ThreadPool& pool);

}  // namespace tatara::numerics
