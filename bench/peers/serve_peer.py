#!/usr/bin/env python3
"""Serves one peer engine with the protocol of bench_serve: serve_peer.py ENGINE MODEL --threads N --input X.npy …

Prints `ready`; then reads lines: `run K` answers with K latencies in microseconds, `quit` ends.
Python must not slow a peer down: ONNX Runtime runs with bound inputs and outputs, OpenVINO through its C interface.
On a one-node model that costs 2 us (ONNX Runtime) and 3 us (OpenVINO) an inference, engine included.
"""
import argparse
import ctypes
import importlib.util
import json
import pathlib
import sys
import time

import numpy as np

WARM_UP_SECONDS = 0.3


def make_onnxruntime(path, threads, precision, inputs):
    import onnxruntime as ort

    if precision != "f32":
        sys.exit("ONNX Runtime has no bf16 kernels for CPUs")
    options = ort.SessionOptions()
    options.intra_op_num_threads = threads
    options.inter_op_num_threads = 1
    options.execution_mode = ort.ExecutionMode.ORT_SEQUENTIAL
    options.graph_optimization_level = ort.GraphOptimizationLevel.ORT_ENABLE_ALL
    session = ort.InferenceSession(path, options, providers=["CPUExecutionProvider"])
    feed = {x.name: data for x, data in zip(session.get_inputs(), inputs, strict=True)}
    binding = session.io_binding()
    for name, data in feed.items():
        binding.bind_cpu_input(name, data)
    # Shapes from a first inference: a file may leave those of its outputs open.
    for out, found in zip(session.get_outputs(), session.run(None, feed), strict=True):
        binding.bind_ortvalue_output(out.name, ort.OrtValue.ortvalue_from_shape_and_type(found.shape, found.dtype))
    run, handle = session._sess.run_with_iobinding, binding._iobinding
    return lambda: run(handle, None)


def load_openvino_c():
    folder = pathlib.Path(importlib.util.find_spec("openvino").submodule_search_locations[0]) / "libs"
    return ctypes.CDLL(str(next(folder.glob("libopenvino_c.so*"))))


def check(status):
    if status != 0:
        sys.exit(f"OpenVINO answered {status}")


def fill_input(lib, request, index, values):
    """Writes an input straight into the request's own tensor."""
    tensor, data, size = ctypes.c_void_p(), ctypes.c_void_p(), ctypes.c_size_t()
    check(lib.ov_infer_request_get_input_tensor_by_index(request, ctypes.c_size_t(index), ctypes.byref(tensor)))
    check(lib.ov_tensor_get_byte_size(tensor, ctypes.byref(size)))
    check(lib.ov_tensor_data(tensor, ctypes.byref(data)))
    if size.value != values.nbytes:
        sys.exit(f"input {index} holds {size.value} bytes, {values.nbytes} were given")
    ctypes.memmove(data, values.ctypes.data, values.nbytes)


def make_openvino(path, threads, precision, inputs):
    lib = load_openvino_c()
    core, model, compiled, request = (ctypes.c_void_p() for _ in range(4))
    check(lib.ov_core_create(ctypes.byref(core)))
    check(lib.ov_core_read_model(core, path.encode(), None, ctypes.byref(model)))
    settings = {"INFERENCE_PRECISION_HINT": precision, "INFERENCE_NUM_THREADS": threads,
                "PERFORMANCE_HINT": "LATENCY", "NUM_STREAMS": 1,
                "ENABLE_CPU_PINNING": "NO"}  # the process is pinned as a whole, which is 1-3 % faster at two threads
    words = [ctypes.c_char_p(str(w).encode()) for pair in settings.items() for w in pair]
    check(lib.ov_core_compile_model(core, model, b"CPU", ctypes.c_size_t(len(words)), ctypes.byref(compiled), *words))
    check(lib.ov_compiled_model_create_infer_request(compiled, ctypes.byref(request)))
    for index, values in enumerate(inputs):
        fill_input(lib, request, index, values)
    lib.ov_infer_request_infer.argtypes = [ctypes.c_void_p]
    infer = lib.ov_infer_request_infer
    check(infer(request))
    return lambda: infer(request)


ENGINES = {"onnxruntime": make_onnxruntime, "openvino": make_openvino}


def serve(infer):
    end = time.perf_counter() + WARM_UP_SECONDS
    while time.perf_counter() < end:
        infer()
    print("ready", flush=True)
    clock = time.perf_counter_ns
    for line in sys.stdin:
        words = line.split()
        if words[:1] == ["quit"]:
            return
        times = []
        for _ in range(int(words[1])):
            start = clock()
            infer()
            times.append(clock() - start)
        print(*(f"{t / 1e3:.3f}" for t in times), flush=True)


def peak_bytes():
    with open("/proc/self/status") as file:
        return next(int(line.split()[1]) * 1024 for line in file if line.startswith("VmHWM"))


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("engine", choices=ENGINES)
    parser.add_argument("model")
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--precision", choices=["f32", "bf16"], default="f32")
    parser.add_argument("--input", nargs="+", required=True, help=".npy files in the order of the model's inputs")
    parser.add_argument("--once", action="store_true", help="load, run once, print the peak memory and that before")
    a = parser.parse_args()
    inputs = [np.ascontiguousarray(np.load(f)) for f in a.input]
    before = peak_bytes()
    infer = ENGINES[a.engine](a.model, a.threads, a.precision, inputs)
    if not a.once:
        return serve(infer)
    infer()
    print(json.dumps({"peak_bytes": peak_bytes(), "interpreter_bytes": before}))


if __name__ == "__main__":
    main()
