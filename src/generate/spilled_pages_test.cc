// Prefixes that went to disk and came back, through the engine.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <fstream>

#include "batch_engine.h"
#include "fake_model.h"
#include "test_support.h"

namespace tatara::generate {
namespace {

namespace fs = std::filesystem;
using test::FakeEngine;
using test::FakePrompt;
using test::MakeFakeEngine;

EngineOptions Spilling(const fs::path& folder) {
  EngineOptions options{.context_tokens = 1024, .cache_tokens = 1024};
  options.spill_dir = folder;
  options.model_sha256 = "fake";
  return options;
}

Request Of(std::uint64_t seed, std::size_t n_prompt, std::string scope = {}) {
  Request request{.prompt = FakePrompt(seed, n_prompt), .tokens_max = 4, .ignore_end = true};
  request.digest_logits = true;
  request.cache_scope = std::move(scope);
  return request;
}

int CountPages(const fs::path& folder) {
  int n = 0;
  for (const auto& entry : fs::recursive_directory_iterator(folder)) {
    n += entry.path().extension() == ".page";
  }
  return n;
}

TEST(SpilledPages, AnEvictedPrefixComesBackFromDiskWithTheSameLogits) {
  const tatara::test::ScratchDir scratch;
  FakeEngine fake = MakeFakeEngine(Spilling(scratch.path()));
  ASSERT_TRUE(fake.engine->facts().spills);
  const Completion cold = *fake.engine->Generate(Of(1, 700));
  ASSERT_TRUE(fake.engine->Generate(Of(2, 900)).ok());  // takes the memory
  EXPECT_GT(fake.engine->counters().pages_evicted, 5);
  fake.engine->WaitForSpill();
  const std::int64_t computed = fake.engine->counters().tokens_computed;
  const Completion warm = *fake.engine->Generate(Of(1, 700));
  EXPECT_EQ(warm.token_ids, cold.token_ids);
  EXPECT_EQ(warm.logits_sha256, cold.logits_sha256);
  EXPECT_EQ(warm.cached_tokens, 640);
  EXPECT_EQ(fake.engine->counters().tokens_computed - computed, 700 - 640 + 3);
  EXPECT_GE(fake.engine->counters().pages_restored, 6);
}

TEST(SpilledPages, ARestartOfTheSameModelFindsThemAnotherModelDoesNot) {
  const tatara::test::ScratchDir scratch;
  Completion cold;
  {
    FakeEngine fake = MakeFakeEngine(Spilling(scratch.path()));
    cold = *fake.engine->Generate(Of(1, 700));
  }
  EXPECT_EQ(CountPages(scratch.path()), 10) << "what memory held goes to disk at the end";
  {
    EngineOptions options = Spilling(scratch.path());
    options.model_sha256 = "another";
    FakeEngine other = MakeFakeEngine(options);
    EXPECT_EQ(other.engine->Generate(Of(1, 700))->cached_tokens, 0);
  }
  FakeEngine fake = MakeFakeEngine(Spilling(scratch.path()));
  const Completion warm = *fake.engine->Generate(Of(1, 700));
  EXPECT_EQ(warm.cached_tokens, 640);
  EXPECT_EQ(warm.logits_sha256, cold.logits_sha256);
  EXPECT_EQ(fake.engine->counters().pages_restored, 10);
}

TEST(SpilledPages, AChangedFileIsComputedAgain) {
  const tatara::test::ScratchDir scratch;
  Completion cold;
  {
    FakeEngine fake = MakeFakeEngine(Spilling(scratch.path()));
    cold = *fake.engine->Generate(Of(1, 700));
  }
  for (const auto& entry : fs::recursive_directory_iterator(scratch.path())) {
    if (entry.path().extension() != ".page") continue;
    std::fstream file(entry.path(), std::ios::in | std::ios::out | std::ios::binary);
    file.seekp(140);
    file.put('x');
  }
  FakeEngine fake = MakeFakeEngine(Spilling(scratch.path()));
  const Completion again = *fake.engine->Generate(Of(1, 700));
  EXPECT_EQ(again.cached_tokens, 0);
  EXPECT_EQ(again.logits_sha256, cold.logits_sha256);
  EXPECT_GT(fake.engine->counters().spill_rejected, 0);
}

TEST(SpilledPages, AnotherTenantDoesNotFindThem) {
  const tatara::test::ScratchDir scratch;
  {
    FakeEngine fake = MakeFakeEngine(Spilling(scratch.path()));
    ASSERT_TRUE(fake.engine->Generate(Of(1, 700, "tenant a")).ok());
  }
  FakeEngine fake = MakeFakeEngine(Spilling(scratch.path()));
  EXPECT_EQ(fake.engine->Generate(Of(1, 700, "tenant b"))->cached_tokens, 0);
  EXPECT_EQ(fake.engine->counters().pages_restored, 0);
  EXPECT_EQ(fake.engine->Generate(Of(1, 700, "tenant a"))->cached_tokens, 640);
}

TEST(SpilledPages, AForgottenTenantLeavesNothingInMemoryAndOnDisk) {
  const tatara::test::ScratchDir scratch;
  FakeEngine fake = MakeFakeEngine(Spilling(scratch.path()));
  ASSERT_TRUE(fake.engine->Generate(Of(1, 700, "tenant a")).ok());
  ASSERT_TRUE(fake.engine->Generate(Of(2, 300, "tenant b")).ok());
  bool done = false;
  Request runs = Of(3, 300, "tenant a");
  runs.tokens_max = 100;
  ASSERT_TRUE(fake.engine->Submit(runs, {}, [&](auto) { done = true; }).ok());
  for (int i = 0; i < 20; ++i) fake.engine->Step();
  fake.engine->ForgetScope("tenant a");
  while (fake.engine->Step()) {
  }
  EXPECT_TRUE(done);
  fake.engine->WaitForSpill();
  EXPECT_EQ(fake.engine->counters().pages_cached, 4) << "those of tenant b";
  EXPECT_EQ(fake.engine->counters().pages_in_use, 0);
  EXPECT_EQ(fake.engine->counters().pages_on_disk, CountPages(scratch.path()));
  EXPECT_EQ(fake.engine->Generate(Of(1, 700, "tenant a"))->cached_tokens, 0);
  EXPECT_EQ(fake.engine->Generate(Of(3, 300, "tenant a"))->cached_tokens, 0);
}

TEST(SpilledPages, AFolderThatIsInUseIsDoneWithout) {
  const tatara::test::ScratchDir scratch;
  FakeEngine first = MakeFakeEngine(Spilling(scratch.path()));
  FakeEngine second = MakeFakeEngine(Spilling(scratch.path()));
  EXPECT_FALSE(second.engine->facts().spills);
  EXPECT_EQ(second.engine->Generate(Of(1, 700))->token_ids,
            first.engine->Generate(Of(1, 700))->token_ids);
}

}  // namespace
}  // namespace tatara::generate
