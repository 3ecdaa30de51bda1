#!/usr/bin/env python3
"""Writes src/numerics/codebooks.inc: the grids of the IQ types, numbers that the formats define, taken
from the tables of the `gguf` Python package. Not part of the build.

An entry is 16 bits: eight values of two bits, or four of four bits, the first value lowest; codebooks.h
says which number a value stands for.
"""
import sys

import gguf
import numpy as np

GRIDS = [("kGridIq2Xxs", "IQ2_XXS"), ("kGridIq2Xs", "IQ2_XS"), ("kGridIq2S", "IQ2_S"),
         ("kGridIq3Xxs", "IQ3_XXS"), ("kGridIq3S", "IQ3_S"), ("kGridIq1", "IQ1_S")]


def entries(name):
    codec = gguf.quants._type_traits[gguf.GGMLQuantizationType[name]]
    codec.init_grid()
    grid = np.asarray(codec.grid).reshape(codec.grid_shape)
    index = {float(value): i for i, value in enumerate(codec.grid_map)}
    bits = 16 // codec.grid_shape[1]
    return [sum(index[float(v)] << (bits * i) for i, v in enumerate(row)) for row in grid]


def main():
    out = open(sys.argv[1], "w") if len(sys.argv) > 1 else sys.stdout
    print("// Made by tools/make_codebooks.py; codebooks.h says what the numbers mean.", file=out)
    for constant, name in GRIDS:
        values = entries(name)
        print(f"constexpr std::uint16_t {constant}[{len(values)}] = {{", file=out)
        for i in range(0, len(values), 12):
            print("    " + " ".join(f"0x{v:04x}," for v in values[i:i + 12]), file=out)
        print("};", file=out)


if __name__ == "__main__":
    main()
