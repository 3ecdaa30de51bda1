#!/usr/bin/env python3
"""Models trained here from tiny recipes, one of each family, exported as Hugging Face folders, loaded and run by
transformers: their logits against the trainer's (`tatara logits RUN --activations f32`, which src/learn/
trained_model_test.cc holds against the trainer bit for bit). So what `tatara export RUN --to hf` writes is the model
that was trained. Needs torch and transformers; not part of the build.

    tools/compare_trained.py build/release/tatara FOLDER [FAMILY ...]

Prints the largest absolute difference of a logit over 24 positions, and fails where one is above 1e-4.
"""
import json
import os
import subprocess
import sys

import torch
import transformers as T

FAMILIES = {"gpt2": "", "llama": "n_kv_heads = 2\ntied = false\n", "qwen2": "n_kv_heads = 2\n",
            "qwen3": "n_kv_heads = 2\nhead_dim = 24\n",
            "gemma2": "n_kv_heads = 2\nhead_dim = 24\nwindow = 8\nscore_cap = 50\nlogit_cap = 30\n",
            "gemma3": "n_kv_heads = 1\nhead_dim = 24\nwindow = 8\nwindow_period = 2\nrope_base = 1e6\n"}
RECIPE = """name = "{family}"
[data]
kind = "char"
text = "text.txt"
[model]
architecture = "{family}"
n_layers = 4
n_embd = 64
n_heads = 4
n_ff = 96
n_ctx = 32
{more}
[training]
steps = 60
batch = 8
[optimizer]
learning_rate = 1e-2
[run]
sample_tokens = 0
"""


def run(*words):
    out = subprocess.run(words, capture_output=True, text=True)
    if out.returncode != 0:
        sys.exit(f"{' '.join(words)}\n{out.stderr}")
    return out.stdout


def main():
    tatara, folder = sys.argv[1:3]
    os.makedirs(folder, exist_ok=True)
    T.logging.set_verbosity_error()
    with open(os.path.join(folder, "text.txt"), "w") as file:
        file.write("".join(f"iron sand {i * i}, a furnace {i % 7}\n" for i in range(400)))
    failed = False
    for family in sys.argv[3:] or FAMILIES:
        recipe = os.path.join(folder, family + ".toml")
        with open(recipe, "w") as file:
            file.write(RECIPE.format(family=family, more=FAMILIES[family]))
        run_folder, out = os.path.join(folder, family), os.path.join(folder, family + "-hf")
        run(tatara, "train", recipe, "--out", run_folder, "--json")
        run(tatara, "export", run_folder, "--to", "hf", out)
        model = T.AutoModelForCausalLM.from_pretrained(out, dtype=torch.float32, attn_implementation="eager").eval()
        ids = [(7 * i * i + 3 * i) % model.config.vocab_size for i in range(24)]
        with torch.no_grad():
            theirs = model(torch.tensor([ids])).logits[0].double()
        worst = 0.0
        for n in range(1, len(ids) + 1):
            ours = json.loads(run(tatara, "logits", run_folder, "--tokens", ",".join(map(str, ids[:n])),
                                  "--activations", "f32", "--top", str(model.config.vocab_size), "--json"))
            worst = max(worst, *(abs(value - theirs[n - 1][token].item()) for token, value in ours["top"]))
        failed |= not worst <= 1e-4
        print(f"{family:8s} {worst:.2e}  of logits up to {theirs.abs().max().item():.1f}", flush=True)
    sys.exit(1 if failed else 0)


if __name__ == "__main__":
    main()
