// Speed of the quantised products: G operations (a multiplication and an addition) per second, by
// type, columns (tokens) and threads, over the shapes of Qwen2.5-1.5B's layers.
//
//   tatara_matmul_benchmark [--types Q4_K,Q6_K] [--columns 1,8,512] [--threads 1,2] [--shape
//   ROWSxCOLS]
//                           [--seconds S]
// The instruction set is TATARA_ISA's. Each figure is the best of its rounds.
#include <chrono>
#include <cstdio>
#include <cstdlib>
#include <sstream>
#include <string>
#include <vector>

#include "quant_test_support.h"

namespace tatara::numerics {
namespace {

struct Shape {
  std::int64_t n_rows, n_cols;
};

struct Options {
  std::vector<DType> types = test::QuantisedTypes();
  std::vector<std::int64_t> columns = {1, 4, 8, 16, 64, 512};
  std::vector<std::int64_t> threads = {1, 2};
  // Query, key and value together, output, gate and up together, down.
  std::vector<Shape> shapes = {{2048, 1536}, {1536, 1536}, {17920, 1536}, {1536, 8960}};
  double seconds = 0.15;
  Activations activations = Activations::kInt8;
};

std::vector<std::string> Split(const std::string& text) {
  std::vector<std::string> parts;
  std::stringstream stream(text);
  for (std::string part; std::getline(stream, part, ',');) parts.push_back(part);
  return parts;
}

std::vector<std::int64_t> Numbers(const std::string& text) {
  std::vector<std::int64_t> numbers;
  for (const std::string& part : Split(text)) numbers.push_back(std::atoll(part.c_str()));
  return numbers;
}

Options Parse(int argc, char** argv) {
  Options options;
  for (int i = 1; i + 1 < argc; i += 2) {
    const std::string name = argv[i];
    const std::string value = argv[i + 1];
    if (name == "--columns") options.columns = Numbers(value);
    if (name == "--threads") options.threads = Numbers(value);
    if (name == "--seconds") options.seconds = std::atof(value.c_str());
    if (name == "--activations" && value == "f32") options.activations = Activations::kF32;
    if (name == "--shape") {
      const std::size_t x = value.find('x');
      options.shapes = {{std::atoll(value.c_str()), std::atoll(value.c_str() + x + 1)}};
    }
    if (name == "--types") {
      options.types.clear();
      for (int type = 0; type < kDTypeCount; ++type) {
        for (const std::string& part : Split(value)) {
          const auto dtype = static_cast<DType>(type);
          if (part == TraitsOf(dtype).name) options.types.push_back(dtype);
        }
      }
    }
  }
  return options;
}

// Best seconds of one pass over all matrices. Activations are set anew each time, as a layer would.
double Measure(const std::vector<Matrix>& weights, std::int64_t n_columns, const Options& options,
               ThreadPool& pool) {
  std::vector<std::vector<float>> x;
  std::vector<std::vector<float>> y;
  for (const Matrix& w : weights) {
    x.push_back(test::RandomInputs(n_columns * w.n_cols(), test::Inputs8::kOrdinary, 3));
    y.emplace_back(n_columns * w.n_rows());
  }
  ActivationRows rows;
  double best = 1e9;
  double spent = 0;
  for (int round = 0; round < 3 || spent < options.seconds; ++round) {
    const auto start = std::chrono::steady_clock::now();
    for (std::size_t i = 0; i < weights.size(); ++i) {
      rows.Set(x[i].data(), n_columns, weights[i].n_cols());
      const MatMulJob job = {&weights[i], y[i].data(), weights[i].n_rows()};
      MatMul({&job, 1}, rows, options.activations, pool);
    }
    const std::chrono::duration<double> elapsed = std::chrono::steady_clock::now() - start;
    best = std::min(best, elapsed.count());
    spent += elapsed.count();
  }
  return best;
}

void Run(const Options& options) {
  std::printf("%s, G operations/s\n%-6s %7s", std::string(IsaName(ActiveIsa())).c_str(), "type",
              "threads");
  for (const std::int64_t n : options.columns) std::printf(" %8lld", static_cast<long long>(n));
  std::printf("   GB/s of weights with %lld\n", static_cast<long long>(options.columns.front()));
  for (const DType dtype : options.types) {
    for (const std::int64_t n_threads : options.threads) {
      ThreadPool pool(static_cast<int>(n_threads));
      std::vector<Matrix> weights;
      double operations = 0;
      double bytes = 0;
      for (const Shape& shape : options.shapes) {
        const auto raw =
            test::RandomWeights(dtype, shape.n_rows, shape.n_cols, test::Weights::kOrdinary, 1);
        weights.push_back(Matrix::Pack(dtype, shape.n_rows, shape.n_cols, raw, pool));
        operations += 2.0 * static_cast<double>(shape.n_rows * shape.n_cols);
        bytes += static_cast<double>(weights.back().packed_bytes());
      }
      std::printf("%-6s %7lld", std::string(TraitsOf(dtype).name).c_str(),
                  static_cast<long long>(n_threads));
      double bandwidth = 0;
      for (const std::int64_t n : options.columns) {
        const double seconds = Measure(weights, n, options, pool);
        if (bandwidth == 0) bandwidth = bytes / seconds;
        std::printf(" %8.1f", operations * static_cast<double>(n) / seconds * 1e-9);
        std::fflush(stdout);
      }
      std::printf("   %.1f\n", bandwidth * 1e-9);
    }
  }
}

}  // namespace
}  // namespace tatara::numerics

int main(int argc, char** argv) {
  tatara::numerics::Run(tatara::numerics::Parse(argc, argv));
  return 0;
}
