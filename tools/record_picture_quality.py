#!/usr/bin/env python3
"""Record PSNR and SSIM of two pictures by numpy and SciPy, for tests/unit/measure/picture_quality_golden.inc.

    python3 -m venv venv && venv/bin/pip install numpy scipy
    venv/bin/python tools/record_picture_quality.py > tests/unit/measure/picture_quality_golden.inc
"""
import numpy as np
import scipy
from scipy.signal import convolve2d


def picture(height, width, channels, seed):
    """A ramp with noise from a linear congruential generator (Numerical Recipes); the test makes the same."""
    state, values = seed, []
    for i in range(height * width * channels):
        state = (state * 1664525 + 1013904223) % 2**32
        values.append((i * 3 + (state >> 26)) % 256)
    return np.array(values, np.float64).reshape(height, width, channels)


def luma(image, border):
    y = (image @ np.array([65.481, 128.553, 24.966])) / 255 + 16
    return y[border:y.shape[0] - border, border:y.shape[1] - border]


def ssim(a, b):
    """The formulas of Wang et al. 2004, the window as one two-dimensional convolution."""
    r = np.arange(-5, 6)
    window = np.exp(-(r[:, None] ** 2 + r[None, :] ** 2) / (2 * 1.5**2))
    window /= window.sum()
    mean = lambda x: convolve2d(x, window, mode="valid")
    ma, mb = mean(a), mean(b)
    va, vb, cov = mean(a * a) - ma**2, mean(b * b) - mb**2, mean(a * b) - ma * mb
    c1, c2 = (0.01 * 255) ** 2, (0.03 * 255) ** 2
    return (((2 * ma * mb + c1) * (2 * cov + c2)) / ((ma**2 + mb**2 + c1) * (va + vb + c2))).mean()


print(f"// Made by tools/record_picture_quality.py with SciPy {scipy.__version__}, numpy {np.__version__}.")
print("// QUALITY(height, width, border, PSNR of the luma in dB, SSIM)")
for height, width, border in [(11, 11, 0), (24, 31, 4), (40, 17, 2), (64, 48, 0)]:
    a, b = (luma(picture(height, width, 3, seed), border) for seed in (1, 2))
    psnr = 10 * np.log10(255**2 / ((a - b) ** 2).mean())
    print(f"QUALITY({height}, {width}, {border}, {psnr!r}, {ssim(a, b)!r})".replace("np.float64(", "").replace("),", ",").replace("))", ")"))
