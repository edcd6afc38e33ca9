"""Calibration samples: CIFAR-10 images for the trained networks, random images for the random ones."""
import numpy as np

MEAN = np.array([0.485, 0.456, 0.406], np.float32).reshape(3, 1, 1)
DEVIATION = np.array([0.229, 0.224, 0.225], np.float32).reshape(3, 1, 1)
CIFAR_COUNT = 300  # NNCF's default subset, and the limit in tests/models/cifar10.toml
RANDOM_COUNT = 16  # 224x224 images; random weights gain nothing from more
SEED = 11

TOML = """# Written by bench/peers: every tool calibrates on calib.npy.
task = "compare"
[test]
format = "npy"
inputs = "calib.npy"
[calibration]
format = "npy"
inputs = "calib.npy"
"""


def read_cifar(path, count=None):
    """CIFAR-10 binary: a byte of label, then 3 x 32 x 32 bytes RGB, planes apart. Returns float32 NCHW and labels.

    count: that many, spread evenly, which is the choice of pare's `limit` (src/data/data_set.cpp, pick_samples).
    """
    rows = np.fromfile(path, np.uint8).reshape(-1, 1 + 3 * 32 * 32)
    if count is not None:
        rows = rows[np.arange(count) * len(rows) // count]
    pixels = rows[:, 1:].reshape(-1, 3, 32, 32).astype(np.float32) / 255
    return (pixels - MEAN) / DEVIATION, rows[:, 0]


def make_random_images(count=RANDOM_COUNT, size=224, coarse=14):
    """Coarse patches plus noise: white noise alone would give every image the same averages."""
    random = np.random.default_rng(SEED)
    patches = random.standard_normal((count, 3, coarse, coarse))
    smooth = patches.repeat(size // coarse, axis=2).repeat(size // coarse, axis=3)
    return (smooth + 0.5 * random.standard_normal(smooth.shape)).astype(np.float32)


def write_calibration(folder, images):
    """Writes calib.npy, calib.toml and input.npy (one sample, for the check of outputs)."""
    np.save(folder / "calib.npy", images)
    np.save(folder / "input.npy", images[:1])
    (folder / "calib.toml").write_text(TOML)
