// A run's checkpoints are models: opened, exported and loaded they give the trainer's own logits.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <fstream>

#include "tatara/base/files.h"
#include "tatara/corpus/char_text.h"
#include "tatara/generate/engine.h"
#include "tatara/learn/checkpoint.h"
#include "tatara/learn/run.h"
#include "tatara/text/tokenizer.h"
#include "tatara/weights/gguf_file.h"
#include "tatara/weights/hf_export.h"
#include "test_support.h"

namespace tatara::learn {
namespace {

namespace fs = std::filesystem;
using test::ScratchDir;

constexpr std::string_view kTwin = R"(
name = "twin"
[data]
text = "text.txt"
[model]
n_layers = 2
n_embd = 16
n_heads = 4
n_ctx = 12
[training]
steps = 5
batch = 4
[optimizer]
learning_rate = 1e-1
clip = 0
[run]
sample_tokens = 0
checkpoint_every = 3
)";

class TrainedModel : public testing::TestWithParam<std::string> {
 protected:
  TrainedModel() {
    std::string text;
    for (int i = 0; i < 40; ++i) text += i % 3 == 0 ? "the iron sand. " : "猫は鉄を見る。\n";
    std::ofstream(dir_.path() / "text.txt") << text;
    std::vector<std::string> overrides = {"model.architecture=" + GetParam()};
    if (GetParam().starts_with("gemma")) overrides.emplace_back("model.window=4");
    auto recipe = ParseRecipe(kTwin, "twin.toml", overrides);
    EXPECT_TRUE(recipe.ok()) << recipe.error().text();
    recipe_ = *recipe;
    recipe_.folder = dir_.path();
    const auto result = RunTraining(recipe_, {.out = run()}, sink_);
    EXPECT_TRUE(result.ok()) << result.error().text();
    data_ = corpus::CharText::Read({.path = dir_.path() / "text.txt", .validation_fraction = 0.1})
                .value();
    recipe_.model.n_vocab = data_->n_vocab();
  }
  fs::path run() const { return dir_.path() / "run"; }

  // Of the trainer with the checkpoint's weights, for the characters of kText.
  std::vector<float> TrainersLogits(std::int64_t step) {
    ThreadPool pool(1);
    auto trainer = Trainer::Make(recipe_, *data_, pool).value();
    const CheckpointInfo expected{.recipe_digest = RecipeDigest(recipe_),
                                  .data_digest = data_->digest()};
    const auto loaded = LoadCheckpoint(CheckpointPath(run(), step), expected, *trainer);
    EXPECT_TRUE(loaded.ok()) << loaded.error().text();
    const std::vector<std::int32_t> ids = Ids();
    std::vector<float> logits(ids.size() * static_cast<std::size_t>(data_->n_vocab()));
    trainer->trainable();
    const_cast<model::Trainable&>(trainer->trainable())
        .Logits(
            {.n_sequences = 1, .n_tokens = static_cast<std::int64_t>(ids.size()), .tokens = ids},
            trainer->state().weights, logits, pool);
    return logits;
  }
  static std::vector<float> ModelsLogits(const fs::path& path) {
    auto engine = generate::Engine::Open(path.string(), {.n_threads = 2, .f32_activations = true});
    EXPECT_TRUE(engine.ok()) << engine.error().text();
    const auto ids = (*engine)->tokenizer().Encode(kText, {.add_start = true});
    return (*engine)->AllLogits(ids).value();
  }
  std::vector<std::int32_t> Ids() const {
    std::vector<std::int32_t> ids;
    for (const char* piece : {"猫", "は", " ", "t", "h", "e", "\n", "。"}) {
      const auto at = std::ranges::find(data_->vocabulary(), piece);
      ids.push_back(static_cast<std::int32_t>(at - data_->vocabulary().begin()));
    }
    return ids;
  }
  static constexpr const char* kText = "猫は the\n。";

  ScratchDir dir_;
  RunSink sink_;
  Recipe recipe_;
  std::optional<corpus::CharText> data_;
};

TEST_P(TrainedModel, EveryFormGivesTheTrainersLogits) {
  const std::vector<float> last = TrainersLogits(5), before = TrainersLogits(3);
  EXPECT_NE(last, before);
  EXPECT_EQ(ModelsLogits(run()), last);
  EXPECT_EQ(ModelsLogits(CheckpointPath(run(), 3)), before);

  const auto store = weights::OpenTensorStore(run());
  ASSERT_TRUE(store.ok()) << store.error().text();
  const auto as_gguf = weights::ExportGguf(**store, dir_.path() / "twin.gguf", {});
  ASSERT_TRUE(as_gguf.ok()) << as_gguf.error().text();
  EXPECT_EQ(ModelsLogits(dir_.path() / "twin.gguf"), last);

  const auto as_folder = weights::ExportHuggingFace(**store, dir_.path() / "hf", {});
  ASSERT_TRUE(as_folder.ok()) << as_folder.error().text();
  // Its tokenizer has no published form: the weights alone are compared.
  const auto folder = weights::OpenTensorStore(dir_.path() / "hf");
  ASSERT_TRUE(folder.ok()) << folder.error().text();
  for (const auto& [name, view] : (*store)->tensors()) {
    const weights::TensorView* found = (*folder)->Find(name);
    ASSERT_NE(found, nullptr) << name;
    EXPECT_TRUE(std::ranges::equal(found->data, view.data)) << name;
  }
}

TEST_P(TrainedModel, CanBeChattedWith) {
  auto engine = generate::Engine::Open(run().string(), {.n_threads = 1});
  ASSERT_TRUE(engine.ok()) << engine.error().text();
  const auto prompt = (*engine)->RenderChat(R"([{"role":"user","content":"the iron"}])", "");
  ASSERT_TRUE(prompt.ok()) << prompt.error().text();
  EXPECT_EQ(*prompt, "the iron\n");
  EXPECT_EQ((*engine)->EncodeRendered(*prompt).size(), 9U);
}

INSTANTIATE_TEST_SUITE_P(Families, TrainedModel,
                         testing::Values("gpt2", "llama", "qwen2", "qwen3", "gemma2", "gemma3"),
                         [](const auto& info) { return info.param; });

}  // namespace
}  // namespace tatara::learn
