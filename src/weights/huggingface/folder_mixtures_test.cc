// Folders of families whose tensors are published in another form than GGUF's: opened, they must be
// the tiny models of the data again.
#include "huggingface/folder_builder.h"

namespace tatara::weights::test {
namespace {

using testing::HasSubstr;

json GptOssConfig(const json& more) {
  json config = Config("GptOssForCausalLM", {{"rope_theta", 150000.0},
                                             {"rope_scaling", Yarn(json::object())},
                                             {"sliding_window", 8},
                                             {"swiglu_limit", 7.0}});
  config.update(more);
  return config;
}

const Names kGptOss =
    Joined({kEnds,
            kAttention,
            {{"blk.#.attn_q.bias", "model.layers.#.self_attn.q_proj.bias"},
             {"blk.#.attn_k.bias", "model.layers.#.self_attn.k_proj.bias"},
             {"blk.#.attn_v.bias", "model.layers.#.self_attn.v_proj.bias"},
             {"blk.#.attn_output.bias", "model.layers.#.self_attn.o_proj.bias"},
             {"blk.#.attn_sinks.weight", "model.layers.#.self_attn.sinks"},
             {"blk.#.post_attention_norm.weight", "model.layers.#.post_attention_layernorm.weight"},
             {"blk.#.ffn_gate_inp.weight", "model.layers.#.mlp.router.weight"},
             {"blk.#.ffn_gate_inp.bias", "model.layers.#.mlp.router.bias"},
             {"blk.#.ffn_down_exps.bias", "model.layers.#.mlp.experts.down_proj_bias"}}});

void AddGateUpBias(Folder& folder, std::int64_t layer) {
  folder.Add("model.layers.#.mlp.experts.gate_up_proj_bias", layer,
             InTurn(folder.Take("blk.#.ffn_gate_exps.bias", layer),
                    folder.Take("blk.#.ffn_up_exps.bias", layer)));
}

// Of gpt-oss two sizes are one, which the tiny model keeps apart; nobody reads the first.
const std::set<std::string> kTwice = {"feed_forward_length"};

TEST(FolderOfMixtures, GptOssWidened) {
  TATARA_REQUIRE_DATA(gguf, "golden/arch/gpt-oss.gguf");
  const auto store = Open(gguf);
  Folder folder(*store, GptOssConfig({{"num_hidden_layers", 3},
                                      {"intermediate_size", 24},
                                      {"num_local_experts", 4},
                                      {"num_experts_per_tok", 2}}));
  for (std::int64_t layer = 0; layer < 3; ++layer) {
    folder.Add("model.layers.#.mlp.experts.gate_up_proj", layer,
               InTurn(Turned(folder.Take("blk.#.ffn_gate_exps.weight", layer)),
                      Turned(folder.Take("blk.#.ffn_up_exps.weight", layer))));
    folder.Add("model.layers.#.mlp.experts.down_proj", layer,
               Turned(folder.Take("blk.#.ffn_down_exps.weight", layer)));
    AddGateUpBias(folder, layer);
  }
  folder.AddNamed(kGptOss, 3);
  folder.ExpectBack({}, kTwice);
}

// GGUF's blocks as published: codes 2i and 2i + 1 in a byte, exponents apart.
struct Mxfp4 {
  std::vector<std::uint8_t> blocks, scales;
};
void AddBlock(const std::byte* block, Mxfp4& out) {
  out.scales.push_back(static_cast<std::uint8_t>(block[0]));
  const auto code = [&](int i) {
    const int byte = static_cast<int>(block[1 + i % 16]);
    return i < 16 ? byte & 15 : byte >> 4;
  };
  for (int i = 0; i < 32; i += 2) {
    out.blocks.push_back(static_cast<std::uint8_t>(code(i) | code(i + 1) << 4));
  }
}

void AddMxfp4(Folder& folder, const std::string& name, std::int64_t layer,
              const std::vector<const TensorView*>& in_turn) {
  const TensorView& first = *in_turn[0];
  const std::int64_t n_groups = first.n_cols() / 32;
  Mxfp4 out;
  for (std::int64_t row = 0; row < first.n_rows(); ++row) {
    for (const TensorView* view : in_turn) {
      for (std::int64_t g = 0; g < n_groups; ++g) {
        AddBlock(view->data.data() + (row * n_groups + g) * 17, out);
      }
    }
  }
  const std::int64_t n_rows = first.shape[1] * std::ssize(in_turn);
  folder.out().AddOf("U8", With(name + "_blocks", '#', layer),
                     {first.shape[2], n_rows, n_groups, 16}, out.blocks);
  folder.out().AddOf("U8", With(name + "_scales", '#', layer), {first.shape[2], n_rows, n_groups},
                     out.scales);
}

TEST(FolderOfMixtures, GptOssInBlocksKeepsTheirFormat) {
  TATARA_REQUIRE_DATA(gguf, "golden/arch/gpt-oss_mxfp4.gguf");
  const auto store = Open(gguf);
  Folder folder(*store, GptOssConfig({{"hidden_size", 64},
                                      {"num_hidden_layers", 2},
                                      {"intermediate_size", 64},
                                      {"num_local_experts", 6},
                                      {"num_experts_per_tok", 3},
                                      {"quantization_config", {{"quant_method", "mxfp4"}}}}));
  for (std::int64_t layer = 0; layer < 2; ++layer) {
    AddMxfp4(folder, "model.layers.#.mlp.experts.gate_up_proj", layer,
             {&folder.View("blk.#.ffn_gate_exps.weight", layer),
              &folder.View("blk.#.ffn_up_exps.weight", layer)});
    AddMxfp4(folder, "model.layers.#.mlp.experts.down_proj", layer,
             {&folder.View("blk.#.ffn_down_exps.weight", layer)});
    AddGateUpBias(folder, layer);
  }
  folder.AddNamed(kGptOss, 2);
  folder.ExpectBack({}, kTwice);
}

TEST(FolderOfMixtures, DamagedBlocksAreRefusedByName) {
  const tatara::test::ScratchDir dir;
  json config = GptOssConfig({{"num_hidden_layers", 1},
                              {"intermediate_size", 32},
                              {"num_local_experts", 1},
                              {"num_experts_per_tok", 1},
                              {"quantization_config", {{"quant_method", "mxfp4"}}}});
  WriteFile(dir.path() / "config.json", config.dump());
  const std::string name = "model.layers.0.mlp.experts.down_proj";
  const auto refusal = [&](const std::vector<std::int64_t>& blocks,
                           const std::vector<std::int64_t>& scales) {
    const auto count = [](const std::vector<std::int64_t>& shape) {
      std::size_t n = 1;
      for (const std::int64_t d : shape) n *= static_cast<std::size_t>(d);
      return std::vector<std::uint8_t>(n);
    };
    SafetensorsBuilder out;
    out.AddOf("U8", name + "_blocks", blocks, count(blocks));
    if (!scales.empty()) out.AddOf("U8", name + "_scales", scales, count(scales));
    WriteFile(dir.path() / "model.safetensors", out.bytes());
    const auto opened = OpenTensorStore(dir.path());
    return opened.ok() ? std::string("opened") : opened.error().text();
  };
  EXPECT_EQ(refusal({1, 48, 1, 16}, {1, 48, 1}), "opened");
  for (const auto& [blocks, scales] :
       std::vector<std::pair<std::vector<std::int64_t>, std::vector<std::int64_t>>>{
           {{1, 48, 1, 16}, {}},
           {{1, 48, 1, 16}, {1, 47, 1}},
           {{1, 48, 1, 16}, {48, 1, 1}},
           {{1, 48, 1, 8}, {1, 48, 1}},
           {{48, 16}, {48}},
           {{1, 0, 1, 16}, {1, 0, 1}}}) {
    EXPECT_THAT(refusal(blocks, scales), HasSubstr("'" + name + "_blocks' is missing or not laid"));
  }
}

const Names kDeepseek = Joined(
    {kEnds,
     kAttention,
     kDense,
     kExperts,
     {{"blk.#.attn_q_a.weight", "model.layers.#.self_attn.q_a_proj.weight"},
      {"blk.#.attn_q_a_norm.weight", "model.layers.#.self_attn.q_a_layernorm.weight"},
      {"blk.#.attn_q_b.weight", "model.layers.#.self_attn.q_b_proj.weight"},
      {"blk.#.attn_kv_a_mqa.weight", "model.layers.#.self_attn.kv_a_proj_with_mqa.weight"},
      {"blk.#.attn_kv_a_norm.weight", "model.layers.#.self_attn.kv_a_layernorm.weight"},
      {"blk.#.exp_probs_b.bias", "model.layers.#.mlp.gate.e_score_correction_bias"},
      {"blk.#.ffn_gate_shexp.weight", "model.layers.#.mlp.shared_experts.gate_proj.weight"},
      {"blk.#.ffn_up_shexp.weight", "model.layers.#.mlp.shared_experts.up_proj.weight"},
      {"blk.#.ffn_down_shexp.weight", "model.layers.#.mlp.shared_experts.down_proj.weight"}}});

// Of every head first K_b, outputs first, then V_b.
void AddLatents(Folder& folder) {
  for (std::int64_t layer = 0; layer < 3; ++layer) {
    const Tensor keys = Turned(folder.Take("blk.#.attn_k_b.weight", layer));
    const Tensor values = folder.Take("blk.#.attn_v_b.weight", layer);
    Tensor both{{0, keys.shape[2]}, {}};
    for (std::int64_t head = 0; head < keys.shape[0]; ++head) {
      for (const Tensor* part : {&keys, &values}) {
        const Tensor one = Rows(*part, {head});
        both = Below(both, {{part->shape[1], part->shape[2]}, one.values});
      }
    }
    folder.Add("model.layers.#.self_attn.kv_b_proj.weight", layer, both);
  }
}

json DeepseekConfig(const char* architecture, const json& more) {
  json config = Config(architecture, {{"num_hidden_layers", 3},
                                      {"rope_theta", 10000.0},
                                      {"kv_lora_rank", 32},
                                      {"qk_nope_head_dim", 16},
                                      {"qk_rope_head_dim", 8},
                                      {"v_head_dim", 16},
                                      {"moe_intermediate_size", 16},
                                      {"n_shared_experts", 1},
                                      {"first_k_dense_replace", 1}});
  config.erase("head_dim");
  config.update(more);
  return config;
}

TEST(FolderOfMixtures, DeepseekV3) {
  TATARA_REQUIRE_DATA(gguf, "golden/arch/deepseek2_v3.gguf");
  const auto store = Open(gguf);
  Folder folder(
      *store, DeepseekConfig("DeepseekV3ForCausalLM",
                             {{"num_attention_heads", 3},
                              {"num_key_value_heads", 3},
                              {"intermediate_size", 64},
                              {"q_lora_rank", 32},
                              {"n_routed_experts", 8},
                              {"num_experts_per_tok", 3},
                              {"n_group", 4},
                              {"topk_group", 2},
                              {"scoring_func", "sigmoid"},
                              {"topk_method", "noaux_tc"},
                              {"norm_topk_prob", true},
                              {"routed_scaling_factor", 2.5},
                              {"rope_scaling", Yarn({{"mscale", 1.0}, {"mscale_all_dim", 1.0}})}}));
  AddLatents(folder);
  folder.AddNamed(kDeepseek, 3);
  folder.ExpectBack();
}

TEST(FolderOfMixtures, DeepseekV2) {
  TATARA_REQUIRE_DATA(gguf, "golden/arch/deepseek2_lite.gguf");
  const auto store = Open(gguf);
  const json yarn = Yarn({{"mscale", 0.707}, {"mscale_all_dim", 0.707}});
  const json more = {{"intermediate_size", 48},
                     {"q_lora_rank", nullptr},
                     {"n_routed_experts", 4},
                     {"num_experts_per_tok", 2},
                     {"topk_method", "greedy"},
                     {"norm_topk_prob", false},
                     {"n_group", 1},
                     {"topk_group", 1},
                     {"rope_scaling", yarn}};
  Folder folder(*store, DeepseekConfig("DeepseekV2ForCausalLM", more));
  AddLatents(folder);
  folder.AddNamed(kDeepseek, 3);
  // The file says 0 for a rank that is not there.
  folder.ExpectBack({}, {"attention.q_lora_rank"});
}

TEST(FolderOfMixtures, SettingsWithoutAnAnswerAreRefused) {
  const json oss = GptOssConfig({{"num_hidden_layers", 2},
                                 {"intermediate_size", 32},
                                 {"num_local_experts", 1},
                                 {"num_experts_per_tok", 1}});
  EXPECT_EQ(RefusalOf(oss, json::object()), "opened");
  EXPECT_THAT(RefusalOf(oss, {{"swiglu_limit", 6.0}}), HasSubstr("'swiglu_limit' is 6"));
  EXPECT_THAT(RefusalOf(oss, {{"layer_types", {"full_attention"}}}), HasSubstr("'layer_types'"));
  const json seek = DeepseekConfig(
      "DeepseekV3ForCausalLM",
      {{"intermediate_size", 64}, {"n_routed_experts", 2}, {"num_experts_per_tok", 1}});
  EXPECT_EQ(RefusalOf(seek, json::object()), "opened");
  EXPECT_THAT(RefusalOf(seek, {{"rope_interleave", false}}), HasSubstr("'rope_interleave'"));
  EXPECT_THAT(RefusalOf(seek, {{"scoring_func", "softmax"}}), HasSubstr("'scoring_func'"));
  EXPECT_THAT(RefusalOf(seek, {{"rope_scaling", Yarn({{"mscale", 0.5}, {"mscale_all_dim", 1.0}})}}),
              HasSubstr("'mscale' is 0.5"));
  EXPECT_THAT(RefusalOf(seek, {{"num_nextn_predict_layers", 65}}), HasSubstr("is 65"));
  EXPECT_THAT(RefusalOf(seek, {{"v_head_dim", 1 << 25}}), HasSubstr("'v_head_dim' is 33554432"));
}

}  // namespace
}  // namespace tatara::weights::test
