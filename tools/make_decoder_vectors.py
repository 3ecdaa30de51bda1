#!/usr/bin/env python3
"""Expected logits of decoders that the data folder has no vectors for: GPT-2, the windows of
Mistral and Phi-3, the head norms of Command R+, and the mixtures of Qwen3.5.

    make_decoder_vectors.py > src/model/reference_logits.inc

The models are those of src/model/reference_test.cc: made from a seed, tensor after tensor, by the
generator of model_test_support.h. The logits of GPT-2 and Mistral are computed twice, by engines
that share no code with each other or with Tatara, those of Command R+ by the second alone:

  - here, from the published equations in float64 (these numbers are written out);
  - by llama.cpp, through the PyPI package llama-cpp-python, from a GGUF file with the same weights.
    Its GPT-2 looks GELU up in a table of f16, so the two may differ by 4e-3 of the logits' standard
    deviation there and by 1e-4 elsewhere. It reads no window for the architecture `llama`; the same
    computation has the name `granite_swa` there, with all multipliers at 1 and sinks at -1e30. It
    knows no window for Phi-3 at all: there the equations are compared without it, and the window is
    that of Mistral's equations.

Needs numpy, gguf and llama-cpp-python (LLAMA_CPP_LIB_PATH names a folder with its libraries, if the
package itself was not built).
"""
import math
import os
import sys
import tempfile

import numpy as np
from gguf import GGUFWriter, TokenType

V, E, H, K, D, F, L, CONTEXT = 40, 32, 4, 2, 8, 48, 2, 64
WINDOW = 5
EPS = 1e-5
TOKENS = [(i * 7 + i * i * 3 + 11) % V for i in range(24)]
POSITIONS = (0, 11, 23)


# ---------------------------------------------------------------- weights

class Weights(dict):
    """name -> float32 array, made by the 64-bit congruential generator of model_test_support.h."""

    state = 42

    def add(self, name, n_rows, n_cols, middle=0.0):
        values = np.empty(n_rows * n_cols, np.float32)
        size = np.float32(0.2) if n_rows == 1 else np.float32(1.7) / np.sqrt(np.float32(n_cols))
        for i in range(values.size):
            self.state = (self.state * 6364136223846793005 + 1442695040888963407) % 2**64
            high = self.state >> 32
            unit = np.float32(high - 2**32 if high >= 2**31 else high) / np.float32(2**31)
            values[i] = np.float32(middle) + size * unit
        self[name] = values.reshape((n_rows, n_cols) if n_rows > 1 else (n_cols,))


def gpt2_weights():
    w = Weights()
    w.add("token_embd.weight", V, E)
    w.add("position_embd.weight", CONTEXT, E)
    w.add("output_norm.weight", 1, E, 1)
    w.add("output_norm.bias", 1, E)
    for i in range(L):
        b = f"blk.{i}."
        w.add(b + "attn_norm.weight", 1, E, 1)
        w.add(b + "attn_norm.bias", 1, E)
        w.add(b + "attn_qkv.weight", 3 * E, E)
        w.add(b + "attn_qkv.bias", 1, 3 * E)
        w.add(b + "attn_output.weight", E, E)
        w.add(b + "attn_output.bias", 1, E)
        w.add(b + "ffn_norm.weight", 1, E, 1)
        w.add(b + "ffn_norm.bias", 1, E)
        w.add(b + "ffn_up.weight", F, E)
        w.add(b + "ffn_up.bias", 1, F)
        w.add(b + "ffn_down.weight", E, F)
        w.add(b + "ffn_down.bias", 1, E)
    return w


def mistral_weights():
    w = Weights()
    w.add("token_embd.weight", V, E)
    w.add("output_norm.weight", 1, E, 1)
    for i in range(L):
        b = f"blk.{i}."
        w.add(b + "attn_norm.weight", 1, E, 1)
        w.add(b + "attn_q.weight", H * D, E)
        w.add(b + "attn_k.weight", K * D, E)
        w.add(b + "attn_v.weight", K * D, E)
        w.add(b + "attn_output.weight", E, H * D)
        w.add(b + "ffn_norm.weight", 1, E, 1)
        w.add(b + "ffn_gate.weight", F, E)
        w.add(b + "ffn_up.weight", F, E)
        w.add(b + "ffn_down.weight", E, F)
    return w


def phi3_weights():
    w = Weights()
    w.add("token_embd.weight", V, E)
    w.add("output_norm.weight", 1, E, 1)
    w.add("output.weight", V, E)
    for i in range(L):
        b = f"blk.{i}."
        w.add(b + "attn_norm.weight", 1, E, 1)
        w.add(b + "attn_qkv.weight", (H + 2 * K) * D, E)
        w.add(b + "attn_output.weight", E, H * D)
        w.add(b + "ffn_norm.weight", 1, E, 1)
        w.add(b + "ffn_up.weight", 2 * F, E)
        w.add(b + "ffn_down.weight", E, F)
    return w


# Command R+ in small. llama.cpp knows it by its 64 layers.
PLUS = {"embedding_length": 16, "block_count": 64, "feed_forward_length": 16,
        "attention.head_count": 2, "attention.head_count_kv": 1,
        "attention.layer_norm_epsilon": EPS, "logit_scale": 0.8, "vocab_size": V}


def command_r_plus_weights():
    w = Weights()
    n, d = 16, 8
    w.add("token_embd.weight", V, n)
    w.add("output_norm.weight", 1, n, 1)
    for i in range(64):
        b = f"blk.{i}."
        w.add(b + "attn_norm.weight", 1, n, 1)
        w.add(b + "attn_q.weight", 2 * d, n)
        w.add(b + "attn_k.weight", d, n)
        w.add(b + "attn_v.weight", d, n)
        w.add(b + "attn_output.weight", n, 2 * d)
        w.add(b + "attn_q_norm.weight", 2, d)
        w.add(b + "attn_k_norm.weight", 1, d, 1)
        w.add(b + "ffn_gate.weight", n, n)
        w.add(b + "ffn_up.weight", n, n)
        w.add(b + "ffn_down.weight", n, n)
    return w


SK, SV, S, TAPS = 2, 4, 8, 4  # key heads, value heads, their size, taps of the convolution
X, USED, FX, FS, ROTATED = 4, 2, 24, 16, 4


def qwen35moe_weights():
    """Layer 0 is a gated delta net, layer 1 gated attention."""
    w = Weights()
    w.add("token_embd.weight", V, E)
    w.add("output_norm.weight", 1, E, 1)
    for i in range(L):
        b = f"blk.{i}."
        w.add(b + "attn_norm.weight", 1, E, 1)
        if i == 0:
            w.add(b + "attn_qkv.weight", (2 * SK + SV) * S, E)
            w.add(b + "attn_gate.weight", SV * S, E)
            w.add(b + "ssm_conv1d.weight", (2 * SK + SV) * S, TAPS)
            w.add(b + "ssm_dt.bias", 1, SV)
            w.add(b + "ssm_a", 1, SV, -0.5)
            w.add(b + "ssm_alpha.weight", SV, E)
            w.add(b + "ssm_beta.weight", SV, E)
            w.add(b + "ssm_norm.weight", 1, S, 1)
            w.add(b + "ssm_out.weight", E, SV * S)
        else:
            w.add(b + "attn_q.weight", 2 * H * D, E)
            w.add(b + "attn_k.weight", K * D, E)
            w.add(b + "attn_v.weight", K * D, E)
            w.add(b + "attn_q_norm.weight", 1, D, 1)
            w.add(b + "attn_k_norm.weight", 1, D, 1)
            w.add(b + "attn_output.weight", E, H * D)
        w.add(b + "post_attention_norm.weight", 1, E, 1)
        w.add(b + "ffn_gate_inp.weight", X, E)
        for name, n_out, n_in in (("gate", FX, E), ("up", FX, E), ("down", E, FX)):
            w.add(b + f"ffn_{name}_exps.weight", X * n_out, n_in)
            w[b + f"ffn_{name}_exps.weight"].shape = (X, n_out, n_in)
        w.add(b + "ffn_gate_inp_shexp.weight", 1, E)
        for name, n_out, n_in in (("gate", FS, E), ("up", FS, E), ("down", E, FS)):
            w.add(b + f"ffn_{name}_shexp.weight", n_out, n_in)
    return w


# ---------------------------------------------------------------- equations, float64

def attention(q, k, v, window):
    """q (T, H, D), k and v (T, K, D) -> (T, H*D); causal, a query sees `window` positions."""
    n, heads, size = q.shape
    out = np.empty((n, heads, size))
    for h in range(heads):
        kv = h // (heads // k.shape[1])
        for t in range(n):
            first = 0 if window is None else max(0, t - window + 1)
            scores = k[first:t + 1, kv] @ q[t, h] / math.sqrt(size)
            p = np.exp(scores - scores.max())
            out[t, h] = p @ v[first:t + 1, kv] / p.sum()
    return out.reshape(n, heads * size)


def layer_norm(x, weight, bias):
    mean = x.mean(axis=-1, keepdims=True)
    variance = ((x - mean) ** 2).mean(axis=-1, keepdims=True)
    return (x - mean) / np.sqrt(variance + EPS) * weight + bias


def rms_norm(x, weight):
    return x / np.sqrt((x * x).mean(axis=-1, keepdims=True) + EPS) * weight


def gelu_tanh(x):
    return x * (1 + np.tanh(math.sqrt(2 / math.pi) * (x + 0.044715 * x**3))) / 2


def gpt2(w, tokens):
    n = len(tokens)
    x = w["token_embd.weight"][tokens] + w["position_embd.weight"][:n]
    for i in range(L):
        def p(name):
            return w[f"blk.{i}.{name}"]
        h = layer_norm(x, p("attn_norm.weight"), p("attn_norm.bias"))
        q, k, v = np.split(h @ p("attn_qkv.weight").T + p("attn_qkv.bias"), 3, axis=-1)
        a = attention(*(y.reshape(n, H, E // H) for y in (q, k, v)), None)
        x = x + a @ p("attn_output.weight").T + p("attn_output.bias")
        h = layer_norm(x, p("ffn_norm.weight"), p("ffn_norm.bias"))
        h = gelu_tanh(h @ p("ffn_up.weight").T + p("ffn_up.bias"))
        x = x + h @ p("ffn_down.weight").T + p("ffn_down.bias")
    return layer_norm(x, w["output_norm.weight"], w["output_norm.bias"]) @ w["token_embd.weight"].T


def rotate_pairs(x):
    """x (T, heads, D): the pair (2i, 2i+1) turns by position * 10000^(-2i/D)."""
    angle = np.arange(len(x))[:, None] * 10000.0 ** (-np.arange(0, D, 2) / D)
    cos, sin = np.cos(angle)[:, None], np.sin(angle)[:, None]
    out = np.empty_like(x)
    out[..., 0::2] = x[..., 0::2] * cos - x[..., 1::2] * sin
    out[..., 1::2] = x[..., 0::2] * sin + x[..., 1::2] * cos
    return out


def mistral(w, tokens):
    n = len(tokens)
    x = w["token_embd.weight"][tokens]
    for i in range(L):
        def p(name):
            return w[f"blk.{i}.{name}.weight"]
        h = rms_norm(x, p("attn_norm"))
        q = rotate_pairs((h @ p("attn_q").T).reshape(n, H, D))
        k = rotate_pairs((h @ p("attn_k").T).reshape(n, K, D))
        v = (h @ p("attn_v").T).reshape(n, K, D)
        x = x + attention(q, k, v, WINDOW) @ p("attn_output").T
        h = rms_norm(x, p("ffn_norm"))
        gate = h @ p("ffn_gate").T
        x = x + (gate / (1 + np.exp(-gate)) * (h @ p("ffn_up").T)) @ p("ffn_down").T
    return rms_norm(x, w["output_norm.weight"]) @ w["token_embd.weight"].T


def sigmoid(x):
    return 1 / (1 + np.exp(-x))


def swish_ffn(x, gate, up, down):
    y = x @ gate.T
    return (y * sigmoid(y) * (x @ up.T)) @ down.T


def delta_net(p, h):
    """Gated delta rule, token by token; value head v reads key head v mod SK."""
    n = len(h)
    mixed = np.vstack([np.zeros((TAPS - 1, (2 * SK + SV) * S)), h @ p("attn_qkv.weight").T])
    mixed = sum(mixed[tap:tap + n] * p("ssm_conv1d.weight")[:, tap] for tap in range(TAPS))
    mixed = mixed * sigmoid(mixed)
    q, k, v = np.split(mixed, [SK * S, 2 * SK * S], axis=-1)
    q, k = (y.reshape(n, SK, S) / np.sqrt((y.reshape(n, SK, S) ** 2).sum(-1, keepdims=True) + EPS)
            for y in (q, k))
    v = v.reshape(n, SV, S)
    beta = sigmoid(h @ p("ssm_beta.weight").T)
    decay = np.exp(p("ssm_a") * np.log1p(np.exp(h @ p("ssm_alpha.weight").T + p("ssm_dt.bias"))))
    state, out = np.zeros((SV, S, S)), np.empty((n, SV, S))
    for t in range(n):
        for head in range(SV):
            key = k[t, head % SK]
            state[head] *= decay[t, head]
            state[head] += np.outer(key, (v[t, head] - key @ state[head]) * beta[t, head])
            out[t, head] = q[t, head % SK] / math.sqrt(S) @ state[head]
    gate = (h @ p("attn_gate.weight").T).reshape(n, SV, S)
    return (rms_norm(out, p("ssm_norm.weight")) * gate * sigmoid(gate)).reshape(n, -1) @ p("ssm_out.weight").T


def gated_attention(p, h):
    n = len(h)
    both = (h @ p("attn_q.weight").T).reshape(n, H, 2 * D)
    angle = np.arange(n)[:, None] * 10000.0 ** (-np.arange(0, ROTATED, 2) / ROTATED)
    cos, sin = np.cos(angle)[:, None], np.sin(angle)[:, None]

    def rotate(x):
        first, second = x[..., :ROTATED // 2], x[..., ROTATED // 2:ROTATED]
        return np.concatenate([first * cos - second * sin, first * sin + second * cos, x[..., ROTATED:]], -1)

    q = rotate(rms_norm(both[..., :D], p("attn_q_norm.weight")))
    k = rotate(rms_norm((h @ p("attn_k.weight").T).reshape(n, K, D), p("attn_k_norm.weight")))
    a = attention(q, k, (h @ p("attn_v.weight").T).reshape(n, K, D), None)
    return (a * sigmoid(both[..., D:]).reshape(n, -1)) @ p("attn_output.weight").T


def mixture(p, h):
    """The best experts by softmax, renormalised, and a shared one times its sigmoid gate."""
    scores = np.exp(h @ p("ffn_gate_inp.weight").T)
    out = np.zeros_like(h)
    for t, row in enumerate(h):
        best = np.argsort(-scores[t])[:USED]
        for e in best:
            expert = swish_ffn(row, *(p(f"ffn_{m}_exps.weight")[e] for m in ("gate", "up", "down")))
            out[t] += scores[t, e] / scores[t, best].sum() * expert
    shared = swish_ffn(h, *(p(f"ffn_{m}_shexp.weight") for m in ("gate", "up", "down")))
    return out + shared * sigmoid(h @ p("ffn_gate_inp_shexp.weight"))[:, None]


def qwen35moe(w, tokens):
    x = w["token_embd.weight"][tokens]
    for i in range(L):
        def p(name):
            return w[f"blk.{i}.{name}"]
        h = rms_norm(x, p("attn_norm.weight"))
        x = x + (delta_net if i == 0 else gated_attention)(p, h)
        x = x + mixture(p, rms_norm(x, p("post_attention_norm.weight")))
    return rms_norm(x, w["output_norm.weight"]) @ w["token_embd.weight"].T


def rotate_halves(x):
    """x (T, heads, D): the pair (i, i + D/2) turns by position * 10000^(-2i/D)."""
    angle = np.arange(len(x))[:, None] * 10000.0 ** (-np.arange(0, D, 2) / D)
    cos, sin = np.cos(angle)[:, None], np.sin(angle)[:, None]
    a, b = x[..., :D // 2], x[..., D // 2:]
    return np.concatenate([a * cos - b * sin, a * sin + b * cos], axis=-1)


def phi3(w, tokens, window):
    n = len(tokens)
    x = w["token_embd.weight"][tokens]
    for i in range(L):
        def p(name):
            return w[f"blk.{i}.{name}.weight"]
        qkv = rms_norm(x, p("attn_norm")) @ p("attn_qkv").T
        q = rotate_halves(qkv[:, :H * D].reshape(n, H, D))
        k = rotate_halves(qkv[:, H * D:(H + K) * D].reshape(n, K, D))
        v = qkv[:, (H + K) * D:].reshape(n, K, D)
        x = x + attention(q, k, v, window) @ p("attn_output").T
        gate, up = np.split(rms_norm(x, p("ffn_norm")) @ p("ffn_up").T, 2, axis=-1)
        x = x + (gate / (1 + np.exp(-gate)) * up) @ p("ffn_down").T
    return rms_norm(x, w["output_norm.weight"]) @ w["output.weight"].T


# ---------------------------------------------------------------- llama.cpp

def write_gguf(path, arch, weights, keys):
    writer = GGUFWriter(path, arch)
    common = {"context_length": CONTEXT, "embedding_length": E, "block_count": L,
              "feed_forward_length": F, "attention.head_count": H}
    for key, value in (common | keys).items():
        if isinstance(value, list):
            writer.add_array(f"{arch}.{key}", value)
        elif isinstance(value, float):
            writer.add_float32(f"{arch}.{key}", value)
        else:
            writer.add_uint32(f"{arch}.{key}", value)
    writer.add_tokenizer_model("gpt2")
    writer.add_tokenizer_pre("gpt-2")
    writer.add_token_list([f"t{i}" for i in range(V)])
    writer.add_token_types([TokenType.NORMAL] * V)
    writer.add_token_merges(["t 0"])
    for name, values in weights.items():
        writer.add_tensor(name, values)
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()


def by_llama_cpp(arch, weights, keys):
    import llama_cpp
    with tempfile.TemporaryDirectory() as folder:
        path = os.path.join(folder, "model.gguf")
        write_gguf(path, arch, weights, keys)
        engine = llama_cpp.Llama(path, n_ctx=CONTEXT, logits_all=True, n_threads=1, verbose=False,
                                 type_k=0, type_v=0, flash_attn=False)
        engine.eval(TOKENS)
        return np.array(engine.scores[:len(TOKENS)], np.float64)


def distance(ours, theirs):
    return float(np.abs(ours - theirs).max() / ours.std())


# ---------------------------------------------------------------- output

def write(name, logits):
    print(f"constexpr double k{name}Scale = {logits.std():.9g};")
    print(f"constexpr float k{name}Logits[] = {{")
    flat = [f"{v:.7g}" for position in POSITIONS for v in logits[position]]
    for start in range(0, len(flat), 8):
        values = (v if "." in v or "e" in v else v + ".0" for v in flat[start:start + 8])
        print("    " + ", ".join(v + "F" for v in values) + ",")
    print("};")


def main():
    print("// Made by tools/make_decoder_vectors.py: logits at positions 0, 11 and 23, row after row.")
    print("// clang-format off")
    weights = gpt2_weights()
    logits = gpt2({k: v.astype(np.float64) for k, v in weights.items()}, TOKENS)
    apart = distance(logits, by_llama_cpp("gpt2", weights, {"attention.layer_norm_epsilon": EPS}))
    print(f"gpt2: {apart:.1e} of the scale from llama.cpp", file=sys.stderr)
    assert apart < 4e-3
    write("Gpt2", logits)

    weights = mistral_weights()
    logits = mistral({k: v.astype(np.float64) for k, v in weights.items()}, TOKENS)
    for i in range(L):
        weights[f"blk.{i}.attn_sinks.weight"] = np.full(H, -1e30, np.float32)
    apart = distance(logits, by_llama_cpp("granite_swa", weights, {
        "attention.head_count_kv": K, "attention.layer_norm_rms_epsilon": EPS, "logit_scale": 1.0,
        "attention.scale": 1 / math.sqrt(D), "attention.sliding_window": WINDOW,
        "attention.sliding_window_pattern": [True] * L, "deepstack_mapping": [-1] * L,
        "rope.dimension_count": D, "expert_count": 0, "vocab_size": V}))
    print(f"mistral: {apart:.1e} of the scale from llama.cpp", file=sys.stderr)
    assert apart < 1e-4
    write("Mistral", logits)

    weights = phi3_weights()
    exact = {k: v.astype(np.float64) for k, v in weights.items()}
    apart = distance(phi3(exact, TOKENS, None), by_llama_cpp("phi3", weights, {
        "attention.head_count_kv": K, "attention.layer_norm_rms_epsilon": EPS,
        "rope.dimension_count": D, "attention.sliding_window": 0}))
    print(f"phi3 without its window: {apart:.1e} of the scale from llama.cpp", file=sys.stderr)
    assert apart < 1e-4
    write("Phi3", phi3(exact, TOKENS, WINDOW))

    weights = command_r_plus_weights()
    for i in range(64):  # one key head: llama.cpp expects the matrix that it is
        weights[f"blk.{i}.attn_k_norm.weight"] = weights[f"blk.{i}.attn_k_norm.weight"].reshape(1, 8)
    write("CommandRPlus", by_llama_cpp("command-r", weights, PLUS))

    weights = qwen35moe_weights()
    logits = qwen35moe({k: v.astype(np.float64) for k, v in weights.items()}, TOKENS)
    apart = distance(logits, by_llama_cpp("qwen35moe", weights, {
        "attention.head_count_kv": K, "attention.key_length": D, "attention.value_length": D,
        "attention.layer_norm_rms_epsilon": EPS, "rope.dimension_count": ROTATED,
        "rope.dimension_sections": [1, 1, 0, 0], "expert_count": X, "expert_used_count": USED,
        "expert_feed_forward_length": FX, "expert_shared_feed_forward_length": FS,
        "ssm.conv_kernel": TAPS, "ssm.state_size": S, "ssm.group_count": SK,
        "ssm.time_step_rank": SV, "ssm.inner_size": SV * S, "full_attention_interval": 2}))
    print(f"qwen35moe: {apart:.1e} of the scale from llama.cpp", file=sys.stderr)
    assert apart < 1e-4
    write("Qwen35Moe", logits)
    print("// clang-format on")


if __name__ == "__main__":
    main()
