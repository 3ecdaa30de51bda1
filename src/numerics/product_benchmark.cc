// The products of training by shape, in turn with a BLAS library where one is named: G
// operations/s, best of rounds, and the ratio. By processor time on one thread, else by the clock.
//   tatara_product_benchmark [--rounds N] [--threads N] [--blas LIBRARY] [--shapes TxIxO,...]
//                            [--json]
// LIBRARY is a shared object with cblas_sgemm (libopenblas.so.0); OPENBLAS_CORETYPE chooses its
// kernels.
#include <dlfcn.h>

#include <algorithm>
#include <chrono>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <ctime>
#include <string>
#include <string_view>
#include <thread>
#include <vector>

#include "tatara/numerics/isa.h"
#include "tatara/numerics/product.h"
#include "training_dispatch.h"

namespace {

using namespace tatara;
using namespace tatara::numerics;

// The C interface to BLAS: 101 rows one after the other, 111 as it lies, 112 transposed.
using Sgemm = void (*)(int, int, int, int, int, int, float, const float*, int, const float*, int,
                       float, float*, int);

struct Options {
  int n_rounds = 5;
  int n_threads = 1;
  bool json = false;
  Sgemm sgemm = nullptr;
  std::vector<LinearSize> shapes = {{192, 128, 512},   {256, 768, 768},    {256, 768, 2304},
                                    {256, 768, 3072},  {256, 3072, 768},   {256, 768, 50257},
                                    {512, 512, 512},   {1024, 1024, 1024}, {2048, 2048, 2048},
                                    {4096, 4096, 4096}};
};

double Seconds(int n_threads) {
  timespec now{};
  clock_gettime(n_threads == 1 ? CLOCK_PROCESS_CPUTIME_ID : CLOCK_MONOTONIC, &now);
  return static_cast<double>(now.tv_sec) + 1e-9 * static_cast<double>(now.tv_nsec);
}

Sgemm LoadBlas(const char* name, int n_threads) {
  void* library = dlopen(name, RTLD_NOW);
  if (library == nullptr) {
    std::fprintf(stderr, "tatara_product_benchmark: %s\n", dlerror());
    std::exit(2);
  }
  using SetThreads = void (*)(int);
  if (auto set = reinterpret_cast<SetThreads>(dlsym(library, "openblas_set_num_threads"))) {
    set(n_threads);
  }
  using Name = const char* (*)();
  if (auto core = reinterpret_cast<Name>(dlsym(library, "openblas_get_corename"))) {
    std::fprintf(stderr, "%s: kernels %s\n", name, core());
  }
  return reinterpret_cast<Sgemm>(dlsym(library, "cblas_sgemm"));
}

// Best seconds of each, in turn.
template <typename F, typename G>
std::pair<double, double> InTurn(const Options& options, F ours, G theirs) {
  std::pair<double, double> best{1e9, 1e9};
  const auto time = [&](auto& run) {
    if (options.n_threads > 1) {  // the other library's threads spin for a while after their work
      std::this_thread::sleep_for(std::chrono::milliseconds(100));
      // Until the system has given each thread a processor of its own.
      for (const double from = Seconds(options.n_threads);
           Seconds(options.n_threads) - from < 0.05;)
        run();
    }
    const double start = Seconds(options.n_threads);
    run();
    return Seconds(options.n_threads) - start;
  };
  for (int i = 0; i <= options.n_rounds; ++i) {
    const double a = time(ours);
    const double b = options.sgemm == nullptr ? 1e9 : time(theirs);
    if (i > 0) best = {std::min(best.first, a), std::min(best.second, b)};
  }
  return best;
}

void Print(const Options& options, const LinearSize& s, const char* form,
           std::pair<double, double> seconds) {
  const double work = 2e-9 * static_cast<double>(s.n_tokens) * static_cast<double>(s.n_inputs) *
                      static_cast<double>(s.n_outputs);
  const char* format =
      options.json
          ? "{\"tokens\":%ld,\"inputs\":%ld,\"outputs\":%ld,\"form\":\"%s\",\"threads\":%d,"
            "\"tatara\":%.1f,\"blas\":%.1f,\"ratio\":%.3f}\n"
          : "%5ld x %5ld -> %5ld  %-3s  threads %d  tatara %6.1f  blas %6.1f  ratio %.2f\n";
  std::printf(format, static_cast<long>(s.n_tokens), static_cast<long>(s.n_inputs),
              static_cast<long>(s.n_outputs), form, options.n_threads, work / seconds.first,
              options.sgemm == nullptr ? 0 : work / seconds.second,
              options.sgemm == nullptr ? 0 : seconds.second / seconds.first);
  std::fflush(stdout);
}

void Measure(const Options& options, const LinearSize& s) {
  const auto size = [](std::int64_t a, std::int64_t b) { return static_cast<std::size_t>(a * b); };
  std::vector<float> x(size(s.n_tokens, s.n_inputs), 0.5F), dx(x.size());
  std::vector<float> w(size(s.n_outputs, s.n_inputs), 0.25F), dw(w.size());
  std::vector<float> y(size(s.n_tokens, s.n_outputs), 0.125F);
  ThreadPool pool(options.n_threads);
  ProductWorkspace workspace;
  const int t = static_cast<int>(s.n_tokens), i = static_cast<int>(s.n_inputs),
            o = static_cast<int>(s.n_outputs);
  Print(options, s, "y",
        InTurn(
            options, [&] { LinearForward(s, x.data(), w.data(), y.data(), workspace, pool); },
            [&] {
              options.sgemm(101, 111, 112, t, o, i, 1, x.data(), i, w.data(), i, 0, y.data(), o);
            }));
  Print(options, s, "dx",
        InTurn(
            options,
            [&] {
              LinearBackward(s, y.data(), w.data(), ChainStart::kFromZero, dx.data(), workspace,
                             pool);
            },
            [&] {
              options.sgemm(101, 111, 111, t, i, o, 1, y.data(), o, w.data(), i, 0, dx.data(), i);
            }));
  Print(options, s, "dw",
        InTurn(
            options,
            [&] {
              Product({s.n_outputs, s.n_inputs, s.n_tokens}, {y.data(), 1, s.n_outputs},
                      {x.data(), s.n_inputs, 1}, ChainStart::kFromZero, dw.data(), s.n_inputs,
                      workspace, pool);
            },
            [&] {
              options.sgemm(101, 112, 111, o, i, t, 1, y.data(), o, x.data(), i, 0, dw.data(), i);
            }));
  Print(
      options, s, "dw+",
      InTurn(
          options, [&] { LinearWeightGradient(s, y.data(), x.data(), dw.data(), workspace, pool); },
          [&] {
            options.sgemm(101, 112, 111, o, i, t, 1, y.data(), o, x.data(), i, 1, dw.data(), i);
          }));
}

// Tokens x inputs x outputs, of the same kind separated by commas.
std::vector<LinearSize> ReadShapes(const char* text) {
  std::vector<LinearSize> shapes;
  long t = 0, i = 0, o = 0;
  for (int n = 0; std::sscanf(text, "%ldx%ldx%ld%n", &t, &i, &o, &n) == 3; text += n) {
    shapes.push_back({t, i, o});
    n += text[n] == ',' ? 1 : 0;
  }
  return shapes;
}

Options ReadOptions(int argc, char** argv) {
  Options options;
  const char* blas = nullptr;
  for (int i = 1; i < argc; ++i) {
    const std::string_view name = argv[i];
    const char* value = i + 1 < argc ? argv[i + 1] : "";
    if (name == "--json") {
      options.json = true;
      continue;
    }
    ++i;
    if (name == "--rounds") {
      options.n_rounds = std::atoi(value);
    } else if (name == "--threads") {
      options.n_threads = std::atoi(value);
    } else if (name == "--shapes") {
      options.shapes = ReadShapes(value);
    } else if (name == "--blas") {
      blas = value;
    } else {
      std::fprintf(stderr, "tatara_product_benchmark: unknown option '%s'\n", argv[i - 1]);
      std::exit(2);
    }
  }
  if (blas != nullptr) options.sgemm = LoadBlas(blas, options.n_threads);
  return options;
}

}  // namespace

int main(int argc, char** argv) {
  const Options options = ReadOptions(argc, argv);
  std::fprintf(stderr, "tatara: %s\n", IsaName(ActiveIsa()).data());
  for (const LinearSize& s : options.shapes) {
    Measure(options, s);
  }
  return 0;
}
