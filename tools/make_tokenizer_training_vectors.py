#!/usr/bin/env python3
"""Writes what the Python package `tokenizers` learns from the shared texts, for src/corpus' tests.

usage: tools/make_tokenizer_training_vectors.py TRAIN_FOLDER pairs > src/corpus/tokenizer_pair_vectors.inc
       tools/make_tokenizer_training_vectors.py TRAIN_FOLDER unigram > src/corpus/tokenizer_unigram_vectors.inc

Byte pairs: for each text and size the digest of all merges and the first ones. Unigram: all pieces of a small
vocabulary, and for each list of texts and settings the digest of all pieces. The texts themselves are not copied. Made with tokenizers 0.23.3.
"""
import hashlib
import json
import pathlib
import sys

from tokenizers import Tokenizer, models, pre_tokenizers, trainers

ALPHABET = pre_tokenizers.ByteLevel.alphabet()
PAIRS = [("tinyshakespeare.txt", 512), ("tinyshakespeare.txt", 8192), ("neko-ja.txt", 4096), ("wiki_demo.txt", 4096),
         ("wikitext2-valid.txt", 4096), ("c4_demo.jsonl", 4096)]
UNIGRAM_WHOLE = ("tinyshakespeare.txt", 600)
ENGLISH = ["tinyshakespeare.txt", "wiki_demo.txt", "wikitext2-valid.txt"]
# Texts, vocabulary, longest piece, sub-iterations, shrinking factor.
UNIGRAM = [(ENGLISH, 4000, 16, 2, 0.75), (["neko-ja.txt"], 8000, 16, 2, 0.75), (["neko-ja.txt"], 3500, 16, 2, 0.75),
           (["wiki_demo.txt"], 1000, 6, 1, 0.5), (["tinyshakespeare.txt"], 2000, 24, 3, 0.9),
           (ENGLISH + ["wikitext2-test.txt", "neko-ja.txt"], 32000, 16, 2, 0.75)]


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


def unigram(folder, names, size, **settings):
    """All pieces with their scores, sorted by their bytes."""
    tokenizer = Tokenizer(models.Unigram())
    tokenizer.pre_tokenizer = pre_tokenizers.Metaspace()
    trainer = trainers.UnigramTrainer(vocab_size=size, special_tokens=["<unk>"], unk_token="<unk>", show_progress=False,
                                      **settings)
    lines = [line + "\n" for name in names for line in texts(folder / name)[0].split("\n")[:-1]]
    tokenizer.train_from_iterator(lines, trainer)
    return sorted(map(tuple, json.loads(tokenizer.to_str())["model"]["vocab"]), key=lambda piece: piece[0].encode())


def unigrams(folder):
    name, size = UNIGRAM_WHOLE
    print(f"// All pieces of a vocabulary of {size} from the lines of {name}.\n"
          f"constexpr int kUnigramVocabulary = {size};\n"
          "const UnigramVectorPiece kUnigramPieces[] = {")
    for piece, score in unigram(folder, [name], size):
        print(f"  {{{quoted(piece)}, {score:.6f}}},")
    print("};\n// Files, settings, tokens, digest of the tokens sorted by their bytes.\n"
          "const UnigramVector kUnigramVectors[] = {")
    for names, size, length, steps, shrinking in UNIGRAM:
        pieces = unigram(folder, names, size, max_piece_length=length, n_sub_iterations=steps, shrinking_factor=shrinking)
        digest = hashlib.sha256("".join(piece + "\0" for piece, _ in pieces).encode()).hexdigest()
        files = ", ".join(f'"{name}"' for name in names)
        print(f'  {{{{{files}}}, {size}, {length}, {steps}, {shrinking}, {len(pieces)},\n   "{digest}"}},')
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
