#!/usr/bin/env python3
"""Adapters between this program and PEFT: one trained here, loaded there, and random ones of PEFT's (LoRA and
DoRA), loaded here; the logits after the same tokens on the same f32 weights. Needs torch, transformers and
peft; not part of the build.

    tools/compare_peft.py TATARA MODEL FOLDER ADAPTER [TOKENS...]

MODEL is exported to FOLDER (unless that is there), ADAPTER is a folder that `tatara tune` wrote for it. Prints
the largest difference of any logit, and fails where one is above 1e-4.
"""
import json
import os
import subprocess
import sys

import peft
import torch
import transformers

LIMIT = 1e-4


def ours(tatara, folder, adapter, tokens, n_vocab):
    run = subprocess.run([tatara, "logits", folder, "--adapter", adapter, "--activations", "f32", "--json", "--top",
                          str(n_vocab), "--tokens", ",".join(map(str, tokens))], capture_output=True, text=True)
    if run.returncode != 0:
        sys.exit(run.stderr)
    out = torch.zeros(n_vocab)
    for token, logit in json.loads(run.stdout)["top"]:
        out[token] = logit
    return out


def base_of(folder):
    return transformers.AutoModelForCausalLM.from_pretrained(folder, dtype=torch.float32,
                                                             attn_implementation="eager").eval()


def theirs(model, tokens):
    with torch.no_grad():
        return model(torch.tensor([tokens])).logits[0, -1]


def random_adapter(folder, out, dora):
    torch.manual_seed(7)
    config = peft.LoraConfig(r=4, lora_alpha=8, use_dora=dora, task_type="CAUSAL_LM",
                             target_modules=["q_proj", "k_proj", "v_proj", "o_proj", "gate_proj", "up_proj", "down_proj"])
    model = peft.get_peft_model(base_of(folder), config).eval()
    for name, p in model.named_parameters():
        if "lora_B" in name:
            torch.nn.init.normal_(p, std=0.02)
        if "magnitude" in name:
            p.data *= 1 + 0.05 * torch.randn_like(p)
    model.save_pretrained(out)
    return model


def main():
    tatara, name, folder, adapter = sys.argv[1:5]
    tokens = [int(t) for t in sys.argv[5:]] or [1, 4093, 198, 1780, 314, 260, 3575, 282, 4649, 47, 2, 198]
    if not os.path.exists(folder):
        subprocess.run([tatara, "export", name, "--to", "hf", folder], check=True, stdout=subprocess.DEVNULL)
    base = base_of(folder)
    n_vocab = base.config.vocab_size
    plain = theirs(base, tokens)
    model = peft.PeftModel.from_pretrained(base, adapter).eval()
    failed = False
    rows = [("trained here, loaded there", adapter, theirs(model, tokens))]
    for dora in (False, True):
        out = os.path.join(os.path.dirname(os.path.abspath(folder)), "peft-dora" if dora else "peft-lora")
        made = random_adapter(folder, out, dora)
        rows.append((f"PEFT's {'DoRA' if dora else 'LoRA'}, loaded here", out, theirs(made, tokens)))
    for what, path, want in rows:
        difference = (ours(tatara, folder, path, tokens, n_vocab) - want).abs().max().item()
        moved = (want - plain).abs().max().item()
        failed |= difference > LIMIT or moved == 0
        print(f"{what:30s} largest difference {difference:.2e} (the adapter moves logits by up to {moved:.2f})", flush=True)
    sys.exit(failed)


if __name__ == "__main__":
    main()
