#!/usr/bin/env python3
"""Goldens of ggml's block types, from the gguf package's own decoder (written against gguf 0.17 and later).

One file a type, tests/golden/codecs/NAME.bin: four blocks of random bytes with scales of ordinary size, then their values as
float32.

    record_blocks.py FOLDER
"""
import pathlib
import sys

import gguf
import numpy

TYPES = "Q4_0 Q4_1 Q5_0 Q5_1 Q8_0 IQ4_NL Q2_K Q3_K Q4_K Q5_K Q6_K".split()
# Where a block holds float16 numbers: any other bytes may be anything.
HALVES = {"Q4_0": [0], "Q4_1": [0, 2], "Q5_0": [0], "Q5_1": [0, 2], "Q8_0": [0], "IQ4_NL": [0], "Q2_K": [80, 82], "Q3_K": [108],
          "Q4_K": [0, 2], "Q5_K": [0, 2], "Q6_K": [208]}


def main(folder):
    folder.mkdir(parents=True, exist_ok=True)
    random = numpy.random.default_rng(7)
    for name in TYPES:
        kind = gguf.GGMLQuantizationType[name]
        elements, size = gguf.GGML_QUANT_SIZES[kind]
        blocks = random.integers(0, 256, (4, size), dtype=numpy.uint8)
        for at in HALVES[name]:
            blocks[:, at:at + 2] = random.normal(0, 0.01, 4).astype(numpy.float16).view(numpy.uint8).reshape(4, 2)
        values = gguf.quants.dequantize(blocks, kind).astype(numpy.float32)
        assert values.shape == (4, elements)
        (folder / f"{name.lower()}.bin").write_bytes(blocks.tobytes() + values.tobytes())
    print(f"{len(TYPES)} types, gguf {gguf.__version__ if hasattr(gguf, '__version__') else ''}")


if __name__ == "__main__":
    main(pathlib.Path(sys.argv[1]))
