#!/usr/bin/env python3
"""Writes what the Python package `tokenizers` learns from the shared texts, for src/corpus' tests.

usage: tools/make_tokenizer_training_vectors.py TRAIN_FOLDER pairs > src/corpus/tokenizer_pair_vectors.inc
       tools/make_tokenizer_training_vectors.py TRAIN_FOLDER unigram > src/corpus/tokenizer_unigram_vectors.inc

Byte pairs: for each text and size the digest of all merges and the first ones. Unigram: all pieces of a small
vocabulary. The texts themselves are not copied. Made with tokenizers 0.23.3.
"""
import hashlib
import json
import pathlib
import sys

from tokenizers import Tokenizer, models, pre_tokenizers, trainers

ALPHABET = pre_tokenizers.ByteLevel.alphabet()
PAIRS = [("tinyshakespeare.txt", 512), ("tinyshakespeare.txt", 8192), ("neko-ja.txt", 4096), ("wiki_demo.txt", 4096),
         ("wikitext2-valid.txt", 4096), ("c4_demo.jsonl", 4096)]
UNIGRAM = ("tinyshakespeare.txt", 600)


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


def unigram(folder, name, size):
    tokenizer = Tokenizer(models.Unigram())
    tokenizer.pre_tokenizer = pre_tokenizers.Metaspace()
    trainer = trainers.UnigramTrainer(vocab_size=size, special_tokens=["<unk>"], unk_token="<unk>", show_progress=False)
    lines = [line + "\n" for line in texts(folder / name)[0].split("\n")]
    tokenizer.train_from_iterator(lines[:-1], trainer)
    pieces = sorted(piece for piece, _ in json.loads(tokenizer.to_str())["model"]["vocab"])
    for piece in pieces:
        print(f"  {quoted(piece)},")


def main():
    if len(sys.argv) != 3 or sys.argv[2] not in ("pairs", "unigram"):
        sys.exit(__doc__)
    folder = pathlib.Path(sys.argv[1])
    print("// Made by tools/make_tokenizer_training_vectors.py.")
    if sys.argv[2] == "pairs":
        print("// File, vocabulary, merges, digest of the merges, the first.\nconst PairVector kPairVectors[] = {")
        for name, size in PAIRS:
            pairs(folder, name, size)
    else:
        name, size = UNIGRAM
        print(f"// All pieces of a vocabulary of {size} from the lines of {name}.\n"
              f"constexpr int kUnigramVocabulary = {size};\nconst char* const kUnigramPieces[] = {{")
        unigram(folder, name, size)
    print("};")


if __name__ == "__main__":
    main()
