// Folders in Hugging Face's form, made from the tiny models of the data by the inverse of every
// change (names, rotary pairs, norms, experts): opened, they must be those models again.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cmath>
#include <nlohmann/json.hpp>

#include "safetensors_builder.h"
#include "tatara/weights/tensor_store.h"
#include "test_store.h"

namespace tatara::weights {
namespace {

namespace fs = std::filesystem;
using nlohmann::json;
using test::SafetensorsBuilder;
using testing::HasSubstr;

struct Tensor {
  std::vector<std::int64_t> shape;  // slowest first
  std::vector<float> values;
};

Tensor Read(const TensorView& view) {
  Tensor out;
  for (int i = view.n_dims - 1; i >= 0; --i) {
    out.shape.push_back(view.shape[static_cast<std::size_t>(i)]);
  }
  out.values.resize(static_cast<std::size_t>(view.n_rows() * view.n_cols()));
  numerics::Dequantize(view.dtype, view.data, out.values);
  return out;
}

// From neighbours (2i, 2i + 1) back to halves (i, i + D/2).
Tensor ToHalves(const Tensor& in, std::size_t head) {
  const std::size_t rows = static_cast<std::size_t>(in.shape[0]);
  const std::size_t cols = in.values.size() / rows;
  Tensor out = in;
  for (std::size_t r = 0; r < rows; ++r) {
    const std::size_t i = r % head;
    const std::size_t to = r - i + (i % 2 == 0 ? i / 2 : head / 2 + i / 2);
    std::copy_n(in.values.begin() + static_cast<std::ptrdiff_t>(r * cols), cols,
                out.values.begin() + static_cast<std::ptrdiff_t>(to * cols));
  }
  return out;
}

struct Case {
  std::string file;
  json config;
  bool halves = false, minus_one = false;
  std::map<std::string, std::string> names;  // GGUF's last name -> there; '*' an expert
};

const std::map<std::string, std::string> kUsual = {
    {"attn_q", "self_attn.q_proj"},      {"attn_k", "self_attn.k_proj"},
    {"attn_v", "self_attn.v_proj"},      {"attn_output", "self_attn.o_proj"},
    {"attn_norm", "input_layernorm"},    {"ffn_norm", "post_attention_layernorm"},
    {"ffn_gate", "mlp.gate_proj"},       {"ffn_up", "mlp.up_proj"},
    {"ffn_down", "mlp.down_proj"},       {"attn_q_norm", "self_attn.q_norm"},
    {"attn_k_norm", "self_attn.k_norm"},
};

void AddExperts(SafetensorsBuilder& out, const std::string& pattern, const Tensor& all) {
  const auto n = static_cast<std::size_t>(all.shape[0]);
  const std::size_t size = all.values.size() / n;
  for (std::size_t e = 0; e < n; ++e) {
    std::string name = pattern;
    name.replace(name.find('*'), 1, std::to_string(e));
    const auto begin = all.values.begin() + static_cast<std::ptrdiff_t>(e * size);
    out.Add(name, {all.shape[1], all.shape[2]}, {begin, begin + static_cast<std::ptrdiff_t>(size)});
  }
}

void WriteFolder(const fs::path& folder, const Case& c, const TensorStore& store) {
  SafetensorsBuilder out;
  const auto head = c.config.value("head_dim", 16);
  for (const auto& [name, view] : store.tensors()) {
    Tensor tensor = Read(view);
    if (c.minus_one && name.find("norm") != std::string::npos) {
      for (float& value : tensor.values) value -= 1;
    }
    if (!name.starts_with("blk.")) {
      if (name == "token_embd.weight")
        out.Add("model.embed_tokens.weight", tensor.shape, tensor.values);
      if (name == "output_norm.weight") out.Add("model.norm.weight", tensor.shape, tensor.values);
      if (name == "output.weight") out.Add("lm_head.weight", tensor.shape, tensor.values);
      continue;
    }
    const std::size_t layer_end = name.find('.', 4);
    const std::size_t kind_at = name.rfind('.');
    const std::string part = name.substr(layer_end + 1, kind_at - layer_end - 1);
    const std::string kind = name.substr(kind_at);
    const auto own = c.names.find(part);
    const std::string there = "model.layers." + name.substr(4, layer_end - 4) + "." +
                              (own != c.names.end() ? own->second : kUsual.at(part)) + kind;
    if (c.halves && (part == "attn_q" || part == "attn_k")) {
      tensor = ToHalves(tensor, static_cast<std::size_t>(head));
    }
    if (there.find('*') != std::string::npos) {
      AddExperts(out, there, tensor);
    } else {
      out.Add(there, tensor.shape, tensor.values);
    }
  }
  test::WriteFile(folder / "model.safetensors", out.bytes());
  test::WriteFile(folder / "config.json", c.config.dump());
}

json Config(const char* architecture, json more) {
  json config = {{"architectures", {architecture}},
                 {"hidden_size", 48},
                 {"intermediate_size", 64},
                 {"num_hidden_layers", 2},
                 {"num_attention_heads", 3},
                 {"num_key_value_heads", 1},
                 {"head_dim", 16},
                 {"max_position_embeddings", 256},
                 {"rms_norm_eps", 1e-5},
                 {"rope_theta", 10000.0},
                 {"vocab_size", 272}};
  config.update(more);
  return config;
}

std::vector<Case> Cases() {
  return {
      {"llama_linear",
       Config("LlamaForCausalLM", {{"rope_scaling", {{"type", "linear"}, {"factor", 4.0}}}}),
       true,
       false,
       {}},
      {"llama_moe",
       Config("MixtralForCausalLM", {{"intermediate_size", 40},
                                     {"rope_theta", 1e6},
                                     {"num_local_experts", 4},
                                     {"num_experts_per_tok", 2},
                                     {"sliding_window", nullptr}}),
       true,
       false,
       {{"ffn_gate_inp", "block_sparse_moe.gate"},
        {"ffn_gate_exps", "block_sparse_moe.experts.*.w1"},
        {"ffn_down_exps", "block_sparse_moe.experts.*.w2"},
        {"ffn_up_exps", "block_sparse_moe.experts.*.w3"}}},
      {"qwen2_tied",
       Config(
           "Qwen2ForCausalLM",
           {{"rope_theta", 1e6},
            {"tie_word_embeddings", true},
            {"rope_scaling",
             {{"rope_type", "yarn"}, {"factor", 4.0}, {"original_max_position_embeddings", 32}}}}),
       false,
       false,
       {}},
      {"qwen2moe",
       Config("Qwen2MoeForCausalLM", {{"num_experts", 4},
                                      {"num_experts_per_tok", 2},
                                      {"moe_intermediate_size", 24},
                                      {"shared_expert_intermediate_size", 40}}),
       false,
       false,
       {{"ffn_gate_inp", "mlp.gate"},
        {"ffn_gate_exps", "mlp.experts.*.gate_proj"},
        {"ffn_up_exps", "mlp.experts.*.up_proj"},
        {"ffn_down_exps", "mlp.experts.*.down_proj"},
        {"ffn_gate_shexp", "mlp.shared_expert.gate_proj"},
        {"ffn_up_shexp", "mlp.shared_expert.up_proj"},
        {"ffn_down_shexp", "mlp.shared_expert.down_proj"},
        {"ffn_gate_inp_shexp", "mlp.shared_expert_gate"}}},
      {"gemma3",
       Config("Gemma3ForCausalLM", {{"intermediate_size", 40},
                                    {"num_hidden_layers", 6},
                                    {"rms_norm_eps", 1e-6},
                                    {"rope_theta", 1e6},
                                    {"rope_local_base_freq", 10000.0},
                                    {"query_pre_attn_scalar", 16},
                                    {"sliding_window", 8}}),
       false,
       true,
       {{"ffn_norm", "pre_feedforward_layernorm"},
        {"post_attention_norm", "post_attention_layernorm"},
        {"post_ffw_norm", "post_feedforward_layernorm"}}},
      {"olmo2",
       Config("Olmo2ForCausalLM",
              {{"num_key_value_heads", 3}, {"rms_norm_eps", 1e-6}, {"rope_theta", 500000.0}}),
       false,
       false,
       {{"post_attention_norm", "post_attention_layernorm"},
        {"post_ffw_norm", "post_feedforward_layernorm"}}},
      {"glm4",
       Config("Glm4ForCausalLM", {{"num_attention_heads", 4},
                                  {"num_key_value_heads", 2},
                                  {"partial_rotary_factor", 0.5}}),
       false,
       false,
       {{"post_attention_norm", "post_self_attn_layernorm"},
        {"post_ffw_norm", "post_mlp_layernorm"},
        {"ffn_norm", "post_attention_layernorm"},
        {"ffn_up", "mlp.gate_up_proj"}}},
  };
}

bool SameNumber(const Metadata& a, const Metadata& b, const std::string& key) {
  const auto x = a.Float(key);
  const auto y = b.Float(key);
  return x.ok() && y.ok() && static_cast<float>(*x) == static_cast<float>(*y);
}

void ExpectSameModel(const TensorStore& want, const TensorStore& got) {
  for (const auto& [name, view] : want.tensors()) {
    const TensorView* other = got.Find(name);
    ASSERT_NE(other, nullptr) << name;
    const Tensor a = Read(view);
    const Tensor b = Read(*other);
    ASSERT_EQ(a.values.size(), b.values.size()) << name;
    EXPECT_EQ(view.n_cols(), other->n_cols()) << name;
    for (std::size_t i = 0; i < a.values.size(); ++i) {
      ASSERT_NEAR(a.values[i], b.values[i], name.find("norm") == name.npos ? 0 : 1e-6F) << name;
    }
  }
  EXPECT_EQ(want.tensors().size(), got.tensors().size());
  const std::string architecture = want.metadata().String("general.architecture").value();
  EXPECT_EQ(got.metadata().String("general.architecture").value(), architecture);
  for (const auto& [key, value] : want.metadata().values()) {
    if (!key.starts_with(architecture + ".")) continue;
    if (key.ends_with("original_context_length") && architecture == "llama") continue;
    if (std::holds_alternative<std::string>(value)) {
      EXPECT_EQ(got.metadata().StringOr(key, "").value(), std::get<std::string>(value)) << key;
    } else {
      EXPECT_TRUE(SameNumber(want.metadata(), got.metadata(), key)) << key;
    }
  }
}

TEST(HuggingFaceFolder, IsTheModelThatItsGgufIs) {
  TATARA_REQUIRE_DATA(data, "golden/arch");
  for (const Case& c : Cases()) {
    SCOPED_TRACE(c.file);
    const auto want = OpenTensorStore(data / (c.file + ".gguf"));
    ASSERT_TRUE(want.ok()) << want.error().text();
    const tatara::test::ScratchDir dir;
    WriteFolder(dir.path(), c, **want);
    const auto got = OpenTensorStore(dir.path());
    ASSERT_TRUE(got.ok()) << got.error().text();
    ExpectSameModel(**want, **got);
    EXPECT_EQ((*got)->metadata().String("tatara.container").value(), "safetensors");
  }
}

class FolderOnDisk : public testing::Test {
 protected:
  void SetUp() override {
    test::WriteFile(dir_.path() / "config.json",
                    Config("LlamaForCausalLM", {{"num_hidden_layers", 0 + 1}}).dump());
  }
  void Write(const std::string& name, const std::string& content) {
    test::WriteFile(dir_.path() / name, content);
  }
  std::string Refusal() {
    const auto opened = OpenTensorStore(dir_.path());
    return opened.ok() ? "opened" : opened.error().text();
  }
  std::string Norm() { return SafetensorsBuilder().Add("model.norm.weight", {2}, {1, 2}).bytes(); }
  tatara::test::ScratchDir dir_;
};

TEST_F(FolderOnDisk, ShardsAreFoundThroughTheIndexOnly) {
  Write("a.safetensors", Norm());
  Write("b.safetensors", SafetensorsBuilder().Add("lm_head.weight", {1, 2}, {3, 4}).bytes());
  const auto index = [&](const std::string& map) {
    Write("model.safetensors.index.json", "{\"weight_map\":" + map + "}");
  };
  index(R"({"model.norm.weight":"a.safetensors","lm_head.weight":"b.safetensors"})");
  EXPECT_EQ(Refusal(), "opened");
  index(R"({"model.norm.weight":"b.safetensors","lm_head.weight":"b.safetensors"})");
  EXPECT_THAT(Refusal(), HasSubstr("b.safetensors: the tensor 'model.norm.weight' is missing"));
  index(R"({"model.norm.weight":"gone.safetensors"})");
  EXPECT_THAT(Refusal(), HasSubstr("gone.safetensors"));
  for (const char* bad : {"../a.safetensors", "/etc/passwd", "sub/a.safetensors", "a.bin",
                          ".safetensors", "..\\\\a.safetensors"}) {
    index(std::string(R"({"model.norm.weight":")") + bad + "\"}");
    EXPECT_THAT(Refusal(), HasSubstr("no name of a safetensors file here")) << bad;
  }
  index(R"({"model.norm.weight":7})");
  EXPECT_THAT(Refusal(), HasSubstr("'model.norm.weight' is no text"));
}

TEST_F(FolderOnDisk, WhatHasNoPlaceIsRefusedByName) {
  Write("model.safetensors", SafetensorsBuilder().Add("model.surprise", {1}, {1}).bytes());
  EXPECT_THAT(Refusal(), HasSubstr("the tensor 'model.surprise' has no place in 'llama' models"));
  Write("model.safetensors",
        SafetensorsBuilder().Add("model.layers.00.input_layernorm.weight", {1}, {1}).bytes());
  EXPECT_THAT(Refusal(), HasSubstr("has no place"));
  Write("model.safetensors",
        SafetensorsBuilder()
            .Add("model.layers.0.self_attn.q_proj.weight", {5, 2}, std::vector<float>(10))
            .bytes());
  EXPECT_THAT(Refusal(), HasSubstr("is not what config.json says"));
  Write(
      "model.safetensors",
      SafetensorsBuilder().Add("norm.weight", {1}, {1}).Add("model.norm.weight", {1}, {1}).bytes());
  EXPECT_THAT(Refusal(), HasSubstr("'output_norm.weight' is there twice"));
}

TEST_F(FolderOnDisk, UnknownArchitecturesNameTheNearest) {
  Write("config.json", R"({"architectures":["LlamaForCausalLN"]})");
  EXPECT_THAT(Refusal(), HasSubstr("nearest known one is 'LlamaForCausalLM'"));
  Write("config.json", R"({"architectures":["zzz"]})");
  EXPECT_THAT(Refusal(), HasSubstr("the architecture 'zzz' is not known here"));
  Write("config.json", R"({"architectures":"Llama"})");
  EXPECT_THAT(Refusal(), HasSubstr("'architectures' is no array of texts"));
  Write("config.json", "{}");
  EXPECT_THAT(Refusal(), HasSubstr("the key 'architectures' is missing"));
  Write("config.json", std::string(100000, '['));
  EXPECT_THAT(Refusal(), HasSubstr("config.json: no JSON object"));
}

TEST_F(FolderOnDisk, SettingsWithoutAnAnswerAreRefused) {
  const auto with = [&](const json& more) {
    Write("config.json", Config("LlamaForCausalLM", more).dump());
    return Refusal();
  };
  EXPECT_EQ(with(json::object()), "opened");
  EXPECT_THAT(with({{"rope_scaling", {{"type", "dynamic"}, {"factor", 2.0}}}}),
              HasSubstr("'rope_type' is 'dynamic'"));
  EXPECT_THAT(with({{"hidden_act", "relu"}}), HasSubstr("'hidden_act' is 'relu'"));
  EXPECT_THAT(with({{"hidden_size", -1}}), HasSubstr("'hidden_size' is -1"));
  EXPECT_THAT(with({{"num_attention_heads", 0}}), HasSubstr("'num_attention_heads' is 0"));
  EXPECT_THAT(with({{"num_hidden_layers", 1e300}}), HasSubstr("'num_hidden_layers' is no integer"));
  EXPECT_THAT(with({{"partial_rotary_factor", 1e300}}), HasSubstr("partial_rotary_factor"));
  EXPECT_THAT(with({{"quantization_config", {{"quant_method", "bitsandbytes"}}}}),
              HasSubstr("quantised by 'bitsandbytes'"));
  EXPECT_THAT(with({{"quantization_config", {{"quant_method", "gptq"}, {"bits", 3}}}}),
              HasSubstr("quantised by 'gptq' (3 bits)"));
}

TEST_F(FolderOnDisk, NumbersOfAListKeepTheirSign) {
  json config = Config("LlamaForCausalLM", json::object());
  config["eos_token_id"] = {UINT64_MAX};
  Write("config.json", config.dump());
  EXPECT_THAT(Refusal(), HasSubstr("'eos_token_id' is no array of integers"));
}

TEST_F(FolderOnDisk, AConfigThatCanNotBeLookedAtIsRefused) {
  Write("model.safetensors", Norm());
  fs::remove(dir_.path() / "config.json");
  fs::create_symlink("config.json", dir_.path() / "config.json");
  const auto opened = OpenTensorStore(dir_.path() / "model.safetensors");
  ASSERT_FALSE(opened.ok());
  EXPECT_THAT(opened.error().text(), HasSubstr("config.json: cannot open"));
}

TEST_F(FolderOnDisk, AFolderInPlaceOfAFileIsRefused) {
  Write("model.safetensors", Norm());
  fs::create_directory(dir_.path() / "tokenizer.json");
  const auto opened = OpenTensorStore(dir_.path());
  ASSERT_FALSE(opened.ok());
  EXPECT_EQ(opened.error().kind(), ErrorKind::kRefused);
  EXPECT_THAT(opened.error().text(), HasSubstr("tokenizer.json: cannot read: Is a directory"));
}

class SentenceFolder : public FolderOnDisk {
 protected:
  static json BertConfig() {
    return {{"architectures", {"BertModel"}}, {"hidden_size", 8},       {"num_hidden_layers", 1},
            {"num_attention_heads", 1},       {"intermediate_size", 8}, {"vocab_size", 8},
            {"max_position_embeddings", 8},   {"layer_norm_eps", 1e-12}};
  }
  void SetUp() override {
    FolderOnDisk::SetUp();
    Write("config.json", BertConfig().dump());
    Write("model.safetensors",
          SafetensorsBuilder().Add("embeddings.LayerNorm.weight", {1}, {1}).bytes());
    fs::create_directories(dir_.path() / "pool" / "inner");
  }
  void WriteModules(const std::string& second_type, const json& path) {
    const std::string package = "sentence_transformers.models.";
    Write("modules.json", json({{{"type", package + "Transformer"}, {"path", ""}},
                                {{"type", package + second_type}, {"path", path}},
                                {{"type", package + "Normalize"}, {"path", "2_Normalize"}}})
                              .dump());
  }
  std::string Pooled(const json& config) {
    WriteModules("Pooling", "pool/inner");
    Write("pool/inner/config.json", config.dump());
    const auto opened = OpenTensorStore(dir_.path());
    if (!opened.ok()) return opened.error().text();
    return std::to_string((*opened)->metadata().Int("bert.pooling_type").value());
  }
};

TEST_F(SentenceFolder, ThePoolingIsReadFromTheFolderOfItsModule) {
  EXPECT_EQ(Pooled({{"pooling_mode_mean_tokens", true}, {"pooling_mode_cls_token", false}}), "1");
  EXPECT_EQ(Pooled({{"pooling_mode_mean_tokens", false}, {"pooling_mode_cls_token", true}}), "2");
  EXPECT_EQ(Pooled({{"pooling_mode_lasttoken", true}, {"include_prompt", true}}), "3");
  EXPECT_EQ(Pooled({{"pooling_mode", "cls"}}), "2");
  EXPECT_EQ(Pooled({{"word_embedding_dimension", 8}}), "1");
}

TEST_F(SentenceFolder, PoolingsThatAreNotComputedAreRefused) {
  for (const std::string key : {"max_tokens", "mean_sqrt_len_tokens", "weightedmean_tokens"}) {
    const std::string mode = "pooling_mode_" + key;
    EXPECT_THAT(Pooled({{mode, true}}), HasSubstr("the pooling '" + mode + "' is not computed"));
    EXPECT_THAT(Pooled({{"pooling_mode_cls_token", true}, {mode, true}}),
                HasSubstr("the pooling '" + mode + "' is not computed"));
  }
  EXPECT_THAT(Pooled({{"pooling_mode", "max"}}), HasSubstr("the pooling 'max' is not computed"));
  EXPECT_THAT(Pooled({{"pooling_mode_cls_token", true}, {"pooling_mode_mean_tokens", true}}),
              HasSubstr("2 poolings are asked for, expected one"));
  EXPECT_THAT(Pooled({{"pooling_mode_cls_token", false}}), HasSubstr("0 poolings"));
}

TEST_F(SentenceFolder, OtherModulesAndFoldersElsewhereAreRefused) {
  for (const std::string type : {"Dense", "LayerNorm", "WeightedLayerPooling", "CNN"}) {
    WriteModules(type, "pool");
    EXPECT_THAT(Refusal(), HasSubstr(type + "' after the model is not computed here"));
  }
  for (const json& path :
       {json("../pool"), json("/tmp"), json("pool/../.."), json(""), json(std::string(256, 'x')),
        json(3), json(std::string("po\0ol", 5)), json("a\\b")}) {
    WriteModules("Pooling", path);
    EXPECT_THAT(Refusal(), HasSubstr("which is no folder of this model")) << path;
  }
  Write("modules.json", "[3]");
  EXPECT_THAT(Refusal(), HasSubstr("the module '' after the model"));
}

TEST_F(SentenceFolder, AnEncoderThatActsAsADecoderIsRefused) {
  json config = BertConfig();
  config["is_decoder"] = true;
  Write("config.json", config.dump());
  EXPECT_THAT(Refusal(), HasSubstr("'is_decoder' is true"));
}

TEST_F(FolderOnDisk, PicklesAreNotRead) {
  Write("pytorch_model.bin", "PK");
  EXPECT_THAT(Refusal(), HasSubstr("are a pickle"));
}

TEST_F(FolderOnDisk, TokenizerFilesBecomeKeys) {
  Write("model.safetensors", Norm());
  Write("tokenizer.json", "{\"model\":{}}");
  Write("tokenizer_config.json", R"({"chat_template":"{{ 1 }}"})");
  Write("generation_config.json", R"({"eos_token_id":[7,8],"bos_token_id":1})");
  const auto opened = OpenTensorStore(dir_.path() / "model.safetensors");
  ASSERT_TRUE(opened.ok()) << opened.error().text();
  const Metadata& keys = (*opened)->metadata();
  EXPECT_EQ(keys.String("tokenizer.huggingface.json").value(), "{\"model\":{}}");
  EXPECT_EQ(keys.String("tokenizer.chat_template").value(), "{{ 1 }}");
  EXPECT_EQ(keys.Int("tokenizer.ggml.eos_token_id").value(), 7);
  EXPECT_EQ(keys.Int("tokenizer.ggml.bos_token_id").value(), 1);
}

TEST(HuggingFaceFolder, OpensTheRealMiniLm) {
  TATARA_REQUIRE_MODEL(folder, "minilm-l6");
  const auto opened = OpenTensorStore(folder);
  ASSERT_TRUE(opened.ok()) << opened.error().text();
  const Metadata& keys = (*opened)->metadata();
  EXPECT_EQ(keys.Int("bert.pooling_type").value(), 1);
  EXPECT_EQ(keys.Int("bert.embedding.max_tokens").value(), 256);
  EXPECT_EQ((*opened)->tensors().size(), 101u);
  EXPECT_TRUE((*opened)->Get("blk.5.ffn_down.weight", 384, 1536).ok());
}

}  // namespace
}  // namespace tatara::weights
