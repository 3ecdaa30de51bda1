// Hot and merged adapters against weights that were changed in f64, and against each other;
// batches, chunks and threads; what is refused.

#include "tatara/model/adapter.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cmath>

#include "adapter_test_support.h"
#include "model_test_support.h"

namespace tatara::model {
namespace {

using Kind = test::AdapterKind;
using numerics::Activations;
using numerics::DType;
using test::MemoryStore;
using test::Numbers;
using test::RandomAdapter;
using test::SameBits;
using test::TinyModel;
using ::testing::HasSubstr;
using weights::AdapterFile;
using weights::AdapterMatrix;
using weights::AdapterPart;

// Of the logits' standard deviation. With f32 activations: rounding alone. On the 8-bit path, where
// the hot form rounds the activations of the base product and the merged one does not, what that
// rounding costs in so small a model.
constexpr double kF32Bound = 2e-5;
constexpr double kInt8Bound = 0.15;

std::vector<float> Values(const AdapterMatrix& m) {
  std::vector<float> values(static_cast<std::size_t>(m.n_rows * m.n_cols));
  numerics::Dequantize(m.dtype, m.data, values);
  return values;
}

// W' of one matrix in f64, rounded once.
std::vector<float> Changed(const weights::TensorView& view, const AdapterPart& part) {
  std::vector<float> w(static_cast<std::size_t>(view.n_rows() * view.n_cols()));
  numerics::Dequantize(view.dtype, view.data, w);
  const std::vector<float> a = Values(part.a), b = Values(part.b);
  const auto n_in = static_cast<std::size_t>(part.a.n_cols);
  const auto rank = static_cast<std::size_t>(part.rank());
  for (std::size_t row = 0; row < w.size() / n_in; ++row) {
    std::vector<double> changed(n_in);
    double squares = 0;
    for (std::size_t i = 0; i < n_in; ++i) {
      double product = 0;
      for (std::size_t r = 0; r < rank; ++r) {
        product += double{b[row * rank + r]} * double{a[r * n_in + i]};
      }
      changed[i] = double{w[row * n_in + i]} + part.scale * product;
      squares += changed[i] * changed[i];
    }
    const double ratio = part.magnitude.empty() ? 1 : part.magnitude[row] / std::sqrt(squares);
    for (std::size_t i = 0; i < n_in; ++i) {
      w[row * n_in + i] = static_cast<float>(ratio * changed[i]);
    }
  }
  return w;
}

std::vector<std::int32_t> SomeTokens(int n, int seed) {
  std::vector<std::int32_t> tokens;
  for (int i = 0; i < n; ++i) tokens.push_back((i * 7 + i * i * 3 + seed * 11) % 40);
  return tokens;
}

struct Loaded {
  explicit Loaded(const std::shared_ptr<MemoryStore>& store,
                  Activations activations = Activations::kF32, MergeOptions merge = {}) {
    auto result = Model::Load(store, {.activations = activations, .merge = merge}, pool);
    EXPECT_TRUE(result.ok()) << result.error().text();
    model = std::move(*result);
    kv = std::move(*KvPool::Make(model->info().cache, model->cache_type(), 32));
  }
  std::shared_ptr<const Adapter> Hot(const AdapterFile& file, double scale = 1) {
    auto adapter = Adapter::Make(file, *model, scale, pool);
    EXPECT_TRUE(adapter.ok()) << adapter.error().text();
    return *adapter;
  }
  std::vector<float> Run(const std::vector<std::int32_t>& tokens, const Adapter* adapter = nullptr,
                         std::size_t chunk = 1000, int n_threads = 1) {
    ThreadPool threads(n_threads);
    const std::vector<int> pages = {3, 1, 0, 2};
    std::vector<float> all;
    for (std::size_t start = 0; start < tokens.size(); start += chunk) {
      const std::size_t n = std::min(chunk, tokens.size() - start);
      std::vector<std::int32_t> rows(n);
      for (std::size_t i = 0; i < n; ++i) rows[i] = static_cast<std::int32_t>(i);
      const SequenceSlice slice{std::span(tokens).subspan(start, n),
                                static_cast<std::int64_t>(start), pages, rows, adapter};
      std::vector<float> logits(n * 40);
      model->Forward({&slice, 1}, *kv, threads, logits);
      all.insert(all.end(), logits.begin(), logits.end());
    }
    return all;
  }
  ThreadPool pool{2};
  std::unique_ptr<Model> model;
  std::unique_ptr<KvPool> kv;
};

// The largest difference, of the standard deviation of `b`.
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

TEST(Adapter, HotAndMergedAreTheWeightsThatTheEquationsSay) {
  for (const char* architecture : {"llama", "qwen2", "gemma3"}) {
    for (const Kind& kind : {Kind{}, Kind{.rank = 1, .seed = 2, .dtype = DType::kBF16},
                             Kind{.rank = 9, .dora = true, .dtype = DType::kF16}}) {
      const auto store = TinyModel(architecture);
      Loaded base(store);
      const AdapterFile file = RandomAdapter(*base.model, kind);
      const auto tokens = SomeTokens(90, 1);
      const std::vector<float> hot = base.Run(tokens, base.Hot(file).get());
      Loaded merged(store, Activations::kF32, {.adapter = &file});
      EXPECT_TRUE(merged.model->info().merged);

      const auto changed = TinyModel(architecture);
      for (const auto& [name, part] : file.parts) {
        const bool head = name == "output.weight";  // the tied embedding itself stays
        const weights::TensorView view = *changed->Find(head ? "token_embd.weight" : name);
        changed->Set(name, view.n_rows(), view.n_cols(), Changed(view, part));
      }
      const std::vector<float> expected = Loaded(changed).Run(tokens);
      EXPECT_LT(Distance(hot, expected), kF32Bound) << architecture << kind.rank;
      EXPECT_LT(Distance(merged.Run(tokens), expected), kF32Bound) << architecture << kind.rank;
      EXPECT_GT(Distance(base.Run(tokens), expected), 0.3) << "the adapter changes nothing";
    }
  }
}

TEST(Adapter, EveryMatrixAloneIsSeenInBothForms) {
  const auto store = TinyModel("llama");
  Loaded base(store);
  const AdapterFile all = RandomAdapter(*base.model, {});
  const auto tokens = SomeTokens(20, 1);
  const std::vector<float> plain = base.Run(tokens);
  EXPECT_EQ(all.parts.size(), 15U);
  for (const auto& [name, part] : all.parts) {
    AdapterFile one = all;
    one.parts = {{name, part}};
    const std::vector<float> hot = base.Run(tokens, base.Hot(one).get());
    Loaded merged(store, Activations::kF32, {.adapter = &one});
    EXPECT_LT(Distance(merged.Run(tokens), hot), kF32Bound) << name;
    EXPECT_GT(Distance(plain, hot), 0.01) << name;
  }
}

TEST(Adapter, OnTheEightBitPathTheFormsStayWithinItsRounding) {
  const auto store = TinyModel("llama", {.n_embd = 64, .n_ff = 96});
  store->Quantise();
  Loaded base(store, Activations::kInt8);
  const AdapterFile file = RandomAdapter(*base.model, {.dora = true});
  const auto tokens = SomeTokens(90, 1);
  const std::vector<float> hot = base.Run(tokens, base.Hot(file).get());
  const std::vector<float> exact = [&] {
    Loaded f32(store);
    return f32.Run(tokens, f32.Hot(file).get());
  }();
  for (const bool requantise : {false, true}) {
    Loaded merged(store, Activations::kInt8, {.adapter = &file, .requantise = requantise});
    const std::vector<float> logits = merged.Run(tokens);
    EXPECT_LT(Distance(logits, hot), kInt8Bound);
    EXPECT_LT(Distance(logits, exact), kInt8Bound);
    EXPECT_EQ(merged.model->info().weight_bytes < base.model->info().weight_bytes * 2, requantise);
  }
}

TEST(Adapter, ScaleIsTheUsersTimesTheFiles) {
  const auto store = TinyModel("llama");
  Loaded base(store);
  AdapterFile file = RandomAdapter(*base.model, {});
  const auto tokens = SomeTokens(30, 1);
  const std::vector<float> half = base.Run(tokens, base.Hot(file, 0.5).get());
  Loaded merged(store, Activations::kF32, {.adapter = &file, .scale = 0.5});
  EXPECT_LT(Distance(merged.Run(tokens), half), kF32Bound);
  for (auto& [name, part] : file.parts) part.scale *= 0.5;
  EXPECT_TRUE(SameBits(half, base.Run(tokens, base.Hot(file).get())));
  EXPECT_TRUE(SameBits(base.Run(tokens), base.Run(tokens, base.Hot(file, 0).get())));
}

TEST(Adapter, ChunksAndThreadsChangeNoBit) {
  for (const Activations activations : {Activations::kInt8, Activations::kF32}) {
    const auto store = TinyModel("qwen2", {.n_embd = 64, .n_ff = 320});
    store->Quantise();
    Loaded base(store, activations);
    const auto adapter = base.Hot(RandomAdapter(*base.model, {.rank = 5, .dora = true}));
    const auto tokens = SomeTokens(150, 4);
    const std::vector<float> whole = base.Run(tokens, adapter.get());
    const std::vector<std::pair<std::size_t, int>> cuts = {{1, 1}, {7, 3}, {64, 2}, {65, 3}};
    for (const auto& [chunk, n_threads] : cuts) {
      EXPECT_TRUE(SameBits(whole, base.Run(tokens, adapter.get(), chunk, n_threads))) << chunk;
    }
  }
}

// Several adapters of several ranks, and none, with logits of some rows only.
TEST(Adapter, ASequenceHasItsOwnAdapterInAnyBatch) {
  for (const char* architecture : {"llama", "gemma3"}) {
    Loaded base(TinyModel(architecture));
    std::vector<std::shared_ptr<const Adapter>> adapters = {nullptr};
    for (const Kind& kind :
         {Kind{.rank = 4}, Kind{.rank = 4, .seed = 2}, Kind{.rank = 17, .dora = true, .seed = 3}}) {
      adapters.push_back(base.Hot(RandomAdapter(*base.model, kind)));
    }
    const std::vector<int> lengths = {1, 70, 3, 64, 130, 2, 17};
    std::vector<std::vector<std::int32_t>> tokens, rows;
    std::vector<std::vector<int>> pages;
    std::vector<SequenceSlice> slices;
    std::vector<float> alone;
    tokens.reserve(lengths.size());
    rows.reserve(lengths.size());
    pages.reserve(lengths.size());
    for (std::size_t i = 0; i < lengths.size(); ++i) {
      const int first = static_cast<int>(4 * i);
      const Adapter* adapter = adapters[i % adapters.size()].get();
      tokens.push_back(SomeTokens(lengths[i], static_cast<int>(i)));
      rows.push_back(lengths[i] > 5 ? std::vector<std::int32_t>{2, lengths[i] - 1}
                                    : std::vector<std::int32_t>{lengths[i] - 1});
      pages.push_back({first + 1, first, first + 3, first + 2});
      const std::vector<float> all = base.Run(tokens.back(), adapter);
      for (const std::int32_t row : rows.back()) {
        alone.insert(alone.end(), all.begin() + row * 40, all.begin() + (row + 1) * 40);
      }
      slices.push_back({tokens.back(), 0, pages.back(), rows.back(), adapter});
    }
    std::vector<float> together(alone.size());
    base.model->Forward(slices, *base.kv, base.pool, together);
    EXPECT_TRUE(SameBits(alone, together)) << architecture;
  }
}

TEST(Adapter, RefusesByNameWhatTheModelHasNot) {
  const auto store = TinyModel("llama");
  Loaded base(store);
  const AdapterFile right = RandomAdapter(*base.model, {});
  const auto message = [&](const AdapterFile& file) {
    const auto hot = Adapter::Make(file, *base.model, 1, base.pool);
    const auto merged = Model::Load(store, {.merge = {.adapter = &file}}, base.pool);
    EXPECT_FALSE(hot.ok());
    EXPECT_FALSE(merged.ok());
    if (hot.ok() || merged.ok()) return std::string();
    return hot.error().text() + " / " + merged.error().text();
  };
  for (const char* name : {"token_embd.weight", "blk.0.attn_norm.weight", "blk.9.attn_q.weight",
                           "blk.0.attn_q", "output_norm.weight"}) {
    AdapterFile file = right;
    file.parts[name] = file.parts.at("blk.0.attn_q.weight");
    EXPECT_THAT(message(file),
                HasSubstr("changes '" + std::string(name) + "', which is no matrix"));
  }
  AdapterFile wide = right;
  wide.parts.at("blk.1.attn_k.weight") = wide.parts.at("blk.1.ffn_down.weight");
  EXPECT_THAT(
      message(wide),
      HasSubstr("'blk.1.attn_k.weight' as a matrix of 32 x 48, but the model's is 16 x 32"));
  AdapterFile zero = right;
  AdapterPart& part = zero.parts.at("blk.1.attn_k.weight");
  part.magnitude.assign(16, 1.0F);
  store->Set("blk.1.attn_k.weight", 16, 32, std::vector<float>(16 * 32));
  part.scale = 0;
  Loaded silent(store);
  EXPECT_THAT(Adapter::Make(zero, *silent.model, 1, base.pool).error().text(),
              HasSubstr("row 0 of 'blk.1.attn_k.weight' has the norm 0"));
}

TEST(Adapter, RequantisedTypesRoundAsTheirReference) {
  Numbers numbers(5);
  std::vector<float> values(64);
  for (float& v : values) v = 3 * numbers.Next();
  const auto bytes = EncodeRows(DType::kQ8_0, values, "file", "t");
  ASSERT_TRUE(bytes.ok());
  std::vector<float> back(64);
  numerics::Dequantize(DType::kQ8_0, *bytes, back);
  for (std::size_t i = 0; i < 64; ++i) EXPECT_NEAR(back[i], values[i], 3.0 / 127 * 0.51) << i;
  for (const DType type : {DType::kF16, DType::kBF16, DType::kF32}) {
    EXPECT_EQ(MergedType(type, true), type);
    EXPECT_EQ(MergedType(type, false), DType::kF32);
  }
  EXPECT_EQ(MergedType(DType::kQ4_K, true), DType::kQ8_0);
  values[7] = 70000;
  EXPECT_THAT(EncodeRows(DType::kF16, values, "file", "t").error().text(),
              HasSubstr("tensor 't' holds 70000, which F16 can not hold"));
  values[7] = std::nanf("");
  EXPECT_FALSE(EncodeRows(DType::kQ8_0, values, "file", "t").ok());
}

}  // namespace
}  // namespace tatara::model
