#!/usr/bin/python3
"""Train the small residual network of examples/fashion and write fashion.onnx.

Needs Debian's python3-torch and dataset-fashion-mnist, two CPU cores and about
20 minutes:  nice -n 5 /usr/bin/python3 train.py
"""
import copy
import gzip
import time
from pathlib import Path

import numpy as np
import torch
import torch.nn.functional as F
from torch import nn

DATA = Path("/usr/share/datasets/fashion-mnist")
ONNX = Path(__file__).with_name("fashion.onnx")
SEED, THREADS = 1, 2
EPOCHS, BATCH = 30, 128
MAX_LR, WEIGHT_DECAY, SMOOTHING = 0.2, 5e-4, 0.1
EMA_DECAY = 0.998  # about one epoch of memory (429 steps)
HELD_OUT = 5000  # the last training images: never trained on, used for decisions
MEAN, STD = 0.2860, 0.3530  # the same numbers as in fashion.toml
# (channels, blocks, stride of the first block). The 28x28 stage is thin because
# it costs most of the time; widths are multiples of 16 for the vector units.
STAGES = [(16, 1, 1), (48, 2, 2), (80, 2, 2)]


class Block(nn.Module):
    """Two 3x3 convolutions and a shortcut (1x1 convolution when the shape changes)."""

    def __init__(self, cin, cout, stride):
        super().__init__()
        self.conv1 = nn.Conv2d(cin, cout, 3, stride, 1, bias=False)
        self.bn1 = nn.BatchNorm2d(cout)
        self.conv2 = nn.Conv2d(cout, cout, 3, 1, 1, bias=False)
        self.bn2 = nn.BatchNorm2d(cout)
        self.shortcut = None
        if stride != 1 or cin != cout:
            self.shortcut = nn.Sequential(nn.Conv2d(cin, cout, 1, stride, bias=False),
                                          nn.BatchNorm2d(cout))

    def forward(self, x):
        y = F.relu(self.bn1(self.conv1(x)))
        y = self.bn2(self.conv2(y))
        return F.relu(y + (x if self.shortcut is None else self.shortcut(x)))


class Net(nn.Module):
    def __init__(self):
        super().__init__()
        width = STAGES[0][0]
        self.stem = nn.Sequential(nn.Conv2d(1, width, 3, 1, 1, bias=False),
                                  nn.BatchNorm2d(width), nn.ReLU())
        blocks = []
        for cout, count, stride in STAGES:
            for i in range(count):
                blocks.append(Block(width, cout, stride if i == 0 else 1))
                width = cout
        self.blocks = nn.Sequential(*blocks)
        self.pool = nn.AdaptiveAvgPool2d(1)
        self.head = nn.Linear(width, 10)

    def forward(self, x):
        return self.head(torch.flatten(self.pool(self.blocks(self.stem(x))), 1))


def load(part):
    """Pixels as uint8 [N,1,28,28] and labels as int64 [N] of an IDX pair."""
    with gzip.open(DATA / f"{part}-images-idx3-ubyte.gz") as f:
        pixels = np.frombuffer(f.read(), np.uint8, offset=16).reshape(-1, 1, 28, 28)
    with gzip.open(DATA / f"{part}-labels-idx1-ubyte.gz") as f:
        labels = np.frombuffer(f.read(), np.uint8, offset=8)
    return torch.from_numpy(pixels.copy()), torch.from_numpy(labels.astype(np.int64))


def normalise(pixels):
    x = (pixels.float() / 255 - MEAN) / STD
    return x.contiguous(memory_format=torch.channels_last)  # up to 2x faster here


def augment(pixels):
    """Shift by up to 2 pixels, flip half of the images, erase a square in half."""
    n = len(pixels)
    # All shifts at once: pick rows, then columns, of the padded images by index.
    padded = F.pad(pixels[:, 0], (2, 2, 2, 2))
    rows = torch.arange(28) + torch.randint(0, 5, (n, 1))
    cols = torch.arange(28) + torch.randint(0, 5, (n, 1))
    flip = torch.rand(n) < 0.5
    cols[flip] = cols[flip].flip(1)
    x = padded[torch.arange(n)[:, None, None], rows[:, :, None], cols[:, None, :]]
    x = normalise(x[:, None])
    # Erased pixels become 0, the mean after normalisation. Side 4 to 12, or none.
    side = torch.randint(4, 13, (n, 1)) * (torch.rand(n, 1) < 0.5)
    top, left = torch.randint(0, 28, (2, n, 1)) - side // 2
    grid = torch.arange(28)
    in_row = (grid >= top) & (grid < top + side)
    in_col = (grid >= left) & (grid < left + side)
    return x.masked_fill((in_row[:, :, None] & in_col[:, None, :])[:, None], 0.0)


@torch.no_grad()
def accuracy(net, pixels, labels):
    """Top-1 in percent."""
    net.eval()
    right = sum((net(normalise(p)).argmax(1) == t).sum().item()
                for p, t in zip(pixels.split(500), labels.split(500)))
    return 100.0 * right / len(labels)


@torch.no_grad()
def update_ema(ema, net):
    # The running statistics are averaged like the weights they belong to.
    for a, b in zip(ema.state_dict().values(), net.state_dict().values()):
        if a.is_floating_point():
            a.lerp_(b, 1 - EMA_DECAY)


def train(net, pixels, labels, val_pixels, val_labels):
    """Train net; returns the moving average of its weights, which is what is kept."""
    net = net.to(memory_format=torch.channels_last)
    ema = copy.deepcopy(net)
    # Decay only real weights: on BatchNorm parameters and biases it does harm.
    decayed = [p for p in net.parameters() if p.dim() > 1]
    others = [p for p in net.parameters() if p.dim() <= 1]
    optimiser = torch.optim.SGD([{"params": decayed, "weight_decay": WEIGHT_DECAY},
                                 {"params": others}], MAX_LR, momentum=0.9, nesterov=True)
    steps = len(labels) // BATCH
    # cycle_momentum off: with Nesterov a constant 0.9 is good enough.
    schedule = torch.optim.lr_scheduler.OneCycleLR(
        optimiser, MAX_LR, total_steps=EPOCHS * steps, pct_start=0.2, cycle_momentum=False)
    start = time.time()
    for epoch in range(1, EPOCHS + 1):
        net.train()
        total = 0.0
        for pick in torch.randperm(len(labels))[:steps * BATCH].split(BATCH):
            loss = F.cross_entropy(net(augment(pixels[pick])), labels[pick],
                                   label_smoothing=SMOOTHING)
            optimiser.zero_grad(set_to_none=True)
            loss.backward()
            optimiser.step()
            schedule.step()
            update_ema(ema, net)
            total += loss.item()
        print(f"epoch {epoch:2d}/{EPOCHS}  loss {total / steps:.4f}  held-out "
              f"{accuracy(ema, val_pixels, val_labels):.2f} %  {time.time() - start:.0f} s",
              flush=True)
    return ema


def export(net, path):
    """Write net as ONNX, BatchNormalization nodes included, so that pare has them to fold."""
    net = copy.deepcopy(net).to(memory_format=torch.contiguous_format).eval()
    # PRESERVE with a network in eval mode gives inference nodes but skips the
    # folding of BatchNorm into Conv, which torch does for TrainingMode.EVAL.
    torch.onnx.export(net, torch.zeros(1, 1, 28, 28), str(path), opset_version=17,
                      training=torch.onnx.TrainingMode.PRESERVE, do_constant_folding=False,
                      input_names=["image"], output_names=["scores"],
                      dynamic_axes={"image": {0: "N"}, "scores": {0: "N"}})


def main():
    torch.manual_seed(SEED)
    torch.set_num_threads(THREADS)
    pixels, labels = load("train")
    net = Net()
    print(f"{sum(p.numel() for p in net.parameters())} parameters", flush=True)
    net = train(net, pixels[:-HELD_OUT], labels[:-HELD_OUT],
                pixels[-HELD_OUT:], labels[-HELD_OUT:])
    export(net, ONNX)
    print(f"held-out top-1 {accuracy(net, pixels[-HELD_OUT:], labels[-HELD_OUT:]):.2f} %")
    # The test images are read here, once, after every decision has been made.
    print(f"test top-1 {accuracy(net, *load('t10k')):.2f} %")
    print(f"{ONNX.name}: {ONNX.stat().st_size} bytes")


if __name__ == "__main__":
    main()
