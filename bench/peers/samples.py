"""Calibration samples of every model: lists with an array for each input, samples along the first axis."""
import gzip
import json
import pathlib

import numpy as np

MEAN = np.array([0.485, 0.456, 0.406], np.float32).reshape(3, 1, 1)
DEVIATION = np.array([0.229, 0.224, 0.225], np.float32).reshape(3, 1, 1)
CIFAR_COUNT = 300  # NNCF's default subset, and the limit in tests/models/cifar10.toml
RANDOM_COUNT = 16  # 224x224 images; random weights gain nothing from more
SEED = 11

FASHION = pathlib.Path("/usr/share/datasets/fashion-mnist/train-images-idx3-ubyte.gz")
TEXT_COUNT = 64
TEXT_TOKENS = 128


def read_cifar(path, count=None):
    """CIFAR-10 binary: a byte of label, then 3 x 32 x 32 bytes RGB, planes apart. Returns float32 NCHW and labels.

    count: that many, spread evenly, which is the choice of pare's `limit` (src/data/data_set.cpp, pick_samples).
    """
    rows = np.fromfile(path, np.uint8).reshape(-1, 1 + 3 * 32 * 32)
    if count is not None:
        rows = rows[np.arange(count) * len(rows) // count]
    pixels = rows[:, 1:].reshape(-1, 3, 32, 32).astype(np.float32) / 255
    return (pixels - MEAN) / DEVIATION, rows[:, 0]


def read_fashion():
    """Training images spread evenly, normalized as examples/fashion/fashion.toml says: float32 N x 1 x 28 x 28."""
    pixels = np.frombuffer(gzip.decompress(FASHION.read_bytes()), np.uint8, offset=16).reshape(-1, 1, 28, 28)
    pixels = pixels[np.arange(CIFAR_COUNT) * len(pixels) // CIFAR_COUNT]
    return (pixels.astype(np.float32) / 255 - np.float32(0.2860)) / np.float32(0.3530)


def make_latents(count=CIFAR_COUNT, size=16):
    """What a generator draws pictures from: standard normal numbers."""
    return np.random.default_rng(SEED).standard_normal((count, size)).astype(np.float32)


def make_random_images(count=RANDOM_COUNT, size=224, coarse=14):
    """Coarse patches plus noise: white noise alone would give every image the same averages."""
    random = np.random.default_rng(SEED)
    patches = random.standard_normal((count, 3, coarse, coarse))
    smooth = patches.repeat(size // coarse, axis=2).repeat(size // coarse, axis=3)
    return (smooth + 0.5 * random.standard_normal(smooth.shape)).astype(np.float32)


def read_pictures(folder, shape, letterbox=False):
    """Every picture of a folder as float32 0..255, N x 3 x shape: letterboxed in BGR as YOLOX wants it, or mirrored at
    its borders to at least `shape` and cropped."""
    from PIL import Image

    height, width = shape
    rows = []
    for path in sorted(folder.glob("*.[jp][pn]g")):
        image = Image.open(path).convert("RGB")
        if letterbox:
            scale = min(width / image.width, height / image.height)
            small = image.resize((round(image.width * scale), round(image.height * scale)), Image.Resampling.BILINEAR)
            pixels = np.full((height, width, 3), 114, np.uint8)
            pixels[: small.height, : small.width] = np.asarray(small)[:, :, ::-1]
        else:
            pixels = np.asarray(image)
            missing = [(0, max(0, wanted - have)) for wanted, have in zip(shape, pixels.shape)]
            pixels = np.pad(pixels, [*missing, (0, 0)], mode="symmetric")[:height, :width]
        rows.append(pixels.transpose(2, 0, 1).astype(np.float32))
    return np.stack(rows)


def read_tokens(path):
    """Ids and mask of TEXT_COUNT sentences, padded with 0 to TEXT_TOKENS, spread evenly over the file."""
    lines = path.read_text().splitlines()
    ids = np.zeros((TEXT_COUNT, TEXT_TOKENS), np.int64)
    mask = np.zeros_like(ids)
    for row in range(TEXT_COUNT):
        found = json.loads(lines[row * len(lines) // TEXT_COUNT])
        tokens = found["input_ids"][:TEXT_TOKENS]
        ids[row, : len(tokens)] = tokens
        mask[row, : len(tokens)] = 1
    return [ids, mask]


def write_calibration(folder, names, columns):
    """Writes calib_K.npy and calib.toml, which every tool calibrates on, and input_K.npy, what is run and timed.

    A sentence that is timed has no padding: its mask is all ones, and its ids go around until the row is full."""
    table = []
    for k, (name, column) in enumerate(zip(names, columns, strict=True)):
        np.save(folder / f"calib_{k}.npy", column)
        first = column[:1]
        if column.dtype == np.int64:
            used = int(columns[-1][0].sum())
            first = np.resize(column[0, :used], column.shape[1])[None]
        np.save(folder / f"input_{k}.npy", first)
        table.append(f'"{name}" = "calib_{k}.npy"')
    split = 'format = "npy"\ninputs = {' + ", ".join(table) + "}\n"
    (folder / "calib.toml").write_text(
        f"# Written by bench/peers: every tool calibrates on these.\ntask = \"compare\"\n[test]\n{split}[calibration]\n{split}")
