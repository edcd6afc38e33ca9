#!/usr/bin/env python3
"""Record Fréchet distances between sets of vectors by numpy and SciPy, for tests/unit/measure/frechet_golden.inc.

    python3 -m venv venv && venv/bin/pip install numpy scipy
    venv/bin/python tools/record_frechet.py > tests/unit/measure/frechet_golden.inc
"""
import numpy as np
import scipy
from scipy.linalg import sqrtm


def vectors(count, n, seed, rank):
    """Numbers of a linear congruential generator (Numerical Recipes); features from `rank` on repeat earlier ones."""
    state, rows = seed, []
    for _ in range(count):
        row = []
        for i in range(n):
            state = (state * 1664525 + 1013904223) % 2**32
            row.append(np.float32((state >> 8) / 2**24 * (1 + i % 5) + seed * 0.1) if i < rank else row[i - rank])
        rows.append(row)
    return np.array(rows, np.float64)


print(f"// Made by tools/record_frechet.py with SciPy {scipy.__version__}, numpy {np.__version__}.")
print("// FRECHET(features, independent features, vectors of the first, of the second, distance)")
for n, rank, first, second in [(1, 1, 7, 9), (6, 6, 40, 50), (24, 24, 100, 80), (12, 7, 60, 60), (20, 20, 12, 15)]:
    a, b = vectors(first, n, 1, rank), vectors(second, n, 2, rank)
    ca, cb = (np.atleast_2d(np.cov(x, rowvar=False)) for x in (a, b))
    root = sqrtm(ca @ cb)
    distance = ((a.mean(0) - b.mean(0)) ** 2).sum() + np.trace(ca + cb - 2 * root).real
    # Roots of singular products are inexact by sqrtm; their eigenvalues say the same exactly.
    values = np.sqrt(np.maximum(np.linalg.eigvals(ca @ cb).real, 0)).sum()
    exact = ((a.mean(0) - b.mean(0)) ** 2).sum() + np.trace(ca + cb) - 2 * values
    assert abs(exact - distance) < 1e-4 * max(1, exact), (n, exact, distance)
    print(f"FRECHET({n}, {rank}, {first}, {second}, {float(exact)!r})")
