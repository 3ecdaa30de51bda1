#include "tatara/weights/compare.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cmath>
#include <cstring>
#include <limits>
#include <list>

#include "held_store.h"

namespace tatara::weights {
namespace {

using numerics::DType;
using testing::ElementsAre;

class Store {
 public:
  explicit Store(std::int64_t n_keys = 1) : store_("test", Keys(n_keys)) {}
  Store& Add(const std::string& name, const std::vector<float>& values, std::int64_t n_cols,
             DType dtype = DType::kF32) {
    auto& bytes = bytes_.emplace_back();
    if (dtype == DType::kF32) {
      bytes.resize(values.size() * sizeof(float));
      std::memcpy(bytes.data(), values.data(), bytes.size());
    } else {
      for (const float value : values) {
        const std::uint16_t half = numerics::F32ToF16(value);
        const auto* at = reinterpret_cast<const std::byte*>(&half);
        bytes.insert(bytes.end(), at, at + 2);
      }
    }
    TensorView view{.dtype = dtype, .n_dims = 2, .data = bytes};
    view.shape = {n_cols, static_cast<std::int64_t>(values.size()) / n_cols, 1, 1};
    EXPECT_TRUE(store_.Add(name, view).ok());
    return *this;
  }
  operator const TensorStore&() const { return store_; }

 private:
  static Metadata Keys(std::int64_t n) {
    Metadata keys("test");
    keys.Set("count", n);
    return keys;
  }
  std::list<std::vector<std::byte>> bytes_;
  HeldStore store_;
};

ModelDifference Compare(const TensorStore& a, const TensorStore& b) {
  ThreadPool pool(2);
  return CompareModels(a, b, pool);
}

TEST(CompareModels, EqualOnesHaveNoDifference) {
  const float nan = std::numeric_limits<float>::quiet_NaN();
  Store a, b;
  a.Add("w", {1, nan, 3, 4}, 2);
  b.Add("w", {1, -nan, 3, 4}, 2);
  const ModelDifference difference = Compare(a, b);
  EXPECT_EQ(difference.n_tensors, 1);
  EXPECT_TRUE(difference.tensors.empty());
  EXPECT_TRUE(difference.keys.empty());
}

TEST(CompareModels, SaysHowManyValuesDifferAndHowMuch) {
  Store a, b;
  std::vector<float> values(20000, 0.5F);
  a.Add("w", values, 100);
  values[19999] = 0.5F + 3;
  values[7] = 0.5F - 4;
  b.Add("w", values, 100);
  const ModelDifference difference = Compare(a, b);
  ASSERT_EQ(difference.tensors.size(), 1U);
  const TensorDifference& w = difference.tensors.front();
  EXPECT_EQ(w.change, TensorChange::kValues);
  EXPECT_EQ(w.n_values, 20000);
  EXPECT_EQ(w.n_changed, 2);
  EXPECT_EQ(w.max_abs, 4);
  EXPECT_DOUBLE_EQ(w.relative_norm, 5 / std::sqrt(20000 * 0.25));
  EXPECT_EQ(w.first_form, "F32 200x100");
}

TEST(CompareModels, TheSignOfZeroCounts) {
  Store a, b;
  a.Add("w", {0, 0}, 2);
  b.Add("w", {0, -0.0F}, 2);
  const ModelDifference difference = Compare(a, b);
  ASSERT_EQ(difference.tensors.size(), 1U);
  EXPECT_EQ(difference.tensors.front().n_changed, 1);
  EXPECT_EQ(difference.tensors.front().relative_norm, 0);
}

TEST(CompareModels, TellsMissingTensorsShapesTypesAndKeys) {
  Store a(1), b(2);
  a.Add("only_a", {1}, 1).Add("shape", {1, 2}, 2).Add("type", {1, 2}, 2);
  b.Add("only_b", {1}, 1).Add("shape", {1, 2}, 1).Add("type", {1, 2}, 2, DType::kF16);
  const ModelDifference difference = Compare(a, b);
  std::vector<std::pair<std::string, TensorChange>> changes;
  for (const TensorDifference& t : difference.tensors) changes.emplace_back(t.name, t.change);
  EXPECT_THAT(changes, ElementsAre(std::pair("only_a", TensorChange::kOnlyInFirst),
                                   std::pair("only_b", TensorChange::kOnlyInSecond),
                                   std::pair("shape", TensorChange::kShape),
                                   std::pair("type", TensorChange::kType)));
  EXPECT_EQ(difference.tensors.back().n_changed, 0);
  EXPECT_THAT(difference.keys, ElementsAre("count"));
}

}  // namespace
}  // namespace tatara::weights
