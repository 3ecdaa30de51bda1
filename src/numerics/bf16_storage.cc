#include "tatara/numerics/bf16_storage.h"

#include <algorithm>

#include "fp_guard.h"
#include "tatara/base/check.h"
#include "tatara/base/philox.h"
#include "training_dispatch.h"

namespace tatara::numerics {
namespace {

constexpr std::uint64_t kGroup = 64;  // places whose words are drawn together
constexpr std::size_t kAtOnce = 512;  // values that are wide at a time

// The words of the values first .. first + n - 1 of a call, n <= kAtOnce.
class DrawnWords {
 public:
  const std::uint32_t* Draw(const DrawnRounding& rounding, std::size_t first, std::size_t n) {
    const std::uint64_t place = rounding.first_place + first;
    const std::uint64_t group = place / kGroup, end = (place + n + kGroup - 1) / kGroup;
    ActiveTrainingKernels().draw_groups(
        {.key = {static_cast<std::uint32_t>(rounding.seed),
                 static_cast<std::uint32_t>(rounding.seed >> 32)},
         .purpose = static_cast<std::uint32_t>(RandomPurpose::kRounding),
         .choice = rounding.step,
         .first_group = group},
        static_cast<std::int64_t>(end - group), words_);
    return words_ + place % kGroup;
  }

 private:
  std::uint32_t words_[kAtOnce + 2 * kGroup];
};

// body(first, n) for pieces of at most kAtOnce values.
template <typename F>
void ForPieces(std::size_t size, F body) {
  for (std::size_t first = 0; first < size; first += kAtOnce) {
    body(first, std::min(kAtOnce, size - first));
  }
}

}  // namespace

void RoundToBF16(std::span<float> x, std::span<std::uint16_t> stored) {
  TATARA_CHECK(stored.empty() || stored.size() == x.size());
  const FpGuard guard;
  ActiveTrainingKernels().round_bf16(x.data(), static_cast<std::int64_t>(x.size()),
                                     stored.empty() ? nullptr : stored.data());
}

void LoadBF16(std::span<const std::uint16_t> stored, std::span<float> x) {
  TATARA_CHECK(stored.size() == x.size());
  const FpGuard guard;
  ActiveTrainingKernels().load_bf16(stored.data(), static_cast<std::int64_t>(x.size()), x.data());
}

void StoreBF16(const DrawnRounding& rounding, DrawnHalf half, std::span<const float> x,
               std::span<std::uint16_t> stored) {
  TATARA_CHECK(stored.size() == x.size());
  const FpGuard guard;
  DrawnWords words;
  ForPieces(x.size(), [&](std::size_t first, std::size_t n) {
    ActiveTrainingKernels().store_drawn_bf16(x.data() + first, words.Draw(rounding, first, n),
                                             half == DrawnHalf::kSecond,
                                             static_cast<std::int64_t>(n), stored.data() + first);
  });
}

void AdamW(const AdamWStep& step, const DrawnRounding& rounding, std::span<const float> gradient,
           std::span<float> weight, std::span<std::uint16_t> first_moment,
           std::span<std::uint16_t> second_moment) {
  TATARA_CHECK(first_moment.size() == weight.size() && second_moment.size() == weight.size());
  const FpGuard guard;
  const TrainingKernels& kernels = ActiveTrainingKernels();
  float first_wide[kAtOnce], second_wide[kAtOnce];
  DrawnWords drawn;
  ForPieces(weight.size(), [&](std::size_t first, std::size_t n) {
    const auto size = static_cast<std::int64_t>(n);
    std::uint16_t* const m = first_moment.data() + first;
    std::uint16_t* const v = second_moment.data() + first;
    kernels.load_bf16(m, size, first_wide);
    kernels.load_bf16(v, size, second_wide);
    AdamW(step, gradient.subspan(first, n), weight.subspan(first, n), {first_wide, n},
          {second_wide, n});
    const std::uint32_t* const words = drawn.Draw(rounding, first, n);
    kernels.store_drawn_bf16(first_wide, words, false, size, m);
    kernels.store_drawn_bf16(second_wide, words, true, size, v);
  });
}

}  // namespace tatara::numerics
