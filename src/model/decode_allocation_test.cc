// A steady decode step allocates nothing. Counts calls of operator new in this test program.

#include <gtest/gtest.h>

#include <atomic>
#include <cstdlib>
#include <filesystem>
#include <new>

#include "adapter_test_support.h"
#include "model_test_support.h"
#include "test_support.h"

namespace {

std::atomic<long> allocations{0};

// Null where there is no memory.
void* CountedOrNull(std::size_t bytes, std::size_t alignment) noexcept {
  allocations.fetch_add(1, std::memory_order_relaxed);
  const std::size_t rounded = (bytes + alignment - 1) / alignment * alignment;
  return std::aligned_alloc(alignment, rounded == 0 ? alignment : rounded);
}

void* Counted(std::size_t bytes, std::size_t alignment) {
  void* p = CountedOrNull(bytes, alignment);
  if (p == nullptr) throw std::bad_alloc();
  return p;
}

}  // namespace

// All forms, those that return null as well (std::stable_sort's buffer is taken so): sanitizers put
// their own in the place of a form that is not replaced, which does not fit the delete below.
void* operator new(std::size_t n) {
  return Counted(n, alignof(std::max_align_t));
}
void* operator new[](std::size_t n) {
  return Counted(n, alignof(std::max_align_t));
}
void* operator new(std::size_t n, std::align_val_t a) {
  return Counted(n, std::size_t(a));
}
void* operator new[](std::size_t n, std::align_val_t a) {
  return Counted(n, std::size_t(a));
}
void* operator new(std::size_t n, const std::nothrow_t&) noexcept {
  return CountedOrNull(n, alignof(std::max_align_t));
}
void* operator new[](std::size_t n, const std::nothrow_t&) noexcept {
  return CountedOrNull(n, alignof(std::max_align_t));
}
void* operator new(std::size_t n, std::align_val_t a, const std::nothrow_t&) noexcept {
  return CountedOrNull(n, std::size_t(a));
}
void* operator new[](std::size_t n, std::align_val_t a, const std::nothrow_t&) noexcept {
  return CountedOrNull(n, std::size_t(a));
}
void operator delete(void* p) noexcept {
  std::free(p);
}
void operator delete[](void* p) noexcept {
  std::free(p);
}
void operator delete(void* p, std::size_t) noexcept {
  std::free(p);
}
void operator delete[](void* p, std::size_t) noexcept {
  std::free(p);
}
void operator delete(void* p, std::align_val_t) noexcept {
  std::free(p);
}
void operator delete[](void* p, std::align_val_t) noexcept {
  std::free(p);
}
void operator delete(void* p, std::size_t, std::align_val_t) noexcept {
  std::free(p);
}
void operator delete[](void* p, std::size_t, std::align_val_t) noexcept {
  std::free(p);
}
void operator delete(void* p, const std::nothrow_t&) noexcept {
  std::free(p);
}
void operator delete[](void* p, const std::nothrow_t&) noexcept {
  std::free(p);
}
void operator delete(void* p, std::align_val_t, const std::nothrow_t&) noexcept {
  std::free(p);
}
void operator delete[](void* p, std::align_val_t, const std::nothrow_t&) noexcept {
  std::free(p);
}

namespace tatara::model {
namespace {

TEST(DecodeStep, AllocatesNothing) {
  for (const char* architecture : {"llama", "qwen2", "gemma3", "qwen3moe"}) {
    for (const auto activations : {numerics::Activations::kInt8, numerics::Activations::kF32}) {
      ThreadPool pool(2);
      auto model = Model::Load(test::TinyModel(architecture), {.activations = activations}, pool);
      ASSERT_TRUE(model.ok()) << model.error().text();
      auto kv = KvPool::Make((*model)->info().cache, (*model)->cache_type(), 8);
      ASSERT_TRUE(kv.ok());
      // Two sequences, each a token a pass, that cross a page on their way. What is in the pages
      // before the first of them does not matter here.
      const std::vector<int> pages_a = {0, 1, 2}, pages_b = {5, 4, 3};
      const std::vector<std::int32_t> row = {0};
      const auto file = test::RandomAdapter(**model, {.dora = true});
      const auto adapter = Adapter::Make(file, **model, 1, pool);
      ASSERT_TRUE(adapter.ok());
      std::vector<float> logits(2 * static_cast<std::size_t>((*model)->info().n_vocab));
      long before = 0;
      for (std::int64_t step = 60; step < 76; ++step) {
        if (step == 62) before = allocations.load();
        const std::int32_t token = static_cast<std::int32_t>(step % 40);
        const SequenceSlice slices[2] = {{{&token, 1}, step, pages_a, row},
                                         {{&token, 1}, step, pages_b, row, adapter->get()}};
        (*model)->Forward(slices, **kv, pool, logits);
      }
      EXPECT_EQ(allocations.load() - before, 0)
          << architecture << (activations == numerics::Activations::kInt8 ? " int8" : " f32");
    }
  }
}

// The same for every architecture of the data, whose sequences have really come so far.
TEST(DecodeStepOfArchitectures, AllocatesNothing) {
  TATARA_REQUIRE_DATA(folder, "golden/arch");
  ThreadPool pool(2);
  for (const auto& entry : std::filesystem::directory_iterator(folder)) {
    if (entry.path().extension() != ".gguf") continue;
    auto opened = weights::OpenTensorStore(entry.path());
    ASSERT_TRUE(opened.ok()) << opened.error().text();
    auto model = Model::Load(std::move(*opened), {}, pool);
    if (!model.ok()) continue;  // an encoder
    const ModelInfo& info = (*model)->info();
    auto kv = KvPool::Make(info.cache, (*model)->cache_type(), 8, info.page_tokens);
    ASSERT_TRUE(kv.ok());
    const std::vector<int> pages_a = {0, 1, 2}, pages_b = {5, 4, 3};
    const std::vector<std::int32_t> row = {0};
    std::vector<float> logits(2 * static_cast<std::size_t>(info.n_vocab));
    const std::int64_t n_prompt = info.page_tokens - 4;
    const std::vector<std::int32_t> prompt(static_cast<std::size_t>(n_prompt), 7);
    const SequenceSlice prompts[2] = {{prompt, 0, pages_a, {}}, {prompt, 0, pages_b, {}}};
    (*model)->Forward(prompts, **kv, pool, {});
    long before = 0;
    for (std::int64_t step = n_prompt; step < n_prompt + 16; ++step) {
      if (step == n_prompt + 2) before = allocations.load();
      const std::int32_t token = static_cast<std::int32_t>(step % 200);
      const SequenceSlice slices[2] = {{{&token, 1}, step, pages_a, row},
                                       {{&token, 1}, step, pages_b, row}};
      (*model)->Forward(slices, **kv, pool, logits);
    }
    EXPECT_EQ(allocations.load() - before, 0) << entry.path().stem();
  }
}

}  // namespace
}  // namespace tatara::model
