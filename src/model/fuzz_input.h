// What the fuzzers of this module read their changes from. Thread safety: one thread.
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <limits>

namespace tatara::model::test {

// Numbers that a key may hold and that a loader may not have thought of.
inline constexpr std::array<double, 12> kOddNumbers = {0,
                                                       -1,
                                                       1,
                                                       3,
                                                       1e-300,
                                                       1e300,
                                                       0.5,
                                                       10000,
                                                       65536,
                                                       32,
                                                       std::numeric_limits<double>::infinity(),
                                                       std::numeric_limits<double>::quiet_NaN()};

// The fuzzer's bytes one after the other; zeros after their end.
class FuzzInput {
 public:
  FuzzInput(const std::uint8_t* data, std::size_t size) : data_(data), size_(size) {}
  bool empty() const { return at_ >= size_; }
  std::uint8_t Byte() { return empty() ? 0 : data_[at_++]; }
  std::size_t Below(std::size_t n) { return n == 0 ? 0 : (Byte() | Byte() << 8) % n; }
  template <typename Array>
  auto Pick(const Array& choices) {
    return choices[Byte() % choices.size()];
  }

 private:
  const std::uint8_t* data_;
  std::size_t size_, at_ = 0;
};

}  // namespace tatara::model::test
