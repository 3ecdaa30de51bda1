// The kernels of product.h and training.h: every instruction set against the oracle bit for bit,
// the oracle against the formulas in f64, gradients against finite differences in f64, and cuts
// over tokens, threads and tiles.
#include "tatara/numerics/training.h"

#include <cmath>
#include <functional>
#include <numeric>
#include <vector>

#include "kernel_test_support.h"
#include "tatara/base/philox.h"
#include "tatara/numerics/functions.h"
#include "tatara/numerics/ops.h"
#include "tatara/numerics/product.h"
#include "training_dispatch.h"

namespace tatara::numerics {

extern const TrainingKernels kTrainingKernelsSimde;

namespace {

using test::FirstDifference;
using test::Inputs;
using test::TestValues;

std::vector<std::pair<std::string, const TrainingKernels*>> KernelsUnderTest() {
  std::vector<std::pair<std::string, const TrainingKernels*>> list;
  for (const Isa isa : AvailableIsas()) {
    if (isa != Isa::kScalar) list.emplace_back(IsaName(isa), &TrainingKernelsOf(isa));
  }
  if (!list.empty()) list.emplace_back("avx512 through SIMDe", &kTrainingKernelsSimde);
  return list;
}

class ForcedIsa {
 public:
  explicit ForcedIsa(Isa isa) : before_(ActiveIsa()) { SetActiveIsa(isa); }
  ~ForcedIsa() { SetActiveIsa(before_); }

 private:
  Isa before_;
};

void Append(std::vector<float>& all, const std::vector<float>& more) {
  all.insert(all.end(), more.begin(), more.end());
}

std::vector<float> RunRows(const TrainingKernels& k, int n, Inputs inputs) {
  const auto size = static_cast<std::size_t>(n);
  const auto a = TestValues(size, 1, inputs), b = TestValues(size, 2, inputs);
  const auto c = TestValues(size, 3, inputs);
  std::vector<float> all = {k.dot(a.data(), b.data(), n),
                            k.sum_of_squared_deviations(a.data(), n, 0.25F)};
  std::vector<float> y = c, z = c, u = c;
  k.exp_shifted(a.data(), 1.5F, n, y.data());
  Append(all, y);
  for (const bool centred : {false, true}) {
    k.norm_backward({a.data(), b.data(), c.data(), 0.125F, 0.75F, centred, y.data()}, n);
    Append(all, y);
  }
  k.norm_weight_gradient(a.data(), b.data(), 0.125F, 0.75F, n, y.data());
  Append(all, y);
  for (const auto backward : {k.silu_backward, k.gelu_tanh_backward, k.gelu_erf_backward}) {
    backward(a.data(), nullptr, b.data(), n, y.data(), nullptr);
    Append(all, y);
    backward(a.data(), c.data(), b.data(), n, y.data(), z.data());
    Append(all, y);
    Append(all, z);
  }
  k.softmax_backward(a.data(), 0.5F, 0.125F, n, u.data());
  Append(all, u);
  std::vector<float> first = a, second = b, weight = c;
  if (inputs == Inputs::kOrdinary) {
    for (float& v : second) v = std::fabs(v);
  }
  k.adamw({0.5F, 0.9F, 0.1F, 0.95F, 0.05F, 3.0F, 2.0F, 1e-8F, 1e-3F, 0.999F}, y.data(), n,
          weight.data(), first.data(), second.data());
  for (const auto& part : {weight, first, second}) Append(all, part);
  return all;
}

TEST(TrainingKernels, EverySetMatchesTheOracleOnRaggedRows) {
  for (const auto& [name, kernels] : KernelsUnderTest()) {
    for (const Inputs inputs : {Inputs::kOrdinary, Inputs::kWild}) {
      for (int n = 1; n <= 130; ++n) {
        ASSERT_EQ(FirstDifference(RunRows(kTrainingKernelsScalar, n, inputs),
                                  RunRows(*kernels, n, inputs)),
                  "")
            << name << " n " << n;
      }
    }
  }
}

// One tile of the first n_rows rows against chains written out; the rows below are not touched.
void CheckTile(const TrainingKernels& k, int n_rows, bool from_zero, std::string_view name) {
  const int rows = k.tile_rows, columns = k.tile_columns, n_k = 37;
  const auto a = TestValues(static_cast<std::size_t>(rows * n_k), 1);
  const auto b = TestValues(static_cast<std::size_t>(columns * n_k), 2);
  auto got = TestValues(static_cast<std::size_t>(rows * columns), 3);
  auto want = got;
  k.product_tile(a.data(), b.data(), n_k, n_rows, got.data(), columns, from_zero);
  for (int i = 0; i < n_rows; ++i) {
    for (int j = 0; j < columns; ++j) {
      float sum = from_zero ? 0.0F : want[i * columns + j];
      for (int t = 0; t < n_k; ++t) sum = std::fma(a[t * rows + i], b[t * columns + j], sum);
      want[i * columns + j] = sum;
    }
  }
  EXPECT_EQ(FirstDifference(want, got), "") << name << " " << n_rows << " rows";
}

TEST(TrainingKernels, TilesAreChainsWhateverTheirSize) {
  for (const auto& [name, k] : KernelsUnderTest()) {
    for (int n_rows = k->tile_row_step; n_rows <= k->tile_rows; n_rows += k->tile_row_step) {
      for (const bool from_zero : {true, false}) CheckTile(*k, n_rows, from_zero, name);
    }
  }
}

TEST(TrainingKernels, PanelsHaveTheirRowsStepByStep) {
  auto kernels = KernelsUnderTest();
  kernels.emplace_back("scalar", &kTrainingKernelsScalar);
  for (const auto& [name, k] : kernels) {
    for (const std::int64_t width : {4, 6, 12, 16, 32}) {
      for (const std::int64_t n_inner : {1, 5, 16, 32, 51}) {
        for (const std::int64_t n_rows : {1L, 11L, width, 2 * width + 3}) {
          for (const bool rows_lie_together : {true, false}) {
            const auto values = TestValues(static_cast<std::size_t>(n_rows * n_inner), 4);
            const std::int64_t row_stride = rows_lie_together ? 1 : n_inner;
            const std::int64_t step_stride = rows_lie_together ? n_rows : 1;
            const auto n_panels = (n_rows + width - 1) / width;
            std::vector<float> got(static_cast<std::size_t>(n_panels * width * n_inner) + 1, 9.0F);
            auto want = got;
            for (std::int64_t row = 0; row < n_panels * width; ++row) {
              for (std::int64_t i = 0; i < n_inner; ++i) {
                const auto to = (row / width * n_inner + i) * width + row % width;
                want[static_cast<std::size_t>(to)] =
                    row < n_rows
                        ? values[static_cast<std::size_t>(row * row_stride + i * step_stride)]
                        : 0.0F;
              }
            }
            k->copy_panels(values.data(), row_stride, step_stride, n_rows, n_inner, width,
                           got.data());
            ASSERT_EQ(FirstDifference(want, got), "")
                << name << " width " << width << ", " << n_rows << " x " << n_inner;
          }
        }
      }
    }
  }
}

// A plain product of row-major a (n_rows x n_inner, perhaps transposed) and b.
std::vector<float> PlainProduct(const ProductSize& s, const MatrixView& a, const MatrixView& b,
                                std::vector<float> c, bool from_zero) {
  for (std::int64_t i = 0; i < s.n_rows; ++i) {
    for (std::int64_t j = 0; j < s.n_columns; ++j) {
      float sum = from_zero ? 0.0F : c[i * s.n_columns + j];
      for (std::int64_t k = 0; k < s.n_inner; ++k) {
        sum = std::fma(a.data[i * a.row_stride + k * a.column_stride],
                       b.data[k * b.row_stride + j * b.column_stride], sum);
      }
      c[i * s.n_columns + j] = sum;
    }
  }
  return c;
}

TEST(Product, IsOneChainAnOutputInEveryFormSetAndThreadCount) {
  const std::vector<ProductSize> sizes = {{1, 1, 1},    {12, 32, 5},   {13, 33, 300},
                                          {70, 5, 17},  {5, 130, 257}, {200, 100, 40},
                                          {97, 270, 9}, {64, 64, 0}};
  for (const ProductSize& s : sizes) {
    const auto values_a = TestValues(static_cast<std::size_t>(s.n_rows * s.n_inner), 1);
    const auto values_b = TestValues(static_cast<std::size_t>(s.n_columns * s.n_inner), 2);
    const auto before = TestValues(static_cast<std::size_t>(s.n_rows * s.n_columns), 3);
    for (const int form : {0, 1, 2, 3}) {
      const MatrixView a = form & 1 ? MatrixView{values_a.data(), 1, s.n_rows}
                                    : MatrixView{values_a.data(), s.n_inner, 1};
      const MatrixView b = form & 2 ? MatrixView{values_b.data(), 1, s.n_inner}
                                    : MatrixView{values_b.data(), s.n_columns, 1};
      for (const bool from_zero : {true, false}) {
        const auto want = PlainProduct(s, a, b, before, from_zero);
        const ChainStart start = from_zero ? ChainStart::kFromZero : ChainStart::kFromOutput;
        for (const Isa isa : AvailableIsas()) {
          const ForcedIsa forced(isa);
          for (const int n_threads : {1, 3}) {
            ThreadPool pool(n_threads);
            ProductWorkspace workspace;
            auto got = before;
            Product(s, a, b, start, got.data(), s.n_columns, workspace, pool);
            ASSERT_EQ(FirstDifference(want, got), "")
                << IsaName(isa) << " form " << form << " of " << s.n_rows << " x " << s.n_columns
                << " x " << s.n_inner;
          }
        }
      }
    }
  }
}

TEST(Product, WeightGradientsGoOnAcrossCutsOfTheTokens) {
  const LinearSize size{29, 40, 23};
  const auto x = TestValues(29 * 40, 1), dy = TestValues(29 * 23, 2);
  ThreadPool pool(2);
  ProductWorkspace workspace;
  std::vector<float> whole(23 * 40), parts(23 * 40);
  LinearWeightGradient(size, dy.data(), x.data(), whole.data(), workspace, pool);
  for (const auto& [first, end] : {std::pair{0, 1}, {1, 17}, {17, 29}}) {
    LinearWeightGradient({end - first, 40, 23}, dy.data() + first * 23, x.data() + first * 40,
                         parts.data(), workspace, pool);
  }
  EXPECT_EQ(FirstDifference(whole, parts), "");
}

TEST(Product, OfShardsIsTheTreeOfTheirProducts) {
  const std::vector<std::vector<std::int64_t>> cuts = {
      {700}, {30, 41}, {10, 10, 25, 26}, {0, 600, 601, 640, 650, 650, 660, 700}};
  for (const auto& ends : cuts) {
    const ProductSize whole{97, 70, ends.back()};
    const auto values_a = TestValues(static_cast<std::size_t>(whole.n_rows * whole.n_inner), 1);
    const auto values_b = TestValues(static_cast<std::size_t>(whole.n_columns * whole.n_inner), 2);
    const MatrixView a{values_a.data(), 1, whole.n_rows};
    const MatrixView b{values_b.data(), whole.n_columns, 1};
    const auto size = static_cast<std::size_t>(whole.n_rows * whole.n_columns);
    std::vector<std::vector<float>> sums;
    std::int64_t k = 0;
    for (const std::int64_t end : ends) {
      sums.push_back(PlainProduct(
          {whole.n_rows, whole.n_columns, end - k}, {a.data + k * a.column_stride, 1, whole.n_rows},
          {b.data + k * b.row_stride, whole.n_columns, 1}, std::vector<float>(size), true));
      k = end;
    }
    const auto chains = sums;
    while (sums.size() > 1) {
      for (std::size_t i = 0; i < sums.size() / 2; ++i) {
        sums[i] = sums[2 * i];
        for (std::size_t j = 0; j < size; ++j) sums[i][j] += sums[2 * i + 1][j];
      }
      sums.resize(sums.size() / 2);
    }
    const std::vector<float>& want = sums[0];
    for (const Isa isa : AvailableIsas()) {
      const ForcedIsa forced(isa);
      for (const int n_threads : {1, 3}) {
        ThreadPool pool(n_threads);
        ProductWorkspace workspace;
        std::vector<float> got(size, 7.0F);
        ProductOfShards(whole, a, b, {.ends = ends}, got.data(), whole.n_columns, workspace, pool);
        ASSERT_EQ(FirstDifference(want, got), "") << IsaName(isa) << ", " << ends.size();
        std::vector<std::int32_t> places(97, -1);
        places[96] = 0, places[13] = 1;
        std::vector<float> kept(ends.size() * 2 * 70);
        ProductOfShards(whole, a, b, {ends, true, places, 2, kept.data()}, got.data(),
                        whole.n_columns, workspace, pool);
        ASSERT_EQ(FirstDifference(want, got), "");
        for (std::size_t i = 0; i < 2 * ends.size(); ++i) {
          const auto from = chains[i / 2].begin() + (i % 2 == 0 ? 96 : 13) * 70;
          ASSERT_TRUE(std::equal(from, from + 70, kept.begin() + static_cast<int>(i) * 70));
        }
      }
    }
  }
}

// Chains so long that little of the matrices is copied at a time, and some of it is used again.
TEST(Product, RegionsThatShareRowsOrColumnsGiveTheSame) {
  for (const ProductSize& s : {ProductSize{100, 40, 9000},
                               {40, 100, 9000},
                               {100, 100, 9000},
                               {4100, 8, 769},
                               {8, 4100, 769}}) {
    const auto a = TestValues(static_cast<std::size_t>(s.n_rows * s.n_inner), 1);
    const auto b = TestValues(static_cast<std::size_t>(s.n_columns * s.n_inner), 2);
    const MatrixView rows{a.data(), s.n_inner, 1}, columns{b.data(), s.n_columns, 1};
    std::vector<float> want(static_cast<std::size_t>(s.n_rows * s.n_columns)), got(want.size());
    want = PlainProduct(s, rows, columns, want, true);
    ThreadPool pool(2);
    ProductWorkspace workspace;
    const std::vector<std::int64_t> ends = {s.n_inner};
    ProductOfShards(s, rows, columns, {.ends = ends}, got.data(), s.n_columns, workspace, pool);
    EXPECT_EQ(FirstDifference(want, got), "");
    Product(s, rows, columns, ChainStart::kFromZero, got.data(), s.n_columns, workspace, pool);
    EXPECT_EQ(FirstDifference(want, got), "");
  }
}

TEST(Product, OfShardsCanKeepZerosPositive) {
  const std::vector<float> a(3, -1e-30F), b(3, 1e-30F);
  const std::vector<std::int64_t> ends = {1, 3};
  ThreadPool pool(1);
  ProductWorkspace workspace;
  for (const bool adds_zero : {false, true}) {
    float c = 7;
    ProductOfShards({1, 1, 3}, {a.data(), 3, 1}, {b.data(), 1, 1}, {ends, adds_zero}, &c, 1,
                    workspace, pool);
    EXPECT_EQ(c, 0.0F);
    EXPECT_EQ(std::signbit(c), !adds_zero);
  }
}

// ---- gradients against central differences of the formula in f64

using Values = std::vector<double>;
using Function = std::function<double(const Values&)>;

void ExpectGradient(const Function& f, const std::vector<float>& at, const std::vector<float>& got,
                    double tolerance, const char* what) {
  Values x(at.begin(), at.end());
  for (std::size_t i = 0; i < x.size(); ++i) {
    const double here = x[i], h = 1e-5 * std::max(1.0, std::fabs(here));
    x[i] = here + h;
    const double above = f(x);
    x[i] = here - h;
    const double below = f(x);
    x[i] = here;
    const double want = (above - below) / (2 * h);
    EXPECT_NEAR(got[i], want, tolerance * std::max(1.0, std::fabs(want))) << what << " at " << i;
  }
}

double NormLoss(NormKind kind, const Values& x, const Values& w, const std::vector<float>& dy) {
  const double n = static_cast<double>(x.size());
  const double mean = kind == NormKind::kLayer ? std::accumulate(x.begin(), x.end(), 0.0) / n : 0;
  double squares = 0, loss = 0;
  for (const double v : x) squares += (v - mean) * (v - mean);
  const double r = 1 / std::sqrt(squares / n + 1e-5);
  for (std::size_t i = 0; i < x.size(); ++i) loss += (x[i] - mean) * r * w[i] * dy[i];
  return loss;
}

TEST(TrainingGradients, OfNorms) {
  for (const NormKind kind : {NormKind::kRms, NormKind::kLayer}) {
    const auto x = TestValues(37, 1), w = TestValues(37, 2), dy = TestValues(37, 3);
    const NormStatistics at =
        kind == NormKind::kRms ? RmsStatistics(x, 1e-5F) : LayerStatistics(x, 1e-5F);
    std::vector<float> dx(37), dw(37);
    NormBackward(kind, x, w, dy, at, dx);
    NormWeightGradient(x, dy, at, dw);
    const Values wide(w.begin(), w.end()), xs(x.begin(), x.end());
    ExpectGradient([&](const Values& v) { return NormLoss(kind, v, wide, dy); }, x, dx, 1e-5, "x");
    ExpectGradient([&](const Values& v) { return NormLoss(kind, xs, v, dy); }, w, dw, 1e-5, "w");
  }
}

TEST(TrainingGradients, StatisticsAreThoseOfTheForwardNorms) {
  const auto x = TestValues(100, 1);
  const std::vector<float> ones(100, 1.0F);
  std::vector<float> want(100), got(100);
  RmsNorm(x, ones, 1e-5F, want);
  for (int i = 0; i < 100; ++i) got[i] = x[i] * RmsStatistics(x, 1e-5F).r;
  EXPECT_EQ(FirstDifference(want, got), "");
  LayerNorm(x, ones, {}, 1e-5F, want);
  const NormStatistics s = LayerStatistics(x, 1e-5F);
  for (int i = 0; i < 100; ++i) got[i] = (x[i] - s.mean) * s.r;
  EXPECT_EQ(FirstDifference(want, got), "");
}

double Apply(Activation f, double x) {
  switch (f) {
    case Activation::kSilu:
      return x / (1 + std::exp(-x));
    case Activation::kGeluTanh:
      return 0.5 * x * (1 + std::tanh(std::sqrt(2 / M_PI) * (x + 0.044715 * x * x * x)));
    case Activation::kGeluErf:
      break;
  }
  return 0.5 * x * (1 + std::erf(x * std::sqrt(0.5)));
}

TEST(TrainingGradients, OfActivationsAndGates) {
  for (const Activation f : {Activation::kSilu, Activation::kGeluTanh, Activation::kGeluErf}) {
    auto x = TestValues(61, 1);
    for (float& v : x) v *= 1.5F;
    const auto up = TestValues(61, 2), dy = TestValues(61, 3);
    std::vector<float> dx(61), dgate(61), dup(61);
    ActivationBackward(f, x, dy, dx);
    GateBackward(f, x, up, dy, dgate, dup);
    const auto loss = [&](const Values& g, const Values* u) {
      double sum = 0;
      for (std::size_t i = 0; i < g.size(); ++i)
        sum += Apply(f, g[i]) * (u == nullptr ? 1 : (*u)[i]) * dy[i];
      return sum;
    };
    const Values ups(up.begin(), up.end()), xs(x.begin(), x.end());
    ExpectGradient([&](const Values& v) { return loss(v, nullptr); }, x, dx, 3e-6, "x");
    ExpectGradient([&](const Values& v) { return loss(v, &ups); }, x, dgate, 3e-6, "gate");
    ExpectGradient([&](const Values& v) { return loss(xs, &v); }, up, dup, 3e-6, "up");
  }
}

TEST(TrainingGradients, OfTheLoss) {
  const auto logits = TestValues(53, 1);
  const auto loss = [](const Values& v) {
    double sum = 0;
    for (const double x : v) sum += std::exp(x);
    return std::log(sum) - v[17];
  };
  auto gradient = logits, scratch = logits;
  const double got = CrossEntropy(gradient, 17);
  EXPECT_NEAR(got, loss(Values(logits.begin(), logits.end())), 1e-6);
  EXPECT_EQ(got, CrossEntropyLoss(scratch, 17));
  ExpectGradient(loss, logits, gradient, 1e-6, "logits");
}

TEST(TrainingGradients, TheLossOfAnUnlikelyTargetIsFinite) {
  std::vector<float> logits = {0, 400, 0};
  EXPECT_DOUBLE_EQ(CrossEntropyLoss(logits, 0), 400);
}

TEST(TrainingGradients, OfLinearLayers) {
  const LinearSize size{5, 7, 3};
  const auto x = TestValues(35, 1), w = TestValues(21, 2), dy = TestValues(15, 3);
  ThreadPool pool(1);
  ProductWorkspace workspace;
  std::vector<float> y(15), dx(35), dw(21);
  LinearForward(size, x.data(), w.data(), y.data(), workspace, pool);
  LinearBackward(size, dy.data(), w.data(), ChainStart::kFromZero, dx.data(), workspace, pool);
  LinearWeightGradient(size, dy.data(), x.data(), dw.data(), workspace, pool);
  const auto loss = [&](const Values& xs, const Values& ws) {
    double sum = 0;
    for (int t = 0; t < 5; ++t) {
      for (int o = 0; o < 3; ++o) {
        for (int i = 0; i < 7; ++i) sum += xs[t * 7 + i] * ws[o * 7 + i] * dy[t * 3 + o];
      }
    }
    return sum;
  };
  const Values xs(x.begin(), x.end()), ws(w.begin(), w.end());
  ExpectGradient([&](const Values& v) { return loss(v, ws); }, x, dx, 1e-5, "x");
  ExpectGradient([&](const Values& v) { return loss(xs, v); }, w, dw, 1e-5, "w");
  EXPECT_NEAR(loss(xs, ws), Dot(y, dy), 1e-3);
}

// ---- optimiser, norms of gradients, dropout

TEST(AdamW, IsItsFormula) {
  auto weight = TestValues(20, 1), gradient = TestValues(20, 2);
  std::vector<float> first(20), second(20);
  Values w(weight.begin(), weight.end()), m(20), v(20);
  for (int step = 1; step <= 5; ++step) {
    AdamW({.step = step, .learning_rate = 1e-2, .weight_decay = 0.1, .gradient_scale = 0.5F},
          gradient, weight, first, second);
    for (int i = 0; i < 20; ++i) {
      const double g = 0.5 * gradient[i];
      m[i] = 0.9 * m[i] + 0.1 * g;
      v[i] = 0.95 * v[i] + 0.05 * g * g;
      const double root = std::sqrt(v[i] / (1 - std::pow(0.95, step))) + 1e-8;
      w[i] = w[i] * (1 - 1e-3) - 1e-2 * (m[i] / (1 - std::pow(0.9, step))) / root;
      EXPECT_NEAR(weight[i], w[i], 2e-6);
    }
  }
}

TEST(SumOfSquaresF64, IsItsPiecesAscending) {
  const auto x = TestValues(10000, 1);
  const std::span<const float> all(x);
  const double want = static_cast<double>(SumOfSquares(all.subspan(0, 4096))) +
                      static_cast<double>(SumOfSquares(all.subspan(4096, 4096))) +
                      static_cast<double>(SumOfSquares(all.subspan(8192)));
  EXPECT_EQ(SumOfSquaresF64(x), want);
}

// The header's words, value by value.
void DropByTheFormula(const DropoutKey& key, std::uint64_t first, std::span<float> x) {
  const auto threshold = static_cast<std::uint32_t>(std::rint(key.rate * 65536.0));
  const auto scale = static_cast<float>(1.0 / (1.0 - key.rate));
  for (std::size_t i = 0; i < x.size(); ++i) {
    const std::uint64_t index = first + i;
    const auto words = RandomWords({.seed = key.seed,
                                    .purpose = RandomPurpose::kDropout,
                                    .choice = key.site,
                                    .position = key.step << 40 | index / 8});
    const std::uint32_t number = words[index % 8 / 2] >> (index % 2 * 16) & 0xffff;
    x[i] = number >= threshold ? x[i] * scale : 0.0F;
  }
}

TEST(Dropout, EverySetHasTheFormulasBitsOnRaggedRows) {
  auto values = TestValues(1500, 4, Inputs::kWild);
  std::vector<std::pair<std::uint64_t, std::size_t>> rows = {{0, 1500}, {(1ULL << 43) - 700, 700}};
  for (std::size_t n = 0; n <= 40; ++n) rows.emplace_back(1000 + 7 * n, n);
  for (const std::size_t n : {127, 128, 129, 511, 512, 513}) rows.emplace_back(n, n);
  for (const double rate : {0.05, 0.5, 0.999999, 1e-9}) {
    const DropoutKey key{
        .seed = 0x123456789, .site = 1U << 30, .step = (1 << 24) - 1, .rate = rate};
    for (const auto& [first, n] : rows) {
      std::vector<float> want(values.begin(), values.begin() + static_cast<std::ptrdiff_t>(n));
      const std::vector<float> x = want;
      DropByTheFormula(key, first, want);
      for (const Isa isa : AvailableIsas()) {
        const ForcedIsa forced(isa);
        std::vector<float> got = x;
        Dropout(key, first, got);
        ASSERT_EQ(FirstDifference(want, got), "") << IsaName(isa) << " n " << n;
      }
    }
  }
}

TEST(Dropout, EveryKernelHasTheOraclesBits) {
  const auto values = TestValues(400, 5, Inputs::kWild);
  std::vector<std::uint32_t> words(5 * 64);
  kTrainingKernelsScalar.draw_groups({.key = {5, 9}, .purpose = 7}, 5, words.data());
  for (const auto& [name, kernels] : KernelsUnderTest()) {
    for (const std::int64_t n : {1, 15, 16, 17, 127, 128, 200, 400}) {
      for (const std::uint32_t threshold : {0U, 1U, 0x8000U, 0xffffU, 0x10000U}) {
        const DrawnDropout drawn{words.data(), n * 7 % 128, threshold, 1.25F};
        std::vector<float> want = values, got = values;
        kTrainingKernelsScalar.drop(drawn, n, want.data());
        kernels->drop(drawn, n, got.data());
        ASSERT_EQ(FirstDifference(want, got), "") << name << " n " << n;
      }
    }
  }
}

TEST(Dropout, DependsOnThePlaceAloneAndKeepsTheMean) {
  const DropoutKey key{.seed = 7, .site = 3, .step = 11, .rate = 0.25};
  std::vector<float> whole(40000, 1.0F), parts(40000, 1.0F);
  Dropout(key, 1000, whole);
  for (const auto& [first, end] : {std::pair{0, 5}, {5, 6}, {6, 700}, {700, 40000}}) {
    Dropout(key, 1000 + static_cast<std::uint64_t>(first),
            std::span(parts).subspan(first, end - first));
  }
  EXPECT_EQ(FirstDifference(whole, parts), "");
  const double mean = std::accumulate(whole.begin(), whole.end(), 0.0) / 40000;
  EXPECT_NEAR(mean, 1, 0.02);
  for (const float x : whole) EXPECT_TRUE(x == 0 || x == static_cast<float>(1 / 0.75));
  std::vector<float> other(40000, 1.0F);
  Dropout({.seed = 7, .site = 3, .step = 12, .rate = 0.25}, 1000, other);
  EXPECT_NE(FirstDifference(whole, other), "");
}

}  // namespace
}  // namespace tatara::numerics
