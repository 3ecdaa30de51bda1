// The gated delta rule, the recurrence of gated delta-net layers (rules 1, 2 and 6). The same bits
// on every instruction set. Files compiled with extra ISA flags include this header: declarations
// and plain structs only. Thread safety: free functions; one writer per column of a state.
#pragma once

#include <cstdint>

namespace tatara::numerics {

// The gated delta rule of some value columns of one head, token by token (Yang et al. 2024,
// arXiv:2412.06464). With S the state (n_keys x n_columns), for every token, ascending:
//   S[i][j] <- S[i][j] * decay
//   d[j] = (v[j] - chain over i ascending of fma(S[i][j], k[i], .) from +0) * beta
//   S[i][j] <- fma(k[i], d[j], S[i][j])
//   out[j] = chain over i ascending of fma(S[i][j], q[i], .) from +0
// Columns do not touch one another, so they may be cut anywhere; tokens may be cut anywhere too.
struct DeltaRuleRun {
  float* state = nullptr;  // n_keys rows of n_columns at state_stride; read and written
  std::int64_t state_stride = 0;
  int n_keys = 0;
  int n_columns = 0;
  std::int64_t n_tokens = 0;
  const float* q = nullptr;  // n_tokens rows of n_keys at key_stride, as is k
  const float* k = nullptr;
  std::int64_t key_stride = 0;
  const float* v = nullptr;  // n_tokens rows of n_columns at value_stride
  std::int64_t value_stride = 0;
  const float* decay = nullptr;  // one value a token at gate_stride, as is beta
  const float* beta = nullptr;
  std::int64_t gate_stride = 0;
  float* out = nullptr;  // n_tokens rows of n_columns at out_stride
  std::int64_t out_stride = 0;
};
// Columns that a kernel keeps in registers: cutting at multiples of it costs nothing.
inline constexpr int kDeltaColumns = 64;
void DeltaRule(const DeltaRuleRun& run);

}  // namespace tatara::numerics
