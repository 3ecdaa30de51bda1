#include "tatara/numerics/training.h"

#include <algorithm>
#include <cmath>

#include "float_dispatch.h"
#include "fp_guard.h"
#include "tatara/base/check.h"
#include "tatara/base/philox.h"
#include "tatara/numerics/functions.h"
#include "training_dispatch.h"

namespace tatara::numerics {
namespace {

std::int64_t Size(std::span<const float> x) {
  return static_cast<std::int64_t>(x.size());
}

auto BackwardOf(Activation activation) {
  const TrainingKernels& kernels = ActiveTrainingKernels();
  switch (activation) {
    case Activation::kGeluTanh:
      return kernels.gelu_tanh_backward;
    case Activation::kGeluErf:
      return kernels.gelu_erf_backward;
    case Activation::kSilu:
      break;
  }
  return kernels.silu_backward;
}

// logits become exp(logits - m); returns the loss and l.
struct Exponentials {
  double loss;
  float sum;
};
Exponentials Exponentiate(std::span<float> logits, std::int64_t target) {
  TATARA_CHECK(target >= 0 && target < Size(logits));
  const FloatKernels& kernels = ActiveFloatKernels();
  const std::int64_t n = Size(logits);
  const float chosen = logits[static_cast<std::size_t>(target)];
  const float max = kernels.max(logits.data(), n);
  ActiveTrainingKernels().exp_shifted(logits.data(), max, n, logits.data());
  const float sum = kernels.sum(logits.data(), n);
  const double distance = static_cast<double>(max) - static_cast<double>(chosen);
  return {distance + LogF64(static_cast<double>(sum)), sum};
}

}  // namespace

NormStatistics RmsStatistics(std::span<const float> x, float eps) {
  const FpGuard guard;
  const float mean =
      ActiveFloatKernels().sum_of_squares(x.data(), Size(x)) / static_cast<float>(x.size());
  return {0, 1.0F / std::sqrt(mean + eps)};
}

NormStatistics LayerStatistics(std::span<const float> x, float eps) {
  const FpGuard guard;
  const auto count = static_cast<float>(x.size());
  const float mean = ActiveFloatKernels().sum(x.data(), Size(x)) / count;
  const float squares = ActiveTrainingKernels().sum_of_squared_deviations(x.data(), Size(x), mean);
  return {mean, 1.0F / std::sqrt(squares / count + eps)};
}

void NormBackward(NormKind kind, std::span<const float> x, std::span<const float> weight,
                  std::span<const float> dy, const NormStatistics& statistics,
                  std::span<float> dx) {
  TATARA_CHECK(x.size() == weight.size() && x.size() == dy.size() && x.size() == dx.size());
  const FpGuard guard;
  ActiveTrainingKernels().norm_backward({.x = x.data(),
                                         .weight = weight.data(),
                                         .dy = dy.data(),
                                         .mean = statistics.mean,
                                         .r = statistics.r,
                                         .centred = kind == NormKind::kLayer,
                                         .dx = dx.data()},
                                        Size(x));
}

void NormWeightGradient(std::span<const float> x, std::span<const float> dy,
                        const NormStatistics& statistics, std::span<float> dweight) {
  TATARA_CHECK(x.size() == dy.size() && x.size() == dweight.size());
  const FpGuard guard;
  ActiveTrainingKernels().norm_weight_gradient(x.data(), dy.data(), statistics.mean, statistics.r,
                                               Size(x), dweight.data());
}

void ActivationBackward(Activation activation, std::span<const float> x, std::span<const float> dy,
                        std::span<float> dx) {
  TATARA_CHECK(x.size() == dy.size() && x.size() == dx.size());
  const FpGuard guard;
  BackwardOf(activation)(x.data(), nullptr, dy.data(), Size(x), dx.data(), nullptr);
}

void GateBackward(Activation activation, std::span<const float> gate, std::span<const float> up,
                  std::span<const float> dy, std::span<float> dgate, std::span<float> dup) {
  TATARA_CHECK(gate.size() == up.size() && gate.size() == dy.size() &&
               gate.size() == dgate.size() && gate.size() == dup.size());
  const FpGuard guard;
  BackwardOf(activation)(gate.data(), up.data(), dy.data(), Size(gate), dgate.data(), dup.data());
}

float Dot(std::span<const float> a, std::span<const float> b) {
  TATARA_CHECK(a.size() == b.size());
  const FpGuard guard;
  return ActiveTrainingKernels().dot(a.data(), b.data(), Size(a));
}

double CrossEntropy(std::span<float> logits, std::int64_t target) {
  const FpGuard guard;
  const Exponentials e = Exponentiate(logits, target);
  ActiveFloatKernels().attention_finish(logits.data(), e.sum, Size(logits), logits.data());
  logits[static_cast<std::size_t>(target)] -= 1.0F;
  return e.loss;
}

double CrossEntropyLoss(std::span<float> logits, std::int64_t target) {
  const FpGuard guard;
  return Exponentiate(logits, target).loss;
}

void AdamW(const AdamWStep& step, std::span<const float> gradient, std::span<float> weight,
           std::span<float> first_moment, std::span<float> second_moment) {
  TATARA_CHECK(gradient.size() == weight.size() && gradient.size() == first_moment.size() &&
               gradient.size() == second_moment.size() && step.step >= 1);
  const FpGuard guard;
  const auto correction = [&](double beta) {
    return static_cast<float>(1.0 / (1.0 - PowF64(beta, static_cast<double>(step.step))));
  };
  ActiveTrainingKernels().adamw(
      {.gradient_scale = step.gradient_scale,
       .beta1 = static_cast<float>(step.beta1),
       .one_minus_beta1 = static_cast<float>(1.0 - step.beta1),
       .beta2 = static_cast<float>(step.beta2),
       .one_minus_beta2 = static_cast<float>(1.0 - step.beta2),
       .correction1 = correction(step.beta1),
       .correction2 = correction(step.beta2),
       .eps = static_cast<float>(step.eps),
       .learning_rate = static_cast<float>(step.learning_rate),
       .keep = static_cast<float>(1.0 - step.learning_rate * step.weight_decay)},
      gradient.data(), Size(gradient), weight.data(), first_moment.data(), second_moment.data());
}

void Divide(float divisor, std::span<float> x) {
  const FpGuard guard;
  ActiveFloatKernels().attention_finish(x.data(), divisor, Size(x), x.data());
}

double SumOfSquaresF64(std::span<const float> x) {
  const FpGuard guard;
  double sum = 0;
  for (std::size_t i = 0; i < x.size(); i += kSquaresPiece) {
    const std::size_t n = std::min(kSquaresPiece, x.size() - i);
    sum += static_cast<double>(
        ActiveFloatKernels().sum_of_squares(x.data() + i, static_cast<std::int64_t>(n)));
  }
  return sum;
}

void Dropout(const DropoutKey& key, std::uint64_t first, std::span<float> x) {
  TATARA_CHECK(key.rate >= 0 && key.rate < 1 && key.step < (std::uint64_t{1} << 24));
  TATARA_CHECK(first + x.size() <= std::uint64_t{1} << 43);
  if (key.rate == 0) return;
  const FpGuard guard;
  const auto threshold = static_cast<std::uint32_t>(std::rint(key.rate * 65536.0));
  const auto scale = static_cast<float>(1.0 / (1.0 - key.rate));
  const TrainingKernels& kernels = ActiveTrainingKernels();
  constexpr std::uint64_t kGroup = 128;  // values whose numbers are drawn together
  constexpr std::size_t kAtOnce = 4 * kGroup;
  std::uint32_t words[(kAtOnce + 2 * kGroup) / 2];
  for (std::size_t i = 0; i < x.size(); i += kAtOnce) {
    const std::size_t n = std::min(kAtOnce, x.size() - i);
    const std::uint64_t index = first + i, group = index / kGroup;
    kernels.draw_groups(
        {.key = {static_cast<std::uint32_t>(key.seed), static_cast<std::uint32_t>(key.seed >> 32)},
         .purpose = static_cast<std::uint32_t>(RandomPurpose::kDropout),
         .choice = key.site,
         .first_group = (key.step << 40) / 16 + group},
        static_cast<std::int64_t>((index + n + kGroup - 1) / kGroup - group), words);
    kernels.drop({words, static_cast<std::int64_t>(index % kGroup), threshold, scale},
                 static_cast<std::int64_t>(n), x.data() + i);
  }
}

}  // namespace tatara::numerics
