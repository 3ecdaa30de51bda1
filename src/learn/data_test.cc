// [data]: what is refused by name, texts and conversations prepared into a cache, mixtures.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <fstream>
#include <utility>

#include "tatara/learn/recipe.h"
#include "test_support.h"
#include "training_data.h"

namespace tatara::learn {
namespace {

namespace fs = std::filesystem;
using testing::ElementsAre;
using testing::HasSubstr;

// Characters, with a template that marks turns.
Metadata Characters() {
  std::vector<std::string> pieces = {"<unk>", "</s>", "\n", "\xE2\x96\x81"};
  std::vector<std::int64_t> types = {2, 3, 1, 1};
  for (char c = '!'; c <= '~'; ++c) pieces.push_back(std::string(1, c));
  types.resize(pieces.size(), 1);
  Metadata keys("characters");
  keys.Set("tokenizer.ggml.model", std::string("llama"));
  keys.Set("tokenizer.ggml.tokens", pieces);
  keys.Set("tokenizer.ggml.scores", std::vector<double>(pieces.size()));
  keys.Set("tokenizer.ggml.token_type", types);
  keys.Set("tokenizer.ggml.unknown_token_id", std::int64_t{0});
  keys.Set("tokenizer.ggml.eos_token_id", std::int64_t{1});
  keys.Set("tokenizer.ggml.add_bos_token", false);
  keys.Set("tokenizer.ggml.add_space_prefix", false);
  keys.Set("tokenizer.chat_template",
           std::string("{% for m in messages %}[{{ m.role }}]{{ m.content }}</s>{% endfor %}"
                       "{% if add_generation_prompt %}[assistant]{% endif %}"));
  return keys;
}

class DataTest : public testing::Test {
 protected:
  DataTest() {
    Put("pairs.csv", "question,answer\nwhat?,iron.\nwhich?,sand.\nwho?,me.\n");
    Put("notes.txt", "the iron sand\n\nmelts at night\n\nin the furnace\n");
  }
  void Put(const std::string& name, const std::string& content) {
    std::ofstream(dir_.path() / name, std::ios::binary) << content;
  }
  Result<Recipe> Parse(const std::string& data) {
    TATARA_TRY(Recipe recipe, ParseRecipe("name = \"r\"\n[data]\n" + data, "r.toml", {}));
    recipe.folder = dir_.path();
    return recipe;
  }
  Result<std::unique_ptr<corpus::TrainingSet>> Open(const std::string& data) {
    TATARA_TRY(const Recipe recipe, Parse(data));
    return OpenTrainingSet(recipe, {.tokenizer = &keys_, .cache = dir_.path() / "cache"});
  }
  std::string Refusal(const std::string& data) {
    const auto opened = Open(data);
    EXPECT_FALSE(opened.ok()) << data;
    return opened.ok() ? "" : opened.error().text();
  }
  // What the first sequence of a run learns.
  static std::string Learned(const corpus::TrainingSet& set) {
    std::vector<std::int32_t> tokens(400), targets(400), first_keys(400);
    EXPECT_TRUE(set.Training(1, 0, {tokens, targets, first_keys}).ok());
    std::erase(targets, -1);
    return set.Decode(targets);
  }
  std::size_t Cached() {
    return static_cast<std::size_t>(
        std::distance(fs::directory_iterator(dir_.path() / "cache"), fs::directory_iterator()));
  }

  Metadata keys_ = Characters();
  test::ScratchDir dir_;
};

TEST_F(DataTest, PairsAreLearnedByTheirAnswers) {
  const auto set = Open("kind = \"chat\"\nvalidation = 0\n[[data.sources]]\npath = \"pairs.csv\"");
  ASSERT_TRUE(set.ok()) << set.error().text();
  const std::string learned = Learned(**set);
  EXPECT_THAT(learned, HasSubstr("iron."));
  EXPECT_EQ(learned.size(), std::string("iron.sand.me.").size());
  EXPECT_THAT((*set)->manifest(), HasSubstr("\"path\":\"pairs.csv\""));
}

TEST_F(DataTest, TextsArePreparedOnceAndAgainWhenTheyChange) {
  const std::string data =
      "kind = \"text\"\nvalidation = 0\n[[data.sources]]\npath = \"notes.txt\"\nunit = "
      "\"paragraph\"";
  const auto first = Open(data);
  ASSERT_TRUE(first.ok()) << first.error().text();
  EXPECT_THAT((*first)->manifest(), HasSubstr("\"documents\":3"));
  const auto again = Open(data);
  ASSERT_TRUE(again.ok());
  EXPECT_EQ((*again)->digest(), (*first)->digest());
  EXPECT_EQ(Cached(), 1U);
  Put("notes.txt", "another\n");
  const auto other = Open(data);
  ASSERT_TRUE(other.ok());
  EXPECT_NE((*other)->digest(), (*first)->digest());
  EXPECT_EQ(Cached(), 2U);
}

TEST_F(DataTest, PreparingStopsWhereItIsAskedToAndTellsHowFarItIs) {
  struct Heard final : ProgressSink {
    void Report(std::string_view what, std::uint64_t, std::uint64_t) override { all += what; }
    std::string all;
  } heard;
  StopFlag stop;
  const DataOptions options{
      .tokenizer = &keys_, .cache = dir_.path() / "cache", .progress = &heard, .stop = &stop};
  const std::string sources = "[[data.sources]]\npath = \"notes.txt\"\nunit = \"paragraph\"\n";
  for (const std::string vocabulary : {"", "[data.vocabulary]\nsize = 260\n"}) {
    const auto recipe = Parse("kind = \"text\"\nvalidation = 0\n" + vocabulary + sources);
    ASSERT_TRUE(recipe.ok()) << recipe.error().text();
    stop.Set();
    const auto stopped = OpenTrainingSet(*recipe, options);
    ASSERT_FALSE(stopped.ok());
    EXPECT_EQ(stopped.error().kind(), ErrorKind::kCancelled);
    stop.Clear();
    EXPECT_TRUE(OpenTrainingSet(*recipe, options).ok());
    EXPECT_FALSE(std::exchange(heard.all, "").empty()) << vocabulary;
  }
}

TEST_F(DataTest, WeightsMakeAMixtureAndPhasesChangeIt) {
  const std::string sources =
      "kind = \"chat\"\nvalidation = 0\n[[data.sources]]\npath = \"pairs.csv\"\nweight = 1\n"
      "[[data.sources]]\npath = \"notes.txt\"\nname = \"notes\"\n";
  const auto set = Open(sources);
  ASSERT_TRUE(set.ok()) << set.error().text();
  EXPECT_THAT((*set)->sources(), ElementsAre("pairs", "notes"));
  EXPECT_THAT(Learned(**set), HasSubstr("iron."));
  const auto phased = Open(sources + "[[data.phases]]\nfrom_step = 10\nweights = [0, 1]\n");
  ASSERT_TRUE(phased.ok()) << phased.error().text();
  EXPECT_NE((*phased)->digest(), (*set)->digest());
  EXPECT_THAT((*phased)->manifest(), HasSubstr("\"from\":80"));  // 8 sequences a step
}

TEST_F(DataTest, AVocabularyIsLearnedFromTheSources) {
  const std::string sources = "[[data.sources]]\npath = \"notes.txt\"\nunit = \"paragraph\"\n";
  const std::string text = "kind = \"text\"\nvalidation = 0\n[data.vocabulary]\nsize = 260\n";
  const auto set = Open(text + sources);
  ASSERT_TRUE(set.ok()) << set.error().text();
  EXPECT_GT((*set)->n_vocab(), 256);
  EXPECT_LE((*set)->n_vocab(), 260);
  EXPECT_THAT(Learned(**set), HasSubstr("the furnace"));
  EXPECT_TRUE((*set)->TokenizerKeys().Has("tokenizer.ggml.merges"));
  EXPECT_EQ(Open(text + sources).value()->digest(), (*set)->digest());
  EXPECT_EQ(Cached(), 1U);
  EXPECT_THAT(Refusal("kind = \"chat\"\n[data.vocabulary]\nsize = 260\n" + sources),
              HasSubstr("kind text"));
  EXPECT_THAT(Refusal("kind = \"text\"\n[data.vocabulary]\nkind = \"bpe\"\n" + sources),
              HasSubstr("size is missing"));
}

TEST_F(DataTest, APreparedSetIsOpenedByItsFolder) {
  const auto recipe =
      Parse("kind = \"text\"\n[[data.sources]]\npath = \"notes.txt\"\nunit = \"line\"").value();
  auto preparation = PreparationOf(recipe, {.tokenizer = &keys_}).value();
  preparation.out = dir_.path() / "set";
  ASSERT_TRUE(corpus::Prepare(preparation).ok());
  const auto set = Open("kind = \"prepared\"\nset = \"set\"\nvalidation = 0.4\n");
  ASSERT_TRUE(set.ok()) << set.error().text();
  EXPECT_GT((*set)->n_validation(8), 0);
  EXPECT_THAT(
      Refusal("kind = \"prepared\"\nset = \"set\"\n[[data.sources]]\nname = \"x\"\nweight = 1"),
      HasSubstr("no source 'x'"));
  EXPECT_THAT(Refusal("kind = \"prepared\"\nset = \"none\"\nsource = \"the shop\""),
              HasSubstr("the shop"));
}

TEST_F(DataTest, WhatIsWrongIsRefusedByItsName) {
  const std::string pairs = "kind = \"chat\"\n[[data.sources]]\npath = \"pairs.csv\"\n";
  EXPECT_THAT(Refusal(pairs + "sha256 = \"00\""), HasSubstr("the recipe states 00"));
  EXPECT_THAT(Refusal(pairs + "weigth = 1"), HasSubstr("did you mean 'weight'"));
  EXPECT_THAT(Refusal(pairs + "format = \"json\""), HasSubstr("there are auto, text"));
  EXPECT_THAT(Refusal(pairs + "[[data.sources]]\npath = \"pairs.csv\""),
              HasSubstr("called 'pairs'"));
  EXPECT_THAT(Refusal(pairs + "[[data.phases]]\nfrom_step = 1\nweights = [1, \"a\"]"),
              HasSubstr("weights"));
  EXPECT_THAT(Refusal(pairs + "[[data.phases]]\nfrom_step = 1\nweights = [1, 1]"),
              HasSubstr("2 weights for 1 sources"));
  EXPECT_THAT(
      Refusal("kind = \"chat\"\npacking = \"tight\"\n[[data.sources]]\npath = \"pairs.csv\""),
      HasSubstr("stream, whole"));
  EXPECT_THAT(Refusal("kind = \"chat\""), HasSubstr("sources"));
  EXPECT_THAT(Refusal("kind = \"chat\"\nsources = 5"), HasSubstr("[[data.sources]]"));
  EXPECT_THAT(Refusal("kind = \"prepared\""), HasSubstr("data.set"));
  EXPECT_THAT(Refusal("kind = \"words\""), HasSubstr("char, text, chat, prepared"));
  EXPECT_THAT(Refusal("kind = \"text\"\n[[data.sources]]\npath = \"none.txt\"\nsource = \"there\""),
              HasSubstr("where to get it: there"));
  const auto recipe = Parse(pairs).value();
  EXPECT_THAT(OpenTrainingSet(recipe).error().text(), HasSubstr("data.tokenizer is missing"));
}

}  // namespace
}  // namespace tatara::learn
