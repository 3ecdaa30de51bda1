#!/usr/bin/env python3
"""Losses and gradients of tiny models by PyTorch's autodiff, for src/model/trainable_test.cc.

usage: tools/make_training_vectors.py > src/model/training_vectors.inc     (needs torch; f64 on the CPU)

The models are written here from the published equations, in GGUF's names and layout. Weights, tokens and
targets follow from a counter, as in the test, so only results are kept: the summed loss, and of every
parameter's gradient the sum, the sum of absolute values, and a projection on fixed signs.
"""
import math

import torch

torch.set_default_dtype(torch.float64)


def values(n, seed):
    """The test's weights: a linear congruential generator, in [-1, 1)."""
    state, out = seed, []
    for _ in range(n):
        state = (state * 6364136223846793005 + 1442695040888963407) % 2**64
        top = state >> 32
        out.append((top - 2**32 if top >= 2**31 else top) / 2**31)
    return out


def f32(tensor):
    return tensor.to(torch.float32).to(torch.float64)


SHAPES = {
    "gpt2": dict(v=23, l=2, e=16, h=4, kv=4, f=64, c=12, eps=1e-5, tied=True),
    "llama": dict(v=23, l=2, e=16, h=4, kv=2, f=40, c=12, eps=1e-5, tied=False),
    "mistral": dict(v=23, l=2, e=16, h=4, kv=2, f=40, c=12, eps=1e-5, tied=True, d=6, window=4),
    "qwen2": dict(v=23, l=2, e=16, h=2, kv=1, f=40, c=12, eps=1e-6, tied=True),
    "qwen3": dict(v=23, l=2, e=16, h=4, kv=2, f=40, c=12, eps=1e-6, tied=True, d=6),
    "gemma2": dict(v=23, l=2, e=16, h=4, kv=2, f=40, c=12, eps=1e-6, tied=True, d=6, window=3, period=2,
                   score_cap=1.5, logit_cap=2.0),
    "gemma3": dict(v=23, l=2, e=16, h=4, kv=1, f=40, c=12, eps=1e-6, tied=True, d=6, window=3, period=2, base=1e6),
}
QK_NORMS = ("qwen3", "gemma3")
POST_NORMS = ("gemma2", "gemma3")
PAIRS = ("llama", "mistral")  # rotary positions on neighbours; the others turn halves


def parameters(arch, s):
    """(name, rows, cols) in the order of the program."""
    e, d = s["e"], s.get("d", s["e"] // s["h"])
    out = [("token_embd.weight", s["v"], e)]
    if arch == "gpt2":
        out.append(("position_embd.weight", s["c"], e))
    def linear(name, rows, cols, bias):
        out.append((name + ".weight", rows, cols))
        if bias:
            out.append((name + ".bias", 1, rows))
    def norm(name, n=e):
        out.append((name + ".weight", 1, n))
        if arch == "gpt2":
            out.append((name + ".bias", 1, e))
    for i in range(s["l"]):
        b = f"blk.{i}."
        norm(b + "attn_norm")
        if arch == "gpt2":
            linear(b + "attn_qkv", 3 * e, e, True)
        else:
            linear(b + "attn_q", s["h"] * d, e, arch == "qwen2")
            linear(b + "attn_k", s["kv"] * d, e, arch == "qwen2")
            linear(b + "attn_v", s["kv"] * d, e, arch == "qwen2")
        if arch in QK_NORMS:
            norm(b + "attn_q_norm", d)
            norm(b + "attn_k_norm", d)
        linear(b + "attn_output", e, s["h"] * d, arch == "gpt2")
        if arch in POST_NORMS:
            norm(b + "post_attention_norm")
        norm(b + "ffn_norm")
        if arch != "gpt2":
            linear(b + "ffn_gate", s["f"], e, False)
        linear(b + "ffn_up", s["f"], e, arch == "gpt2")
        linear(b + "ffn_down", e, s["f"], arch == "gpt2")
        if arch in POST_NORMS:
            norm(b + "post_ffw_norm")
    norm("output_norm")
    if not s["tied"]:
        out.append(("output.weight", s["v"], e))
    return out


def rotate(x, positions, halves, base):  # (B, T, H, D)
    d = x.shape[-1]
    angles = positions[:, :, None] * base ** (-torch.arange(0, d, 2) / d)
    c, s = torch.cos(angles)[:, :, None, :], torch.sin(angles)[:, :, None, :]
    if halves:
        a, b = x[..., : d // 2], x[..., d // 2:]
        return torch.cat([a * c - b * s, a * s + b * c], -1)
    a, b = x[..., 0::2], x[..., 1::2]
    return torch.stack([a * c - b * s, a * s + b * c], -1).flatten(-2)


def loss_of(arch, s, p, tokens, targets, first):
    e, d = s["e"], s.get("d", s["e"] // s["h"])
    n_b, n_t = tokens.shape
    place = torch.arange(n_t)[None, :].expand(n_b, n_t)
    positions = place - first
    def norm(x, name):
        w = p[name + ".weight"][0]
        if arch == "gpt2":
            return torch.nn.functional.layer_norm(x, (e,), w, p[name + ".bias"][0], s["eps"])
        return x / torch.sqrt((x * x).mean(-1, keepdim=True) + s["eps"]) * w
    def cap(x, c):
        return x if c is None else c * torch.tanh(x / c)
    def linear(x, name):
        y = x @ p[name + ".weight"].T
        return y + p[name + ".bias"][0] if name + ".bias" in p else y
    x = p["token_embd.weight"][tokens]
    if arch == "gpt2":
        x = x + p["position_embd.weight"][positions]
    if arch in POST_NORMS:
        x = x * math.sqrt(e)
    everything = (place[:, None, :] <= place[:, :, None]) & (place[:, None, :] >= first[:, :, None])
    near = place[:, None, :] > place[:, :, None] - s.get("window", 1 << 20)
    for i in range(s["l"]):
        b = f"blk.{i}."
        windowed = "window" in s and ("period" not in s or i % s["period"] < s["period"] - 1)
        seen = everything & near if windowed else everything
        h = norm(x, b + "attn_norm")
        if arch == "gpt2":
            q, k, v = linear(h, b + "attn_qkv").split(e, -1)
        else:
            q, k, v = (linear(h, b + f"attn_{n}") for n in "qkv")
        q, k, v = (t.reshape(n_b, n_t, -1, d) for t in (q, k, v))
        if arch in QK_NORMS:
            q, k = norm(q, b + "attn_q_norm"), norm(k, b + "attn_k_norm")
        if arch != "gpt2":
            base = 10000.0 if windowed else s.get("base", 10000.0)
            q, k = (rotate(t, positions, arch not in PAIRS, base) for t in (q, k))
        k, v = (t.repeat_interleave(s["h"] // s["kv"], 2) for t in (k, v))
        scores = torch.einsum("bihd,bjhd->bhij", q, k) / math.sqrt(d)
        scores = cap(scores, s.get("score_cap"))
        scores = scores.masked_fill(~seen[:, None], float("-inf"))
        a = torch.einsum("bhij,bjhd->bihd", scores.softmax(-1), v).reshape(n_b, n_t, -1)
        a = linear(a, b + "attn_output")
        x = x + (norm(a, b + "post_attention_norm") if arch in POST_NORMS else a)
        h = norm(x, b + "ffn_norm")
        if arch == "gpt2":
            h = torch.nn.functional.gelu(linear(h, b + "ffn_up"), approximate="tanh")
        elif arch in POST_NORMS:
            gate = torch.nn.functional.gelu(linear(h, b + "ffn_gate"), approximate="tanh")
            h = gate * linear(h, b + "ffn_up")
        else:
            h = torch.nn.functional.silu(linear(h, b + "ffn_gate")) * linear(h, b + "ffn_up")
        h = linear(h, b + "ffn_down")
        x = x + (norm(h, b + "post_ffw_norm") if arch in POST_NORMS else h)
    x = norm(x, "output_norm")
    logits = x @ p["token_embd.weight" if s["tied"] else "output.weight"].T
    logits = cap(logits, s.get("logit_cap"))
    keep = targets >= 0
    return torch.nn.functional.cross_entropy(logits[keep], targets[keep], reduction="sum")


def main():
    print("// Made by tools/make_training_vectors.py with PyTorch's autodiff in f64.")
    for arch, s in SHAPES.items():
        p = {}
        for i, (name, rows, cols) in enumerate(parameters(arch, s)):
            middle = 1.0 if name.endswith("norm.weight") else 0.0
            t = f32(middle + f32(torch.tensor(values(rows * cols, 1000 + i))) * 0.25)
            p[name] = t.reshape(rows, cols).requires_grad_()
        n_b, n_t = 3, 10
        raw = values(2 * n_b * n_t, 5)
        ids = [int(math.floor((x + 1) / 2 * s["v"])) for x in raw]
        tokens = torch.tensor(ids[: n_b * n_t]).reshape(n_b, n_t)
        targets = torch.tensor(ids[n_b * n_t:])
        targets[7] = -1
        targets[20] = -1
        targets = targets.reshape(n_b, n_t)
        first = torch.zeros(n_b, n_t, dtype=torch.long)
        first[1, 4:] = 4
        loss = loss_of(arch, s, p, tokens, targets, first)
        loss.backward()
        print(f'{{"{arch}", {loss.item():.12g}, {{')
        for name, rows, cols in parameters(arch, s):
            g = p[name].grad.flatten()
            signs = torch.tensor(values(g.numel(), 77))
            print(f'  {{"{name}", {g.sum().item():.10g}, {g.abs().sum().item():.10g}, {(g * signs).sum().item():.10g}}},')
        print("}},")


if __name__ == "__main__":
    main()
