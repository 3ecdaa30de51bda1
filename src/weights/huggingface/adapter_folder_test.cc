// PEFT folders: where each matrix and each row goes, how strong it is, and what is refused.

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cmath>
#include <fstream>
#include <nlohmann/json.hpp>

#include "tatara/base/sha256.h"
#include "tatara/weights/adapter_file.h"
#include "test_support.h"

namespace tatara::weights {
namespace {

using nlohmann::json;
using ::testing::HasSubstr;

constexpr const char* kModule = "base_model.model.model.layers.0.self_attn.";

struct Tensor {
  std::string name;
  std::vector<std::int64_t> shape;
  float first = 0, step = 1;  // values: first, first + step, ...
};

std::string Safetensors(const std::vector<Tensor>& tensors) {
  json header = json::object();
  std::string data;
  for (const Tensor& t : tensors) {
    std::int64_t n = 1;
    for (const std::int64_t dim : t.shape) n *= dim;
    const std::size_t begin = data.size();
    for (std::int64_t i = 0; i < n; ++i) {
      const float value = t.first + t.step * static_cast<float>(i);
      data.append(reinterpret_cast<const char*>(&value), sizeof value);
    }
    header[t.name] = {{"dtype", "F32"}, {"shape", t.shape}, {"data_offsets", {begin, data.size()}}};
  }
  const std::string text = header.dump();
  const std::uint64_t size = text.size();
  return std::string(reinterpret_cast<const char*>(&size), sizeof size) + text + data;
}

// Two heads of 4, one key head, embeddings of 8; changes of rank 2.
std::vector<Tensor> SomeTensors(bool dora = false) {
  std::vector<Tensor> tensors;
  for (const auto& [name, n_out] : {std::pair{"q_proj", 8}, {"k_proj", 4}, {"v_proj", 4}}) {
    tensors.push_back({std::string(kModule) + name + ".lora_A.weight", {2, 8}});
    tensors.push_back({std::string(kModule) + name + ".lora_B.weight", {n_out, 2}});
    if (dora) {
      tensors.push_back({std::string(kModule) + name + ".lora_magnitude_vector", {n_out}, 1});
    }
  }
  return tensors;
}

json SomeConfig() {
  return {{"peft_type", "LORA"},     {"r", 2},
          {"lora_alpha", 8},         {"target_modules", {"q_proj"}},
          {"bias", "none"},          {"base_model_name_or_path", "org/model"},
          {"lora_dropout", 0.1},     {"modules_to_save", nullptr},
          {"use_dora", false},       {"use_rslora", false},
          {"fan_in_fan_out", false}, {"layer_replication", nullptr}};
}

class AdapterFolder : public ::testing::Test {
 protected:
  AdapterFolder() {
    model_.Set("general.architecture", "llama");
    model_.Set("llama.attention.head_count", std::uint64_t{2});
    model_.Set("llama.attention.head_count_kv", std::uint64_t{1});
    model_.Set("llama.embedding_length", std::uint64_t{8});
  }
  Result<AdapterFile> Open(const json& config, const std::vector<Tensor>& tensors) {
    std::ofstream(scratch_.path() / "adapter_config.json") << config.dump();
    std::ofstream(scratch_.path() / "adapter_model.safetensors", std::ios::binary)
        << Safetensors(tensors);
    return OpenAdapter(scratch_.path(), model_);
  }
  std::string Message(const char* key, const json& value) {
    json config = SomeConfig();
    config[key] = value;
    const auto opened = Open(config, SomeTensors());
    return opened.ok() ? "accepted" : opened.error().text();
  }
  tatara::test::ScratchDir scratch_;
  Metadata model_{"model"};
};

// The first number of each row of B, which counts 2 a row.
std::vector<int> RowOrder(const AdapterPart& part) {
  std::vector<float> values(static_cast<std::size_t>(part.b.n_rows * part.b.n_cols));
  numerics::Dequantize(part.b.dtype, part.b.data, values);
  std::vector<int> order;
  for (std::size_t i = 0; i < values.size(); i += 2)
    order.push_back(static_cast<int>(values[i]) / 2);
  return order;
}

TEST_F(AdapterFolder, PutsRowsWhereTheModelsRowsAre) {
  json config = SomeConfig();
  config["use_dora"] = true;
  const auto file = Open(config, SomeTensors(true));
  ASSERT_TRUE(file.ok()) << file.error().text();
  EXPECT_EQ(file->parts.size(), 3U);
  const AdapterPart& q = file->parts.at("blk.0.attn_q.weight");
  EXPECT_EQ(RowOrder(q), (std::vector<int>{0, 2, 1, 3, 4, 6, 5, 7}));
  EXPECT_EQ(q.magnitude, (std::vector<float>{1, 3, 2, 4, 5, 7, 6, 8}));
  EXPECT_EQ(RowOrder(file->parts.at("blk.0.attn_k.weight")), (std::vector<int>{0, 2, 1, 3}));
  EXPECT_EQ(RowOrder(file->parts.at("blk.0.attn_v.weight")), (std::vector<int>{0, 1, 2, 3}));
  EXPECT_EQ(q.scale, 4.0);
  model_.Set("general.architecture", "qwen2");
  model_.Set("qwen2.attention.head_count", std::uint64_t{2});
  model_.Set("qwen2.embedding_length", std::uint64_t{8});
  EXPECT_EQ(RowOrder(OpenAdapter(scratch_.path(), model_)->parts.at("blk.0.attn_q.weight")),
            (std::vector<int>{0, 1, 2, 3, 4, 5, 6, 7}));
}

TEST_F(AdapterFolder, ScalesAsTheConfigurationSays) {
  json config = SomeConfig();
  config["alpha_pattern"] = {{"layers.0.self_attn.q_proj", 3},
                             {"^model.layers.0.self_attn.v_proj$", 5}};
  const auto file = Open(config, SomeTensors());
  ASSERT_TRUE(file.ok()) << file.error().text();
  EXPECT_EQ(file->parts.at("blk.0.attn_q.weight").scale, 1.5);
  EXPECT_EQ(file->parts.at("blk.0.attn_v.weight").scale, 2.5);
  EXPECT_EQ(file->parts.at("blk.0.attn_k.weight").scale, 4.0);
  config["use_rslora"] = true;
  EXPECT_EQ(Open(config, SomeTensors())->parts.at("blk.0.attn_k.weight").scale, 8 / std::sqrt(2.0));
}

TEST_F(AdapterFolder, IsNamedByTheDigestOfBothFiles) {
  const auto file = Open(SomeConfig(), SomeTensors());
  ASSERT_TRUE(file.ok());
  std::string list;
  for (const char* name : {"adapter_config.json", "adapter_model.safetensors"}) {
    list += Sha256Hex(tatara::test::ReadFile(scratch_.path() / name)) + "  " + name + "\n";
  }
  EXPECT_EQ(file->sha256, Sha256Hex(list));
}

TEST_F(AdapterFolder, RefusesSettingsByName) {
  for (const auto& [key, value] :
       std::vector<std::pair<const char*, json>>{{"modules_to_save", {"lm_head"}},
                                                 {"bias", "all"},
                                                 {"layer_replication", {{0, 1}}},
                                                 {"init_lora_weights", "pissa"},
                                                 {"trainable_token_indices", {1, 2}},
                                                 {"something_new", true}}) {
    EXPECT_THAT(Message(key, value), HasSubstr("'" + std::string(key) + "' asks for something"));
  }
  EXPECT_THAT(Message("peft_type", "IA3"), HasSubstr("'peft_type' is not 'LORA'"));
  EXPECT_THAT(Message("r", 3), HasSubstr("has rank 2, but its configuration says 3"));
  EXPECT_THAT(Message("r", 0), HasSubstr("a rank is outside 1 to"));
  EXPECT_THAT(Message("r", "2"), HasSubstr("'r' is missing or no number"));
  EXPECT_THAT(Message("use_dora", true), HasSubstr("0 magnitudes, but 'use_dora' is true"));
  EXPECT_THAT(Message("alpha_pattern", {{"layers.(0|1).q", 2}}),
              HasSubstr("the pattern 'layers.(0|1).q' is more than"));
  EXPECT_THAT(Message("alpha_pattern", 3), HasSubstr("'alpha_pattern' is no object"));
  EXPECT_EQ(Message("something_new", nullptr), "accepted");
  EXPECT_EQ(Message("init_lora_weights", "gaussian"), "accepted");
}

// Bytes changed at random: read or refused, never worse.
TEST_F(AdapterFolder, SpoiledBytesAreRefusedOrRead) {
  const std::string config = SomeConfig().dump(), tensors = Safetensors(SomeTensors());
  std::uint64_t state = 11;
  const auto below = [&](std::size_t n) {
    state = state * 6364136223846793005ULL + 1442695040888963407ULL;
    return static_cast<std::size_t>(state >> 33) % n;
  };
  int n_read = 0;
  for (int i = 0; i < 300; ++i) {
    std::string spoiled[] = {config, tensors};
    std::string& one = spoiled[below(2)];
    for (std::size_t n = 1 + below(3); n > 0; --n) {
      constexpr std::string_view kBytes = "0919-.{}[]\"\\,:eEnul\xff";
      one[below(std::min<std::size_t>(one.size(), 900))] = kBytes[below(kBytes.size())];
    }
    std::ofstream(scratch_.path() / "adapter_config.json") << spoiled[0];
    std::ofstream(scratch_.path() / "adapter_model.safetensors", std::ios::binary) << spoiled[1];
    const auto opened = OpenAdapter(scratch_.path(), model_);
    n_read += opened.ok() ? 1 : 0;
    if (!opened.ok()) {
      EXPECT_FALSE(opened.error().text().empty());
    }
  }
  EXPECT_LT(n_read, 300);
}

TEST_F(AdapterFolder, RefusesTensorsByName) {
  const auto message = [&](const Tensor& extra) {
    auto tensors = SomeTensors();
    tensors.push_back(extra);
    const auto opened = Open(SomeConfig(), tensors);
    return opened.ok() ? "accepted" : opened.error().text();
  };
  for (const char* name :
       {"base_model.model.lm_head.weight", "base_model.model.model.embed_tokens.lora_embedding_A",
        "model.layers.0.self_attn.q_proj.lora_A.weight",
        "base_model.model.model.layers.0.self_attn.q_proj.lora_B.bias"}) {
    EXPECT_THAT(message({name, {2, 8}}), HasSubstr("'" + std::string(name) + "' is no factor"));
  }
  auto tensors = SomeTensors();
  tensors[0].name = "base_model.model.model.layers.0.mystery.lora_A.weight";
  tensors[1].name = "base_model.model.model.layers.0.mystery.lora_B.weight";
  EXPECT_THAT(Open(SomeConfig(), tensors).error().text(),
              HasSubstr("changes 'model.layers.0.mystery', which is no matrix of 'llama' models"));
  tensors = SomeTensors();
  tensors[1].shape = {6, 2};
  EXPECT_THAT(Open(SomeConfig(), tensors).error().text(),
              HasSubstr("has 6 rows, but the model has 2 heads of 4"));
  tensors = SomeTensors();
  tensors.erase(tensors.begin());
  EXPECT_THAT(Open(SomeConfig(), tensors).error().text(), HasSubstr("lacks one of its two"));
  tensors = SomeTensors();
  tensors[0].first = NAN;
  EXPECT_THAT(Open(SomeConfig(), tensors).error().text(), HasSubstr("not finite"));
  model_.Set("general.architecture", "mystery");
  EXPECT_THAT(Open(SomeConfig(), SomeTensors()).error().text(),
              HasSubstr("no published layout of 'mystery'"));
}

}  // namespace
}  // namespace tatara::weights
