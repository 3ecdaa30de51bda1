// The elementary functions against long double oracles: error bounds in units of the last place,
// special values, and every instruction set's exp and tanh against the scalar forms, over all f32
// with TATARA_TEST_ALL=1 and over a dense stride of them otherwise.
#include "tatara/numerics/functions.h"

#include <cmath>
#include <functional>

#include "kernel_test_support.h"

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

// Every f32, or every 1021st (a prime, so that all mantissa bits vary).
void ForF32(const std::function<void(float)>& body) {
  const std::uint64_t stride = test::RunAll() ? 1 : 1021;
  for (std::uint64_t bits = 0; bits < (std::uint64_t{1} << 32); bits += stride) {
    body(std::bit_cast<float>(static_cast<std::uint32_t>(bits)));
  }
}

double WorstOverF32(float (*f)(float), long double (*oracle)(long double), float limit = kInf) {
  double worst = 0;
  float where = 0;
  ForF32([&](float x) {
    if (std::isnan(x) || std::fabs(x) > limit) return;
    const double ulps = Ulps(f(x), oracle(static_cast<long double>(x)));
    if (ulps > worst) worst = ulps, where = x;
  });
  ::testing::Test::RecordProperty("worst_ulps", std::to_string(worst));
  std::printf("    worst error %.4f ulp at %a\n", worst, static_cast<double>(where));
  return worst;
}

TEST(Functions, ExpIsWithinOneUlpOverAllF32) {
  EXPECT_LT(WorstOverF32(Exp, std::exp), 1.0);
}
TEST(Functions, TanhIsWithinTwoUlpsOverAllF32) {
  EXPECT_LT(WorstOverF32(Tanh, std::tanh), 2.0);
}
TEST(Functions, LogIsWithinHalfAnUlpOverAllF32) {
  EXPECT_LT(WorstOverF32(Log, std::log), 0.501);
}
TEST(Functions, ErfIsWithinHalfAnUlpOverAllF32) {
  EXPECT_LT(WorstOverF32(Erf, std::erf), 0.501);
}
TEST(Functions, SinAndCosAreWithinHalfAnUlpUpToTwoToThe24) {
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
  std::vector<float> x, a, b;
  const auto compare = [&] {
    a.resize(x.size());
    b.resize(x.size());
    want(x.data(), static_cast<std::int64_t>(x.size()), a.data());
    got(x.data(), static_cast<std::int64_t>(x.size()), b.data());
    ASSERT_EQ(test::FirstDifference(a, b), "") << name;
    x.clear();
  };
  ForF32([&](float value) {
    x.push_back(value);
    if (x.size() == 4093) compare();
  });
  compare();
}

TEST(Functions, EverySetsExpAndTanhEqualTheScalarForms) {
  for (const auto& [name, kernels] : test::FloatKernelsUnderTest()) {
    ExpectSameOverF32(kFloatKernelsScalar.exp, kernels->exp, name + " exp");
    ExpectSameOverF32(kFloatKernelsScalar.tanh, kernels->tanh, name + " tanh");
  }
}

}  // namespace
}  // namespace tatara::numerics
