#!/usr/bin/env python3
"""Writes src/kernels/int8_epilogue/sigmoid_table.h: sigmoid(a) - 1/2 for a >= 0 as 32 cubics, half a unit wide.

Segment n covers [n/2 - 1/4, n/2 + 1/4] and is a polynomial of the distance from n/2, interpolated at Chebyshev's places,
where a cubic's error is nearly the least possible. Needs numpy.
"""
import pathlib
import sys

import numpy as np

SEGMENTS, WIDTH = 32, 0.5


def sigmoid_less_half(a):
    return 0.5 * np.tanh(a / 2)


def fit(n):
    k = np.arange(4)
    places = np.cos((2 * k + 1) * np.pi / 8) * WIDTH / 2
    values = sigmoid_less_half(n * WIDTH + places)
    return np.linalg.solve(np.vander(places, 4, increasing=True), values).astype(np.float32)


def main():
    rows = np.array([fit(n) for n in range(SEGMENTS)])
    rows[0, [0, 2]] = 0  # odd around 0
    a = np.linspace(0, SEGMENTS * WIDTH - WIDTH / 2, 200001)
    n = np.rint(a / WIDTH).astype(int).clip(0, SEGMENTS - 1)
    r = a - n * WIDTH
    c = rows[n].astype(np.float64)
    error = np.abs(c[:, 0] + r * (c[:, 1] + r * (c[:, 2] + r * c[:, 3])) - sigmoid_less_half(a)).max()
    lines = ["#pragma once", "// Written by tools/fit_sigmoid.py: sigmoid(a) - 1/2 near a = n / 2 is the sum of kSigmoid[k][n] * (a - n / 2)^k.",
             f"// Largest error: {error:.1e}, for any a if what is above {(SEGMENTS - 1) * WIDTH:g} is taken for it.", "",
             "namespace pare {", "namespace {", "", f"alignas(64) constexpr float kSigmoid[4][{SEGMENTS}] = {{"]
    for k in range(4):
        lines.append("    {" + ", ".join(float(v).hex() + "f" for v in rows[:, k]) + "},")
    lines += ["};", "", "}  // namespace", "}  // namespace pare", ""]
    out = pathlib.Path(__file__).resolve().parents[1] / "src/kernels/int8_epilogue/sigmoid_table.h"
    out.write_text("\n".join(lines))
    print(f"largest error {error:.3g}", file=sys.stderr)


main()
