// The elementary functions against wider oracles (f64 for f32, long double for f64): error bounds
// in units of the last place, special values, and every instruction set's exp and tanh against the
// scalar forms, over all f32 with TATARA_TEST_ALL=1 and over a dense stride of them otherwise.
#include "tatara/numerics/functions.h"

#include <algorithm>
#include <cmath>

#include "kernel_test_support.h"
#include "tatara/base/sha256.h"
#include "tatara/base/thread_pool.h"
#include "tatara/numerics/digest.h"

namespace tatara::numerics {
namespace {

constexpr float kInf = std::numeric_limits<float>::infinity();
constexpr float kNaN = std::numeric_limits<float>::quiet_NaN();

// Distance of got from the exact value in units of the last place of the exact value's binade;
// infinite where one is finite and the other is not (beyond overflow by rounding).
template <typename T>
double Ulps(T got, long double exact) {
  constexpr int kDigits = std::numeric_limits<T>::digits;
  if (std::isnan(exact) || std::isnan(got))
    return std::isnan(exact) && std::isnan(got) ? 0 : INFINITY;
  int exponent;
  std::frexp(exact, &exponent);
  const int least = std::numeric_limits<T>::min_exponent;
  const long double unit = std::ldexp(1.0L, std::max(exponent, least) - kDigits);
  if (std::isinf(got)) {
    const long double first_overflow =
        std::ldexp(1.0L, std::numeric_limits<T>::max_exponent) - unit / 2;
    return std::fabs(exact) >= first_overflow && (got > 0) == (exact > 0) ? 0 : INFINITY;
  }
  if (std::isinf(exact)) return INFINITY;
  return static_cast<double>(std::fabs(static_cast<long double>(got) - exact) / unit);
}

// The same for f32 against an f64 oracle, whose own error is 2^-29 of the unit; written to be fast.
double UlpsF32(float got, double exact) {
  if (exact != exact || got != got) return exact != exact && got != got ? 0 : INFINITY;
  constexpr double kFirstOverflow = 0x1.ffffffp127;
  if (std::isinf(got)) return (got > 0 ? exact : -exact) >= kFirstOverflow ? 0 : INFINITY;
  if (std::isinf(exact)) return INFINITY;
  const auto exponent = static_cast<int>(std::bit_cast<std::uint64_t>(exact) >> 52 & 0x7ff);
  const int least = 1023 - 126;  // subnormal results have the smallest normal number's unit
  const double unit =
      std::bit_cast<double>(static_cast<std::uint64_t>(std::max(exponent, least) - 23) << 52);
  return std::fabs(static_cast<double>(got) - exact) / unit;
}

// Every f32, or every 1021st (a prime, so that all bits of the mantissa vary), cut into parts for
// threads.
constexpr std::int64_t kParts = 256;
template <typename Body>
void ForF32(std::int64_t part, Body body) {
  const std::uint64_t stride = test::RunAll() ? 1 : 1021;
  const std::uint64_t size = (std::uint64_t{1} << 32) / kParts;
  for (std::uint64_t bits = part * size; bits < (part + 1) * size; bits += stride) {
    body(std::bit_cast<float>(static_cast<std::uint32_t>(bits)));
  }
}

// The worst error for |x| <= limit; NaN inputs are other tests' matter.
double WorstOverF32(float (*f)(float), double (*oracle)(double), float limit = kInf) {
  std::vector<double> worst(kParts);
  std::vector<float> where(kParts);
  ThreadPool pool(ThreadPool::HardwareThreads());
  pool.For(kParts, [&](std::int64_t part, int) {
    ForF32(part, [&](float x) {
      if (!(std::fabs(x) <= limit)) return;
      const double ulps = UlpsF32(f(x), oracle(static_cast<double>(x)));
      if (ulps > worst[part]) worst[part] = ulps, where[part] = x;
    });
  });
  const std::size_t most = std::max_element(worst.begin(), worst.end()) - worst.begin();
  std::printf("    worst error %.4f ulp at %a\n", worst[most], static_cast<double>(where[most]));
  return worst[most];
}

TEST(Functions, ExpIsWithin090UlpOverAllF32) {
  EXPECT_LT(WorstOverF32(Exp, std::exp), 0.9);
}
TEST(Functions, TanhIsWithin150UlpOverAllF32) {
  EXPECT_LT(WorstOverF32(Tanh, std::tanh), 1.5);
}
TEST(Functions, LogIsWithin0501UlpOverAllF32) {
  EXPECT_LT(WorstOverF32(Log, std::log), 0.501);
}
TEST(Functions, ErfIsWithin0501UlpOverAllF32) {
  EXPECT_LT(WorstOverF32(Erf, std::erf), 0.501);
}
TEST(Functions, SoftplusIsWithin0501UlpOverAllF32) {
  EXPECT_LT(WorstOverF32(Softplus,
                         [](double x) {
                           return x > 0 ? x + std::log1p(std::exp(-x)) : std::log1p(std::exp(x));
                         }),
            0.501);
}
TEST(Functions, SinAndCosAreWithin0501UlpUpToTwoToThe24) {
  EXPECT_LT(WorstOverF32(Sin, std::sin, 0x1p24F), 0.501);
  EXPECT_LT(WorstOverF32(Cos, std::cos, 0x1p24F), 0.501);
}

TEST(Functions, SpecialValuesOfF32Functions) {
  EXPECT_EQ(Exp(0.0F), 1.0F);
  EXPECT_EQ(Exp(-0.0F), 1.0F);
  EXPECT_EQ(Exp(kInf), kInf);
  EXPECT_EQ(Exp(-kInf), 0.0F);
  EXPECT_FALSE(std::signbit(Exp(-kInf)));
  EXPECT_EQ(Tanh(kInf), 1.0F);
  EXPECT_EQ(Tanh(-kInf), -1.0F);
  EXPECT_TRUE(std::signbit(Tanh(-0.0F)));
  EXPECT_EQ(Log(1.0F), 0.0F);
  EXPECT_EQ(Log(0.0F), -kInf);
  EXPECT_TRUE(std::isnan(Log(-1.0F)));
  EXPECT_EQ(Erf(kInf), 1.0F);
  EXPECT_EQ(Erf(-kInf), -1.0F);
  EXPECT_EQ(Cos(0.0F), 1.0F);
  EXPECT_TRUE(std::signbit(Sin(-0.0F)));
  EXPECT_TRUE(std::isnan(Sin(kInf)));
  EXPECT_TRUE(std::isnan(Cos(0x1.000002p24F)));
  for (const auto f : {Exp, Log, Tanh, Erf, Sin, Cos}) EXPECT_TRUE(std::isnan(f(kNaN)));
}

// A double in [lo, hi), spread evenly.
double Uniform(std::uint64_t i, double lo, double hi) {
  const auto words = RandomWords({.seed = 9, .position = i});
  const double unit =
      static_cast<double>(words[0]) * 0x1p-32 + static_cast<double>(words[1]) * 0x1p-64;
  return lo + (hi - lo) * unit;
}

int Samples() {
  return test::RunAll() ? 20'000'000 : 200'000;
}

double WorstOnInterval(double (*f)(double), long double (*oracle)(long double), double lo,
                       double hi) {
  double worst = 0;
  for (int i = 0; i < Samples(); ++i) {
    const double x = Uniform(i, lo, hi);
    worst = std::max(worst, Ulps(f(x), oracle(static_cast<long double>(x))));
  }
  std::printf("    [%g, %g]: worst error %.4f ulp\n", lo, hi, worst);
  return worst;
}

TEST(FunctionsF64, ExpIsWithinOneUlp) {
  EXPECT_LT(WorstOnInterval(ExpF64, std::exp, -1, 1), 1.0);
  EXPECT_LT(WorstOnInterval(ExpF64, std::exp, -745, 710), 1.0);
  EXPECT_EQ(ExpF64(0.0), 1.0);
  EXPECT_EQ(ExpF64(INFINITY), INFINITY);
  EXPECT_EQ(ExpF64(-INFINITY), 0.0);
  EXPECT_TRUE(std::isnan(ExpF64(NAN)));
}

TEST(FunctionsF64, LogIsWithin055Ulp) {
  EXPECT_LT(WorstOnInterval(LogF64, std::log, 0.5, 2), 0.55);
  EXPECT_LT(WorstOnInterval(LogF64, std::log, 0, 1e9), 0.55);
  EXPECT_LT(WorstOnInterval(LogF64, std::log, 0, 1e-307), 0.55);
  EXPECT_EQ(LogF64(1.0), 0.0);
  EXPECT_EQ(LogF64(0.0), -INFINITY);
  EXPECT_EQ(LogF64(INFINITY), INFINITY);
  EXPECT_TRUE(std::isnan(LogF64(-1.0)));
}

TEST(FunctionsF64, SinAndCosAreWithinOneUlpUpToTwoToThe24) {
  for (const double limit : {0.7, 10.0, 0x1p20, 0x1p24}) {
    EXPECT_LT(WorstOnInterval(SinF64, std::sin, -limit, limit), 1.0);
    EXPECT_LT(WorstOnInterval(CosF64, std::cos, -limit, limit), 1.0);
  }
  // Near multiples of pi/2 everything but the last parts of the reduction cancels.
  double worst = 0;
  for (int n = 1; n < 10'000'000; n += test::RunAll() ? 1 : 101) {
    const double x = n * 0x1.921fb54442d18p+0;
    worst = std::max({worst, Ulps(SinF64(x), std::sin(static_cast<long double>(x))),
                      Ulps(CosF64(x), std::cos(static_cast<long double>(x)))});
  }
  EXPECT_LT(worst, 1.0);
  EXPECT_TRUE(std::isnan(SinF64(0x1.0000000000001p24)));
  EXPECT_TRUE(std::isnan(CosF64(INFINITY)));
}

TEST(FunctionsF64, PowIsWithinTwoUlps) {
  double worst = 0;
  for (int i = 0; i < Samples(); ++i) {
    const double base = Uniform(2 * i, 0, i % 2 == 0 ? 2 : 1e7),
                 exponent = Uniform(2 * i + 1, -30, 30);
    const long double exact =
        std::pow(static_cast<long double>(base), static_cast<long double>(exponent));
    worst = std::max(worst, Ulps(PowF64(base, exponent), exact));
  }
  std::printf("    worst error %.4f ulp\n", worst);
  EXPECT_LT(worst, 2.0);
  EXPECT_EQ(PowF64(10000.0, 0.0), 1.0);
  EXPECT_EQ(PowF64(2.0, 10.0), 1024.0);
  EXPECT_EQ(PowF64(0.0, 2.0), 0.0);
  EXPECT_EQ(PowF64(0.0, -2.0), INFINITY);
  EXPECT_EQ(PowF64(INFINITY, 0.5), INFINITY);
  EXPECT_EQ(PowF64(2.0, 5000.0), INFINITY);
  EXPECT_EQ(PowF64(2.0, -5000.0), 0.0);
  EXPECT_TRUE(std::isnan(PowF64(-2.0, 2.0)));
}

using RowFunction = void (*)(const float*, std::int64_t, float*);

void ExpectSameOverF32(RowFunction want, RowFunction got, const std::string& name) {
  std::vector<std::string> differences(kParts);
  ThreadPool pool(ThreadPool::HardwareThreads());
  pool.For(kParts, [&](std::int64_t part, int) {
    std::vector<float> x, a(4093), b(4093);
    const auto compare = [&] {
      const auto n = static_cast<std::int64_t>(x.size());
      want(x.data(), n, a.data());
      got(x.data(), n, b.data());
      const std::string difference =
          test::FirstDifference({a.data(), x.size()}, {b.data(), x.size()});
      if (!difference.empty()) differences[part] = difference;
      x.clear();
    };
    ForF32(part, [&](float value) {
      x.push_back(value);
      if (x.size() == a.size()) compare();
    });
    compare();
  });
  for (const std::string& difference : differences) ASSERT_EQ(difference, "") << name;
}

TEST(Functions, EverySetsExpTanhAndErfEqualTheScalarForms) {
  for (const auto& [name, kernels] : test::FloatKernelsUnderTest()) {
    ExpectSameOverF32(kFloatKernelsScalar.exp, kernels->exp, name + " exp");
    ExpectSameOverF32(kFloatKernelsScalar.tanh, kernels->tanh, name + " tanh");
    ExpectSameOverF32(kFloatKernelsScalar.erf, kernels->erf, name + " erf");
  }
}

// Bits, not bounds: another compiler or processor must give the same.
TEST(Functions, BitsAreTheGoldenOnes) {
  const auto wild = test::TestValues(20'000, 40, test::Inputs::kWild);
  const struct {
    const char* name;
    float (*f)(float);
    const char* sha256;
  } f32[] = {
      {"exp", Exp, "0b5f8efacb7bfb2a78a2b2ce3bc857272acd52a8193488749bf2ef534dc3818e"},
      {"log", Log, "06caedadd0ea46c6a718011b91b6dfaeabfaac72ea4cb93a20de22728bf3facc"},
      {"tanh", Tanh, "d9a74954e8bc0183044c9a85bf4b9de1c4cea936d46fee9756af1523a32fb401"},
      {"erf", Erf, "dbaf31d86b3189ca0fb7c6864e7655bc68529c104952594829f06c5798681c01"},
      {"sin", Sin, "e556b5c5c44c8858a06fba52daf026b6d61bea526ab91ede13b4c1b7ef567fa4"},
      {"cos", Cos, "39281595c0a857109805326076473c8dcc93e04c32b18d2f81218256f5748635"},
  };
  for (const auto& golden : f32) {
    std::vector<float> y(wild);
    for (float& v : y) v = golden.f(v);
    EXPECT_EQ(F32Sha256(y), golden.sha256) << golden.name;
  }
  const struct {
    const char* name;
    double (*f)(double);
    const char* sha256;
  } f64[] = {
      {"exp", ExpF64, "85d9c148905f7fd1270e7e63ffcd6d062711cc44ce52e0f0add70addb4a751aa"},
      {"log", LogF64, "65a8c74de604cf9029333848d80091b4911d597c00d1642fde74c17a9e7a9a59"},
      {"sin", SinF64, "3658af912afb3a6e0e8e1f3712114eb006fa06b830862a781a9bf4d44b6a751c"},
      {"cos", CosF64, "d273ae39a7f6a447044fc5c7f3012ba29a8cc99c33d0a70fa40c9082f7e8dacf"},
      {"pow", [](double x) { return PowF64(std::fabs(x), x * 0.25); },
       "2fb9d0c81aa9f61de87f62ac731c8ffe67bfaf1cde365cd80d3c98acda6c1e04"},
  };
  for (const auto& golden : f64) {
    std::vector<double> y(20'000);
    for (int i = 0; i < 20'000; ++i) y[i] = golden.f(Uniform(i, -100, i % 2 == 0 ? 100 : 1e6));
    for (double& v : y) v = std::isnan(v) ? NAN : v;
    EXPECT_EQ(Sha256Hex(ByteSpan(std::as_bytes(std::span(y)))), golden.sha256) << golden.name;
  }
}

}  // namespace
}  // namespace tatara::numerics
