#!/usr/bin/env python3
"""Serves one peer engine with the protocol of bench_serve: serve_peer.py ENGINE MODEL --threads N --precision P

Prints `ready`; then reads lines: `run K` answers with K latencies in microseconds, `quit` ends.
Python must not slow a peer down: ONNX Runtime runs with bound inputs and outputs, OpenVINO through its C interface.
On a one-node model that costs 2 us (ONNX Runtime) and 3 us (OpenVINO) an inference, engine included.
"""
import argparse
import ctypes
import importlib.util
import pathlib
import sys
import time

import numpy as np

SEED = 7
WARM_UP_SECONDS = 0.3


def make_onnxruntime(path, threads, precision):
    import onnxruntime as ort

    if precision != "f32":
        sys.exit("ONNX Runtime has no bf16 kernels for CPUs")
    options = ort.SessionOptions()
    options.intra_op_num_threads = threads
    options.inter_op_num_threads = 1
    options.execution_mode = ort.ExecutionMode.ORT_SEQUENTIAL
    options.graph_optimization_level = ort.GraphOptimizationLevel.ORT_ENABLE_ALL
    session = ort.InferenceSession(path, options, providers=["CPUExecutionProvider"])
    x = session.get_inputs()[0]
    data = np.random.default_rng(SEED).standard_normal(x.shape).astype(np.float32)
    binding = session.io_binding()
    binding.bind_cpu_input(x.name, data)
    for out in session.get_outputs():
        value = ort.OrtValue.ortvalue_from_shape_and_type(out.shape, np.float32)
        binding.bind_ortvalue_output(out.name, value)
    run, handle = session._sess.run_with_iobinding, binding._iobinding
    return lambda: run(handle, None)


def load_openvino_c():
    folder = pathlib.Path(importlib.util.find_spec("openvino").submodule_search_locations[0]) / "libs"
    return ctypes.CDLL(str(next(folder.glob("libopenvino_c.so*"))))


def check(status):
    if status != 0:
        sys.exit(f"OpenVINO answered {status}")


def fill_input(lib, request):
    """Writes the fixed random input straight into the request's own tensor."""
    tensor, data, size = ctypes.c_void_p(), ctypes.c_void_p(), ctypes.c_size_t()
    check(lib.ov_infer_request_get_input_tensor(request, ctypes.byref(tensor)))
    check(lib.ov_tensor_get_size(tensor, ctypes.byref(size)))
    check(lib.ov_tensor_data(tensor, ctypes.byref(data)))
    values = np.random.default_rng(SEED).standard_normal(size.value).astype(np.float32)
    ctypes.memmove(data, values.ctypes.data, values.nbytes)


def make_openvino(path, threads, precision):
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
    fill_input(lib, request)
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


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("engine", choices=ENGINES)
    parser.add_argument("model")
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--precision", choices=["f32", "bf16"], default="f32")
    a = parser.parse_args()
    serve(ENGINES[a.engine](a.model, a.threads, a.precision))


if __name__ == "__main__":
    main()
