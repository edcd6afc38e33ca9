#!/usr/bin/env python3
"""Writes src/kernels/int8_epilogue/gate_tables.h: odd functions h(a), a >= 0, as 32 cubics each.

Segment n covers [(n - 1/2) w, (n + 1/2) w] and is a polynomial of the distance from n w, interpolated at Chebyshev's places,
where a cubic's error is nearly the least possible. Needs numpy.
"""
import math
import pathlib
import sys

import numpy as np

SEGMENTS = 32


def sigmoid(a):
    return 0.5 * np.tanh(a / 2)


def gauss(a):
    return 0.5 * np.vectorize(math.erf)(a / math.sqrt(2))


def gauss_by_tanh(a):
    return 0.5 * np.tanh(math.sqrt(2 / math.pi) * (a + 0.044715 * a**3))


GATES = [  # table, what it is, function, segments a unit
    ("kSigmoidGate", "sigmoid(a) - 1/2", sigmoid, 2),
    ("kGaussGate", "Phi(a) - 1/2, Phi the normal distribution's: Gelu", gauss, 6),
    ("kGaussTanhGate", "the same in Gelu's form with tanh", gauss_by_tanh, 6),
]


def fit(function, n, width):
    k = np.arange(4)
    places = np.cos((2 * k + 1) * np.pi / 8) * width / 2
    values = function(n * width + places)
    return np.linalg.solve(np.vander(places, 4, increasing=True), values).astype(np.float32)


def table(name, text, function, per_unit):
    width = 1 / per_unit
    rows = np.array([fit(function, n, width) for n in range(SEGMENTS)])
    rows[0, [0, 2]] = 0  # odd around 0
    last = (SEGMENTS - 1) * width
    a = np.linspace(0, last, 100001)
    n = np.rint(a / width).astype(int).clip(0, SEGMENTS - 1)
    r = a - n * width
    c = rows[n].astype(np.float64)
    error = max(np.abs(c[:, 0] + r * (c[:, 1] + r * (c[:, 2] + r * c[:, 3])) - function(a)).max(), 0.5 - float(rows[-1, 0]))
    print(f"{name}: largest error {error:.2g}", file=sys.stderr)
    lines = [f"// {text}; {per_unit} segments a unit, error {error:.1e}, also where an a above {last:.4g} is taken for it.",
             f"alignas(64) constexpr float {name}[4][{SEGMENTS}] = {{"]
    for k in range(4):
        values = [float(v).hex().replace("0000000p", "p") + "f" for v in rows[:, k]]
        rows_of_text = [", ".join(values[i:i + 6]) for i in range(0, SEGMENTS, 6)]
        lines += ["    {" + ",\n     ".join(rows_of_text) + "},"]
    return lines + ["};", ""]


def main():
    lines = ["#pragma once", "// Written by tools/fit_gates.py: near n / (segments a unit) the function is the sum of table[k][n] times the k-th power",
             "// of the distance.", "", "namespace pare {", "namespace {", ""]
    for gate in GATES:
        lines += table(*gate)
    lines += ["}  // namespace", "}  // namespace pare", ""]
    out = pathlib.Path(__file__).resolve().parents[1] / "src/kernels/int8_epilogue/gate_tables.h"
    out.write_text("\n".join(lines))


main()
