#include "aligned_buffer.h"

#include <sys/mman.h>

#include <cstdlib>
#include <new>

namespace tatara::numerics {
namespace {
constexpr std::size_t kLine = 64;
constexpr std::size_t kHugePage = std::size_t{2} << 20;
}  // namespace

AlignedBuffer::AlignedBuffer(std::size_t bytes) : size_(bytes) {
  if (bytes == 0) return;
  const std::size_t alignment = bytes >= kHugePage ? kHugePage : kLine;
  const std::size_t rounded = (bytes + alignment - 1) / alignment * alignment;
  auto* data = static_cast<std::byte*>(std::aligned_alloc(alignment, rounded));
  if (data == nullptr) throw std::bad_alloc();
  if (alignment == kHugePage) madvise(data, rounded, MADV_HUGEPAGE);  // a wish; failing is fine
  data_.reset(data);
}

void AlignedBuffer::Free::operator()(std::byte* data) const {
  std::free(data);
}

}  // namespace tatara::numerics
