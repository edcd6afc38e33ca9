#!/usr/bin/env python3
"""Quantizes MODEL to int8 with a peer, in a process of its own: quantize_peer.py TOOL MODEL OUT CALIB.npy …

TOOL is onnxruntime, nncf (default preset) or nncf-mixed. Prints one JSON line: seconds of the imports and seconds of
reading, quantizing and saving. MODEL has fixed shapes, batch 1; a CALIB.npy for each of its inputs holds the samples
along its first axis.
"""
import json
import pathlib
import sys
import tempfile
import time

import numpy as np


def quantize_onnxruntime(model, samples, out):
    """QDQ, U8 activations (with S8, its default, ResNet-20 takes 2.6x the time), S8 weights per channel, min-max."""
    import onnxruntime.quantization as q
    from onnxruntime.quantization.shape_inference import quant_pre_process

    class Reader(q.CalibrationDataReader):
        def __init__(self, names):
            self.rows = iter([dict(zip(names, sample, strict=True)) for sample in samples])

        def get_next(self):
            return next(self.rows, None)

    def run():
        import onnx

        graph = onnx.load(model, load_external_data=False).graph
        names = [i.name for i in graph.input if i.name not in {t.name for t in graph.initializer}]
        with tempfile.TemporaryDirectory() as folder:
            prepared = str(pathlib.Path(folder) / "prepared.onnx")
            quant_pre_process(model, prepared, skip_symbolic_shape=True)
            q.quantize_static(prepared, out, Reader(names), quant_format=q.QuantFormat.QDQ, per_channel=True,
                              activation_type=q.QuantType.QUInt8, weight_type=q.QuantType.QInt8,
                              calibrate_method=q.CalibrationMethod.MinMax)

    return run


def quantize_nncf(model, samples, out, preset=None):
    import nncf
    import openvino

    def run():
        # convert_model folds the reshaped weights of depthwise convolutions; after read_model NNCF leaves them float.
        graph = openvino.convert_model(model)
        data = nncf.Dataset(samples, lambda sample: sample if len(sample) > 1 else sample[0])
        chosen = nncf.QuantizationPreset.MIXED if preset == "mixed" else None
        openvino.save_model(nncf.quantize(graph, data, preset=chosen, subset_size=len(samples)), out)

    return run


def main():
    if len(sys.argv) < 5:
        sys.exit(__doc__.splitlines()[0])
    tool, model, out, *calibration = sys.argv[1:]
    columns = [np.load(file) for file in calibration]
    samples = [[column[i : i + 1] for column in columns] for i in range(len(columns[0]))]
    start = time.perf_counter()
    if tool == "onnxruntime":
        run = quantize_onnxruntime(model, samples, out)
    else:
        run = quantize_nncf(model, samples, out, preset="mixed" if tool == "nncf-mixed" else None)
    imported = time.perf_counter()
    run()
    end = time.perf_counter()
    print(json.dumps({"import_seconds": imported - start, "quantize_seconds": end - imported}))


if __name__ == "__main__":
    main()
