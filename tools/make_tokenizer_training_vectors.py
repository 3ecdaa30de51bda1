#!/usr/bin/env python3
"""Writes what the Python package `tokenizers` learns from the shared texts, for src/corpus' tests.

usage: tools/make_tokenizer_training_vectors.py TRAIN_FOLDER pairs > src/corpus/tokenizer_pair_vectors.inc
       tools/make_tokenizer_training_vectors.py TRAIN_FOLDER unigram > src/corpus/tokenizer_unigram_vectors.inc

Byte pairs: for each text and size the digest of all merges and the first ones. Unigram: all pieces of a small
vocabulary, and for each list of texts and settings the digest of all pieces. The texts themselves are not copied. Made with tokenizers 0.23.3.
"""
import collections
import hashlib
import json
import pathlib
import sys

from tokenizers import Regex, Tokenizer, models, normalizers, pre_tokenizers, trainers

ALPHABET = pre_tokenizers.ByteLevel.alphabet()
PAIRS = [("tinyshakespeare.txt", 512), ("tinyshakespeare.txt", 8192), ("neko-ja.txt", 4096), ("wiki_demo.txt", 4096),
         ("wikitext2-valid.txt", 4096), ("c4_demo.jsonl", 4096)]
UNIGRAM_WHOLE = ("tinyshakespeare.txt", 600)
ENGLISH = ["tinyshakespeare.txt", "wiki_demo.txt", "wikitext2-valid.txt"]
# Texts, vocabulary, longest piece, sub-iterations, shrinking factor, normal form, characters, bytes.
USUAL = (16, 2, 0.75)
UNIGRAM = [(ENGLISH, 4000, *USUAL, "", 0, False), (["neko-ja.txt"], 8000, *USUAL, "", 0, False),
           (["neko-ja.txt"], 3500, *USUAL, "nfkc", 0, False), (["neko-ja.txt"], 3000, *USUAL, "", 1000, False),
           (["neko-ja.txt"], 2000, *USUAL, "nfkc", 700, True), (["wiki_demo.txt"], 1000, 6, 1, 0.5, "", 0, True),
           (["tinyshakespeare.txt"], 2000, 24, 3, 0.9, "", 0, False),
           (ENGLISH + ["wikitext2-test.txt", "neko-ja.txt"], 32000, *USUAL, "", 0, False)]


def texts(path):
    content = path.read_bytes().decode("utf-8")
    if path.suffix != ".jsonl":
        return [content]
    return [json.loads(line)["text"] for line in content.split("\n") if line]


def quoted(text):
    return '"' + "".join(c if " " <= c <= "~" and c not in '"\\' else
                         "".join(f"\\{byte:03o}" for byte in c.encode()) for c in text) + '"'


def pairs(folder, name, size):
    tokenizer = Tokenizer(models.BPE())
    tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    trainer = trainers.BpeTrainer(vocab_size=size, min_frequency=2, special_tokens=["<|endoftext|>"],
                                  initial_alphabet=ALPHABET, show_progress=False)
    tokenizer.train_from_iterator(texts(folder / name), trainer)
    merges = [" ".join(merge) for merge in json.loads(tokenizer.to_str())["model"]["merges"]]
    digest = hashlib.sha256("".join(merge + "\n" for merge in merges).encode()).hexdigest()
    first = ",\n   ".join(quoted(merge) for merge in merges[:4])
    print(f'  {{"{name}", {size}, {len(merges)}, "{digest}",\n   {{{first}}}}},')


class Alphabet:
    """Cuts at all characters but the most frequent ones."""

    def __init__(self, tokenizer, lines, size):
        counts = collections.Counter("\u2581")
        counts["\u2581"] = 1 << 60
        for line in lines:
            text = tokenizer.normalizer.normalize_str(line) if tokenizer.normalizer else line
            for piece, _ in tokenizer.pre_tokenizer.pre_tokenize_str(text):
                counts.update(piece)
        kept = sorted(counts, key=lambda c: (-counts[c], c))[:size]
        others = Regex("[^" + "".join(f"\\x{{{ord(c):X}}}" for c in kept) + "]")
        tokenizer.pre_tokenizer = pre_tokenizers.Sequence(
            [tokenizer.pre_tokenizer, pre_tokenizers.Split(others, behavior="removed")])


def unigram(folder, names, size, form="", characters=0, with_bytes=False, **settings):
    """All pieces with their scores, sorted by their bytes."""
    tokenizer = Tokenizer(models.Unigram())
    tokenizer.pre_tokenizer = pre_tokenizers.Metaspace()
    if form:
        tokenizer.normalizer = getattr(normalizers, form.upper())()
    special = ["<unk>"] + [f"<0x{byte:02X}>" for byte in range(256) if with_bytes]
    trainer = trainers.UnigramTrainer(vocab_size=size, special_tokens=special, unk_token="<unk>", show_progress=False,
                                      **settings)
    lines = [line + "\n" for name in names for line in texts(folder / name)[0].split("\n")[:-1]]
    if characters:
        Alphabet(tokenizer, lines, characters)
    tokenizer.train_from_iterator(lines, trainer)
    return sorted(map(tuple, json.loads(tokenizer.to_str())["model"]["vocab"]), key=lambda piece: piece[0].encode())


def unigrams(folder):
    name, size = UNIGRAM_WHOLE
    print(f"// All pieces of a vocabulary of {size} from the lines of {name}.\n"
          f"constexpr int kUnigramVocabulary = {size};\n"
          "const UnigramVectorPiece kUnigramPieces[] = {")
    for piece, score in unigram(folder, [name], size):
        # Characters that lost their piece get their scores in an order that changes from run to run.
        print(f"  {{{quoted(piece)}, {score:.{6 if len(piece.encode()) > 1 else 2}f}}},")
    print("};\n// Files, settings, tokens, digest of the tokens sorted by their bytes.\n"
          "const UnigramVector kUnigramVectors[] = {")
    for names, size, length, steps, shrinking, form, characters, with_bytes in UNIGRAM:
        pieces = unigram(folder, names, size, form, characters, with_bytes, max_piece_length=length,
                         n_sub_iterations=steps, shrinking_factor=shrinking)
        digest = hashlib.sha256("".join(piece + "\0" for piece, _ in pieces).encode()).hexdigest()
        files = ", ".join(f'"{name}"' for name in names)
        print(f'  {{{{{files}}}, {size}, {length}, {steps}, {shrinking}, "{form}", {characters}, '
              f'{str(with_bytes).lower()}, {len(pieces)},\n   "{digest}"}},')
    print("};")


def main():
    if len(sys.argv) != 3 or sys.argv[2] not in ("pairs", "unigram"):
        sys.exit(__doc__)
    folder = pathlib.Path(sys.argv[1])
    print("// Made by tools/make_tokenizer_training_vectors.py.")
    if sys.argv[2] == "unigram":
        return unigrams(folder)
    print("// File, vocabulary, merges, digest of the merges, the first.\nconst PairVector kPairVectors[] = {")
    for name, size in PAIRS:
        pairs(folder, name, size)
    print("};")


if __name__ == "__main__":
    main()
