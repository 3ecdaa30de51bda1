// Memory for weights and prepared activations: aligned to cache lines, and large pieces to 2 MiB
// pages, which the system is asked for because products stream through them (a page walk per 4 KiB
// costs some 10 % of the bandwidth of decoding).
#pragma once

#include <cstddef>
#include <memory>

namespace tatara::numerics {

class AlignedBuffer {
 public:
  AlignedBuffer() = default;
  explicit AlignedBuffer(std::size_t bytes);

  // Contents are lost when it grows; it never shrinks.
  void Grow(std::size_t bytes) {
    if (bytes > size_) *this = AlignedBuffer(bytes);
  }
  template <typename T>
  T* as() const {
    return reinterpret_cast<T*>(data_.get());
  }
  std::size_t size() const { return size_; }

 private:
  struct Free {
    void operator()(std::byte* data) const;
  };
  std::unique_ptr<std::byte[], Free> data_;
  std::size_t size_ = 0;
};

}  // namespace tatara::numerics
