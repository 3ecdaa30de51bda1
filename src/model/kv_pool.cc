#include "tatara/model/kv_pool.h"

#include <sys/mman.h>
#include <unistd.h>

#include <limits>
#include <utility>

#include "tatara/base/check.h"

namespace tatara::model {
namespace {

constexpr std::size_t kAlignment = 64;  // one cache line, one AVX-512 vector
constexpr std::size_t kNoMemory = std::numeric_limits<std::size_t>::max();

std::size_t RoundUp(std::size_t bytes) {
  return (bytes + kAlignment - 1) / kAlignment * kAlignment;
}

std::size_t TileBytes(int n_kv_heads, int dim, numerics::CacheType type) {
  return RoundUp(static_cast<std::size_t>(n_kv_heads) * static_cast<std::size_t>(dim) *
                 numerics::kPageTokens * numerics::CacheElementBytes(type));
}

std::size_t PhysicalMemoryBytes() {
  const long pages = sysconf(_SC_PHYS_PAGES);
  const long page_bytes = sysconf(_SC_PAGESIZE);
  if (pages <= 0 || page_bytes <= 0) return kNoMemory;
  return static_cast<std::size_t>(pages) * static_cast<std::size_t>(page_bytes);
}

}  // namespace

std::size_t KvPool::BytesPerPage(const std::vector<LayerCacheShape>& layers,
                                 numerics::CacheType type) {
  std::size_t bytes = 0;
  for (const LayerCacheShape& layer : layers) {
    bytes += TileBytes(layer.n_kv_heads, layer.head_dim, type);
    bytes += TileBytes(layer.n_kv_heads, layer.value_dim, type);
  }
  return bytes;
}

Result<std::unique_ptr<KvPool>> KvPool::Make(std::vector<LayerCacheShape> layers,
                                             numerics::CacheType type, int n_pages) {
  TATARA_CHECK(n_pages >= 1 && !layers.empty());
  auto pool = std::unique_ptr<KvPool>(new KvPool);
  pool->type_ = type;
  for (const LayerCacheShape& layer : layers) {
    TATARA_CHECK(layer.n_kv_heads > 0 && layer.head_dim > 0 && layer.value_dim > 0);
    pool->key_offset_.push_back(pool->bytes_per_page_);
    pool->bytes_per_page_ += TileBytes(layer.n_kv_heads, layer.head_dim, type);
    pool->value_offset_.push_back(pool->bytes_per_page_);
    pool->bytes_per_page_ += TileBytes(layer.n_kv_heads, layer.value_dim, type);
  }
  const auto count = static_cast<std::size_t>(n_pages);
  const std::size_t memory = PhysicalMemoryBytes();
  // Linux would often promise more than there is and kill the process when it is written to.
  if (count > memory / pool->bytes_per_page_) {
    return Refuse(
        "the cache of keys and values needs {0} pages of {1} bytes, but this machine has {2} bytes "
        "of memory; ask for a shorter context or fewer sequences",
        n_pages, pool->bytes_per_page_, memory);
  }
  const std::size_t bytes = count * pool->bytes_per_page_;
  void* memory_start =
      mmap(nullptr, bytes, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
  if (memory_start == MAP_FAILED) {
    return MakeError(ErrorKind::kUnavailable,
                     "the system gives no {0} bytes for the cache of keys and values ({1} pages); "
                     "ask for a shorter context or fewer sequences",
                     bytes, n_pages);
  }
#ifdef MADV_HUGEPAGE
  madvise(memory_start, bytes, MADV_HUGEPAGE);  // only speed depends on it
#endif
  pool->memory_ = static_cast<std::byte*>(memory_start);
  pool->n_pages_ = n_pages;
  return pool;
}

KvPool::~KvPool() {
  if (memory_ != nullptr) munmap(memory_, static_cast<std::size_t>(n_pages_) * bytes_per_page_);
}

std::byte* KvPool::KeyPage(int page, int layer) const {
  TATARA_CHECK(page >= 0 && page < n_pages_);
  return memory_ + static_cast<std::size_t>(page) * bytes_per_page_ +
         key_offset_.at(static_cast<std::size_t>(layer));
}

std::byte* KvPool::ValuePage(int page, int layer) const {
  TATARA_CHECK(page >= 0 && page < n_pages_);
  return memory_ + static_cast<std::size_t>(page) * bytes_per_page_ +
         value_offset_.at(static_cast<std::size_t>(layer));
}

}  // namespace tatara::model
