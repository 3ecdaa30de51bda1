// Attention over a paged cache (rule 5). A page holds kPageTokens keys and values of one sequence
// at consecutive absolute positions starting at a multiple of kPageTokens, so a page is exactly one
// tile.
//
// Page layout, one buffer each for K and V of one layer, element type by CacheType:
//   K: n_kv_heads x head_dim x kPageTokens   (keys are lanes)
//   V: n_kv_heads x kPageTokens x value_dim
//
// For a query at position p (rule 5; every operation rounded once):
//   tile t, for the keys of it that the query sees (AttentionShape), and for no others:
//     score[key] = scale * chain over d of fma(k[d][key], q[d], .) from +0;
//     with a soft cap: score[key] = cap * tanh(score[key] / cap), tanh of functions.h;
//     with ALiBi: score[key] = fma(-slope of the head, |p - key|, score[key]);
//     m_t = their maximum, NaN wins;  w[key] = exp(score[key] - m_t);
//     l_t = sum of w over 16 lanes by key mod 16, ascending, then the tree +8, +4, +2, +1;
//     o_t[d] = chain over keys ascending of fma(v[key][d], w[key], .) from +0.
//   tiles with such keys, ascending, from M = -inf, L = 0, O = 0:
//     M' = max(M, m_t), NaN wins;  a = exp(M - M');  b = exp(m_t - M');
//     L = fma(L, a, l_t * b);  O[d] = fma(O[d], a, o_t[d] * b);  M = M'.
//   with sinks, after the last tile: one more with m = the head's sink, l = 1 and o = 0, merged by
//   the same operations: a key without a value, that takes its part of the weight.
//   out[d] = O[d] / L.
// So nothing depends on chunks, batches, threads or what the cache already held. A tile whose
// scores are all -inf gives NaN.
//
// Thread safety: free functions; pages that are read must not be written at the same time.
#pragma once

#include <cstddef>
#include <cstdint>
#include <span>
#include <vector>

#include "tatara/base/thread_pool.h"

namespace tatara::numerics {

inline constexpr int kPageTokens = 64;

enum class CacheType { kF16, kF32 };
std::size_t CacheElementBytes(CacheType type);

struct AttentionShape {
  int n_heads = 0;
  int n_kv_heads = 0;  // divides n_heads; query head h reads key head h / (n_heads / n_kv_heads)
  int head_dim = 0;
  int value_dim = 0;
  float scale = 1;  // multiplies a score after its chain
  // A query at p sees keys p - window + 1 .. p; 0: all keys up to p. Bidirectional: all keys up to
  // the last query of the call, so a sequence is one call; with a window those at a distance of at
  // most window / 2, rounded down.
  int window = 0;
  bool bidirectional = false;
  CacheType cache = CacheType::kF16;
  float soft_cap = 0;                   // 0: none
  std::span<const float> sinks;         // n_heads, or none
  std::span<const float> alibi_slopes;  // n_heads, or none; positions stay below 2^24
};

// Writes the keys and values of one token (n_kv_heads x head_dim, n_kv_heads x value_dim) into slot
// `slot` (position mod kPageTokens) of a page, rounding to the cache's type.
void StoreKeyValue(const AttentionShape& shape, const float* key, const float* value, int slot,
                   std::byte* k_page, std::byte* v_page);

// Queries of consecutive positions of one sequence; all keys up to the last of them are in the
// pages.
struct AttentionSequence {
  const float* queries = nullptr;  // n_tokens x n_heads x head_dim, row stride `query_stride`
  std::int64_t query_stride = 0;
  float* out = nullptr;  // n_tokens x n_heads x value_dim, row stride `out_stride`
  std::int64_t out_stride = 0;
  std::int64_t position = 0;  // of the first query
  std::int64_t n_tokens = 0;
  std::span<const std::byte* const> k_pages;  // page i holds positions i * kPageTokens ...
  std::span<const std::byte* const> v_pages;
};

// Scratch memory that grows to what is needed and is kept between calls; its content means nothing
// to the caller.
struct AttentionScratch {
  // Some consecutive queries of one sequence with the heads that share one key head.
  struct Block {
    std::int64_t first_token, n_tokens;  // relative to the sequence's first query
    std::int64_t first_tile, end_tile;   // tiles that some of them see
    std::int64_t partial;                // where the tiles' own results begin in `partials`
    std::int32_t sequence, kv_head;
  };
  // Consecutive tiles of a block, done by one thread.
  struct Work {
    std::int64_t block, first_tile, end_tile;
  };
  std::vector<Block> blocks;
  std::vector<Work> work;
  std::vector<float> buffer, partials;
  std::vector<std::int32_t> ranges;
};

void Attention(const AttentionShape& shape, std::span<const AttentionSequence> sequences,
               AttentionScratch& scratch, ThreadPool& pool);

}  // namespace tatara::numerics
