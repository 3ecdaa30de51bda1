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
    "gpt2": ("GPT2", dict(n_embd=48, n_layer=2, n_head=4, n_positions=256)),
}
IDS = [(i * 37 + 11) % 272 for i in range(24)]


def make_model(name):
    prefix, more = FAMILIES[name]
    config_name = "Gemma3TextConfig" if prefix == "Gemma3" else prefix + "Config"
    model_name = "GPT2LMHeadModel" if prefix == "GPT2" else prefix + "ForCausalLM"
    base = dict(vocab_size=272, bos_token_id=0, eos_token_id=1) if prefix == "GPT2" else BASE
    torch.manual_seed(1234)
    model = getattr(T, model_name)(getattr(T, config_name)(**{**base, **more})).float().eval()
    with torch.no_grad():
        for key, p in model.named_parameters():
            if p.dim() > 1:
                p.copy_(torch.randn_like(p) * (1.7 / p.shape[-1] ** 0.5))
            elif ("norm" in key or "ln_" in key) and key.endswith("weight"):
                p.copy_(torch.randn_like(p) * 0.2 + (0 if "gemma" in name else 1))
            else:
                p.copy_(torch.randn_like(p) * 0.1)
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
