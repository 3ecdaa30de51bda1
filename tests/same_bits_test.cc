// The promise that everything else stands on: one request, one SHA-256 over all its logits, whether
// it runs alone or among seven others, whatever the chunk size, the state of the prefix cache, the
// instruction set, the number of threads, and however little memory there is.
//
// The digest of a run covers the logits of every sampled position. That the runs really differed in
// how they were computed is asserted by the engine's counters.

#include <gtest/gtest.h>

#include <algorithm>
#include <set>
#include <string>
#include <vector>

#include "arch_models.h"
#include "quantised_models.h"
#include "tatara/base/files.h"
#include "tatara/base/philox.h"
#include "tatara/base/sha256.h"
#include "tatara/generate/engine.h"
#include "tatara/numerics/digest.h"
#include "tatara/numerics/isa.h"
#include "test_support.h"

namespace tatara::test {
namespace {

using generate::Completion;
using generate::Engine;
using generate::EngineCounters;
using generate::EngineOptions;
using generate::Request;
using numerics::Isa;

struct Setting {
  Isa isa = Isa::kScalar;
  int n_threads = 1;
  int chunk_tokens = 512;
  bool in_batch = false;
  bool warm = false;
  std::int64_t cache_tokens = 0;
};

std::ostream& operator<<(std::ostream& out, const Setting& s) {
  return out << numerics::IsaName(s.isa) << ", " << s.n_threads << " threads, chunks of "
             << s.chunk_tokens << (s.in_batch ? ", among others" : ", alone")
             << (s.warm ? ", warm" : ", cold") << ", cache " << s.cache_tokens;
}

// Sizes of the runs on one model.
struct Plan {
  std::filesystem::path path;
  int n_prompt = 0;
  int n_generated = 0;
  int n_prompt_others = 0;     // at most
  int n_generated_others = 0;  // at most
  std::int64_t context_tokens = 0;
  bool f32 = false;
  bool has_tokenizer = true;
};

// Puts the instruction set back at the end of a test.
class ScopedIsa {
 public:
  ScopedIsa() : before_(numerics::ActiveIsa()) {}
  ~ScopedIsa() { numerics::SetActiveIsa(before_); }

 private:
  Isa before_;
};

std::vector<std::int32_t> RandomTokens(const Engine& engine, std::uint32_t stream, int n) {
  std::vector<std::int32_t> ids;
  for (int i = 0; i < n; ++i) {
    const auto words = RandomWords({.seed = 2026,
                                    .purpose = RandomPurpose::kTest,
                                    .choice = stream,
                                    .position = static_cast<std::uint64_t>(i)});
    ids.push_back(
        static_cast<std::int32_t>(words[0] % static_cast<std::uint32_t>(engine.facts().n_vocab)));
  }
  return ids;
}

Request TheRequest(const Engine& engine, const Plan& plan) {
  return {.prompt = RandomTokens(engine, 0, plan.n_prompt),
          .sampling = {.temperature = 0.8, .top_p = 0.95, .repetition_penalty = 1.1, .seed = 7},
          .tokens_max = plan.n_generated,
          .ignore_end = true,
          .digest_logits = true};
}

// Others of many kinds: other lengths, the same start of the prompt, greedy and not.
Request AnotherRequest(const Engine& engine, const Plan& plan, int index) {
  Request r{.prompt = RandomTokens(engine, static_cast<std::uint32_t>(index),
                                   1 + plan.n_prompt_others * index / 7),
            .tokens_max = std::max(1, plan.n_generated_others - index),
            .ignore_end = true};
  if (index % 3 == 0) {
    const auto start = RandomTokens(engine, 0, plan.n_prompt);
    const std::size_t n_common = std::min({start.size(), r.prompt.size(), std::size_t{70}});
    std::copy_n(start.begin(), n_common, r.prompt.begin());
  }
  if (index % 2 == 0)
    r.sampling = {.temperature = 1.2, .top_k = 30, .seed = static_cast<std::uint64_t>(index)};
  return r;
}

struct RunResult {
  Completion completion;
  EngineCounters before, after;
};

// Runs the request, alone or as the fourth of eight.
RunResult RunOnce(Engine& engine, const Plan& plan, bool in_batch) {
  RunResult out;
  out.before = engine.counters();
  const auto submit = [&](Request request, bool is_the_one) {
    const auto id =
        engine.Submit(std::move(request), {}, [&out, is_the_one](Result<Completion> result) {
          ASSERT_TRUE(result.ok()) << result.error().text();
          if (is_the_one) out.completion = std::move(result).value();
        });
    ASSERT_TRUE(id.ok()) << id.error().text();
  };
  for (int i = 1; i <= 7 && in_batch; ++i) {
    if (i == 4) submit(TheRequest(engine, plan), true);
    submit(AnotherRequest(engine, plan, i), false);
  }
  if (!in_batch) submit(TheRequest(engine, plan), true);
  while (engine.Step()) {
  }
  out.after = engine.counters();
  return out;
}

std::int64_t PromptTokens(const Engine& engine, const Plan& plan, bool in_batch) {
  std::int64_t n = plan.n_prompt;
  for (int i = 1; i <= 7 && in_batch; ++i) {
    n += static_cast<std::int64_t>(AnotherRequest(engine, plan, i).prompt.size());
  }
  return n;
}

// A loop over sequences would take a pass for every token of every sequence.
void CheckPasses(const Engine& engine, const Plan& plan, const Setting& s, const RunResult& run) {
  const std::int64_t n_chunks =
      (PromptTokens(engine, plan, s.in_batch) + s.chunk_tokens - 1) / s.chunk_tokens;
  const std::int64_t n_longest =
      std::max(plan.n_generated, s.in_batch ? plan.n_generated_others : 0);
  const std::int64_t n_passes = run.after.passes - run.before.passes;
  // A prompt that waits for another's pages, or ends inside a chunk, may add a pass each.
  EXPECT_LE(n_passes, n_chunks + n_longest + 16) << s;
  EXPECT_GE(n_passes, plan.n_generated) << s;
  if (s.in_batch && s.cache_tokens == 0) {
    // With fewer prompt tokens in a pass than sequences, not all of them are in the first pass.
    EXPECT_GE(run.after.pass_sequences_most, std::clamp(s.chunk_tokens, 2, 8)) << s;
    EXPECT_GE(run.after.tokens_generated - run.before.tokens_generated, plan.n_generated + 7) << s;
  }
}

// The digest of the request under a setting, on an engine of its own.
std::string DigestOf(const Plan& plan, const Setting& s) {
  numerics::SetActiveIsa(s.isa);
  auto opened =
      Engine::Open(plan.path.string(),
                   {.n_threads = s.n_threads,
                    .f32_activations = plan.f32,
                    .context_tokens = plan.context_tokens,
                    .cache_tokens = s.cache_tokens != 0 ? s.cache_tokens : 9 * plan.context_tokens,
                    .chunk_tokens = s.chunk_tokens,
                    .tokenizer_optional = !plan.has_tokenizer});
  if (!opened.ok()) {
    ADD_FAILURE() << opened.error().text();
    return {};
  }
  Engine& engine = **opened;
  if (s.warm) {
    const RunResult first = RunOnce(engine, plan, false);
    EXPECT_EQ(first.completion.cached_tokens, 0);
  }
  const RunResult run = RunOnce(engine, plan, s.in_batch);
  EXPECT_EQ(run.completion.token_ids.size(), static_cast<std::size_t>(plan.n_generated)) << s;
  // In a batch another request with the same start may have come first.
  if (s.warm || !s.in_batch) {
    EXPECT_EQ(run.completion.cached_tokens, s.warm ? (plan.n_prompt - 1) / 64 * 64 : 0) << s;
  }
  CheckPasses(engine, plan, s, run);
  EXPECT_EQ(run.after.pages_in_use, 0) << s;
  return run.completion.logits_sha256;
}

class TinyModels : public ::testing::TestWithParam<const char*> {
 protected:
  Plan MakePlan() const {
    return {.path = DataDir() / "golden/arch" / (std::string(GetParam()) + ".gguf"),
            .n_prompt = 186,
            .n_generated = 10,
            .n_prompt_others = 70,
            .n_generated_others = 9,
            .context_tokens = 256};
  }
};

TEST_P(TinyModels, OneDigestOverTheWholeGrid) {
  TATARA_REQUIRE_DATA(folder, "golden/arch");
  const ScopedIsa isa_back;
  const Plan plan = MakePlan();
  const std::string expected = DigestOf(plan, {});
  ASSERT_EQ(expected.size(), 64u);
  RecordProperty("logits_sha256", expected);
  int n_runs = 0;
  std::set<Isa> ran;
  for (const Isa isa : numerics::AvailableIsas()) {
    for (int n_threads = 1; n_threads <= 4; ++n_threads) {
      for (const int chunk_tokens : {1, 7, 64, 512}) {
        for (const int kind : {0, 1, 2, 3}) {
          const Setting s{isa, n_threads, chunk_tokens, kind % 2 == 1, kind / 2 == 1};
          ASSERT_EQ(DigestOf(plan, s), expected) << s;
          ran.insert(numerics::ActiveIsa());
          ++n_runs;
        }
      }
    }
  }
  EXPECT_EQ(ran.size(), numerics::AvailableIsas().size()) << "an instruction set was not exercised";
  EXPECT_EQ(n_runs, static_cast<int>(numerics::AvailableIsas().size()) * 64);
}

TEST_P(TinyModels, F32ActivationsHaveOneDigestToo) {
  TATARA_REQUIRE_DATA(folder, "golden/arch");
  const ScopedIsa isa_back;
  Plan plan = MakePlan();
  plan.f32 = true;
  const std::string expected = DigestOf(plan, {});
  for (const Isa isa : numerics::AvailableIsas()) {
    ASSERT_EQ(DigestOf(plan, {isa, 2, 7, true, false}), expected);
    ASSERT_EQ(DigestOf(plan, {isa, 3, 64, true, true}), expected);
  }
}

// Memory for four to eight pages, and eight requests that need eighteen: they take it from one
// another.
TEST_P(TinyModels, EvictionAndPreemptionChangeNoBit) {
  TATARA_REQUIRE_DATA(folder, "golden/arch");
  Plan plan = MakePlan();
  const std::string expected = DigestOf(plan, {numerics::ActiveIsa()});
  plan.n_generated_others = 80;  // they grow over a page's end after they were let in
  std::int64_t preemptions = 0;
  for (const std::int64_t cache_tokens : {256, 320, 512}) {
    auto engine = Engine::Open(plan.path.string(),
                               {.n_threads = 2, .cache_tokens = cache_tokens, .chunk_tokens = 33});
    ASSERT_TRUE(engine.ok()) << engine.error().text();
    for (int round = 0; round < 3; ++round) {
      const RunResult run = RunOnce(**engine, plan, true);
      ASSERT_EQ(run.completion.logits_sha256, expected)
          << "cache of " << cache_tokens << ", round " << round;
    }
    const EngineCounters& c = (*engine)->counters();
    EXPECT_GT(c.pages_evicted, 0) << cache_tokens;
    EXPECT_EQ(c.pages_in_use, 0);
    preemptions += c.preemptions;
  }
  EXPECT_GT(preemptions, 0);
}

// Every position's logits, not only those where a token is sampled.
TEST_P(TinyModels, AllPositionsHaveOneDigestForEveryChunkSize) {
  TATARA_REQUIRE_DATA(folder, "golden/arch");
  const ScopedIsa isa_back;
  const Plan plan = MakePlan();
  std::set<std::string> digests;
  for (const Isa isa : numerics::AvailableIsas()) {
    numerics::SetActiveIsa(isa);
    for (const int chunk_tokens : {1, 7, 64, 512}) {
      auto engine = Engine::Open(plan.path.string(),
                                 {.n_threads = 1 + chunk_tokens % 4, .chunk_tokens = chunk_tokens});
      ASSERT_TRUE(engine.ok()) << engine.error().text();
      const auto tokens = RandomTokens(**engine, 0, 256);
      const auto all = (*engine)->AllLogits(tokens);
      ASSERT_TRUE(all.ok()) << all.error().text();
      digests.insert(numerics::F32Sha256(*all));
      // The last of them is what Logits gives, cold and warm.
      const std::vector<float> last(all->end() - (*engine)->facts().n_vocab, all->end());
      ASSERT_EQ(*(*engine)->Logits(tokens), last);
      ASSERT_EQ(*(*engine)->Logits(tokens), last);
      EXPECT_GT((*engine)->counters().prefix_hits, 0);
    }
  }
  EXPECT_EQ(digests.size(), 1u);
}

INSTANTIATE_TEST_SUITE_P(Models, TinyModels,
                         ::testing::Values("llama", "qwen2", "gemma3", "llama_q8_0", "qwen35"),
                         [](const auto& info) { return std::string(info.param); });

// The same promise for every other architecture, over part of the grid: each chunk size, each
// instruction set and each number of threads meets alone and in a batch, cold and warm.
class EveryTinyModel : public TinyModels {};

TEST_P(EveryTinyModel, OneDigestOverPartOfTheGrid) {
  TATARA_REQUIRE_DATA(folder, "golden/arch");
  const ScopedIsa isa_back;
  Plan plan = MakePlan();
  for (const bool f32 : {false, true}) {
    plan.f32 = f32;
    const std::string expected = DigestOf(plan, {});
    ASSERT_EQ(expected.size(), 64U);
    int turn = 0;
    for (const Isa isa : numerics::AvailableIsas()) {
      for (const int chunk_tokens : {1, 7, 64, 512}) {
        if (chunk_tokens == 1 && isa == Isa::kScalar) continue;
        ++turn;
        const Setting s{isa, 1 + turn % 4, chunk_tokens, turn % 2 == 1, turn / 2 % 2 == 1};
        ASSERT_EQ(DigestOf(plan, s), expected) << s;
      }
    }
  }
}

INSTANTIATE_TEST_SUITE_P(Models, EveryTinyModel, ::testing::ValuesIn(kDecoderModels),
                         [](const auto& info) {
                           std::string name = info.param;
                           for (char& c : name) c = c == '-' ? '_' : c;
                           return name;
                         });

struct WeightTypeHashes {
  std::string_view type;
  const char* int8;
  const char* f32;
};
constexpr WeightTypeHashes kWeightTypeHashes[] = {
#include "weight_type_hashes.inc"
};

// And for every type of weights, over the same part of the grid; the digests are pinned, so that
// one machine's hold on another.
class EveryWeightType : public ::testing::TestWithParam<StoredType> {};

TEST_P(EveryWeightType, OneDigestOverPartOfTheGrid) {
  const ScopedIsa isa_back;
  const ScratchDir scratch;
  Plan plan{.path = scratch.path() / "model.gguf",
            .n_prompt = 150,
            .n_generated = 6,
            .n_prompt_others = 70,
            .n_generated_others = 5,
            .context_tokens = 256,
            .has_tokenizer = false};
  ASSERT_TRUE(WriteFileAtomically(plan.path, QuantisedLlama(GetParam())).ok());
  const std::string_view type = numerics::TraitsOf(GetParam().dtype).name;
  std::array<std::string, 2> of_paths;
  for (const bool f32 : {false, true}) {
    plan.f32 = f32;
    const std::string expected = DigestOf(plan, {});
    ASSERT_EQ(expected.size(), 64U);
    of_paths[f32 ? 1 : 0] = expected;
    int turn = 0;
    for (const Isa isa : numerics::AvailableIsas()) {
      for (const int chunk_tokens : {1, 7, 64, 512}) {
        if (chunk_tokens == 1 && isa == Isa::kScalar) continue;
        ++turn;
        const Setting s{isa, 1 + turn % 4, chunk_tokens, turn % 2 == 1, turn / 2 % 2 == 1};
        ASSERT_EQ(DigestOf(plan, s), expected) << s;
      }
    }
  }
  const auto pinned = std::ranges::find(kWeightTypeHashes, type, &WeightTypeHashes::type);
  const bool same = pinned != std::end(kWeightTypeHashes) && of_paths[0] == pinned->int8 &&
                    of_paths[1] == pinned->f32;
  EXPECT_TRUE(same) << "{\"" << type << "\", \"" << of_paths[0] << "\",\n \"" << of_paths[1]
                    << "\"},";
}

INSTANTIATE_TEST_SUITE_P(Types, EveryWeightType, ::testing::ValuesIn(kWeightTypes),
                         [](const auto& info) {
                           return std::string(numerics::TraitsOf(info.param.dtype).name);
                         });

std::vector<Setting> ChosenSettings() {
  const Isa best = numerics::AvailableIsas().back();
  const Isa middle = numerics::AvailableIsas().size() > 1 ? numerics::AvailableIsas()[1] : best;
  return {
      {best, 1, 512, false, false},
      {best, 2, 512, true, false},
      {best, 2, 64, true, true},
      {best, 3, 7, false, false},
      {best, 4, 7, true, false},
      {best, 2, 1, false, true},
      {best, 1, 64, false, true},
      {best, 4, 512, true, true},
      {middle, 1, 7, true, true},
      {middle, 2, 64, true, false},
      {middle, 3, 512, false, true},
      {middle, 4, 1, true, true},
      {middle, 2, 512, true, false},
      {middle, 1, 64, false, false},
      {Isa::kScalar, 2, 512, false, false},
      {Isa::kScalar, 4, 64, false, true},
  };
}

TEST(SameBits, SmolLm2HasOneDigestInSixteenSettings) {
  TATARA_REQUIRE_MODEL(path, "smollm2-135m");
  const ScopedIsa isa_back;
  const Plan plan{.path = path,
                  .n_prompt = 80,
                  .n_generated = 5,
                  .n_prompt_others = 40,
                  .n_generated_others = 6,
                  .context_tokens = 256};
  std::set<std::string> digests;
  for (const Setting& s : ChosenSettings()) digests.insert(DigestOf(plan, s));
  EXPECT_EQ(digests.size(), 1u);
}

TEST(SameBits, SmolLm2HasOneDigestOverTheWholeGrid) {
  if (!RunAll()) GTEST_SKIP() << "slow: TATARA_TEST_ALL=1 runs it";
  TATARA_REQUIRE_MODEL(path, "smollm2-135m");
  const ScopedIsa isa_back;
  const Plan plan{.path = path,
                  .n_prompt = 150,
                  .n_generated = 16,
                  .n_prompt_others = 120,
                  .n_generated_others = 16,
                  .context_tokens = 512};
  std::set<std::string> digests;
  for (const Isa isa : numerics::AvailableIsas()) {
    for (const int chunk_tokens : {1, 7, 64, 512}) {
      for (const int kind : {0, 1, 2, 3}) {
        digests.insert(DigestOf(plan, {isa, 1 + (kind + chunk_tokens) % 4, chunk_tokens,
                                       kind % 2 == 1, kind / 2 == 1}));
      }
    }
  }
  EXPECT_EQ(digests.size(), 1u);
}

}  // namespace
}  // namespace tatara::test
