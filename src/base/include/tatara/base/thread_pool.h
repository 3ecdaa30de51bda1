// A fixed set of threads that run one parallel loop at a time. Loops split outputs, never a chain
// of floating-point operations, so a result does not depend on the number of threads or on who ran
// what.
//
// Every thread, the caller's included, has the contract's floating-point environment
// (fp_environment.h) inside a loop. Workers spin for a short time between loops, then sleep. Thread
// safety: one caller at a time per pool; loop bodies must not call the same pool.
#pragma once

#include <cstdint>
#include <functional>
#include <memory>
#include <type_traits>

namespace tatara {

// A borrowed callable: no allocation, valid for the duration of the call it is passed to.
template <typename Signature>
class FunctionRef;
template <typename R, typename... Args>
class FunctionRef<R(Args...)> {
 public:
  template <typename F>
    requires(!std::is_same_v<std::remove_cvref_t<F>, FunctionRef>)
  FunctionRef(F&& f)  // NOLINT: implicit on purpose
      : object_(const_cast<void*>(static_cast<const void*>(&f))),
        call_([](void* object, Args... args) -> R {
          return (*static_cast<std::remove_reference_t<F>*>(object))(static_cast<Args>(args)...);
        }) {}
  R operator()(Args... args) const { return call_(object_, static_cast<Args>(args)...); }

 private:
  void* object_;
  R (*call_)(void*, Args...);
};

class ThreadPool {
 public:
  static constexpr int kThreadsMax = 256;

  // `n_threads` counts the caller, who works too; 1 starts no thread. Clamped to 1..kThreadsMax.
  explicit ThreadPool(int n_threads);
  ~ThreadPool();
  ThreadPool(const ThreadPool&) = delete;
  ThreadPool& operator=(const ThreadPool&) = delete;

  int n_threads() const { return n_threads_; }

  // Calls body(item, thread) once for every item in [0, n_items), thread in [0, n_threads()). Each
  // thread has a share of neighbouring items, the same in every loop of that many items, so that
  // what it wrote in one loop is near when it reads in the next; who has finished takes from the
  // others' shares. Items are taken one at a time (some
  // where a share has more than 65,535), so cut the work into pieces of some
  // microseconds. Returns when all are done.
  void For(std::int64_t n_items, FunctionRef<void(std::int64_t item, int thread)> body);

  // Hardware threads this process may run on.
  static int HardwareThreads();

 private:
  struct Shared;
  void WorkerLoop(int thread);
  int n_threads_;
  std::unique_ptr<Shared> shared_;
};

}  // namespace tatara
