#!/usr/bin/env python3
"""Hold the ids of `tatara tokenize` against the Python packages `tokenizers` and `sentencepiece`.

    compare_tokenizers.py PROGRAM MODEL.gguf [--code-points] FILE...

PROGRAM is the built tatara, MODEL any GGUF file with a vocabulary. Byte-level vocabularies (gpt2) are built in
`tokenizers` from the file's tokens and merges, SentencePiece ones (llama) in `sentencepiece` from its tokens and
scores. --code-points adds a text with every code point beside letters, spaces, digits, an apostrophe and itself.
Files that are no UTF-8 are cut before the first byte that is not. Prints a line per text; status 1 where ids differ.

Needs gguf 0.19, tokenizers 0.23.3, sentencepiece 0.2.3, protobuf.
"""
import json
import subprocess
import sys

from gguf import GGUFReader

GPT2 = r"'s|'t|'re|'ve|'m|'ll|'d| ?\p{L}+| ?\p{N}+| ?[^\s\p{L}\p{N}]+|\s+(?!\S)|\s+"
QWEN2 = (r"(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}| ?[^\s\p{L}\p{N}]+[\r\n]*|\s*[\r\n]+"
         r"|\s+(?!\S)|\s+")


def byte_level(meta):
    from tokenizers import AddedToken, Regex, Tokenizer, models
    from tokenizers.pre_tokenizers import ByteLevel, Digits, Sequence, Split

    tokens, types = meta("tokens"), meta("token_type")
    merges = [tuple(merge.split(" ")) for merge in meta("merges")]
    tokenizer = Tokenizer(models.BPE(vocab={t: i for i, t in enumerate(tokens)}, merges=merges))
    plain = ByteLevel(add_prefix_space=False, use_regex=False)
    splits = {"gpt-2": [Split(Regex(GPT2), "isolated"), plain],
              "smollm": [Digits(individual_digits=True), ByteLevel(add_prefix_space=False, use_regex=True)],
              "qwen2": [Split(Regex(QWEN2), "isolated"), plain]}
    tokenizer.pre_tokenizer = Sequence(splits[meta("pre")])
    tokenizer.add_tokens([AddedToken(t, normalized=False) for t, kind in zip(tokens, types) if kind == 4])
    return lambda text: tokenizer.encode(text, add_special_tokens=False).ids


def sentence_piece(meta):
    import sentencepiece
    from sentencepiece import sentencepiece_model_pb2

    model = sentencepiece_model_pb2.ModelProto()
    for token, kind, score in zip(meta("tokens"), meta("token_type"), meta("scores")):
        piece = token.replace(" ", "\u2581") if kind == 4 else token
        model.pieces.add(piece=piece, type=kind, score=score)
    trainer, normalizer = model.trainer_spec, model.normalizer_spec
    trainer.model_type, trainer.byte_fallback, trainer.vocab_size = 2, True, len(model.pieces)
    trainer.unk_id, trainer.bos_id, trainer.eos_id, trainer.pad_id = (
        meta("unknown_token_id"), meta("bos_token_id"), meta("eos_token_id"), -1)
    model.pieces[trainer.unk_id].type = 2
    trainer.unk_piece, trainer.bos_piece, trainer.eos_piece = (
        model.pieces[i].piece for i in (trainer.unk_id, trainer.bos_id, trainer.eos_id))
    normalizer.name, normalizer.remove_extra_whitespaces, normalizer.escape_whitespaces = "identity", False, True
    normalizer.add_dummy_prefix = meta("add_space_prefix") is not False
    return sentencepiece.SentencePieceProcessor(model_proto=model.SerializeToString()).encode


def all_code_points():
    for start in range(0, 0x110000, 0x8000):
        characters = (chr(c) for c in range(start, start + 0x8000) if not 0xD800 <= c < 0xE000)
        text = "".join(f"a{c}b {c}1 {c}{c} x'{c}\n" for c in characters)
        if text:
            yield f"code points from {start:X}", text


def read(path):
    data = open(path, "rb").read()
    try:
        return data.decode("utf-8")
    except UnicodeDecodeError as error:
        return data[:error.start].decode("utf-8")


def main(program, model, *arguments):
    fields = GGUFReader(model).fields

    def meta(key):
        field = fields.get("tokenizer.ggml." + key)
        return field.contents() if field else None

    expected_of = {"gpt2": byte_level, "llama": sentence_piece}[meta("model")](meta)
    adds_start = meta("add_bos_token")
    if adds_start is None:
        adds_start = meta("model") == "llama"
    texts = [(path, read(path)) for path in arguments if path != "--code-points"]
    if "--code-points" in arguments:
        texts += all_code_points()
    n_different = 0
    for name, text in texts:
        out = subprocess.run([program, "tokenize", model, "--json"], input=text.encode(), stdout=subprocess.PIPE,
                             check=True).stdout
        ids = json.loads(out)["token_ids"]
        expected = ([meta("bos_token_id")] if adds_start else []) + expected_of(text)
        first = next((i for i, pair in enumerate(zip(ids, expected)) if pair[0] != pair[1]), min(len(ids), len(expected)))
        same = ids == expected
        n_different += not same
        print(f"{name}: {len(expected)} ids, " +
              ("equal" if same else f"different from id {first} on: {ids[first:first + 4]}, expected {expected[first:first + 4]}"))
    print(f"{len(texts)} texts, {n_different} different")
    return 1 if n_different else 0


if __name__ == "__main__":
    if len(sys.argv) < 4:
        sys.exit(__doc__)
    sys.exit(main(*sys.argv[1:]))
