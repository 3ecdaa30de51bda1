// The scalar kernels that float_kernels.cc puts into the oracle's table.
#pragma once

#include <cstdint>

#include "float_kernels.h"

namespace tatara::numerics::oracle {

float TreeSum(float (&lanes)[16]);  // rule 4's tree +8, +4, +2, +1; overwrites the lanes

void RmsNorm(const float* x, const float* weight, std::int64_t n, float eps, float* y);
void LayerNorm(const float* x, const float* weight, const float* bias, std::int64_t n, float eps,
               float* y);
void Softmax(float* x, std::int64_t n);
void Add(const float* x, std::int64_t n, float* y);
void Scale(float s, std::int64_t n, float* y);
void AddScaled(float s, const float* x, std::int64_t n, float* y);
void SiluMul(const float* gate, const float* up, std::int64_t n, float* y);
void GeluTanhMul(const float* gate, const float* up, std::int64_t n, float* y);
void GeluErfMul(const float* gate, const float* up, std::int64_t n, float* y);
void ReluMul(const float* gate, const float* up, std::int64_t n, float* y);
void Sigmoid(const float* x, std::int64_t n, float* y);
void Silu(const float* x, std::int64_t n, float* y);
void GeluTanh(const float* x, std::int64_t n, float* y);
void GeluErf(const float* x, std::int64_t n, float* y);
void Relu(const float* x, std::int64_t n, float* y);
void SoftCap(float cap, std::int64_t n, float* y);
float Max(const float* x, std::int64_t n);
float Sum(const float* x, std::int64_t n);
float SumOfSquares(const float* x, std::int64_t n);
std::int64_t ArgMax(const float* x, std::int64_t n);
void RopePairs(float* x, std::int64_t n_pairs, const float* cosines, const float* sines);
void RopeHalves(float* x, std::int64_t n_pairs, const float* cosines, const float* sines);

void AttendTile(const AttentionTile& tile, const TileResult& result);
void MergeTile(const AttentionTile& tile, const TileResult& from, const TileResult& into);
void FinishRow(const float* o, float l, std::int64_t n, float* out);

}  // namespace tatara::numerics::oracle
