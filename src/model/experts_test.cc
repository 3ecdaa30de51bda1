// Which experts a row gets and with which weights; and that their sum does not depend on what else
// is in the pass.

#include "experts.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <limits>
#include <vector>

#include "model_test_support.h"

namespace tatara::model {
namespace {

constexpr float kInf = std::numeric_limits<float>::infinity();
constexpr float kNaN = std::numeric_limits<float>::quiet_NaN();

std::vector<ChosenExpert> Choose(const RouterConfig& config, std::vector<float> scores,
                                 const std::vector<float>& bias = {}) {
  std::vector<float> scratch(scores.size());
  std::vector<ChosenExpert> chosen(static_cast<std::size_t>(config.n_used));
  ChooseExperts(config, bias, scores, scratch, chosen);
  return chosen;
}

std::vector<std::int32_t> Numbers(const std::vector<ChosenExpert>& chosen) {
  std::vector<std::int32_t> numbers;
  for (const ChosenExpert& e : chosen) numbers.push_back(e.expert);
  return numbers;
}

TEST(ChooseExperts, TakesTheBestAndOfEqualsTheLowerNumber) {
  const RouterConfig c{.n_experts = 6, .n_used = 3, .score = RouterScore::kSoftmaxOfChosen};
  EXPECT_EQ(Numbers(Choose(c, {0, 5, 1, 5, 5, 5})), (std::vector<std::int32_t>{1, 3, 4}));
  EXPECT_EQ(Numbers(Choose(c, {9, 0, 1, 2, 3, 4})), (std::vector<std::int32_t>{0, 4, 5}));
  EXPECT_EQ(Numbers(Choose(c, {2, 2, 2, 2, 2, 2})), (std::vector<std::int32_t>{0, 1, 2}));
}

TEST(ChooseExperts, WeighsAsItsConfigSays) {
  const std::vector<float> outputs = {1, 3, -1, 2};
  const double all = std::exp(1.0) + std::exp(3.0) + std::exp(-1.0) + std::exp(2.0);
  const double two = std::exp(3.0) + std::exp(2.0);
  RouterConfig c{.n_experts = 4, .n_used = 2};
  auto chosen = Choose(c, outputs);
  EXPECT_NEAR(chosen[0].weight, std::exp(3.0) / all, 1e-6);
  EXPECT_NEAR(chosen[1].weight, std::exp(2.0) / all, 1e-6);
  for (const bool of_chosen : {false, true}) {
    c.renormalise = !of_chosen;
    c.score = of_chosen ? RouterScore::kSoftmaxOfChosen : RouterScore::kSoftmax;
    chosen = Choose(c, outputs);
    EXPECT_NEAR(chosen[0].weight, std::exp(3.0) / two, 1e-6);
    EXPECT_NEAR(chosen[1].weight, std::exp(2.0) / two, 1e-6);
  }
  c.score = RouterScore::kSigmoid;
  c.renormalise = true;
  c.weight_scale = 2.5F;
  chosen = Choose(c, outputs);
  const double s3 = 1 / (1 + std::exp(-3.0)), s2 = 1 / (1 + std::exp(-2.0));
  EXPECT_NEAR(chosen[0].weight, 2.5 * s3 / (s3 + s2), 1e-6);
  EXPECT_NEAR(chosen[1].weight, 2.5 * s2 / (s3 + s2), 1e-6);
}

TEST(ChooseExperts, ABiasChoosesAndDoesNotWeigh) {
  const RouterConfig c{.n_experts = 3, .n_used = 1, .score = RouterScore::kSigmoid};
  const auto chosen = Choose(c, {2, 1, 0}, {0, 0, 1});
  EXPECT_EQ(chosen[0].expert, 2);
  EXPECT_EQ(chosen[0].weight, 0.5F);
}

TEST(ChooseExperts, ChoosesOnlyFromTheBestGroups) {
  RouterConfig c{.n_experts = 6,
                 .n_used = 2,
                 .score = RouterScore::kSoftmaxOfChosen,
                 .n_groups = 3,
                 .n_groups_used = 1};
  // The best expert is alone in its group; the best two together are in the last.
  EXPECT_EQ(Numbers(Choose(c, {5, 0, 1, 1, 4, 4})), (std::vector<std::int32_t>{4, 5}));
  c.group_best = 1;
  EXPECT_EQ(Numbers(Choose(c, {5, 0, 1, 1, 4, 4})), (std::vector<std::int32_t>{0, 1}));
  EXPECT_EQ(Numbers(Choose(c, {5, 0, 5, 1, 5, 4})), (std::vector<std::int32_t>{0, 1}));
  c.group_best = 2;
  c.n_groups_used = 2;
  EXPECT_EQ(Numbers(Choose(c, {-9, 0, 1, 1, 4, 4})), (std::vector<std::int32_t>{4, 5}));
}

// A broken model's numbers do not lead out of bounds, and are seen in the answer.
TEST(ChooseExperts, ChoosesDifferentExpertsWhateverTheScores) {
  for (const float odd : {kNaN, kInf, -kInf}) {
    for (const RouterScore score :
         {RouterScore::kSoftmax, RouterScore::kSigmoid, RouterScore::kSoftmaxOfChosen}) {
      for (const int n_groups : {1, 2}) {
        const RouterConfig c{
            .n_experts = 4, .n_used = 2, .score = score, .n_groups = n_groups, .n_groups_used = 1};
        for (const std::vector<float>& scores :
             {std::vector<float>(4, odd), std::vector<float>{odd, 0, odd, 1}}) {
          const auto numbers = Numbers(Choose(c, scores));
          EXPECT_LT(numbers[0], numbers[1]);
          EXPECT_GE(numbers[0], 0);
          EXPECT_LT(numbers[1], 4);
        }
      }
    }
  }
  const RouterConfig c{.n_experts = 2, .n_used = 1, .score = RouterScore::kSoftmax};
  EXPECT_TRUE(std::isnan(Choose(c, {kNaN, 1})[0].weight));
}

TEST(RouterKeys, RefuseGroupsThatDoNotFit) {
  const auto refusal = [](std::uint64_t n_groups, std::uint64_t n_used_groups) {
    Metadata metadata("memory.gguf");
    metadata.Set("x.expert_count", std::uint64_t{8});
    metadata.Set("x.expert_used_count", std::uint64_t{3});
    metadata.Set("x.expert_group_count", n_groups);
    metadata.Set("x.expert_group_used_count", n_used_groups);
    Keys keys(metadata, "x");
    const auto config = ReadRouterConfig(keys, {});
    return config.ok() ? "" : config.error().text();
  };
  EXPECT_EQ(refusal(4, 2), "");
  EXPECT_EQ(refusal(0, 0), "");
  for (const auto& [n_groups, n_used] :
       {std::pair<std::uint64_t, std::uint64_t>{3, 1}, {4, 0}, {4, 5}, {4, 1}, {8, 2}}) {
    EXPECT_NE(refusal(n_groups, n_used).find("expert_group_count"), std::string::npos)
        << n_groups << " " << n_used;
  }
  EXPECT_NE(refusal(1000, 1).find("expert_group_count"), std::string::npos);
}

// Router and experts in plain loops, one row at a time.
struct Oracle {
  int n_embd, n_ff;
  std::span<const float> router, gate, up, down;
  void Add(std::span<const float> x, std::vector<double>& y) const {
    const int n_experts = static_cast<int>(router.size()) / n_embd;
    const auto dot = [](std::span<const float> w, auto v) {
      double sum = 0;
      for (std::size_t i = 0; i < w.size(); ++i) sum += double{w[i]} * v[i];
      return sum;
    };
    std::vector<std::pair<double, int>> scores;
    for (int e = 0; e < n_experts; ++e) {
      scores.emplace_back(-dot(router.subspan(static_cast<std::size_t>(e * n_embd), x.size()), x),
                          e);
    }
    std::ranges::sort(scores);
    const double a = std::exp(-scores[0].first), b = std::exp(-scores[1].first);
    for (int chosen = 0; chosen < 2; ++chosen) {
      const int e = scores[static_cast<std::size_t>(chosen)].second;
      const double weight = (chosen == 0 ? a : b) / (a + b);
      std::vector<double> inner;
      for (int f = 0; f < n_ff; ++f) {
        const auto row = static_cast<std::size_t>((e * n_ff + f) * n_embd);
        const double g = dot(gate.subspan(row, x.size()), x);
        inner.push_back(g / (1 + std::exp(-g)) * dot(up.subspan(row, x.size()), x));
      }
      for (int i = 0; i < n_embd; ++i) {
        const auto row = static_cast<std::size_t>((e * n_embd + i) * n_ff);
        y[static_cast<std::size_t>(i)] +=
            weight * dot(down.subspan(row, static_cast<std::size_t>(n_ff)), inner);
      }
    }
  }
};

constexpr int kEmbd = 32, kFf = 48, kExperts = 7;

struct Mixture {
  Mixture() : store(std::make_shared<test::MemoryStore>()), pool(2) {
    store->Add("blk.0.ffn_gate_inp.weight", kExperts, kEmbd);
    store->AddExperts("blk.0.ffn_gate_exps.weight", kExperts, kFf, kEmbd);
    store->AddExperts("blk.0.ffn_up_exps.weight", kExperts, kFf, kEmbd);
    store->AddExperts("blk.0.ffn_down_exps.weight", kExperts, kEmbd, kFf);
    TensorLoader tensors(*store, pool, nullptr);
    auto loaded = LoadExperts(
        tensors, 0, {.n_experts = kExperts, .n_used = 2, .score = RouterScore::kSoftmaxOfChosen},
        {kEmbd, kFf});
    EXPECT_TRUE(loaded.ok()) << loaded.error().text();
    experts = std::move(*loaded);
  }
  std::span<const float> Values(const char* name) const {
    const auto bytes = store->Find(name)->data;
    return {reinterpret_cast<const float*>(bytes.data()), bytes.size() / sizeof(float)};
  }
  std::vector<float> Run(std::span<const float> x, numerics::Activations activations) {
    auto kv = KvPool::Make({{1, 8, 8}}, numerics::CacheType::kF32, 1);
    const std::int32_t token = 0;
    const std::vector<int> pages = {0};
    const SequenceSlice slice{{&token, 1}, 0, pages, {}};
    Pass pass(scratch, {&slice, 1}, **kv, pool, activations);
    std::vector<float> in(x.begin(), x.end()), out(x.size());
    const auto n_rows = static_cast<std::int64_t>(x.size()) / kEmbd;
    const Rows rows{in.data(), n_rows, kEmbd};
    RunExperts(pass, experts, rows, rows, {out.data(), n_rows, kEmbd});
    return out;
  }
  std::shared_ptr<test::MemoryStore> store;
  ThreadPool pool;
  Experts experts;
  PassScratch scratch;
};

std::vector<float> SomeRows(int n) {
  std::vector<float> x;
  for (int i = 0; i < n * kEmbd; ++i) {
    x.push_back(static_cast<float>(std::sin(0.37 * i * (1 + i % 5)) + 0.1));
  }
  return x;
}

TEST(RunExperts, EqualsTheEquations) {
  Mixture m;
  const auto x = SomeRows(60);
  const auto y = m.Run(x, numerics::Activations::kF32);
  const Oracle oracle{kEmbd,
                      kFf,
                      m.Values("blk.0.ffn_gate_inp.weight"),
                      m.Values("blk.0.ffn_gate_exps.weight"),
                      m.Values("blk.0.ffn_up_exps.weight"),
                      m.Values("blk.0.ffn_down_exps.weight")};
  for (std::size_t row = 0; row < 60; ++row) {
    std::vector<double> want(kEmbd);
    oracle.Add(std::span(x).subspan(row * kEmbd, kEmbd), want);
    for (std::size_t i = 0; i < kEmbd; ++i) {
      EXPECT_NEAR(y[row * kEmbd + i], want[i], 1e-5) << row;
    }
  }
}

// More rows than are worked on together, so that experts go in several waves.
TEST(RunExperts, ARowDoesNotDependOnTheOthers) {
  Mixture m;
  for (const auto activations : {numerics::Activations::kF32, numerics::Activations::kInt8}) {
    const auto x = SomeRows(3000);
    const auto together = m.Run(x, activations);
    for (const std::size_t row : {0UL, 1UL, 77UL, 1500UL, 2999UL}) {
      const auto alone = m.Run(std::span(x).subspan(row * kEmbd, kEmbd), activations);
      EXPECT_TRUE(test::SameBits(alone, std::span(together).subspan(row * kEmbd, kEmbd))) << row;
    }
    const auto half = m.Run(std::span(x).first(1501 * kEmbd), activations);
    EXPECT_TRUE(test::SameBits(half, std::span(together).first(1501 * kEmbd)));
  }
}

TEST(LoadExperts, AMatrixAnExpertIsTheSameAsOneTensor) {
  Mixture m;
  const auto x = SomeRows(9);
  const auto expected = m.Run(x, numerics::Activations::kF32);
  for (const char* name : {"ffn_gate", "ffn_up", "ffn_down"}) {
    const std::string all = "blk.0." + std::string(name) + "_exps.weight";
    const auto values = m.Values(all.c_str());
    const std::size_t size = values.size() / kExperts;
    const bool down = std::string(name) == "ffn_down";
    for (std::size_t e = 0; e < kExperts; ++e) {
      const auto part = values.subspan(e * size, size);
      m.store->Set("blk.0." + std::string(name) + "." + std::to_string(e) + ".weight",
                   down ? kEmbd : kFf, down ? kFf : kEmbd, {part.begin(), part.end()});
    }
    m.store->Remove(all);
  }
  TensorLoader tensors(*m.store, m.pool, nullptr);
  auto loaded = LoadExperts(tensors, 0, m.experts.config, {kEmbd, kFf});
  ASSERT_TRUE(loaded.ok()) << loaded.error().text();
  ASSERT_TRUE(tensors.Finish().ok());
  m.experts = std::move(*loaded);
  EXPECT_TRUE(test::SameBits(m.Run(x, numerics::Activations::kF32), expected));
}

}  // namespace
}  // namespace tatara::model
