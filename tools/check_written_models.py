#!/usr/bin/env python3
"""Runs an ONNX model and one that pare wrote from it in ONNX Runtime and OpenVINO, and compares the results.

    check_written_models.py ORIGINAL WRITTEN [ORIGINAL WRITTEN ...] [--tolerance 1e-4]

Random inputs; named extents become 1 (batch) or --length. Fixtures of make_onnx_fixtures.py bring inputs and expected results
along (node test.Golden); the original is not run then, it may be too old for the runtime. Needs onnxruntime, openvino, numpy and onnx (bench/peers).
Exit status 1 if a file does not load, does not pass onnx's checker, or gives other results.
"""
import argparse
import sys

import numpy as np
import onnx
import onnxruntime as ort

try:
    import openvino as ov
except ImportError:
    ov = None

NUMPY = {"tensor(float)": np.float32, "tensor(double)": np.float64, "tensor(float16)": np.float16, "tensor(int64)": np.int64,
         "tensor(int32)": np.int32, "tensor(int8)": np.int8, "tensor(uint8)": np.uint8, "tensor(bool)": np.bool_}


def random_inputs(session, length):
    rng = np.random.default_rng(1)
    feed = {}
    for item in session.get_inputs():
        dims = [d if isinstance(d, int) and d > 0 else (1 if k == 0 else length) for k, d in enumerate(item.shape)]
        dtype = NUMPY[item.type]
        if np.issubdtype(dtype, np.floating):
            feed[item.name] = rng.standard_normal(dims).astype(dtype)
        elif "mask" in item.name:
            feed[item.name] = np.ones(dims, dtype)
        else:
            feed[item.name] = rng.integers(0, 100 if dtype != np.bool_ else 2, dims).astype(dtype)
    return feed


def worst(expected, actual):
    error = 0.0
    for e, a in zip(expected, actual):
        if e.shape != a.shape or e.dtype != a.dtype:
            return float("inf")
        if e.size and np.issubdtype(e.dtype, np.number):
            error = max(error, float(np.max(np.abs(e.astype(np.float64) - a) / (1 + np.abs(e.astype(np.float64))))))
    return error


def split_golden(path):
    """A copy of the model without its node test.Golden, and that node's inputs and results; None where there is none."""
    model = onnx.load(path)
    golden = [n for n in model.graph.node if n.op_type == "Golden"]
    if not golden:
        return None
    constants = {t.name: onnx.numpy_helper.to_array(t) for t in model.graph.initializer}
    model.graph.node.remove(golden[0])
    outputs = [o for o in model.graph.output if o.name not in golden[0].output]
    del model.graph.output[:]
    model.graph.output.extend(outputs)
    kept = [t for t in model.graph.initializer if not t.name.startswith("golden_")]
    del model.graph.initializer[:]
    model.graph.initializer.extend(kept)
    domains = [o for o in model.opset_import if o.domain != "test"]
    del model.opset_import[:]
    model.opset_import.extend(domains)
    pick = lambda kind: [constants[n] for n in golden[0].input if n.startswith(kind)]
    names = [i.name for i in model.graph.input]
    stripped = path + ".stripped.onnx"
    onnx.save(model, stripped)
    return stripped, dict(zip(names, pick("golden_in"))), pick("golden_out"), [o.name for o in outputs]


def check(original, written, arguments):
    options = ort.SessionOptions()
    options.log_severity_level = 3
    problems = []
    golden = split_golden(written)
    if golden:
        model, feed, expected, names = golden
    else:
        first = ort.InferenceSession(original, options, providers=["CPUExecutionProvider"])
        feed = random_inputs(first, arguments.length)
        expected = first.run(None, feed)
        model, names = written, [o.name for o in first.get_outputs()]
    try:
        onnx.checker.check_model(model)
    except Exception as error:  # the checker throws several kinds
        problems.append(f"onnx.checker: {str(error)[:300]}")
    second = ort.InferenceSession(model, options, providers=["CPUExecutionProvider"])
    if names != [o.name for o in second.get_outputs()]:
        problems.append("outputs are named otherwise")
    error = worst(expected, second.run(None, feed))
    line = f"ONNX Runtime {error:.2g}"
    if not error <= arguments.tolerance:
        problems.append(f"ONNX Runtime differs by {error:.3g}")
    if ov is not None and not arguments.skip_openvino:
        try:
            compiled = ov.Core().compile_model(model, "CPU", {"INFERENCE_PRECISION_HINT": "f32"})
            got = compiled(feed)
            error = worst(expected, [got[i] for i in range(len(expected))])
            line += f", OpenVINO {error:.2g}"
            if not error <= max(arguments.tolerance, 1e-3):
                problems.append(f"OpenVINO differs by {error:.3g}")
        except Exception as failure:
            problems.append(f"OpenVINO: {str(failure)[:300]}")
    print(f"{written}: {line}" + "".join("\n  " + p for p in problems))
    return not problems


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("models", nargs="+")
    parser.add_argument("--tolerance", type=float, default=1e-4)
    parser.add_argument("--length", type=int, default=32)
    parser.add_argument("--skip-openvino", action="store_true")
    arguments = parser.parse_args()
    pairs = list(zip(arguments.models[::2], arguments.models[1::2]))
    sys.exit(0 if all([check(a, b, arguments) for a, b in pairs]) else 1)


main()
