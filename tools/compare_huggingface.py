#!/usr/bin/env python3
"""Tiny random models made and run by transformers, saved as Hugging Face folders, run again by
`tatara logits` with f32 activations: names, layouts, keys and arithmetic of every family by an
independent implementation. Needs torch, transformers and tokenizers; not part of the build.

    tools/compare_huggingface.py build/release/tatara FOLDER [FAMILY ...]

Prints the largest difference at the last of 24 positions, as a share of the logits' standard
deviation, and fails where one is above 1e-4.
"""
import json
import os
import subprocess
import sys

import tokenizers
import torch
import transformers as T

BASE = dict(vocab_size=272, hidden_size=48, intermediate_size=64, num_hidden_layers=4,
            num_attention_heads=4, num_key_value_heads=2, max_position_embeddings=256,
            bos_token_id=0, eos_token_id=1, pad_token_id=2)
MOE = dict(num_local_experts=4, num_experts_per_tok=2)
GRANITE = dict(embedding_multiplier=3.0, logits_scaling=4.0, residual_multiplier=0.4,
               attention_multiplier=0.15)
YARN = dict(rope_type="yarn", factor=4.0, original_max_position_embeddings=32)
LLAMA3 = dict(rope_type="llama3", factor=8.0, low_freq_factor=1.0, high_freq_factor=4.0,
              original_max_position_embeddings=32)
LONG = dict(rope_type="longrope", type="longrope", short_factor=[1.0, 1.1, 1.2, 1.3, 1.4, 1.5],
            long_factor=[1.0, 1.5, 2.0, 3.0, 4.0, 5.0])
GPT_OSS = dict(head_dim=16, num_local_experts=4, num_experts_per_tok=2, sliding_window=8,
               rope_parameters=dict(YARN, rope_theta=150000.0, truncate=False))
DEEPSEEK = dict(kv_lora_rank=32, qk_nope_head_dim=16, qk_rope_head_dim=8, v_head_dim=12,
                moe_intermediate_size=16, n_routed_experts=4, n_shared_experts=1,
                num_experts_per_tok=3, first_k_dense_replace=1, num_key_value_heads=4,
                rope_parameters=dict(YARN, rope_theta=10000.0, mscale=0.707,
                                     mscale_all_dim=0.707))
HYBRID = dict(head_dim=16, linear_num_key_heads=2, linear_num_value_heads=6,
              linear_key_head_dim=16, linear_value_head_dim=16,
              rope_parameters=dict(rope_type="default", rope_theta=10000.0,
                                   partial_rotary_factor=0.5))
HYBRID_EXPERTS = dict(num_experts=4, num_experts_per_tok=2, moe_intermediate_size=8,
                      shared_expert_intermediate_size=16)
FAMILIES = {
    "llama": ("Llama", {}),
    "llama3": ("Llama", dict(rope_scaling=LLAMA3)),
    "mistral": ("Mistral", dict(sliding_window=8)),
    "mixtral": ("Mixtral", dict(MOE, sliding_window=None)),
    "smollm3": ("SmolLM3", {}),
    "granite": ("Granite", GRANITE),
    "granitemoe": ("GraniteMoe", dict(MOE, **GRANITE)),
    "granitemoeshared": ("GraniteMoeShared", dict(MOE, shared_intermediate_size=32, **GRANITE)),
    "qwen2": ("Qwen2", {}),
    "qwen2yarn": ("Qwen2", dict(rope_scaling=YARN)),
    "qwen2moe": ("Qwen2Moe", dict(num_experts=4, num_experts_per_tok=2, moe_intermediate_size=24,
                                  shared_expert_intermediate_size=40, norm_topk_prob=False)),
    "qwen3": ("Qwen3", dict(head_dim=16)),
    "qwen3moe": ("Qwen3Moe", dict(head_dim=16, num_experts=6, num_experts_per_tok=3,
                                  moe_intermediate_size=24, norm_topk_prob=True)),
    "gemma2": ("Gemma2", dict(head_dim=16, query_pre_attn_scalar=16, sliding_window=8,
                              attn_logit_softcapping=3.0, final_logit_softcapping=4.0)),
    "gemma3": ("Gemma3", dict(num_hidden_layers=6, head_dim=16, query_pre_attn_scalar=16,
                              sliding_window=8)),
    "phi3": ("Phi3", {}),
    "phi3long": ("Phi3", dict(original_max_position_embeddings=16, rope_scaling=LONG)),
    "olmo2": ("Olmo2", {}),
    "olmo3": ("Olmo3", dict(sliding_window=8)),
    "cohere": ("Cohere", dict(logit_scale=0.5)),
    "cohere2": ("Cohere2", dict(logit_scale=0.5, sliding_window=8)),
    "glm4": ("Glm4", dict(head_dim=16)),
    "glm4moe": ("Glm4Moe", dict(head_dim=16, n_routed_experts=4, num_experts_per_tok=2,
                                moe_intermediate_size=16, n_shared_experts=1,
                                first_k_dense_replace=1, routed_scaling_factor=1.5, n_group=1,
                                topk_group=1, use_qk_norm=True)),
    "gptoss": ("GptOss", dict(GPT_OSS)),
    "gptoss_whole": ("GptOss", dict(GPT_OSS, rope_parameters=dict(
        YARN, rope_theta=150000.0, truncate=True))),
    "deepseek_v3": ("DeepseekV3", dict(DEEPSEEK, q_lora_rank=32, n_routed_experts=8, n_group=4,
                                       topk_group=2, norm_topk_prob=True,
                                       routed_scaling_factor=2.5)),
    "deepseek_v3_noyarn": ("DeepseekV3", dict(DEEPSEEK, q_lora_rank=None, rope_parameters=None,
                                              n_group=1, topk_group=1)),
    "deepseek_v2": ("DeepseekV2", dict(DEEPSEEK, q_lora_rank=None, topk_method="greedy",
                                       norm_topk_prob=False)),
    "deepseek_v2_groups": ("DeepseekV2", dict(DEEPSEEK, q_lora_rank=32, n_routed_experts=8,
                                              topk_method="group_limited_greedy", n_group=4,
                                              topk_group=2, routed_scaling_factor=16.0)),
    "qwen3next": ("Qwen3Next", dict(HYBRID, **HYBRID_EXPERTS)),
    "qwen35": ("Qwen3_5", HYBRID),
    "qwen35moe": ("Qwen3_5Moe", dict(HYBRID, **HYBRID_EXPERTS)),
    "gemma4": ("Gemma4", dict(num_hidden_layers=6, head_dim=16, global_head_dim=32,
                              sliding_window=8, num_kv_shared_layers=2, use_double_wide_mlp=True,
                              layer_types=["sliding_attention", "full_attention"] * 3,
                              hidden_size_per_layer_input=8, vocab_size_per_layer_input=272,
                              final_logit_softcapping=4.0)),
    "gemma4moe": ("Gemma4", dict(num_hidden_layers=3, head_dim=16, global_head_dim=32,
                                 sliding_window=8, attention_k_eq_v=True,
                                 num_global_key_value_heads=1, enable_moe_block=True,
                                 num_experts=4, top_k_experts=2, moe_intermediate_size=16,
                                 layer_types=["sliding_attention"] * 2 + ["full_attention"],
                                 hidden_size_per_layer_input=0)),
    "mistral3": ("Ministral3", dict(head_dim=16, rope_parameters=dict(
        YARN, rope_theta=1e6, original_max_position_embeddings=8, mscale=1.0, mscale_all_dim=1.0,
        llama_4_scaling_beta=0.1))),
    "gpt2": ("GPT2", dict(n_embd=48, n_layer=2, n_head=4, n_positions=256)),
}
IDS = [(i * 37 + 11) % 272 for i in range(24)]


def make_model(name):
    prefix, more = FAMILIES[name]
    of_text = ("Gemma3", "Gemma4", "Qwen3_5", "Qwen3_5Moe")
    config_name = prefix + ("TextConfig" if prefix in of_text else "Config")
    model_name = "GPT2LMHeadModel" if prefix == "GPT2" else prefix + "ForCausalLM"
    base = dict(vocab_size=272, bos_token_id=0, eos_token_id=1) if prefix == "GPT2" else BASE
    torch.manual_seed(1234)
    model = getattr(T, model_name)(getattr(T, config_name)(**{**base, **more})).float().eval()
    with torch.no_grad():
        for key, p in model.named_parameters():
            if p.dim() > 1:
                p.copy_(torch.randn_like(p) * (1.7 / p.shape[-1] ** 0.5))
            elif ("norm" in key or "ln_" in key) and key.endswith("weight"):
                less_one = prefix in ("Gemma2", "Gemma3") or (
                    prefix in ("Qwen3Next", "Qwen3_5", "Qwen3_5Moe") and "linear_attn" not in key)
                p.copy_(torch.randn_like(p) * 0.2 + (0 if less_one else 1))
            else:
                p.copy_(torch.randn_like(p) * 0.1)
        for key, buffer in model.named_buffers():
            if key.endswith("layer_scalar"):
                buffer.copy_(torch.rand_like(buffer) + 0.5)
            elif key.endswith("e_score_correction_bias"):
                buffer.copy_(torch.randn_like(buffer) * 0.1)
    return model


def write_tokenizer(folder):
    """A byte-level vocabulary of 272 tokens without merges."""
    letters = sorted(tokenizers.pre_tokenizers.ByteLevel.alphabet())
    words = {f"<{i}>": i for i in range(16)} | {c: 16 + i for i, c in enumerate(letters)}
    tokenizer = tokenizers.Tokenizer(tokenizers.models.BPE(vocab=words, merges=[]))
    tokenizer.pre_tokenizer = tokenizers.pre_tokenizers.ByteLevel(add_prefix_space=False)
    tokenizer.decoder = tokenizers.decoders.ByteLevel()
    tokenizer.save(os.path.join(folder, "tokenizer.json"))


def difference(tatara, folder, name):
    path = os.path.join(folder, name)
    model = make_model(name)
    model.save_pretrained(path)
    write_tokenizer(path)
    with torch.no_grad():
        logits = model(torch.tensor([IDS])).logits[0].double()
    run = subprocess.run(
        [tatara, "logits", path, "--tokens", ",".join(map(str, IDS)), "--activations", "f32",
         "--top", "272", "--json"], capture_output=True, text=True)
    if run.returncode != 0:
        return None, run.stderr.strip()
    worst = max(abs(value - logits[-1][token].item()) for token, value in json.loads(run.stdout)["top"])
    return worst / logits.std().item(), ""


def main():
    tatara, folder = sys.argv[1:3]
    failed = False
    for name in sys.argv[3:] or FAMILIES:
        share, error = difference(tatara, folder, name)
        failed |= share is None or share > 1e-4
        print(f"{name:18s} {error if share is None else f'{share:.1e}'}", flush=True)
    sys.exit(1 if failed else 0)


if __name__ == "__main__":
    main()
