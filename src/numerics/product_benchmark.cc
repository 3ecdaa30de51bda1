// Products of training by shape and form, G operations/s by processor time of one thread, best of
// rounds, beside the peak of fused multiply-adds measured by the tile itself on data in the first
// cache. usage: tatara_product_benchmark [--rounds N]
#include <algorithm>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <ctime>
#include <vector>

#include "tatara/numerics/isa.h"
#include "tatara/numerics/product.h"
#include "training_dispatch.h"

namespace {

using namespace tatara;
using namespace tatara::numerics;

double ProcessorSeconds() {
  timespec now{};
  clock_gettime(CLOCK_THREAD_CPUTIME_ID, &now);
  return static_cast<double>(now.tv_sec) + 1e-9 * static_cast<double>(now.tv_nsec);
}

template <typename F>
double BestSeconds(int n_rounds, F run) {
  run();
  double best = 1e9;
  for (int i = 0; i < n_rounds; ++i) {
    const double start = ProcessorSeconds();
    run();
    best = std::min(best, ProcessorSeconds() - start);
  }
  return best;
}

double TilePeak(int n_rounds) {
  const TrainingKernels& k = ActiveTrainingKernels();
  constexpr int kInner = 256, kRepeats = 200;
  std::vector<float> a(static_cast<std::size_t>(k.tile_rows) * kInner, 0.5F);
  std::vector<float> b(static_cast<std::size_t>(k.tile_columns) * kInner, 0.25F);
  std::vector<float> c(static_cast<std::size_t>(k.tile_rows * k.tile_columns));
  const double seconds = BestSeconds(n_rounds, [&] {
    for (int i = 0; i < kRepeats; ++i)
      k.product_tile(a.data(), b.data(), kInner, c.data(), k.tile_columns, true);
  });
  return 2e-9 * k.tile_rows * k.tile_columns * kInner * kRepeats / seconds;
}

void Measure(const LinearSize& s, int n_rounds) {
  const auto size = [](std::int64_t a, std::int64_t b) { return static_cast<std::size_t>(a * b); };
  std::vector<float> x(size(s.n_tokens, s.n_inputs), 0.5F), dx(x.size());
  std::vector<float> w(size(s.n_outputs, s.n_inputs), 0.25F), dw(w.size());
  std::vector<float> y(size(s.n_tokens, s.n_outputs), 0.125F);
  ThreadPool pool(1);
  ProductWorkspace workspace;
  const double work = 2e-9 * static_cast<double>(s.n_tokens) * static_cast<double>(s.n_inputs) *
                      static_cast<double>(s.n_outputs);
  const double forward = BestSeconds(
      n_rounds, [&] { LinearForward(s, x.data(), w.data(), y.data(), workspace, pool); });
  const double backward = BestSeconds(n_rounds, [&] {
    LinearBackward(s, y.data(), w.data(), ChainStart::kFromZero, dx.data(), workspace, pool);
  });
  const double weights = BestSeconds(
      n_rounds, [&] { LinearWeightGradient(s, y.data(), x.data(), dw.data(), workspace, pool); });
  std::printf("%5ld x %5ld -> %5ld  y %6.1f  dx %6.1f  dw %6.1f\n", static_cast<long>(s.n_tokens),
              static_cast<long>(s.n_inputs), static_cast<long>(s.n_outputs), work / forward,
              work / backward, work / weights);
}

}  // namespace

int main(int argc, char** argv) {
  const int n_rounds = argc == 3 && std::strcmp(argv[1], "--rounds") == 0 ? std::atoi(argv[2]) : 5;
  std::printf("%s: tile %.1f G operations/s\n", IsaName(ActiveIsa()).data(), TilePeak(n_rounds));
  for (const LinearSize& s : {LinearSize{192, 128, 384},
                              {192, 128, 512},
                              {192, 512, 128},
                              {256, 768, 2304},
                              {256, 768, 3072},
                              {256, 3072, 768},
                              {256, 768, 16384},
                              {1024, 1024, 1024}}) {
    Measure(s, n_rounds);
  }
  return 0;
}
