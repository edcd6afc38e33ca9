#!/usr/bin/env python3
"""Writes src/kernels/int8_epilogue/gates.h: odd functions h(a) as a N(a²) / D(a²).

The quotient with the least largest error on [0, most] by Lawson's weighted least squares (Lawson 1961), the denominators of one
step taken as known in the next. Needs numpy.
"""
import math
import pathlib
import sys

import numpy as np


def sigmoid(a):
    return 0.5 * np.tanh(a / 2)


def gauss(a):
    return 0.5 * np.vectorize(math.erf)(a / math.sqrt(2))


GATES = [  # name, what it is, function, limit, degrees of N and D
    ("SigmoidGate", "sigmoid(a) - 1/2", sigmoid, 14.0, 3, 3),
    ("FineSigmoidGate", "sigmoid(a) - 1/2", sigmoid, 16.0, 4, 4),
    ("GaussGate", "Phi(a) - 1/2, Phi the normal distribution's: Gelu", gauss, 5.25, 5, 4),
]


def fit(function, most, over, under):
    a = most * (1 - np.cos(np.pi * (np.arange(4000) + 0.5) / 4000)) / 2
    z, y = a * a, function(a)
    terms = np.concatenate([a[:, None] * z[:, None] ** np.arange(over + 1), -y[:, None] * z[:, None] ** np.arange(1, under + 1)], 1)
    weights, below, best, least = np.ones_like(a), np.ones_like(a), None, math.inf
    for _ in range(300):
        scaled = terms * (weights / np.abs(below))[:, None]
        size = np.abs(scaled).max(0)
        c = np.linalg.lstsq(scaled / size, y * weights / np.abs(below), rcond=None)[0] / size
        below = 1 + z * np.polyval(c[over + 1:][::-1], z)
        error = np.abs(a * np.polyval(c[:over + 1][::-1], z) / below - y)
        if error.max() < least:
            best, least = c, error.max()
        weights *= np.sqrt(error / error.max() + 1e-3)
        weights /= weights.max()
    return best[:over + 1].astype(np.float32), np.concatenate([[1], best[over + 1:]]).astype(np.float32)


def in_floats(a, over, under):
    """As the kernels compute it: every operation rounds once."""
    a = a.astype(np.float32)
    z = a * a

    def horner(c):
        p = np.full_like(z, c[-1])
        for v in c[-2::-1]:
            p = (p.astype(np.float64) * z + v).astype(np.float32)
        return p

    return a * horner(over) / horner(under)


def gate(name, text, function, most, over, under):
    n, d = fit(function, most, over, under)
    a = np.linspace(0, most, 1000001)
    error = max(np.abs(in_floats(a, n, d) - function(a)).max(), 0.5 - float(in_floats(np.array([most]), n, d)[0]))
    print(f"{name}: largest error {error:.2g}", file=sys.stderr)
    words = lambda c: ", ".join(float(v).hex().replace("0000000p", "p") + "f" for v in c)
    return [f"// {text}; error {error:.1e}, also where an a beyond {most:g} is taken for it.", f"struct {name} {{",
            f"  static constexpr float most = {most}f;", f"  static constexpr float over[] = {{{words(n)}}};",
            f"  static constexpr float under[] = {{{words(d)}}};", "};", ""]


def main():
    lines = ["#pragma once", "// Written by tools/fit_gates.py: the function of a is a · over(a²) / under(a²), coefficients of the lowest power first.",
             "", "namespace pare {", "namespace {", ""]
    for row in GATES:
        lines += gate(*row)
    lines += ["}  // namespace", "}  // namespace pare", ""]
    out = pathlib.Path(__file__).resolve().parents[1] / "src/kernels/int8_epilogue/gates.h"
    out.write_text("\n".join(lines))


main()
