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

// A loop is published by raising `epoch`; each worker then drains items and counts itself off
// `busy`.
struct ThreadPool::Shared {
  alignas(64) std::atomic<std::uint64_t> epoch{0};
  alignas(64) std::atomic<std::int64_t> next{0};
  alignas(64) std::atomic<int> busy{0};
  alignas(64) std::int64_t n_items = 0;
  const FunctionRef<void(std::int64_t, int)>* body = nullptr;
  int spins = kSpins;
  bool stop = false;
  std::vector<std::thread> workers;

  void Drain(int thread) {
    for (std::int64_t item; (item = next.fetch_add(1, std::memory_order_relaxed)) < n_items;) {
      (*body)(item, thread);
    }
  }
};

ThreadPool::ThreadPool(int n_threads)
    : n_threads_(std::clamp(n_threads, 1, kThreadsMax)), shared_(std::make_unique<Shared>()) {
  if (n_threads_ > HardwareThreads()) shared_->spins = kSpinsOversubscribed;
  for (int t = 1; t < n_threads_; ++t) shared_->workers.emplace_back([this, t] { WorkerLoop(t); });
}

ThreadPool::~ThreadPool() {
  shared_->stop = true;
  shared_->epoch.fetch_add(1, std::memory_order_release);
  shared_->epoch.notify_all();
  for (std::thread& worker : shared_->workers) worker.join();
}

void ThreadPool::WorkerLoop(int thread) {
  SetFpEnvironment();
  std::uint64_t seen = 0;
  for (;;) {
    for (int spin = 0; shared_->epoch.load(std::memory_order_acquire) == seen; ++spin) {
      if (spin < shared_->spins) {
        Pause();
      } else {
        shared_->epoch.wait(seen, std::memory_order_acquire);
      }
    }
    ++seen;
    if (shared_->stop) return;
    shared_->Drain(thread);
    if (shared_->busy.fetch_sub(1, std::memory_order_acq_rel) == 1) shared_->busy.notify_one();
  }
}

void ThreadPool::For(std::int64_t n_items, FunctionRef<void(std::int64_t, int)> body) {
  if (n_items <= 0) return;
  const ScopedFpEnvironment environment;
  if (n_threads_ == 1 || n_items == 1) {
    for (std::int64_t item = 0; item < n_items; ++item) body(item, 0);
    return;
  }
  shared_->n_items = n_items;
  shared_->body = &body;
  shared_->next.store(0, std::memory_order_relaxed);
  shared_->busy.store(n_threads_ - 1, std::memory_order_relaxed);
  shared_->epoch.fetch_add(1, std::memory_order_release);
  shared_->epoch.notify_all();
  shared_->Drain(0);
  int left = shared_->busy.load(std::memory_order_acquire);
  for (int spin = 0; left != 0; ++spin) {
    if (spin < shared_->spins) {
      Pause();
    } else {
      shared_->busy.wait(left, std::memory_order_acquire);
    }
    left = shared_->busy.load(std::memory_order_acquire);
  }
}

int ThreadPool::HardwareThreads() {
  cpu_set_t set;
  CPU_ZERO(&set);
  if (sched_getaffinity(0, sizeof set, &set) != 0) return 1;
  return std::max(1, CPU_COUNT(&set));
}

}  // namespace tatara
