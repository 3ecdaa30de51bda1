// Folders of families whose tensors are published in another form than GGUF's: opened, they must be
// the tiny models of the data again.
#include "huggingface/folder_builder.h"

namespace tatara::weights::test {
namespace {

using testing::HasSubstr;

const std::vector<std::string> kRounded = {"norm.weight", "ssm_a"};

const Names kDelta = {
    {"blk.#.post_attention_norm.weight", "model.layers.#.post_attention_layernorm.weight"},
    {"blk.#.ssm_norm.weight", "model.layers.#.linear_attn.norm.weight"},
    {"blk.#.ssm_out.weight", "model.layers.#.linear_attn.out_proj.weight"},
    {"blk.#.ssm_dt.bias", "model.layers.#.linear_attn.dt_bias"}};

json HybridConfig(const char* architecture, const json& more) {
  json config = Config(architecture, {{"num_hidden_layers", 4},
                                      {"rope_theta", 10000.0},
                                      {"partial_rotary_factor", 0.5},
                                      {"full_attention_interval", 4},
                                      {"linear_conv_kernel_dim", 4},
                                      {"linear_key_head_dim", 16},
                                      {"linear_value_head_dim", 16},
                                      {"linear_num_key_heads", 2},
                                      {"linear_num_value_heads", 4}});
  config.update(more);
  return config;
}

// Published as their difference from 1, all but the delta net's.
void AddNorms(Folder& folder) {
  const auto less = [](Tensor norm) {
    for (float& value : norm.values) value -= 1;
    return norm;
  };
  folder.Add("model.norm.weight", 0, less(folder.Take("output_norm.weight", 0)));
  for (std::int64_t layer = 0; layer < 4; ++layer) {
    for (const auto& [from, to] :
         {std::pair{"blk.#.attn_norm.weight", "model.layers.#.input_layernorm.weight"},
          {"blk.#.post_attention_norm.weight", "model.layers.#.post_attention_layernorm.weight"},
          {"blk.#.attn_q_norm.weight", "model.layers.#.self_attn.q_norm.weight"},
          {"blk.#.attn_k_norm.weight", "model.layers.#.self_attn.k_norm.weight"}}) {
      if (folder.Has(from, layer)) folder.Add(to, layer, less(folder.Take(from, layer)));
    }
  }
}

// The logarithm of what decays, rows in the order that `heads` names.
void AddDecays(Folder& folder, std::int64_t layer, const std::vector<std::int64_t>& heads) {
  Tensor decay = Rows(folder.Take("blk.#.ssm_a", layer), heads);
  for (float& value : decay.values) value = std::log(-value);
  folder.Add("model.layers.#.linear_attn.A_log", layer, decay);
}

void AddTaps(Folder& folder, std::int64_t layer, const std::vector<std::int64_t>& channels) {
  Tensor taps = Rows(folder.Take("blk.#.ssm_conv1d.weight", layer), channels);
  taps.shape = {taps.shape[0], 1, taps.shape[1]};
  folder.Add("model.layers.#.linear_attn.conv1d.weight", layer, taps);
}

TEST(FolderOfHybrids, Qwen3Next) {
  TATARA_REQUIRE_DATA(gguf, "golden/arch/qwen3next.gguf");
  const auto store = Open(gguf);
  Folder folder(*store,
                HybridConfig("Qwen3NextForCausalLM", {{"intermediate_size", 64},
                                                      {"num_experts", 4},
                                                      {"num_experts_per_tok", 2},
                                                      {"moe_intermediate_size", 8},
                                                      {"shared_expert_intermediate_size", 16}}));
  AddNorms(folder);
  for (std::int64_t layer = 0; layer < 4; ++layer) {
    Tensor gate = folder.Take("blk.#.ffn_gate_inp_shexp.weight", layer);
    gate.shape = {1, 48};
    folder.Add("model.layers.#.mlp.shared_expert_gate.weight", layer, gate);
    if (layer == 3) continue;
    // Of each of 2 key heads 16 rows of q and of k, 32 of v and of z.
    const Tensor all = Below(folder.Take("blk.#.attn_qkv.weight", layer),
                             folder.Take("blk.#.attn_gate.weight", layer));
    std::vector<std::int64_t> rows;
    for (const std::int64_t head : {0, 1}) {
      Append(rows, 16 * head, 16);
      Append(rows, 32 + 16 * head, 16);
      Append(rows, 64 + 32 * head, 32);
      Append(rows, 128 + 32 * head, 32);
    }
    folder.Add("model.layers.#.linear_attn.in_proj_qkvz.weight", layer, Rows(all, rows));
    AddDecays(folder, layer, Range(0, 4));
    AddTaps(folder, layer, Range(0, 128));
  }
  folder.AddNamed(
      Joined(
          {kEnds,
           kAttention,
           kExperts,
           kDelta,
           {{"blk.#.ssm_ba.weight", "model.layers.#.linear_attn.in_proj_ba.weight"},
            {"blk.#.ffn_gate_shexp.weight", "model.layers.#.mlp.shared_expert.gate_proj.weight"},
            {"blk.#.ffn_up_shexp.weight", "model.layers.#.mlp.shared_expert.up_proj.weight"},
            {"blk.#.ffn_down_shexp.weight", "model.layers.#.mlp.shared_expert.down_proj.weight"}}}),
      4);
  folder.ExpectBack(kRounded);
}

// Published value head h reads key head h / 2; here head h reads h mod 2: 0, 2, 1, 3.
TEST(FolderOfHybrids, Qwen35) {
  TATARA_REQUIRE_DATA(gguf, "golden/arch/qwen35.gguf");
  const auto store = Open(gguf);
  json config = HybridConfig("Qwen3_5ForConditionalGeneration", {{"intermediate_size", 48}});
  config["rope_parameters"] = {{"rope_type", "default"},
                               {"rope_theta", 10000.0},
                               {"partial_rotary_factor", 0.5},
                               {"mrope_section", {2, 1, 1}}};
  config["layer_types"] = {"linear_attention", "linear_attention", "linear_attention",
                           "full_attention"};
  Folder folder(*store, config);
  const std::vector<std::int64_t> heads = {0, 2, 1, 3};
  std::vector<std::int64_t> values, channels = Range(0, 64);
  for (const std::int64_t head : heads) {
    Append(values, 16 * head, 16);
    Append(channels, 64 + 16 * head, 16);
  }
  AddNorms(folder);
  for (std::int64_t layer = 0; layer < 3; ++layer) {
    const auto add = [&](const char* from, const std::string& to,
                         const std::vector<std::int64_t>& rows) {
      folder.Add("model.layers.#.linear_attn." + to, layer, Rows(folder.Take(from, layer), rows));
    };
    add("blk.#.attn_qkv.weight", "in_proj_qkv.weight", channels);
    add("blk.#.attn_gate.weight", "in_proj_z.weight", values);
    add("blk.#.ssm_beta.weight", "in_proj_b.weight", heads);
    add("blk.#.ssm_alpha.weight", "in_proj_a.weight", heads);
    add("blk.#.ssm_dt.bias", "dt_bias", heads);
    AddDecays(folder, layer, heads);
    AddTaps(folder, layer, channels);
    folder.Add("model.layers.#.linear_attn.out_proj.weight", layer,
               Turned(Rows(Turned(folder.Take("blk.#.ssm_out.weight", layer)), values)));
  }
  folder.AddNamed(Joined({kEnds, kAttention, kDense, kDelta}), 4);
  folder.ExpectBack(kRounded);
}

TEST(FolderOfHybrids, SettingsWithoutAnAnswerAreRefused) {
  const json next = HybridConfig("Qwen3NextForCausalLM", {{"num_experts", 4},
                                                          {"num_experts_per_tok", 2},
                                                          {"moe_intermediate_size", 8},
                                                          {"shared_expert_intermediate_size", 16}});
  EXPECT_EQ(RefusalOf(next, json::object()), "opened");
  EXPECT_THAT(RefusalOf(next, {{"linear_value_head_dim", 8}}),
              HasSubstr("'linear_value_head_dim' is 8"));
  EXPECT_THAT(RefusalOf(next, {{"layer_types", {"sliding_attention"}}}),
              HasSubstr("'layer_types'"));
  EXPECT_THAT(RefusalOf(next, {{"mlp_only_layers", {1}}}), HasSubstr("'mlp_only_layers' is 1"));
}

}  // namespace
}  // namespace tatara::weights::test
