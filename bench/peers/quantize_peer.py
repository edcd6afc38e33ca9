#!/usr/bin/env python3
"""Quantizes MODEL to int8 with a peer, in a process of its own: quantize_peer.py TOOL MODEL OUT CALIB.npy …

TOOL is onnxruntime, nncf (default preset) or nncf-mixed; onnxruntime-dynamic and nncf-weights need no samples. Prints one JSON line: seconds of the imports and seconds of
reading, quantizing and saving. MODEL has fixed shapes, batch 1; a CALIB.npy for each of its inputs holds the samples
along its first axis.
"""
import json
import pathlib
import sys
import tempfile
import time

import numpy as np


def raise_opset(model, folder):
    """ONNX Runtime writes scales per channel into files of any opset; DequantizeLinear has an axis since opset 13."""
    import onnx

    loaded = onnx.load(model)
    if next(o.version for o in loaded.opset_import if o.domain in ("", "ai.onnx")) >= 13:
        return model
    raised = str(pathlib.Path(folder) / "raised.onnx")
    onnx.save(onnx.version_converter.convert_version(loaded, 13), raised)
    return raised


def quantize_onnxruntime_dynamic(model, out):
    """Weights in 8 bits, activations at run time. Convolutions need U8 weights: ConvInteger has no S8 kernel."""
    import onnx
    import onnxruntime.quantization as q

    def run():
        conv = any(node.op_type == "Conv" for node in onnx.load(model, load_external_data=False).graph.node)
        with tempfile.TemporaryDirectory() as folder:
            q.quantize_dynamic(raise_opset(model, folder), out,
                               weight_type=q.QuantType.QUInt8 if conv else q.QuantType.QInt8)

    return run


def compress_nncf(model, out):
    import nncf
    import openvino

    def run():
        graph = openvino.convert_model(model)
        openvino.save_model(nncf.compress_weights(graph, mode=nncf.CompressWeightsMode.INT8_SYM), out)

    return run


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
            quant_pre_process(raise_opset(model, folder), prepared, skip_symbolic_shape=True)
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
    if tool == "onnxruntime-dynamic":
        run = quantize_onnxruntime_dynamic(model, out)
    elif tool == "nncf-weights":
        run = compress_nncf(model, out)
    elif tool == "onnxruntime":
        run = quantize_onnxruntime(model, samples, out)
    else:
        run = quantize_nncf(model, samples, out, preset="mixed" if tool == "nncf-mixed" else None)
    imported = time.perf_counter()
    run()
    end = time.perf_counter()
    print(json.dumps({"import_seconds": imported - start, "quantize_seconds": end - imported}))


if __name__ == "__main__":
    main()
