#include "vector_sizes.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cmath>

#include "class_scores.h"

namespace tatara::generate {
namespace {

using testing::ElementsAre;
using testing::HasSubstr;

Metadata Keys(const std::string& architecture, const std::string& name) {
  Metadata keys("model.gguf");
  keys.Set("general.architecture", architecture);
  keys.Set("general.name", name);
  return keys;
}

TEST(VectorSizes, AreTheFilesElseWhatTheAuthorsPublish) {
  const auto none = VectorSizesOf(Keys("bert", "all-MiniLM-L6-v2"), 384);
  ASSERT_TRUE(none.ok());
  EXPECT_TRUE(none->Allow(384, 384));
  EXPECT_FALSE(none->Allow(128, 384));
  EXPECT_EQ(none->Text(384), "384");
  const auto qwen = VectorSizesOf(Keys("qwen3", "Qwen3 Embedding 0.6B"), 1024);
  EXPECT_EQ(qwen->Text(1024), "32–1024");
  EXPECT_TRUE(qwen->Allow(33, 1024) && qwen->Allow(1024, 1024));
  EXPECT_FALSE(qwen->Allow(31, 1024) || qwen->Allow(1025, 1024) || qwen->Allow(0, 1024));
  EXPECT_EQ(VectorSizesOf(Keys("qwen3", "Qwen3 4B"), 2560)->least, 0);
  const auto nomic = VectorSizesOf(Keys("nomic-bert", "nomic-embed-text-v1.5"), 768);
  EXPECT_THAT(nomic->listed, ElementsAre(64, 128, 256, 512));
  EXPECT_TRUE(nomic->centred);
  EXPECT_TRUE(VectorSizesOf(Keys("nomic-bert", "nomic-embed-text-v1"), 768)->listed.empty());

  Metadata said = Keys("qwen3", "Qwen3 Embedding 0.6B");
  said.Set("qwen3.embedding.matryoshka_dimensions", std::vector<std::int64_t>{512, 128, 512, 1024});
  EXPECT_EQ(VectorSizesOf(said, 1024)->Text(1024), "128, 512, 1024");
  said.Set("qwen3.embedding.matryoshka_least", std::uint64_t{1});
  EXPECT_TRUE(VectorSizesOf(said, 1024)->Allow(7, 1024));
}

TEST(VectorSizes, KeysThatCannotBeAreRefused) {
  for (const std::int64_t n : {std::int64_t{0}, std::int64_t{-3}, std::int64_t{385}}) {
    Metadata keys = Keys("bert", "x");
    keys.Set("bert.embedding.matryoshka_dimensions", std::vector<std::int64_t>{128, n});
    ASSERT_FALSE(VectorSizesOf(keys, 384).ok()) << n;
    keys = Keys("bert", "x");
    keys.Set("bert.embedding.matryoshka_least", n);
    EXPECT_THAT(VectorSizesOf(keys, 384).error().text(), HasSubstr("1 to 384 dimensions"));
  }
  Metadata keys = Keys("bert", "x");
  keys.Set("bert.embedding.matryoshka_dimensions", std::string("many"));
  EXPECT_FALSE(VectorSizesOf(keys, 384).ok());
  keys.Set("bert.embedding.matryoshka_dimensions", std::vector<std::int64_t>(300, 5));
  EXPECT_FALSE(VectorSizesOf(keys, 384).ok());
}

TEST(VectorSizes, ALayerNormBeforeTheCutIsTheMeanTakenOff) {
  std::vector<float> v = {1, 2, 3, 6};
  CutVector(v, 4, {.centred = true});
  EXPECT_THAT(v, ElementsAre(1, 2, 3, 6)) << "nothing is cut";
  CutVector(v, 2, {});
  EXPECT_THAT(v, ElementsAre(1, 2, 3, 6));
  CutVector(v, 2, {.centred = true});
  EXPECT_THAT(v, ElementsAre(-2, -1, 3, 6));
}

TEST(ClassScores, TheClassThatAnswersIsFoundByItsName) {
  EXPECT_EQ(RelevantClass({}, 1), 0);
  EXPECT_EQ(RelevantClass({}, 2), 1);
  EXPECT_EQ(RelevantClass({"LABEL_0", "LABEL_1"}, 2), 1);
  EXPECT_EQ(RelevantClass({"Relevant", "irrelevant"}, 2), 0);
  EXPECT_EQ(RelevantClass({"yes", "true"}, 2), 1) << "no name alone says it";
  EXPECT_EQ(RelevantClass({"contradiction", "ENTAILMENT", "neutral"}, 3), 1);
  EXPECT_EQ(RelevantClass({"a", "b", "c"}, 3), -1);
  EXPECT_EQ(RelevantClass({}, 3), -1);
  EXPECT_EQ(LogOdds(std::vector<float>{4}, 0), 4);
  EXPECT_EQ(LogOdds(std::vector<float>{4, 1}, 1), -3);
  EXPECT_NEAR(LogOdds(std::vector<float>{1, 5, 1}, 1), 4 - std::log(2.0), 1e-12);
}

}  // namespace
}  // namespace tatara::generate
