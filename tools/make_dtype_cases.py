#!/usr/bin/env python3
"""Digests of dequantised blocks by the `gguf` package, an independent decoder: the constants of
src/numerics/dtype_test.cc. Needs numpy and gguf; not part of the build.

The package has no decoder for Q8_1 and Q8_K; theirs is one product, written out here.

Every type decodes the same stream of bytes: a 64-bit linear congruential generator (Knuth's MMIX
constants) from state 1, one byte a step, the top 8 bits. Scales are thus any f16, infinities and NaN
included; NaN counts as 0x7fc00000. BF16 and F16 widen every pattern of 16 bits.
"""
import hashlib

import gguf
import numpy as np

N_BLOCKS = 256
TYPES = ["Q8_0", "Q4_0", "Q4_1", "Q5_0", "Q5_1", "Q4_K", "Q5_K", "Q6_K", "MXFP4", "NVFP4", "Q2_K", "Q3_K",
         "IQ1_S", "IQ1_M", "IQ2_XXS", "IQ2_XS", "IQ2_S", "IQ3_XXS", "IQ3_S", "IQ4_NL", "IQ4_XS", "TQ1_0",
         "TQ2_0"]


def stream(n):
    out = bytearray(n)
    state = 1
    for i in range(n):
        state = (state * 6364136223846793005 + 1442695040888963407) % 2**64
        out[i] = state >> 56
    return np.frombuffer(bytes(out), np.uint8)


def digest(values):
    bits = np.ascontiguousarray(values, dtype=np.float32).view(np.uint32).copy()
    bits[np.isnan(values)] = 0x7FC00000
    return hashlib.sha256(bits.tobytes()).hexdigest()


def main():
    with np.errstate(all="ignore"):
        for name in TYPES:
            qtype = gguf.GGMLQuantizationType[name]
            block_bytes = gguf.GGML_QUANT_SIZES[qtype][1]
            blocks = stream(N_BLOCKS * block_bytes)
            values = gguf.quants.dequantize(blocks.reshape(1, -1), qtype).reshape(-1)
            print(f'    {{DType::k{name}, "{digest(values)}"}},')
        q8_1 = stream(N_BLOCKS * 36).reshape(-1, 36)
        d = q8_1[:, :2].copy().view(np.float16).astype(np.float32)
        values = d * q8_1[:, 4:].view(np.int8).astype(np.float32)
        print(f'    {{DType::kQ8_1, "{digest(values)}"}},')
        q8_k = stream(N_BLOCKS * 292).reshape(-1, 292)
        d = q8_k[:, :4].copy().view(np.float32)
        values = d * q8_k[:, 4:260].view(np.int8).astype(np.float32)
        print(f'    {{DType::kQ8_K, "{digest(values)}"}},')
        patterns = np.arange(65536, dtype=np.uint16)
        print(f'    {{DType::kF16, "{digest(patterns.view(np.float16).astype(np.float32))}"}},')
        wide = patterns.astype(np.uint32) << 16
        print(f'    {{DType::kBF16, "{digest(wide.view(np.float32))}"}},')


if __name__ == "__main__":
    main()
