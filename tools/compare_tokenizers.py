#!/usr/bin/env python3
"""Hold Tatara's token ids against the Python packages `tokenizers`, `tiktoken` and `sentencepiece`.

    compare_tokenizers.py ENCODE VOCABULARY [--code-points] [--time] TEXT...

ENCODE is the built tatara_encode_files (bench/tokenizers). VOCABULARY decides the oracle:

    tokenizer.json      tokenizers reads the same file
    NAME.tiktoken       tiktoken with NAME's expression (cl100k_base, o200k_base, tekken, qwen, qwen35); Tatara reads a
                        tokenizer.json made of it
    NAME.model          sentencepiece reads it; Tatara reads a vocabulary-only GGUF made of it
    NAME.gguf           gpt2: built in tokenizers of its tokens, merges and the expression of its pre-tokenizer
                        (gpt-2, smollm, qwen2); llama: built in sentencepiece of its tokens and scores

    splits              the pieces of every pre-tokenizer that Tatara knows by name; tokenizers reads the same expressions

TEXT is a file, or a folder whose text files are all taken. --code-points adds texts with every code point beside
letters, spaces, digits, an apostrophe and itself. --time also prints seconds of processor time of both on one
thread, in the same run, best of three. Prints a line per text that differs and a summary; status 1 where ids differ. Files that are no UTF-8 are left
out. Special tokens written in texts are text to Tatara and to this script.

Needs tokenizers 0.23, tiktoken 0.12, sentencepiece 0.2, gguf 0.19, protobuf.
"""
import base64
import json
import os
import subprocess
import sys
import tempfile
import time

os.environ["TOKENIZERS_PARALLELISM"] = "false"
os.environ["RAYON_NUM_THREADS"] = "1"

GPT2 = r"'s|'t|'re|'ve|'m|'ll|'d| ?\p{L}+| ?\p{N}+| ?[^\s\p{L}\p{N}]+|\s+(?!\S)|\s+"
QWEN2 = (r"(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}| ?[^\s\p{L}\p{N}]+[\r\n]*|\s*[\r\n]+"
         r"|\s+(?!\S)|\s+")
TIKTOKEN = {
    "cl100k_base": r"'(?i:[sdmt]|ll|ve|re)|[^\r\n\p{L}\p{N}]?+\p{L}++|\p{N}{1,3}+| ?[^\s\p{L}\p{N}]++[\r\n]*+"
                   r"|\s++$|\s*[\r\n]|\s+(?!\S)|\s",
    "o200k_base": r"[^\r\n\p{L}\p{N}]?[\p{Lu}\p{Lt}\p{Lm}\p{Lo}\p{M}]*[\p{Ll}\p{Lm}\p{Lo}\p{M}]+(?i:'s|'t|'re|'ve|'m|'ll|'d)?"
                  r"|[^\r\n\p{L}\p{N}]?[\p{Lu}\p{Lt}\p{Lm}\p{Lo}\p{M}]+[\p{Ll}\p{Lm}\p{Lo}\p{M}]*(?i:'s|'t|'re|'ve|'m|'ll|'d)?"
                  r"|\p{N}{1,3}| ?[^\s\p{L}\p{N}]+[\r\n/]*|\s*[\r\n]+|\s+(?!\S)|\s+",
    "tekken": r"[^\r\n\p{L}\p{N}]?[\p{Lu}\p{Lt}\p{Lm}\p{Lo}\p{M}]*[\p{Ll}\p{Lm}\p{Lo}\p{M}]+"
              r"|[^\r\n\p{L}\p{N}]?[\p{Lu}\p{Lt}\p{Lm}\p{Lo}\p{M}]+[\p{Ll}\p{Lm}\p{Lo}\p{M}]*"
              r"|\p{N}| ?[^\s\p{L}\p{N}]+[\r\n/]*|\s*[\r\n]+|\s+(?!\S)|\s+",
    "qwen": QWEN2,
    "qwen35": r"(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?[\p{L}\p{M}]+|\p{N}| ?[^\s\p{L}\p{M}\p{N}]+[\r\n]*"
              r"|\s*[\r\n]+|\s+(?!\S)|\s+",
}
# The same matches without a count that Oniguruma reads otherwise and without $ at the end of the text.
CL100K_ONIGURUMA = (r"'(?i:[sdmt]|ll|ve|re)|[^\r\n\p{L}\p{N}]?+\p{L}++|\p{N}{1,3}| ?[^\s\p{L}\p{N}]++[\r\n]*+"
                    r"|\s++\z|\s*[\r\n]|\s+(?!\S)|\s")


def byte_characters():
    plain = [*range(33, 127), *range(161, 173), *range(174, 256)]
    others = [b for b in range(256) if b not in plain]
    return {**{b: chr(b) for b in plain}, **{b: chr(256 + i) for i, b in enumerate(others)}}


def merges_of(ranks, token):
    """All ways to join two tokens to `token`: tiktoken joins whatever makes one, whichever way."""
    parts = [(token[:i], token[i:]) for i in range(1, len(token))]
    return sorted((p for p in parts if p[0] in ranks and p[1] in ranks), key=lambda p: (ranks[p[0]], ranks[p[1]]))


class OfTiktoken:
    def __init__(self, path, folder):
        import tiktoken
        ranks = {}
        for line in open(path, "rb"):
            token, rank = line.split()
            ranks[base64.b64decode(token)] = int(rank)
        name = os.path.basename(path).split(".")[0]
        expression = TIKTOKEN[name]
        encoding = tiktoken.Encoding(name, pat_str=expression, mergeable_ranks=ranks, special_tokens={})
        self.encode = encoding.encode_ordinary
        written = byte_characters()
        text = lambda token: "".join(written[b] for b in token)
        merges = [pair for token in sorted(ranks, key=ranks.get) for pair in merges_of(ranks, token)]
        split = CL100K_ONIGURUMA if name == "cl100k_base" else expression
        pre = {"type": "Sequence", "pretokenizers": [
            {"type": "Split", "pattern": {"Regex": split}, "behavior": "Isolated", "invert": False},
            {"type": "ByteLevel", "add_prefix_space": False, "trim_offsets": True, "use_regex": False}]}
        model = {"type": "BPE", "ignore_merges": True, "vocab": {text(t): r for t, r in ranks.items()},
                 "merges": [[text(a), text(b)] for a, b in merges]}
        self.vocabulary = os.path.join(folder, "tokenizer.json")
        json.dump({"pre_tokenizer": pre, "decoder": {"type": "ByteLevel"}, "model": model}, open(self.vocabulary, "w"))


class OfJson:
    def __init__(self, path, folder):
        from tokenizers import Tokenizer
        document = json.load(open(path))
        document["post_processor"] = document["truncation"] = document["padding"] = None
        self.vocabulary = os.path.join(folder, "tokenizer.json")
        json.dump(document, open(self.vocabulary, "w"))
        tokenizer = Tokenizer.from_file(self.vocabulary)
        tokenizer.encode_special_tokens = True  # written in a text they are text
        self.encode = lambda text: tokenizer.encode(text, add_special_tokens=False).ids


class OfSentencePiece:
    def __init__(self, path, folder):
        import gguf
        import sentencepiece
        from sentencepiece import sentencepiece_model_pb2
        model = sentencepiece_model_pb2.ModelProto()
        model.ParseFromString(open(path, "rb").read())
        self.encode = sentencepiece.SentencePieceProcessor(model_file=path).encode
        bpe = model.trainer_spec.model_type == 2
        self.vocabulary = os.path.join(folder, "vocabulary.gguf")
        writer = gguf.GGUFWriter(self.vocabulary, "llama")
        writer.add_tokenizer_model("llama" if bpe else "t5")
        writer.add_token_list([piece.piece for piece in model.pieces])
        writer.add_token_scores([piece.score for piece in model.pieces])
        writer.add_token_types([piece.type for piece in model.pieces])
        writer.add_unk_token_id(model.trainer_spec.unk_id)
        writer.add_add_space_prefix(model.normalizer_spec.add_dummy_prefix)
        writer.add_remove_extra_whitespaces(model.normalizer_spec.remove_extra_whitespaces)
        if model.normalizer_spec.precompiled_charsmap and not bpe:
            writer.add_precompiled_charsmap(model.normalizer_spec.precompiled_charsmap)
        writer.write_header_to_file()
        writer.write_kv_data_to_file()
        writer.write_tensors_to_file()
        writer.close()


class OfGguf:
    def __init__(self, path, folder):
        from gguf import GGUFReader
        fields = GGUFReader(path).fields

        def meta(key):
            field = fields.get("tokenizer.ggml." + key)
            return field.contents() if field else None

        self.vocabulary = path
        self.encode = {"gpt2": self.byte_level, "llama": self.sentence_piece}[meta("model")](meta)

    @staticmethod
    def byte_level(meta):
        from tokenizers import AddedToken, Regex, Tokenizer, models, normalizers
        from tokenizers.pre_tokenizers import ByteLevel, Digits, Sequence, Split
        tokens, types = meta("tokens"), meta("token_type")
        merges = [tuple(merge.split(" ")) for merge in meta("merges")]
        tokenizer = Tokenizer(models.BPE(vocab={t: i for i, t in enumerate(tokens)}, merges=merges))
        plain = ByteLevel(add_prefix_space=False, use_regex=False)
        splits = {"gpt-2": [Split(Regex(GPT2), "isolated"), plain],
                  "smollm": [Digits(individual_digits=True), ByteLevel(add_prefix_space=False, use_regex=True)],
                  "qwen2": [Split(Regex(QWEN2), "isolated"), plain]}
        if meta("pre") == "qwen2":
            tokenizer.normalizer = normalizers.NFC()
        tokenizer.pre_tokenizer = Sequence(splits[meta("pre")])
        tokenizer.add_tokens([AddedToken(t, normalized=False) for t, kind in zip(tokens, types) if kind == 4])
        return lambda text: tokenizer.encode(text, add_special_tokens=False).ids

    @staticmethod
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


class OfSplits:
    """The expressions of one name in a tokenizer whose ids show where pieces begin: a character is one token at the
    beginning of a piece, another inside it."""

    def __init__(self, expressions, texts, folder):
        from tokenizers import Tokenizer
        characters = sorted(set().union(*map(set, texts)))
        vocab = {c: i for i, c in enumerate(characters)}
        vocab.update({"##" + c: len(characters) + i for i, c in enumerate(characters)})
        splits = [{"type": "Split", "pattern": {"Regex": e.replace("\\u{", "\\x{")}, "behavior": "Isolated",
                   "invert": False} for e in expressions]
        model = {"type": "BPE", "dropout": None, "unk_token": None, "continuing_subword_prefix": "##",
                 "end_of_word_suffix": None, "fuse_unk": False, "vocab": vocab, "merges": []}
        self.vocabulary = os.path.join(folder, "tokenizer.json")
        document = {"version": "1.0", "truncation": None, "padding": None, "added_tokens": [], "normalizer": None,
                    "pre_tokenizer": {"type": "Sequence", "pretokenizers": splits}, "post_processor": None,
                    "decoder": None, "model": model}
        json.dump(document, open(self.vocabulary, "w"))
        tokenizer = Tokenizer.from_file(self.vocabulary)
        self.encode = lambda text: tokenizer.encode(text, add_special_tokens=False).ids


def compare_splits(encode, files):
    names = json.loads(subprocess.run([encode, "--splits"], stdout=subprocess.PIPE, check=True).stdout)
    texts = [open(path, "rb").read().decode("utf-8") for path in files]
    seen, n_different = {}, 0
    for name, expressions in names.items():
        same = seen.setdefault(tuple(expressions), name)
        if same != name:
            print(f"{name}: as {same}")
            continue
        with tempfile.TemporaryDirectory() as folder:
            oracle = OfSplits(expressions, texts, folder)
            out = subprocess.run([encode, oracle.vocabulary, "--ids", *files], stdout=subprocess.PIPE, check=True).stdout
            different = [path for path, text, line in zip(files, texts, map(json.loads, out.splitlines()), strict=True)
                         if line["ids"] != oracle.encode(text)]
            n_different += len(different)
            print(f"{name}: {len(files)} texts, {len(different)} different {different[:3]}")
    return 1 if n_different else 0


ORACLES = {".tiktoken": OfTiktoken, ".json": OfJson, ".model": OfSentencePiece, ".gguf": OfGguf}


def code_point_files(folder):
    for start in range(0, 0x110000, 0x8000):
        characters = (chr(c) for c in range(start, start + 0x8000) if not 0xD800 <= c < 0xE000)
        text = "".join(f"a{c}b {c}1 {c}{c} x'{c}\n" for c in characters)
        path = os.path.join(folder, f"code-points-{start:06X}.txt")
        with open(path, "w", encoding="utf-8", newline="") as file:
            file.write(text)
        yield path


def text_files(path):
    paths = [path]
    if os.path.isdir(path):
        paths = [os.path.join(at, name) for at, _, names in os.walk(path) for name in sorted(names)]
    for candidate in paths:
        try:
            text = open(candidate, "rb").read().decode("utf-8")
        except UnicodeDecodeError:
            continue
        if "\0" not in text[:1000]:
            yield candidate


def main(encode, vocabulary, *arguments):
    if vocabulary == "splits":
        with tempfile.TemporaryDirectory() as folder:
            files = [f for path in arguments if not path.startswith("--") for f in text_files(path)]
            return compare_splits(encode, files + list(code_point_files(folder) if "--code-points" in arguments else []))
    extension = next((e for e in ORACLES if vocabulary.endswith(e) or e + "." in os.path.basename(vocabulary)), None)
    if extension is None:
        sys.exit(__doc__)
    with tempfile.TemporaryDirectory() as folder:
        oracle = ORACLES[extension](vocabulary, folder)
        files = [f for path in arguments if not path.startswith("--") for f in text_files(path)]
        if "--code-points" in arguments:
            files += code_point_files(folder)
        n_different = n_ids = n_bytes = 0
        ours = theirs = 0.0
        rounds = ["--rounds", "3"] if "--time" in arguments else []
        command = [encode, oracle.vocabulary, "--ids", *rounds, *files]
        lines = subprocess.run(command, stdout=subprocess.PIPE, check=True).stdout.splitlines()
        for path, line in zip(files, map(json.loads, lines), strict=True):
            text = open(path, "rb").read().decode("utf-8")
            start = time.process_time()
            expected = list(oracle.encode(text))
            taken = time.process_time() - start
            for _ in range(2 if rounds else 0):
                start = time.process_time()
                oracle.encode(text)
                taken = min(taken, time.process_time() - start)
            ours, theirs = ours + line["seconds"], theirs + taken
            n_ids, n_bytes = n_ids + len(expected), n_bytes + len(text.encode())
            ids = line["ids"]
            if ids != expected:
                n_different += 1
                first = next((i for i, pair in enumerate(zip(ids, expected)) if pair[0] != pair[1]),
                             min(len(ids), len(expected)))
                print(f"{path}: {len(expected)} ids, different from id {first} on: {ids[first:first + 4]}, "
                      f"expected {expected[first:first + 4]}")
        print(f"{os.path.basename(vocabulary)}: {len(files)} texts, {n_bytes} bytes, {n_ids} ids, "
              f"{n_different} texts different")
        if "--time" in arguments:
            print(f"  seconds: Tatara {ours:.3f} ({n_bytes / ours / 1e6:.1f} MB/s), oracle {theirs:.3f} "
                  f"({n_bytes / theirs / 1e6:.1f} MB/s), {theirs / ours:.2f} times")
    return 1 if n_different else 0


if __name__ == "__main__":
    if len(sys.argv) < 4:
        sys.exit(__doc__)
    sys.exit(main(*sys.argv[1:]))
