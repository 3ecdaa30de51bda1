#!/usr/bin/env python3
"""The tiny models of the data, exported by `tatara export`, loaded and run by transformers: their
logits (or pooled vectors) against those that an independent engine computed of the GGUF files. So the
configuration, the names and the layouts that are written are right for others, too. Needs torch and
transformers; not part of the build.

    tools/compare_exports.py build/release/tatara DATA/golden/arch FOLDER [MODEL ...]

Prints the largest difference at the positions of the data as a share of the scale, and fails where one
is above 1e-4 or a model that can be exported does not load.
"""
import json
import os
import subprocess
import sys

import torch
import transformers as T

# Refused by `tatara export`, or published as code of their own that transformers has not.
REFUSED = {"llama", "nomic-bert-moe"}
NOT_IN_TRANSFORMERS = {"jina-bert-v2"}


def values_of(folder, golden):
    """What transformers computes, and what the data has."""
    with open(os.path.join(folder, "config.json")) as file:
        name = json.load(file)["architectures"][0]
    if "logits" not in golden and name.endswith("ForCausalLM"):
        name = name.replace("ForCausalLM", "Model")
    model = getattr(T, name).from_pretrained(folder, dtype=torch.float32,
                                             attn_implementation="eager").eval()
    with torch.no_grad():
        out = model(torch.tensor([golden["token_ids"]]))
    if "logits" in golden:
        want = torch.tensor(golden["logits"], dtype=torch.float64)
        got = out.logits[0].double()[golden["positions"]]
        return got.flatten(), want
    states = out.last_hidden_state[0].double()
    pooled = {"mean": states.mean(0), "cls": states[0], "last": states[-1]}[golden["pooling"]]
    return pooled, torch.tensor(golden["embedding"], dtype=torch.float64)


def main():
    tatara, data, folder = sys.argv[1:4]
    T.logging.set_verbosity_error()
    names = sorted(f[:-5] for f in os.listdir(data) if f.endswith(".gguf"))
    failed = False
    for name in sys.argv[4:] or names:
        with open(os.path.join(data, name + ".json")) as file:
            golden = json.load(file)
        out = os.path.join(folder, name)
        run = subprocess.run([tatara, "export", os.path.join(data, name + ".gguf"), "--to", "hf",
                              out], capture_output=True, text=True)
        if run.returncode != 0:
            failed |= name not in REFUSED
            print(f"{name:18s} {run.stderr.strip()}", flush=True)
        elif name in NOT_IN_TRANSFORMERS:
            print(f"{name:18s} not in transformers", flush=True)
        else:
            got, want = values_of(out, golden)
            share = (got - want).abs().max().item() / golden["scale"]
            failed |= share > 1e-4
            print(f"{name:18s} {share:.1e}", flush=True)
    sys.exit(1 if failed else 0)


if __name__ == "__main__":
    main()
