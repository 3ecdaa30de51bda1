// The table of quantised kernels: one per instruction set, all giving the same bits. The scalar
// ones are the oracle and state the arithmetic (scalar/quant_kernels.cc).
//
// This header is included by files compiled with extra ISA flags: declarations and plain structs
// only.
#pragma once

#include <cstdint>

namespace tatara::numerics {

// Activations are prepared in groups of four tokens, so that a register tile reads them at constant
// distances from one pointer; the last group holds the remaining one to three. In a group of
// `width` tokens:
//   q      n_k / 4 x width x 4     int8, rule 3 of the contract
//   d      n_blocks x width        f32 scales
//   sums   n_blocks x SumWords(block) x width   32-bit words whose meaning is the instruction set's
//   own wide   n_k / 4 x width x 4     int16 copies of q, each four in the order 0 2 1 3; only
//   where asked
constexpr int kTokenGroup = 4;
constexpr int kSumWords32 = 4;    // per block of 32
constexpr int kSumWords256 = 28;  // per block of 256

struct QuantiseArgs {
  const float* x;  // row t of the group at x + t * x_stride
  std::int64_t x_stride;
  std::int64_t n_k;
  int width;  // 1..4
  int block;  // 32 or 256
  std::int8_t* q;
  float* d;
  std::int32_t* sums;
  std::int16_t* wide;  // may be null
};

// Some groups of 16 rows with some of their blocks, times a tile of tokens. The pointers stand at
// the first block; the strides lead from one group of four tokens to the next.
struct ProductArgs {
  const std::uint8_t* quants;
  const std::uint8_t* scales;
  std::int64_t group_bytes;  // from one group of rows to the next
  int n_groups;              // 1, or the table's row_groups
  std::int64_t n_blocks;
  const std::int8_t* q;
  const float* d;
  const std::int32_t* sums;
  const std::int16_t* wide;
  std::int64_t q_stride;  // of q and of wide, in elements
  std::int64_t d_stride;
  std::int64_t sums_stride;
  int n_tokens;  // 1, 2 or 3 (a last group), or 4, 8, .. up to tile_tokens
  float* acc;    // n_tokens x 16 n_groups, carried from call to call
  std::int64_t acc_stride;
};

constexpr int kMatrixTypes = 11;  // by DType; the types behind are raw and shared by all sets

struct QuantKernels {
  int tile_tokens;  // a multiple of 4
  int row_groups;   // of a large tile
  bool needs_wide_for_q8_0;
  void (*quantise)(const QuantiseArgs& args);
  // Null for F32, F16 and BF16.
  void (*product[kMatrixTypes])(const ProductArgs& args);
  // Exact f32 values of n_k values (whole blocks) of a group, as panel[k][16]. Null for F32, whose
  // packed form is that already.
  void (*unpack[kMatrixTypes])(const std::uint8_t* quants, const std::uint8_t* scales,
                               std::int64_t n_k, float* panel);
};

extern const QuantKernels kQuantKernelsScalar;
extern const QuantKernels kQuantKernelsAvx2;
extern const QuantKernels kQuantKernelsAvx512;

}  // namespace tatara::numerics
