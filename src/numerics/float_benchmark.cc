// Processor time of attention and of the row operations, on one thread, for every instruction set
// of this machine: best of rounds. Shapes are those of Qwen2.5-0.5B, one layer.
//
//   tatara_float_benchmark [SECONDS]    (per figure, default 0.2)
#include <time.h>

#include <algorithm>
#include <cstdio>
#include <cstdlib>
#include <functional>
#include <vector>

#include "tatara/base/philox.h"
#include "tatara/numerics/attention.h"
#include "tatara/numerics/isa.h"
#include "tatara/numerics/ops.h"

namespace tatara::numerics {
namespace {

double seconds_per_figure = 0.2;

double ProcessorSeconds() {
  timespec now;
  clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &now);
  return static_cast<double>(now.tv_sec) + static_cast<double>(now.tv_nsec) * 1e-9;
}

// Best microseconds of one call.
double Best(const std::function<void()>& body) {
  double best = 1e30, total = 0;
  while (total < seconds_per_figure) {
    const double start = ProcessorSeconds();
    body();
    const double taken = ProcessorSeconds() - start;
    best = std::min(best, taken);
    total += taken;
  }
  return best * 1e6;
}

std::vector<float> Values(std::size_t n, std::uint64_t seed) {
  std::vector<float> values(n);
  for (std::size_t i = 0; i < n; ++i) {
    values[i] = static_cast<float>(RandomUnit({.seed = seed, .position = i}) * 4 - 2);
  }
  return values;
}

// `n_tokens` queries at the end of `context` positions.
double AttentionMicroseconds(const AttentionShape& shape, int n_tokens, int context) {
  const int n_pages = (context + kPageTokens - 1) / kPageTokens;
  const std::size_t page_values = static_cast<std::size_t>(shape.n_kv_heads) * kPageTokens;
  std::vector<std::vector<std::byte>> k(n_pages), v(n_pages);
  std::vector<const std::byte*> k_pages, v_pages;
  for (int i = 0; i < n_pages; ++i) {
    k[i].resize(page_values * shape.head_dim * CacheElementBytes(shape.cache));
    v[i].resize(page_values * shape.value_dim * CacheElementBytes(shape.cache));
    k_pages.push_back(k[i].data());
    v_pages.push_back(v[i].data());
  }
  for (int t = 0; t < context; ++t) {
    const auto key = Values(shape.n_kv_heads * shape.head_dim, 2 * t);
    const auto value = Values(shape.n_kv_heads * shape.value_dim, 2 * t + 1);
    StoreKeyValue(shape, key.data(), value.data(), t % kPageTokens, k[t / kPageTokens].data(),
                  v[t / kPageTokens].data());
  }
  const auto queries =
      Values(static_cast<std::size_t>(n_tokens) * shape.n_heads * shape.head_dim, 7);
  std::vector<float> out(static_cast<std::size_t>(n_tokens) * shape.n_heads * shape.value_dim);
  const AttentionSequence sequence{
      .queries = queries.data(),
      .query_stride = static_cast<std::int64_t>(shape.n_heads) * shape.head_dim,
      .out = out.data(),
      .out_stride = static_cast<std::int64_t>(shape.n_heads) * shape.value_dim,
      .position = context - n_tokens,
      .n_tokens = n_tokens,
      .k_pages = k_pages,
      .v_pages = v_pages};
  ThreadPool pool(1);
  AttentionScratch scratch;
  return Best([&] { Attention(shape, {&sequence, 1}, scratch, pool); });
}

void Print(const char* name, double microseconds, double work, const char* unit) {
  std::printf("  %-44s %10.1f us  %8.2f %s\n", name, microseconds, work / microseconds * 1e-3,
              unit);
}

void MeasureAttention() {
  const AttentionShape qwen{
      .n_heads = 14, .n_kv_heads = 2, .head_dim = 64, .value_dim = 64, .scale = 0.125F};
  AttentionShape exact = qwen, gemma = qwen;
  exact.cache = CacheType::kF32;
  gemma.n_heads = 4, gemma.n_kv_heads = 1, gemma.head_dim = gemma.value_dim = 256;
  const auto operations = [](const AttentionShape& s, double pairs) {
    return 2 * pairs * s.n_heads * (s.head_dim + s.value_dim);
  };
  const double causal = 512.0 * 513 / 2;
  Print("attention, prefill 512", AttentionMicroseconds(qwen, 512, 512), operations(qwen, causal),
        "Gop/s");
  Print("attention, prefill 512, f32 cache", AttentionMicroseconds(exact, 512, 512),
        operations(exact, causal), "Gop/s");
  Print("attention, prefill 512, Gemma 270M", AttentionMicroseconds(gemma, 512, 512),
        operations(gemma, causal), "Gop/s");
  Print("attention, decode at 1024", AttentionMicroseconds(qwen, 1, 1024), operations(qwen, 1024),
        "Gop/s");
}

void MeasureRows() {
  const std::size_t n = 4864;
  auto x = Values(n, 1), y = Values(n, 2), z = Values(n, 3);
  Print("SiluMul 4864", Best([&] { SiluMul(x, y, z); }), n, "G values/s");
  Print("GeluTanhMul 4864", Best([&] { GeluTanhMul(x, y, z); }), n, "G values/s");
  Print("RmsNorm 4864", Best([&] { RmsNorm(x, y, 1e-6F, z); }), n, "G values/s");
  Print("Softmax 4864", Best([&] { z = x, Softmax(z); }), n, "G values/s");
  Print("Add 4864", Best([&] { Add(x, z); }), n, "G values/s");
  std::vector<float> heads(896), cosines(32), sines(32);
  Print("Rope halves 14 x 64",
        Best([&] { Rope(heads, 14, 64, RopeLayout::kHalves, cosines, sines); }), 896, "G values/s");
  Print("Rope pairs 14 x 64",
        Best([&] { Rope(heads, 14, 64, RopeLayout::kPairs, cosines, sines); }), 896, "G values/s");
  std::vector<double> frequencies(32);
  RopeInverseFrequencies(1e6, 64, {}, 1, frequencies);
  Print("RopeTable, 32 pairs", Best([&] { RopeTable(12345, frequencies, cosines, sines); }), 32,
        "G pairs/s");
  const auto logits = Values(151936, 4);
  Print("ArgMax 151936", Best([&] { (void)ArgMax(logits); }), 151936, "G values/s");
  Print("LogSumExp 151936", Best([&] { (void)LogSumExp(logits); }), 151936, "G values/s");
}

}  // namespace
}  // namespace tatara::numerics

int main(int argc, char** argv) {
  using namespace tatara::numerics;
  if (argc > 1) seconds_per_figure = std::atof(argv[1]);
  for (const Isa isa : AvailableIsas()) {
    if (isa == Isa::kScalar) continue;
    SetActiveIsa(isa);
    std::printf("%s\n", std::string(IsaName(isa)).c_str());
    MeasureAttention();
    MeasureRows();
  }
}
