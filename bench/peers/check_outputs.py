#!/usr/bin/env python3
"""Checks artifacts in a process of its own, and prints one JSON line.

  check_outputs.py compare MODEL FOLDER X.npy …     SQNR in dB of the .npy in FOLDER against ONNX Runtime's output
  check_outputs.py top1 MODEL CIFAR.bin              share of right answers; MODEL is .onnx (ONNX Runtime) or .xml
"""
import json
import pathlib
import sys

import numpy as np

import samples


def make_session(path, exact=False):
    """exact: as the file says. On a CPU without VNNI ONNX Runtime's usual 8-bit products saturate, so node by node in floats."""
    import onnxruntime as ort

    options = ort.SessionOptions()
    options.intra_op_num_threads = 1
    if exact:
        options.graph_optimization_level = ort.GraphOptimizationLevel.ORT_DISABLE_ALL
    return ort.InferenceSession(path, options, providers=["CPUExecutionProvider"])


def compare(model, folder, *input_files):
    session = make_session(model, exact=True)
    wanted = session.run(None, {i.name: np.load(f) for i, f in zip(session.get_inputs(), input_files, strict=True)})
    files = sorted(pathlib.Path(folder).rglob("*.npy"))
    if len(files) != len(wanted):
        sys.exit(f"{len(files)} outputs in {folder}, ONNX Runtime has {len(wanted)}")
    by_name = {f.stem: f for f in files}
    worst = np.inf
    for meta, want, file in zip(session.get_outputs(), wanted, files):
        got = np.load(by_name.get(meta.name, file)).reshape(want.shape).astype(np.float64)
        noise = np.sum((got - want) ** 2)
        sqnr = 10 * np.log10(np.sum(want.astype(np.float64) ** 2) / noise) if noise > 0 else 200.0
        worst = min(worst, sqnr if np.isfinite(sqnr) else -200.0)
    return {"sqnr_db": float(worst)}


def make_predictor(path):
    if path.endswith(".xml"):
        import openvino

        settings = {"INFERENCE_PRECISION_HINT": "f32", "INFERENCE_NUM_THREADS": 1}
        compiled = openvino.Core().compile_model(path, "CPU", settings)
        return lambda x: compiled(x)[0]
    session = make_session(path)
    name = session.get_inputs()[0].name
    return lambda x: session.run(None, {name: x})[0]


def top1(model, data_file):
    images, labels = samples.read_cifar(data_file)
    predict = make_predictor(model)
    right = sum(int(np.argmax(predict(x[None]))) == y for x, y in zip(images, labels))
    return {"top1": right / len(labels), "count": len(labels)}


if __name__ == "__main__":
    if len(sys.argv) < 4:
        sys.exit(__doc__)
    print(json.dumps({"compare": compare, "top1": top1}[sys.argv[1]](*sys.argv[2:])))
