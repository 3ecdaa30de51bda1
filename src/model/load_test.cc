// What Model::Load refuses, and that its message names the key or the tensor.

#include <gtest/gtest.h>

#include <cmath>
#include <functional>
#include <limits>

#include "model_test_support.h"

namespace tatara::model {
namespace {

using test::MemoryStore;
using test::TinyModel;

Result<std::unique_ptr<Model>> Load(const std::shared_ptr<MemoryStore>& store) {
  ThreadPool pool(1);
  return Model::Load(store, {.activations = numerics::Activations::kF32}, pool);
}

// The message of the refusal; empty where it was accepted.
std::string Refusal(const std::string& architecture,
                    const std::function<void(MemoryStore&)>& spoil) {
  const auto store = TinyModel(architecture);
  spoil(*store);
  const auto model = Load(store);
  return model.ok() ? "" : model.error().text();
}

void ExpectRefused(const std::string& architecture, const std::string& key, Metadata::Value value) {
  const std::string name = architecture + "." + key;
  const std::string text =
      Refusal(architecture, [&](MemoryStore& s) { s.keys().Set(name, value); });
  EXPECT_NE(text.find("memory.gguf"), std::string::npos) << name << ": '" << text << "'";
  EXPECT_NE(text.find(name), std::string::npos) << name << ": '" << text << "'";
}

TEST(ModelLoad, AcceptsWhatIsWhole) {
  for (const char* architecture : {"llama", "qwen2", "gemma3", "qwen3moe"}) {
    const auto model = Load(TinyModel(architecture));
    ASSERT_TRUE(model.ok()) << model.error().text();
    const ModelInfo& info = (*model)->info();
    EXPECT_EQ(info.architecture, architecture);
    EXPECT_EQ(info.n_layers, 2);
    EXPECT_EQ(info.n_vocab, 40);
    EXPECT_EQ(info.n_embd, 32);
    EXPECT_EQ(info.n_ctx, 256);
    ASSERT_EQ(info.cache.size(), 2U);
    EXPECT_EQ(info.cache[0].n_kv_heads, 2);
    EXPECT_GT(info.weight_bytes, 4 * info.n_parameters - 1);
  }
}

TEST(ModelLoad, NamesTheNearestKnownArchitecture) {
  const std::string text = Refusal(
      "llama", [](MemoryStore& s) { s.keys().Set("general.architecture", std::string("lama")); });
  EXPECT_NE(text.find("'lama'"), std::string::npos) << text;
  EXPECT_NE(text.find("'llama'"), std::string::npos) << text;
}

TEST(ModelLoad, SaysThatAnEncoderGeneratesNothing) {
  const std::string text = Refusal(
      "llama", [](MemoryStore& s) { s.keys().Set("general.architecture", std::string("bert")); });
  EXPECT_NE(text.find("'bert'"), std::string::npos) << text;
  EXPECT_NE(text.find("vectors"), std::string::npos) << text;
}

TEST(ModelLoad, PrintsAHostileArchitectureNameOnOneShortLine) {
  const std::string text = Refusal("llama", [](MemoryStore& s) {
    s.keys().Set("general.architecture", "\x1b[2J\n" + std::string(100'000, 'x'));
  });
  EXPECT_LT(text.size(), 300U);
  EXPECT_EQ(text.find('\n'), std::string::npos);
  EXPECT_EQ(text.find('\x1b'), std::string::npos);
}

TEST(ModelLoad, SaysThatAVocabularyAloneIsNoModel) {
  const std::string text = Refusal("llama", [](MemoryStore& s) {
    std::vector<std::string> names;
    for (const auto& [name, view] : s.tensors()) names.push_back(name);
    for (const std::string& name : names) s.Remove(name);
  });
  EXPECT_NE(text.find("a vocabulary only"), std::string::npos) << text;
}

TEST(ModelLoad, RefusesAnAdapterByItself) {
  const std::string text = Refusal(
      "llama", [](MemoryStore& s) { s.keys().Set("general.type", std::string("adapter")); });
  EXPECT_NE(text.find("general.type"), std::string::npos) << text;
}

TEST(ModelLoad, RefusesCountsOutOfBoundsByKey) {
  const std::vector<std::pair<std::string, std::uint64_t>> bad = {
      {"block_count", 0},
      {"block_count", 1u << 20},
      {"block_count", ~0ULL},
      {"embedding_length", 0},
      {"embedding_length", 1u << 30},
      {"feed_forward_length", 0},
      {"feed_forward_length", 1ULL << 40},
      {"attention.head_count", 0},
      {"attention.head_count", 1u << 30},
      {"attention.head_count_kv", 0},
      {"attention.head_count_kv", 3},
      {"attention.key_length", 0},
      {"attention.key_length", 1u << 20},
      {"attention.value_length", 0},
      {"context_length", 0},
      {"context_length", ~0ULL >> 1},
      {"rope.dimension_count", 0},
      {"rope.dimension_count", 7},
      {"rope.dimension_count", 10},
      {"vocab_size", ~0ULL >> 1},
  };
  for (const auto& [key, value] : bad) ExpectRefused("llama", key, value);
}

TEST(ModelLoad, RefusesNumbersThatAreNotNumbers) {
  for (const double bad : {0.0, -1.0, 2.0, std::numeric_limits<double>::quiet_NaN(),
                           std::numeric_limits<double>::infinity()}) {
    ExpectRefused("llama", "attention.layer_norm_rms_epsilon", bad);
  }
  for (const double bad : {0.0, 1.0, -10000.0, std::numeric_limits<double>::quiet_NaN(),
                           std::numeric_limits<double>::infinity()}) {
    ExpectRefused("llama", "rope.freq_base", bad);
  }
  ExpectRefused("llama", "block_count", std::string("two"));
  ExpectRefused("llama", "attention.head_count", std::vector<std::int64_t>{4, 4, 4});
  ExpectRefused("llama", "attention.head_count", std::vector<std::int64_t>{4, 2});
}

TEST(ModelLoad, RefusesKeysThatAskForWhatIsNotComputed) {
  ExpectRefused("llama", "rope.scaling.type", std::string("longrope"));
  ExpectRefused("llama", "attn_logit_softcapping", 50.0);
  ExpectRefused("llama", "final_logit_softcapping", 30.0);
  ExpectRefused("qwen2", "expert_count", std::uint64_t{8});
  ExpectRefused("llama", "attention.causal", false);
  ExpectRefused("qwen2", "attention.sliding_window", std::uint64_t{4096});
  ExpectRefused("llama", "attention.temperature_scale", 0.1);
  ExpectRefused("gemma3", "pooling_type", std::uint64_t{1});
  ExpectRefused("gemma3", "final_logit_softcapping", 30.0);
}

TEST(ModelLoad, RefusesAPositionScalingThatItsFamilyLacks) {
  for (const char* architecture : {"gemma2", "gemma3"}) {
    const std::string text = Refusal(architecture, [&](MemoryStore& s) {
      const std::string prefix = std::string(architecture) + ".rope.scaling.";
      s.keys().Set(prefix + "type", std::string("yarn"));
      s.keys().Set(prefix + "factor", 4.0);
    });
    EXPECT_NE(text.find("rope.scaling.type"), std::string::npos) << text;
    EXPECT_NE(text.find("yarn"), std::string::npos) << text;
  }
  const std::string text = Refusal("qwen2", [](MemoryStore& s) {
    s.keys().Set("qwen2.rope.scaling.type", std::string("yarn"));
    s.keys().Set("qwen2.rope.scaling.factor", 4.0);
  });
  EXPECT_NE(text.find("qwen2.rope.scaling.original_context_length"), std::string::npos) << text;
}

TEST(ModelLoad, AcceptsNeutralValuesOfForeignKeys) {
  EXPECT_EQ(Refusal("llama",
                    [](MemoryStore& s) {
                      s.keys().Set("llama.expert_count", std::uint64_t{0});
                      s.keys().Set("llama.rope.scaling.type", std::string("none"));
                      s.keys().Set("llama.vocab_size", std::uint64_t{40});
                      s.keys().Set("llama.tensor_data_layout", std::string("Meta AI original pth"));
                      s.keys().Set("llama.final_logit_softcapping", 0.0);
                    }),
            "");
}

TEST(ModelLoad, RefusesAVocabularySizeThatTheEmbeddingContradicts) {
  const std::string text =
      Refusal("llama", [](MemoryStore& s) { s.keys().Set("llama.vocab_size", std::uint64_t{41}); });
  EXPECT_NE(text.find("vocab_size"), std::string::npos) << text;
}

TEST(ModelLoad, RefusesAMissingTensorByName) {
  for (const char* architecture : {"llama", "qwen2", "gemma3", "qwen3moe"}) {
    const auto whole = TinyModel(architecture);
    for (const auto& [name, view] : whole->tensors()) {
      const std::string text = Refusal(architecture, [&](MemoryStore& s) { s.Remove(name); });
      EXPECT_NE(text.find(name), std::string::npos) << name << ": '" << text << "'";
    }
  }
}

TEST(ModelLoad, RefusesATensorOfAnotherShapeByName) {
  for (const char* architecture : {"llama", "qwen2", "gemma3", "qwen3moe"}) {
    const auto whole = TinyModel(architecture);
    for (const auto& [name, view] : whole->tensors()) {
      const std::int64_t n_rows = view.n_rows();
      const std::int64_t n_cols = view.n_cols();
      for (const bool wider : {false, true}) {
        if (!wider && name == "token_embd.weight") continue;  // its rows are the vocabulary
        const std::string text = Refusal(architecture, [&](MemoryStore& s) {
          s.Add(name, n_rows + (wider ? 0 : 1), n_cols + (wider ? 1 : 0));
        });
        EXPECT_NE(text.find(name), std::string::npos) << name << ": '" << text << "'";
      }
    }
  }
}

TEST(ModelLoad, RefusesATensorThatNobodyUses) {
  for (const char* extra :
       {"blk.0.attn_q_norm.weight", "blk.2.attn_norm.weight", "rope_factors_long.weight"}) {
    const std::string text = Refusal("llama", [&](MemoryStore& s) { s.Add(extra, 1, 8, 1); });
    EXPECT_NE(text.find(extra), std::string::npos) << text;
  }
  const std::string text =
      Refusal("qwen2", [](MemoryStore& s) { s.Add("rope_freqs.weight", 1, 4, 1); });
  EXPECT_NE(text.find("rope_freqs.weight"), std::string::npos) << text;
}

TEST(ModelLoad, RefusesRopeFactorsThatDivideByNothing) {
  for (const float bad : {0.0F, -1.0F, std::numeric_limits<float>::quiet_NaN(),
                          std::numeric_limits<float>::infinity()}) {
    const std::string text =
        Refusal("llama", [&](MemoryStore& s) { s.Set("rope_freqs.weight", 1, 4, {1, 1, bad, 1}); });
    EXPECT_NE(text.find("rope_freqs.weight"), std::string::npos) << text;
  }
}

TEST(ModelLoad, RefusesAWindowPatternOfAnotherLength) {
  const auto three_layers = TinyModel("gemma3", {.n_layers = 3});
  three_layers->keys().Set("gemma3.attention.sliding_window_pattern",
                           std::vector<bool>{true, false});
  const auto model = Load(three_layers);
  ASSERT_FALSE(model.ok());
  EXPECT_NE(model.error().text().find("2 values for 3 layers"), std::string::npos)
      << model.error().text();
  ExpectRefused("gemma3", "attention.sliding_window_pattern", std::vector<bool>{true, false, true});
  EXPECT_EQ(Refusal("gemma3",
                    [](MemoryStore& s) {
                      s.keys().Set("gemma3.attention.sliding_window_pattern",
                                   std::vector<bool>{true, false});
                    }),
            "");
}

TEST(ModelLoad, ReportsProgressUpToTheWhole) {
  struct Sink final : ProgressSink {
    void Report(std::string_view, std::uint64_t done_now, std::uint64_t total_now) override {
      EXPECT_GE(done_now, done);
      done = done_now;
      total = total_now;
    }
    std::uint64_t done = 0, total = 0;
  } sink;
  ThreadPool pool(1);
  ASSERT_TRUE(Model::Load(TinyModel("llama"), {}, pool, &sink).ok());
  EXPECT_GT(sink.total, 0U);
  EXPECT_EQ(sink.done, sink.total);
}

}  // namespace
}  // namespace tatara::model
