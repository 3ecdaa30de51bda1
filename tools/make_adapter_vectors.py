#!/usr/bin/env python3
"""Losses and gradients of adapters on tiny models by PyTorch's autodiff, for src/model/trainable_base_test.cc.

usage: tools/make_adapter_vectors.py > src/model/adapter_vectors.inc     (needs torch; f64 on the CPU)

Models, weights and tokens are those of make_training_vectors.py; every matrix of the blocks has an adapter of
rank 3 and alpha 6, in the order of the model. With DoRA the norm counts as constant, as its paper says (4.3).
"""
import math

import torch

from make_training_vectors import SHAPES, f32, loss_of, parameters, values

RANK, ALPHA = 3, 6.0


def adapter_parameters(arch, s, dora):
    out = []
    for name, rows, cols in parameters(arch, s):
        if rows > 1 and name.startswith("blk."):
            out += [(name + ".lora_a", RANK, cols), (name + ".lora_b", rows, RANK)]
            if dora:
                out.append((name + ".lora_magnitude", 1, rows))
    return out


def main():
    print("// Made by tools/make_adapter_vectors.py with PyTorch's autodiff in f64.")
    for arch, dora in [("gpt2", 0), ("llama", 0), ("qwen2", 0), ("qwen3", 0), ("gemma2", 0), ("gemma3", 0),
                       ("gpt2", 1), ("llama", 1)]:
        s = SHAPES[arch]
        p, ad = {}, {}
        for i, (name, rows, cols) in enumerate(parameters(arch, s)):
            middle = 1.0 if name.endswith("norm.weight") else 0.0
            t = f32(middle + f32(torch.tensor(values(rows * cols, 1000 + i))) * 0.25)
            p[name] = t.reshape(rows, cols)
        for i, (name, rows, cols) in enumerate(adapter_parameters(arch, s, dora)):
            middle = 1.0 if name.endswith("magnitude") else 0.0
            t = f32(middle + f32(torch.tensor(values(rows * cols, 5000 + i))) * 0.25)
            ad[name] = t.reshape(rows, cols).requires_grad_()
        for name in list(p):
            if name + ".lora_a" in ad:
                w = p[name] + ALPHA / RANK * ad[name + ".lora_b"] @ ad[name + ".lora_a"]
                if dora:
                    w = (ad[name + ".lora_magnitude"][0] / w.norm(dim=1).detach())[:, None] * w
                p[name] = w
        n_b, n_t = 3, 10
        ids = [int(math.floor((x + 1) / 2 * s["v"])) for x in values(2 * n_b * n_t, 5)]
        tokens = torch.tensor(ids[: n_b * n_t]).reshape(n_b, n_t)
        targets = torch.tensor(ids[n_b * n_t:])
        targets[7] = -1
        targets[20] = -1
        first = torch.zeros(n_b, n_t, dtype=torch.long)
        first[1, 4:] = 4
        loss = loss_of(arch, s, p, tokens, targets.reshape(n_b, n_t), first)
        loss.backward()
        print(f'{{"{arch}", {"true" if dora else "false"}, {loss.item():.12g}, {{')
        for name, rows, cols in adapter_parameters(arch, s, dora):
            g = ad[name].grad.flatten()
            signs = torch.tensor(values(g.numel(), 77))
            print(f'  {{"{name}", {g.sum().item():.10g}, {g.abs().sum().item():.10g}, {(g * signs).sum().item():.10g}}},')
        print("}},")


if __name__ == "__main__":
    main()
