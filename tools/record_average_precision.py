#!/usr/bin/env python3
"""Record COCO's average precision by pycocotools, for tests/unit/measure/average_precision_golden.inc.

    python3 -m venv venv && venv/bin/pip install pycocotools numpy
    venv/bin/python tools/record_average_precision.py > tests/unit/measure/average_precision_golden.inc
"""
import contextlib
import io
from importlib.metadata import version

import numpy as np
from pycocotools.coco import COCO
from pycocotools.cocoeval import COCOeval


class Numbers:
    """Whole numbers below n of a linear congruential generator (Numerical Recipes); the test makes the same."""

    def __init__(self, seed):
        self.state = seed

    def below(self, n):
        self.state = (self.state * 1664525 + 1013904223) % 2**32
        return (self.state >> 8) % n


def scene(seed, pictures, classes):
    """(true boxes, detections): (picture, class, x, y, w, h, crowd) and (picture, class, x, y, w, h, score in 1/50)."""
    numbers, boxes, found = Numbers(seed), [], []
    for picture in range(pictures):
        for _ in range(numbers.below(7)):
            label, x, y = numbers.below(classes), numbers.below(200), numbers.below(200)
            w, h, crowd = 5 + numbers.below(60), 5 + numbers.below(60), numbers.below(10) == 0
            boxes.append((picture, label, x, y, w, h, crowd))
            for _ in range(numbers.below(3)):
                shift = [numbers.below(9) - 4 for _ in range(4)]
                found.append((picture, label, x + shift[0], y + shift[1], w + shift[2] // 2, h + shift[3] // 2,
                              10 + numbers.below(40)))
        for _ in range(numbers.below(4)):
            found.append((picture, numbers.below(classes), numbers.below(200), numbers.below(200), 5 + numbers.below(60),
                          5 + numbers.below(60), numbers.below(40)))
    return boxes, found


def precision(seed, pictures, classes):
    boxes, found = scene(seed, pictures, classes)
    truth = COCO()
    truth.dataset = {
        "images": [{"id": i + 1} for i in range(pictures)], "categories": [{"id": i + 1} for i in range(classes)],
        "annotations": [{"id": n + 1, "image_id": p + 1, "category_id": c + 1, "bbox": [x, y, w, h], "area": w * h,
                         "iscrowd": int(crowd)} for n, (p, c, x, y, w, h, crowd) in enumerate(boxes)]}
    truth.createIndex()
    results = truth.loadRes([{"image_id": p + 1, "category_id": c + 1, "bbox": [x, y, w, h], "score": s / 50}
                             for p, c, x, y, w, h, s in found])
    judge = COCOeval(truth, results, "bbox")
    judge.evaluate()
    judge.accumulate()
    judge.summarize()
    return judge.stats[0], judge.stats[1], len(boxes), len(found)


print(f"// Made by tools/record_average_precision.py with pycocotools {version('pycocotools')}, numpy {np.__version__}.")
print("// PRECISION(seed, pictures, classes, mAP, mAP at IoU 0.5, true boxes, detections)")
for seed, pictures, classes in [(1, 1, 1), (2, 6, 1), (3, 20, 3), (4, 60, 5), (5, 9, 12)]:
    with contextlib.redirect_stdout(io.StringIO()):
        mean, half, boxes, found = precision(seed, pictures, classes)
    print(f"PRECISION({seed}, {pictures}, {classes}, {float(mean)!r}, {float(half)!r}, {boxes}, {found})")
