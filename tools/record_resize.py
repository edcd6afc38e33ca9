#!/usr/bin/env python3
"""Record what Pillow's Image.resize gives, for tests/unit/data/resize_golden.inc.

    python3 -m venv venv && venv/bin/pip install pillow numpy
    venv/bin/python tools/record_resize.py > tests/unit/data/resize_golden.inc
"""
import numpy as np
import PIL
from PIL import Image

FILTERS = {name: Image.Resampling[name.upper()] for name in ("bilinear", "bicubic", "nearest")}
# (height, width, channels) -> (height, width); both ways, mixed, one axis only, large factors, single pixels
CASES = [
    ((4, 6, 1), (2, 3)), ((5, 7, 1), (3, 3)), ((3, 3, 1), (5, 7)), ((9, 13, 3), (4, 5)), ((9, 13, 3), (20, 6)),
    ((8, 8, 3), (8, 3)), ((8, 8, 3), (3, 8)), ((1, 1, 3), (4, 3)), ((37, 53, 3), (1, 1)),
    ((480, 640, 3), (224, 299)), ((100, 75, 3), (256, 192)), ((333, 500, 3), (256, 384)), ((28, 28, 1), (32, 32)),
]


def picture(height, width, channels):
    """The bytes of a linear congruential generator (Numerical Recipes); the test makes the same."""
    state, values = 1, []
    for _ in range(height * width * channels):
        state = (state * 1664525 + 1013904223) % 2**32
        values.append(state >> 24)
    return np.array(values, np.uint8).reshape(height, width, channels)


def fnv(data):
    value = 0xCBF29CE484222325
    for byte in data:
        value = (value ^ byte) * 0x100000001B3 % 2**64
    return value


print(f"// Made by tools/record_resize.py with Pillow {PIL.__version__}, numpy {np.__version__}.")
print("// RESIZE(interpolation, height, width, channels, new height, new width, FNV-1a of all bytes, the first bytes…)")
for (h, w, c), (nh, nw) in CASES:
    pixels = picture(h, w, c)
    image = Image.fromarray(pixels[:, :, 0] if c == 1 else pixels)
    for name, method in FILTERS.items():
        data = np.asarray(image.resize((nw, nh), method)).tobytes()
        first = ", ".join(str(byte) for byte in data[:12])
        print(f"RESIZE({name}, {h}, {w}, {c}, {nh}, {nw}, 0x{fnv(data):016x}, {first})")
