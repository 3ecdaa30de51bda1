#!/usr/bin/env python3
"""Expected vectors and class scores of encoders that the data folder has nothing for.

    make_encoder_vectors.py > src/model/reference_encoders.inc
    make_encoder_vectors.py --pairs MINILM_FOLDER     the scores in tests/rerank_golden_test.cc

BERT as a cross-encoder (two classes, two segments), XLM-R as a cross-encoder (one class) and as an
embedding model. The models are those of src/model/encoder_reference_test.cc: made from a seed, tensor
after tensor, by the generator of model_test_support.h. What they give is computed by Hugging Face's
transformers, its Flax models on JAX in float64, which share no code with Tatara; XLM-R's table of
positions gets the two rows in front that its files have and GGUF leaves out.

The second form takes MiniLM's tokenizer and judges texts, with a BERT of the same sizes over its
vocabulary and one class, cutting a long passage at 64 tokens.

Needs transformers < 4.50, jax < 0.5 and flax < 0.10.3.
"""
import os
import sys

os.environ["JAX_PLATFORMS"] = "cpu"
os.environ["JAX_ENABLE_X64"] = "1"
os.environ["TRANSFORMERS_VERBOSITY"] = "error"

import jax.numpy as jnp
import numpy as np
from flax.traverse_util import flatten_dict, unflatten_dict
from transformers import (BertConfig, BertTokenizerFast, FlaxBertForSequenceClassification,
                          FlaxXLMRobertaForSequenceClassification, XLMRobertaConfig)

V, E, H, F, L, CONTEXT = 40, 32, 4, 48, 2, 64
# Ids from 3 on: 1 is XLM-R's padding, which its positions skip.
TOKENS = [3 + (i * 7 + i * i * 3 + 11) % (V - 3) for i in range(24)]
SECOND_SEGMENT = 9
LENGTHS = (24, 1, 7)


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

    def add_norm(self, name):
        self.add(name + ".weight", 1, E, 1)
        self.add(name + ".bias", 1, E)

    def add_linear(self, name, n_out, n_in):
        self.add(name + ".weight", n_out, n_in)
        self.add(name + ".bias", 1, n_out)


def weights(n_segments, n_classes, n_vocab=V):
    w = Weights()
    w.add("token_embd.weight", n_vocab, E)
    w.add("token_types.weight", n_segments, E)
    w.add("position_embd.weight", CONTEXT, E)
    w.add_norm("token_embd_norm")
    for i in range(L):
        b = f"blk.{i}."
        for name in ("attn_q", "attn_k", "attn_v", "attn_output"):
            w.add_linear(b + name, E, E)
        w.add_norm(b + "attn_output_norm")
        w.add_linear(b + "ffn_up", F, E)
        w.add_linear(b + "ffn_down", E, F)
        w.add_norm(b + "layer_output_norm")
    w.add_linear("cls", E, E)
    w.add_linear("cls.output", n_classes, E)
    return w


# transformers' names of the layers' parts.
PARTS = {
    "attention/self/query": "attn_q", "attention/self/key": "attn_k", "attention/self/value": "attn_v",
    "attention/output/dense": "attn_output", "attention/output/LayerNorm": "attn_output_norm",
    "intermediate/dense": "ffn_up", "output/dense": "ffn_down", "output/LayerNorm": "layer_output_norm",
}


def parameters(w, base, head, offset):
    """The tree that a Flax model wants. `head`: its names of "cls" and "cls.output"."""
    flat = {}

    def put(path, name):
        norm = "LayerNorm" in path
        value = w[name + ".weight"].reshape(-1, w[name + ".weight"].shape[-1])  # one row is a matrix too
        flat[f"{path}/{'scale' if norm else 'kernel'}"] = value[0] if norm else value.T
        flat[f"{path}/bias"] = w[name + ".bias"]

    embeddings = f"{base}/embeddings"
    flat[f"{embeddings}/word_embeddings/embedding"] = w["token_embd.weight"]
    flat[f"{embeddings}/token_type_embeddings/embedding"] = w["token_types.weight"].reshape(-1, E)
    flat[f"{embeddings}/position_embeddings/embedding"] = np.concatenate(
        [np.full((offset, E), 9, np.float32), w["position_embd.weight"]])
    put(f"{embeddings}/LayerNorm", "token_embd_norm")
    for i in range(L):
        for theirs, ours in PARTS.items():
            put(f"{base}/encoder/layer/{i}/{theirs}", f"blk.{i}.{ours}")
    put(head[0], "cls")
    put(head[1], "cls.output")
    return {k: jnp.asarray(v, jnp.float64) for k, v in flat.items()}


def show(name, values):
    values = np.asarray(values, np.float64).reshape(-1)
    print(f"constexpr float k{name}[] = {{")
    row = "   "
    for v in values:
        text = f" {np.float32(v):.9g}F,"
        text = text if "." in text or "e" in text else text.replace("F,", ".0F,")
        if len(row) + len(text) > 96:
            print(row)
            row = "   "
        row += text
    print(row + "\n};")


def run(model, flat, inputs):
    expected = {"/".join(k) for k in flatten_dict(model.params)}
    assert expected == set(flat), expected ^ set(flat)
    params = unflatten_dict({tuple(k.split("/")): v for k, v in flat.items()})
    scores, states = [], []
    for ids, segments in inputs:
        out = model(np.array([ids]), attention_mask=np.ones((1, len(ids)), int),
                    token_type_ids=np.array([segments]), params=params, output_hidden_states=True)
        scores.append(np.asarray(out.logits[0]))
        states.append(np.asarray(out.hidden_states[-1][0]))
        assert states[-1].dtype == np.float64
    return scores, states


QUERY = "How do I clear a paper jam?"
PASSAGES = ["Open the rear cover and pull the sheet out.", "Travel expenses are settled within five days.",
            "Schließen Sie die Abdeckung. 紙を取り出す。", "word " * 200]


def judge_pairs(folder):
    tokenizer = BertTokenizerFast.from_pretrained(folder)
    config = BertConfig(vocab_size=len(tokenizer), hidden_size=E, num_hidden_layers=L, num_attention_heads=H,
                        intermediate_size=F, hidden_act="gelu", layer_norm_eps=1e-12,
                        max_position_embeddings=CONTEXT, type_vocab_size=2, num_labels=1)
    model = FlaxBertForSequenceClassification(config, dtype=jnp.float64)
    flat = parameters(weights(2, 1, len(tokenizer)), "bert", ("bert/pooler/dense", "classifier"), 0)
    inputs = []
    for passage in PASSAGES:
        pair = tokenizer(QUERY, passage, truncation="only_second", max_length=CONTEXT)
        inputs.append((pair["input_ids"], pair["token_type_ids"]))
    show("PairScores", run(model, flat, inputs)[0])


def main():
    if len(sys.argv) == 3 and sys.argv[1] == "--pairs":
        judge_pairs(sys.argv[2])
        return
    sizes = dict(vocab_size=V, hidden_size=E, num_hidden_layers=L, num_attention_heads=H,
                 intermediate_size=F, hidden_act="gelu", layer_norm_eps=1e-12)
    print("// Made by tools/make_encoder_vectors.py.")
    config = BertConfig(**sizes, max_position_embeddings=CONTEXT, type_vocab_size=2, num_labels=2)
    model = FlaxBertForSequenceClassification(config, dtype=jnp.float64)
    flat = parameters(weights(2, 2), "bert", ("bert/pooler/dense", "classifier"), 0)
    scores, _ = run(model, flat, [(TOKENS[:n], [int(i >= SECOND_SEGMENT) for i in range(n)]) for n in LENGTHS])
    show("BertScores", scores)

    config = XLMRobertaConfig(**sizes, max_position_embeddings=CONTEXT + 2, type_vocab_size=1, num_labels=1,
                              pad_token_id=1)
    model = FlaxXLMRobertaForSequenceClassification(config, dtype=jnp.float64)
    flat = parameters(weights(1, 1), "roberta", ("classifier/dense", "classifier/out_proj"), 2)
    scores, states = run(model, flat, [(TOKENS[:n], [0] * n) for n in LENGTHS])
    show("XlmRScores", scores)
    show("XlmRMeans", [s.mean(axis=0) for s in states])


if __name__ == "__main__":
    main()
