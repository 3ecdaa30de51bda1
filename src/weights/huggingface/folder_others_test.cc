// Folders of families whose tensors are published in another form than GGUF's: opened, they must be
// the tiny models of the data again.
#include "huggingface/folder_builder.h"

namespace tatara::weights::test {
namespace {

using testing::HasSubstr;

const Names kGemma4 =
    Joined({kEnds,
            kAttention,
            kDense,
            {{"per_layer_token_embd.weight", "model.embed_tokens_per_layer.weight"},
             {"per_layer_model_proj.weight", "model.per_layer_model_projection.weight"},
             {"per_layer_proj_norm.weight", "model.per_layer_projection_norm.weight"},
             {"blk.#.post_attention_norm.weight", "model.layers.#.post_attention_layernorm.weight"},
             {"blk.#.ffn_norm.weight", "model.layers.#.pre_feedforward_layernorm.weight"},
             {"blk.#.pre_ffw_norm_2.weight", "model.layers.#.pre_feedforward_layernorm_2.weight"},
             {"blk.#.post_ffw_norm.weight", "model.layers.#.post_feedforward_layernorm.weight"},
             {"blk.#.post_ffw_norm_1.weight", "model.layers.#.post_feedforward_layernorm_1.weight"},
             {"blk.#.post_ffw_norm_2.weight", "model.layers.#.post_feedforward_layernorm_2.weight"},
             {"blk.#.inp_gate.weight", "model.layers.#.per_layer_input_gate.weight"},
             {"blk.#.proj.weight", "model.layers.#.per_layer_projection.weight"},
             {"blk.#.post_norm.weight", "model.layers.#.post_per_layer_input_norm.weight"},
             {"blk.#.layer_output_scale.weight", "model.layers.#.layer_scalar"},
             {"blk.#.ffn_gate_inp.weight", "model.layers.#.router.proj.weight"},
             {"blk.#.ffn_gate_inp.scale", "model.layers.#.router.scale"},
             {"blk.#.ffn_down_exps.scale", "model.layers.#.router.per_expert_scale"},
             {"blk.#.ffn_gate_up_exps.weight", "model.layers.#.experts.gate_up_proj"},
             {"blk.#.ffn_down_exps.weight", "model.layers.#.experts.down_proj"}}});

json Gemma4Config(const json& more) {
  json config = Config("Gemma4ForConditionalGeneration", {{"intermediate_size", 32},
                                                          {"global_head_dim", 32},
                                                          {"rms_norm_eps", 1e-6},
                                                          {"sliding_window", 8},
                                                          {"final_logit_softcapping", 4.0},
                                                          {"tie_word_embeddings", true}});
  config.update(more);
  return config;
}

// The share of a head that is turned, as the file's divisors have it.
double ShareOf(const TensorStore& store) {
  const Tensor divisors = Read(*store.Find("rope_freqs.weight"));
  return static_cast<double>(std::ranges::count(divisors.values, 1.0F)) /
         static_cast<double>(divisors.values.size());
}

json Gemma4Ropes(double share) {
  return {{"sliding_attention", {{"rope_type", "default"}, {"rope_theta", 10000.0}}},
          {"full_attention",
           {{"rope_type", "proportional"}, {"partial_rotary_factor", share}, {"rope_theta", 1e6}}}};
}

TEST(FolderOfOthers, Gemma4) {
  TATARA_REQUIRE_DATA(gguf, "golden/arch/gemma4.gguf");
  const auto store = Open(gguf);
  json config = Gemma4Config(
      {{"num_hidden_layers", 4},
       {"num_attention_heads", 3},
       {"num_key_value_heads", 1},
       {"num_kv_shared_layers", 2},
       {"use_double_wide_mlp", true},
       {"hidden_size_per_layer_input", 8},
       {"rope_parameters", Gemma4Ropes(ShareOf(*store))},
       {"layer_types",
        {"sliding_attention", "full_attention", "sliding_attention", "full_attention"}}});
  for (const bool by_layer : {false, true}) {
    if (by_layer) {
      config.erase("global_head_dim");
      config["per_layer_config"] = {{"1", {{"head_dim", 32}}}, {"3", {{"head_dim", 32}}}};
    }
    Folder folder(*store, config);
    folder.AddNamed(kGemma4, 4);
    folder.ExpectBack();
  }
}

TEST(FolderOfOthers, Gemma4WithExperts) {
  TATARA_REQUIRE_DATA(gguf, "golden/arch/gemma4_moe.gguf");
  const auto store = Open(gguf);
  json config =
      Gemma4Config({{"num_hidden_layers", 3},
                    {"attention_k_eq_v", true},
                    {"num_global_key_value_heads", 1},
                    {"enable_moe_block", true},
                    {"num_experts", 4},
                    {"top_k_experts", 2},
                    {"moe_intermediate_size", 16},
                    {"hidden_size_per_layer_input", 0},
                    {"rope_parameters", Gemma4Ropes(ShareOf(*store))},
                    {"layer_types", {"sliding_attention", "sliding_attention", "full_attention"}}});
  Folder folder(*store, config);
  folder.AddNamed(kGemma4, 3);
  folder.ExpectBack();
}

// Halves of a head as published, neighbours in GGUF.
TEST(FolderOfOthers, Mistral3) {
  TATARA_REQUIRE_DATA(gguf, "golden/arch/mistral3.gguf");
  const auto store = Open(gguf);
  const json text = Config("", {{"model_type", "ministral3"},
                                {"num_hidden_layers", 2},
                                {"intermediate_size", 64},
                                {"tie_word_embeddings", true},
                                {"rope_parameters", Yarn({{"rope_theta", 10000.0},
                                                          {"original_max_position_embeddings", 8},
                                                          {"mscale", 1.0},
                                                          {"mscale_all_dim", 1.0},
                                                          {"llama_4_scaling_beta", 0.1}})}});
  Folder folder(*store,
                {{"architectures", {"Mistral3ForConditionalGeneration"}}, {"text_config", text}});
  for (std::int64_t layer = 0; layer < 2; ++layer) {
    for (const auto& [from, to, n_heads] :
         {std::tuple{"blk.#.attn_q.weight", "model.layers.#.self_attn.q_proj.weight", 4},
          {"blk.#.attn_k.weight", "model.layers.#.self_attn.k_proj.weight", 2}}) {
      std::vector<std::int64_t> rows;
      for (std::int64_t head = 0; head < n_heads; ++head) {
        for (std::int64_t i = 0; i < 8; ++i) rows.push_back(16 * head + 2 * i);
        for (std::int64_t i = 0; i < 8; ++i) rows.push_back(16 * head + 2 * i + 1);
      }
      folder.Add(to, layer, Rows(folder.Take(from, layer), rows));
    }
  }
  folder.AddNamed(Joined({kEnds, kAttention, kDense}), 2);
  folder.ExpectBack();
}

TEST(FolderOfOthers, Jina) {
  TATARA_REQUIRE_DATA(gguf, "golden/arch/jina-bert-v2.gguf");
  const auto store = Open(gguf);
  Folder folder(*store, {{"architectures", {"JinaBertForMaskedLM"}},
                         {"hidden_size", 60},
                         {"num_hidden_layers", 2},
                         {"num_attention_heads", 6},
                         {"intermediate_size", 64},
                         {"max_position_embeddings", 256},
                         {"vocab_size", 272},
                         {"type_vocab_size", 2},
                         {"layer_norm_eps", 1e-12},
                         {"feed_forward_type", "geglu"},
                         {"position_embedding_type", "alibi"}});
  for (std::int64_t layer = 0; layer < 2; ++layer) {
    folder.Add("bert.encoder.layer.#.mlp.gated_layers.weight", layer,
               Below(folder.Take("blk.#.ffn_gate.weight", layer),
                     folder.Take("blk.#.ffn_up.weight", layer)));
  }
  Names names = {{"token_embd.weight", "embeddings.word_embeddings.weight"},
                 {"token_types.weight", "embeddings.token_type_embeddings.weight"},
                 {"token_embd_norm.weight", "embeddings.LayerNorm.weight"},
                 {"token_embd_norm.bias", "embeddings.LayerNorm.bias"}};
  for (const auto& [from, to] : {std::pair{"attn_q", "attention.self.query"},
                                 {"attn_k", "attention.self.key"},
                                 {"attn_v", "attention.self.value"},
                                 {"attn_output", "attention.output.dense"},
                                 {"attn_output_norm", "attention.output.LayerNorm"},
                                 {"ffn_down", "mlp.wo"},
                                 {"layer_output_norm", "mlp.layernorm"}}) {
    for (const char* kind : {".weight", ".bias"}) {
      names[std::string("blk.#.") + from + kind] = std::string("encoder.layer.#.") + to + kind;
    }
  }
  folder.AddNamed(names, 2);
  // Heads and positions that encoders of this kind have not.
  folder.ExpectBack({}, {"attention.head_count_kv", "attention.key_length",
                         "attention.value_length", "rope.dimension_count", "rope.freq_base"});
}

TEST(FolderOfOthers, SettingsWithoutAnAnswerAreRefused) {
  const json gemma = Gemma4Config({{"num_hidden_layers", 2}});
  EXPECT_EQ(RefusalOf(gemma, json::object()), "opened");
  EXPECT_THAT(RefusalOf(gemma, {{"layer_types", {"full_attention"}}}), HasSubstr("has 1 values"));
  EXPECT_THAT(RefusalOf(gemma, {{"use_bidirectional_attention", "all"}}), HasSubstr("'all'"));
  EXPECT_THAT(RefusalOf(gemma, {{"per_layer_config", {{"0", {{"head_dim", 64}}}}}}),
              HasSubstr("'per_layer_config' is '0'"));
  EXPECT_THAT(RefusalOf(gemma, {{"num_hidden_layers", 1 << 20}}), HasSubstr("1 to 16384"));
}

}  // namespace
}  // namespace tatara::weights::test
