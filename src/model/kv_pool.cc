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

std::size_t StateBytes(const LayerCacheShape& layer) {
  return RoundUp(static_cast<std::size_t>(layer.n_state) * sizeof(float));
}

// A page with more tokens shares its state among more of them, but a prompt is reused in whole
// pages only: 512 tokens are the end of that bargain, and state worth up to four times the keys and
// values is not worth it.
constexpr int kPageTokensMax = 512;
constexpr std::size_t kStateSharesMax = 4;

std::size_t PhysicalMemoryBytes() {
  const long pages = sysconf(_SC_PHYS_PAGES);
  const long page_bytes = sysconf(_SC_PAGESIZE);
  if (pages <= 0 || page_bytes <= 0) return kNoMemory;
  return static_cast<std::size_t>(pages) * static_cast<std::size_t>(page_bytes);
}

}  // namespace

int PageTokensFor(const std::vector<LayerCacheShape>& layers, numerics::CacheType type) {
  std::size_t tile = 0, state = 0;
  for (const LayerCacheShape& layer : layers) {
    tile += TileBytes(layer.n_kv_heads, layer.head_dim, type);
    tile += TileBytes(layer.n_kv_heads, layer.value_dim, type);
    state += StateBytes(layer);
  }
  int page_tokens = numerics::kPageTokens;
  for (std::size_t page = tile; page_tokens < kPageTokensMax && state > kStateSharesMax * page;
       page *= 2) {
    page_tokens *= 2;
  }
  return page_tokens;
}

std::size_t KvPool::BytesPerPage(const std::vector<LayerCacheShape>& layers,
                                 numerics::CacheType type, int page_tokens) {
  const auto n_tiles = static_cast<std::size_t>(page_tokens / numerics::kPageTokens);
  std::size_t bytes = 0;
  for (const LayerCacheShape& layer : layers) {
    bytes += n_tiles * TileBytes(layer.n_kv_heads, layer.head_dim, type);
    bytes += n_tiles * TileBytes(layer.n_kv_heads, layer.value_dim, type);
    bytes += StateBytes(layer);
  }
  return bytes;
}

Result<std::unique_ptr<KvPool>> KvPool::Make(std::vector<LayerCacheShape> layers,
                                             numerics::CacheType type, int n_pages,
                                             int page_tokens) {
  TATARA_CHECK(n_pages >= 1 && !layers.empty() && page_tokens >= 1 &&
               page_tokens % numerics::kPageTokens == 0);
  auto pool = std::unique_ptr<KvPool>(new KvPool);
  pool->type_ = type;
  pool->page_tokens_ = page_tokens;
  const auto n_tiles = static_cast<std::size_t>(pool->tiles_per_page());
  const auto place = [&](std::vector<std::size_t>& offsets, std::size_t part_bytes) {
    offsets.push_back(pool->bytes_per_page_);
    pool->bytes_per_page_ += part_bytes;
  };
  for (const LayerCacheShape& layer : layers) {
    TATARA_CHECK(layer.n_kv_heads >= 0 && layer.head_dim >= 0 && layer.value_dim >= 0 &&
                 layer.n_state >= 0);
    pool->key_tile_bytes_.push_back(TileBytes(layer.n_kv_heads, layer.head_dim, type));
    pool->value_tile_bytes_.push_back(TileBytes(layer.n_kv_heads, layer.value_dim, type));
    place(pool->key_offset_, n_tiles * pool->key_tile_bytes_.back());
    place(pool->value_offset_, n_tiles * pool->value_tile_bytes_.back());
    place(pool->state_offset_, StateBytes(layer));
    pool->has_state_ |= layer.n_state > 0;
  }
  TATARA_CHECK(pool->bytes_per_page_ > 0);
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
  pool->state_ends_.assign(pool->has_state_ ? count : 0, 0);
  return pool;
}

KvPool::~KvPool() {
  if (memory_ != nullptr) munmap(memory_, static_cast<std::size_t>(n_pages_) * bytes_per_page_);
}

std::byte* KvPool::Address(int page, std::size_t offset) const {
  TATARA_CHECK(page >= 0 && page < n_pages_);
  return memory_ + static_cast<std::size_t>(page) * bytes_per_page_ + offset;
}

std::byte* KvPool::KeyPage(int page, int layer, int tile) const {
  const auto i = static_cast<std::size_t>(layer);
  return Address(page, key_offset_.at(i) + static_cast<std::size_t>(tile) * key_tile_bytes_[i]);
}

std::byte* KvPool::ValuePage(int page, int layer, int tile) const {
  const auto i = static_cast<std::size_t>(layer);
  return Address(page, value_offset_.at(i) + static_cast<std::size_t>(tile) * value_tile_bytes_[i]);
}

float* KvPool::State(int page, int layer) const {
  return reinterpret_cast<float*>(Address(page, state_offset_.at(static_cast<std::size_t>(layer))));
}

}  // namespace tatara::model
