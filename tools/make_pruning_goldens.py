#!/usr/bin/env python3
"""Golden masks and weights for prune-weights: make_pruning_goldens.py > tests/unit/passes/prune_golden.inc

A second implementation, from the papers alone: every inverse is computed anew where the formulas have one (n^4 in all), one
weight at a time, in double precision. Needs numpy; written with 2.4.
"""
import numpy as np


def wanda_mask(w, x, share):
    """Sun et al. 2023, section 3: |w|*||x||, compared within an output."""
    score = np.abs(w) * np.linalg.norm(x, axis=1)
    mask = np.ones(w.shape, int)
    for r in range(w.shape[0]):
        mask[r, np.argsort(score[r], kind="stable")[: int(share * w.shape[1])]] = 0
    return mask


def units(rows, taps, run, first, end, pattern):
    """Lists of (row, column) that go together, within columns [first, end)."""
    height, width = pattern
    for r in range(0, rows, height):
        for tap in range(taps):
            for c in range(tap * run, (tap + 1) * run, width):
                if first <= c < end:
                    yield [(i, j) for i in range(r, min(r + height, rows)) for j in range(c, min(c + width, (tap + 1) * run))]


def choose(loss, rows, taps, run, first, end, pattern, count):
    """The mask of columns [first, end) by their losses (rows x all columns)."""
    mask = np.ones(loss.shape, int)
    if pattern[0] == ":":
        _, keep, of = pattern
        for r in range(rows):
            for c in range(first, end, of):
                for j in sorted(range(c, c + of), key=lambda j: (loss[r, j], j))[: of - keep]:
                    mask[r, j] = 0
        return mask
    gone = 0
    for unit in sorted(units(rows, taps, run, first, end, pattern), key=lambda u: np.mean([loss[p] for p in u])):
        if gone + len(unit) / 2 > count:
            break
        for p in unit:
            mask[p] = 0
        gone += len(unit)
    return mask


def obs(w, h, cross, taps, run, pattern, count, block, damping):
    """SparseGPT (Frantar & Alistarh 2023, section 3), the last column a bias that stays."""
    rows, n = w.shape
    cols = taps * run
    added = damping * np.mean(np.diag(h))
    h = h + added * np.eye(n)
    best = w.copy() if cross is None else (w @ cross + added * w) @ np.linalg.inv(h)
    diagonal = np.diag(np.linalg.inv(h))
    expected = choose((best**2 / diagonal)[:, :cols], rows, taps, run, 0, cols, pattern, count)
    mask = np.ones((rows, n), int)
    v = best.copy()
    for first in range(0, cols, block):
        end = min(first + block, cols)
        # What column j costs once the columns before it are settled.
        cost = np.array([np.linalg.inv(h[j:, j:])[0, 0] for j in range(cols)])
        mask[:, first:end] = choose(v[:, :cols] ** 2 / cost, rows, taps, run, first, end, pattern, int(np.sum(expected[:, first:end] == 0)))[:, first:end]
        for j in range(first, end):
            inverse = np.linalg.inv(h[j:, j:])
            for r in range(rows):
                if mask[r, j] == 0:
                    v[r, j:] -= v[r, j] / inverse[0, 0] * inverse[0]
                    v[r, j] = 0
    for r in range(rows):  # the kept weights, exactly
        s = np.flatnonzero(mask[r])
        v[r] = 0
        v[r, s] = np.linalg.solve(h[np.ix_(s, s)], h[s] @ best[r])
    return v, mask[:, :cols]


def array(name, kind, values):
    text = ", ".join(repr(float(np.float32(x))) if kind == "float" else repr(float(x)) if kind == "double" else str(int(x)) for x in np.ravel(values))
    return f"const std::vector<{kind}> {name}{{{text}}};"


def main():
    random = np.random.default_rng(5)
    rows, taps, run, positions = 6, 3, 4, 60
    cols = taps * run
    mix = random.normal(size=(cols, cols))
    x = np.vstack([mix @ random.normal(size=(cols, positions)), np.ones(positions)])
    y = x + np.vstack([0.3 * random.normal(size=(cols, positions)), np.zeros(positions)])
    w = np.float32(random.normal(size=(rows, cols + 1))).astype(float)
    h, cross = x @ x.T, np.float32(y @ x.T).astype(float)
    print(f"// Written by tools/make_pruning_goldens.py with numpy {np.__version__}.")
    print(f"constexpr int64_t kRows = {rows}, kTaps = {taps}, kRun = {run};")
    for name, kind, values in (("kWeights", "float", w), ("kProducts", "double", h), ("kCross", "float", cross), ("kSquares", "double", np.diag(h)), ("kWandaMask", "uint8_t", wanda_mask(w[:, :cols], x[:cols], 0.5))):
        print(array(name, kind, values))
    print("const std::vector<ObsGolden> kObs{")
    for text, pattern, use_cross, block, count in (("unstructured", (1, 1), False, 128, 36), ("unstructured", (1, 1), True, 128, 50), ("unstructured", (1, 1), False, 4, 36),
                                                   ("2:4", (":", 2, 4), True, 4, 36), ("2x2", (2, 2), False, 128, 36), ("4x1", (4, 1), True, 4, 40)):
        v, mask = obs(w, h, cross if use_cross else None, taps, run, pattern, count, block, 0.01)
        fields = [f'"{text}"', str(use_cross).lower(), str(block), str(count)]
        for kind, values in (("float", v), ("int", mask)):
            fields.append("{" + ", ".join(repr(float(np.float32(a))) if kind == "float" else str(int(a)) for a in np.ravel(values)) + "}")
        print("    {" + ", ".join(fields) + "},")
    print("};")


if __name__ == "__main__":
    main()
