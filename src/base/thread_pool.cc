#include "tatara/base/thread_pool.h"

#include <sched.h>

#include <algorithm>
#include <atomic>
#include <chrono>
#include <thread>
#include <vector>

#include "tatara/base/check.h"
#include "tatara/base/fp_environment.h"

#if defined(__x86_64__)
#include <emmintrin.h>
#endif

namespace tatara {
namespace {

void Pause() {
#if defined(__x86_64__)
  _mm_pause();
#endif
}

// Between the loops of one forward pass lie some microseconds: long enough a spin to bridge them,
// short enough not to burn a core that someone else could use. Where threads outnumber processors a
// spinning thread only keeps the one it waits for from running, so there the spin is short.
constexpr int kSpins = 20'000;
constexpr int kSpinsOversubscribed = 50;

}  // namespace

// One word says all about the loop: its number, whether it is open, and how many workers are in it.
// A worker enters an open loop by counting itself in. The caller closes the loop when no item is
// left and waits for those inside alone: a worker that another process keeps off its processor is
// not missed, it only has not helped.
namespace gate {
constexpr std::uint32_t kInside = 0xFFF;     // mask of the count
constexpr std::uint32_t kOpen = 0x1000;      // the loop takes workers
constexpr std::uint32_t kNextLoop = 0x2000;  // the number, which may wrap
static_assert(ThreadPool::kThreadsMax < kInside);

std::uint32_t Number(std::uint32_t word) {
  return word & ~(kInside | kOpen);
}
}  // namespace gate

// How far a thread's share of a loop is taken, in one word with the number of that loop: what an
// earlier loop has left there means that nothing is taken, so no loop has to reset the words, which
// lie in the caches of other cores.
namespace taken {
constexpr int kCountBits = 16;
constexpr std::uint64_t kCountMax = (1 << kCountBits) - 1;
constexpr std::uint64_t kLoopMask = ~std::uint64_t{0} >> kCountBits;

std::uint64_t Word(std::uint64_t loop, std::uint64_t count) {
  return loop << kCountBits | count;
}
std::uint64_t Count(std::uint64_t word, std::uint64_t loop) {
  return word >> kCountBits == loop ? word & kCountMax : 0;
}
}  // namespace taken

struct ThreadPool::Shared {
  struct alignas(64) Share {
    std::atomic<std::uint64_t> taken{0};
  };

  alignas(64) std::atomic<std::uint32_t> word{0};
  alignas(64) std::int64_t n_items = 0;
  std::uint64_t loop = 0;  // a number of 48 bits
  const FunctionRef<void(std::int64_t, int)>* body = nullptr;
  int spins = kSpins;
  std::atomic<bool> stop{false};
  std::vector<Share> shares;  // one a thread
  std::vector<std::thread> workers;

  // Where the share of a thread begins; the shares differ by at most one item, the first is
  // largest.
  std::int64_t ShareBegin(std::int64_t thread) const {
    const std::int64_t n = std::ssize(shares);
    return n_items / n * thread + std::min(n_items % n, thread);
  }

  // Runs what is left of the share of `owner`, a piece at a time.
  void DrainShare(std::int64_t owner, int thread) {
    const std::int64_t begin = ShareBegin(owner), end = ShareBegin(owner + 1);
    const auto limit = static_cast<std::int64_t>(taken::kCountMax);
    const std::int64_t piece = (end - begin + limit - 1) / limit;  // 1 but for very many items
    std::atomic<std::uint64_t>& word_of_share = shares[static_cast<std::size_t>(owner)].taken;
    std::uint64_t now = word_of_share.load(std::memory_order_relaxed);
    for (;;) {
      const std::uint64_t count = taken::Count(now, loop);
      const std::int64_t first = begin + static_cast<std::int64_t>(count) * piece;
      if (first >= end) return;
      const std::uint64_t next = taken::Word(loop, count + 1);
      if (!word_of_share.compare_exchange_weak(now, next, std::memory_order_relaxed)) continue;
      now = next;
      for (std::int64_t item = first; item < std::min(first + piece, end); ++item) {
        (*body)(item, thread);
      }
    }
  }

  // Its own share first, then those of the others, which may be late.
  void Drain(int thread) {
    const std::int64_t n = std::ssize(shares);
    for (std::int64_t i = 0; i < n; ++i) DrainShare((thread + i) % n, thread);
  }

  // Spins, then sleeps, until `wanted` holds for the word; returns it.
  template <typename Wanted>
  std::uint32_t WaitFor(Wanted wanted) {
    for (int spin = 0;; ++spin) {
      const std::uint32_t now = word.load(std::memory_order_acquire);
      if (wanted(now)) return now;
      if (spin < spins) {
        Pause();
      } else {
        word.wait(now, std::memory_order_acquire);
      }
    }
  }
};

ThreadPool::ThreadPool(int n_threads)
    : n_threads_(std::clamp(n_threads, 1, kThreadsMax)), shared_(std::make_unique<Shared>()) {
  if (n_threads_ > HardwareThreads()) shared_->spins = kSpinsOversubscribed;
  shared_->shares = std::vector<Shared::Share>(static_cast<std::size_t>(n_threads_));
  for (int t = 1; t < n_threads_; ++t) shared_->workers.emplace_back([this, t] { WorkerLoop(t); });
}

ThreadPool::~ThreadPool() {
  shared_->stop.store(true, std::memory_order_relaxed);
  shared_->word.fetch_add(gate::kNextLoop, std::memory_order_release);
  shared_->word.notify_all();
  for (std::thread& worker : shared_->workers) worker.join();
}

void ThreadPool::WorkerLoop(int thread) {
  SetFpEnvironment();
  Shared& shared = *shared_;
  std::uint32_t seen = 0;  // the last loop's number; the first one is not 0
  for (;;) {
    std::uint32_t word = shared.WaitFor([&](std::uint32_t now) {
      return gate::Number(now) != seen &&
             ((now & gate::kOpen) != 0 || shared.stop.load(std::memory_order_relaxed));
    });
    if (shared.stop.load(std::memory_order_relaxed)) return;
    if (!shared.word.compare_exchange_weak(word, word + 1, std::memory_order_acquire,
                                           std::memory_order_relaxed)) {
      continue;  // another entered, or it was closed
    }
    seen = gate::Number(word);
    shared.Drain(thread);
    const std::uint32_t left = shared.word.fetch_sub(1, std::memory_order_acq_rel) - 1;
    if ((left & (gate::kInside | gate::kOpen)) == 0) shared.word.notify_all();  // the caller waits
  }
}

void ThreadPool::For(std::int64_t n_items, FunctionRef<void(std::int64_t, int)> body) {
  if (n_items <= 0) return;
  const ScopedFpEnvironment environment;
  if (n_threads_ == 1 || n_items == 1) {
    for (std::int64_t item = 0; item < n_items; ++item) body(item, 0);
    return;
  }
  Shared& shared = *shared_;
  shared.n_items = n_items;
  shared.body = &body;
  shared.loop = (shared.loop + 1) & taken::kLoopMask;
  // Closed and empty here, so that only the number changes and the gate opens.
  shared.word.fetch_add(gate::kNextLoop + gate::kOpen, std::memory_order_release);
  shared.word.notify_all();
  shared.Drain(0);
  shared.word.fetch_and(~gate::kOpen, std::memory_order_acq_rel);
  shared.WaitFor([](std::uint32_t now) { return (now & gate::kInside) == 0; });
}

int ThreadPool::HardwareThreads() {
  cpu_set_t set;
  CPU_ZERO(&set);
  if (sched_getaffinity(0, sizeof set, &set) != 0) return 1;
  return std::max(1, CPU_COUNT(&set));
}

}  // namespace tatara
