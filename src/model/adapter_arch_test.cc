// Every architecture of the tiny models: an adapter of every matrix, hot and merged.

#include <gtest/gtest.h>

#include <cmath>
#include <filesystem>

#include "adapter_test_support.h"
#include "model_test_support.h"
#include "test_support.h"

namespace tatara::model {
namespace {

using numerics::Activations;

// Of the logits' standard deviation: rounding alone, through every kind of layer.
constexpr double kBound = 1e-4;

std::vector<float> Logits(Model& model, const Adapter* adapter, ThreadPool& pool) {
  auto kv = KvPool::Make(model.info().cache, model.cache_type(), 2, model.info().page_tokens);
  EXPECT_TRUE(kv.ok());
  std::vector<std::int32_t> tokens, rows;
  for (std::int32_t i = 0; i < 24; ++i) {
    tokens.push_back((7 * i + 3) % std::min(200, model.info().n_vocab));
    if (i % 5 == 3) rows.push_back(i);
  }
  const std::vector<int> pages = {1, 0};
  const SequenceSlice slice{tokens, 0, pages, rows, adapter};
  std::vector<float> logits(rows.size() * static_cast<std::size_t>(model.info().n_vocab));
  model.Forward({&slice, 1}, **kv, pool, logits);
  return logits;
}

double Distance(const std::vector<float>& a, const std::vector<float>& b) {
  double sum = 0, squares = 0, worst = 0;
  for (std::size_t i = 0; i < b.size(); ++i) {
    sum += b[i];
    squares += double{b[i]} * b[i];
    worst = std::max(worst, std::abs(double{a[i]} - b[i]));
  }
  const auto n = static_cast<double>(b.size());
  return worst / std::sqrt(squares / n - sum / n * sum / n);
}

TEST(AdapterOfArchitectures, HotAndMergedAgree) {
  TATARA_REQUIRE_DATA(folder, "golden/arch");
  ThreadPool pool(1);
  int n_models = 0;
  for (const auto& entry : std::filesystem::directory_iterator(folder)) {
    if (entry.path().extension() != ".gguf") continue;
    auto opened = weights::OpenTensorStore(entry.path());
    ASSERT_TRUE(opened.ok()) << opened.error().text();
    const std::shared_ptr<const weights::TensorStore> store = std::move(*opened);
    auto base = Model::Load(store, {.activations = Activations::kF32}, pool);
    if (!base.ok() || (*base)->linears().empty()) continue;  // others answer for that
    ++n_models;
    const std::string name = entry.path().stem();
    const std::vector<float> plain = Logits(**base, nullptr, pool);
    weights::AdapterFile file = test::RandomAdapter(**base, {.rank = 3});
    // Small enough that no choice of experts flips on a rounding.
    for (auto& [tensor, part] : file.parts) part.scale = 0.02;
    const auto compare = [&](const weights::AdapterFile& some, double change_least) {
      auto hot = Adapter::Make(some, **base, 1, pool);
      ASSERT_TRUE(hot.ok()) << hot.error().text();
      auto merged =
          Model::Load(store, {.activations = Activations::kF32, .merge = {.adapter = &some}}, pool);
      ASSERT_TRUE(merged.ok()) << merged.error().text();
      const std::vector<float> logits = Logits(**base, hot->get(), pool);
      EXPECT_LT(Distance(Logits(**merged, nullptr, pool), logits), kBound)
          << name << " " << some.parts.begin()->first;
      EXPECT_GT(Distance(plain, logits), change_least) << name << " " << some.parts.begin()->first;
    };
    compare(file, 1e-3);
    // Alone, so that one that the hot form leaves out can not hide among the others.
    for (const auto& [tensor, part] : file.parts) {
      if (!tensor.starts_with("blk.1.") && tensor != "output.weight") continue;
      weights::AdapterFile one = file;
      one.parts = {{tensor, part}};
      compare(one, 0);
    }
  }
  EXPECT_GE(n_models, 10);
}

}  // namespace
}  // namespace tatara::model
