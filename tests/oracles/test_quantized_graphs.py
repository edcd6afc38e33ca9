"""Graphs that break static quantization elsewhere, by name: their artifacts load in ONNX Runtime and OpenVINO, compute there
what pare computes, and stay close to the float graph in all three."""
from types import SimpleNamespace

import numpy as np
import onnx
import onnxruntime
import pytest
from onnx import TensorProto, helper, numpy_helper

from conftest import EXACT
from test_artifacts import sqnr
from test_real_graphs import three_results

LEAST_FLOAT = np.float32(-3.4028234663852886e38)


class Builder:
    """Nodes one behind another; every method returns the name of the result."""

    def __init__(self, seed):
        self.random = np.random.default_rng(seed)
        self.nodes, self.constants, self.inputs = [], [], {}

    def input(self, name, shape, kind=TensorProto.FLOAT):
        self.inputs[name] = helper.make_tensor_value_info(name, kind, shape)
        return name

    def constant(self, values):
        name = f"c{len(self.constants)}"
        self.constants.append(numpy_helper.from_array(np.asarray(values), name))
        return name

    def normal(self, *shape, scale=None):
        fan = np.prod(shape[1:]) if len(shape) > 2 else shape[0]
        return self.constant((self.random.standard_normal(shape) * (scale or (2 / fan) ** 0.5)).astype(np.float32))

    def op(self, kind, *inputs, **attributes):
        name = f"{kind.lower()}{len(self.nodes)}"
        self.nodes.append(helper.make_node(kind, list(inputs), [name], name=name, **attributes))
        return name

    def conv(self, x, channels, outputs, kernel=3, stride=1, group=1):
        weight = self.normal(outputs, channels // group, kernel, kernel)
        bias = self.normal(outputs, scale=0.1)
        return self.op("Conv", x, weight, bias, kernel_shape=[kernel] * 2, pads=[kernel // 2] * 4, strides=[stride] * 2, group=group)

    def silu(self, x):
        return self.op("Mul", x, self.op("Sigmoid", x))

    def linear(self, x, inputs, outputs):
        return self.op("Add", self.op("MatMul", x, self.normal(inputs, outputs)), self.normal(outputs, scale=0.1))

    def save(self, path, result, opset=17):
        graph = helper.make_graph(self.nodes, "graph", list(self.inputs.values()),
                                  [helper.make_tensor_value_info(result, TensorProto.FLOAT, None)], self.constants)
        model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", opset)], ir_version=8)
        onnx.checker.check_model(onnx.shape_inference.infer_shapes(model))
        onnx.save(model, path)


def pictures(*shape):
    return lambda random: {"x": random.standard_normal(shape).astype(np.float32)}


def boxes_and_scores(b):
    """A detector's head: boxes reach hundreds, scores lie in 0 … 1, one Concat joins them."""
    x = b.silu(b.conv(b.input("x", [1, 3, 16, 16]), 3, 16))
    boxes = b.op("Mul", b.conv(x, 16, 4, 1), b.constant(np.float32(300)))
    scores = b.op("Sigmoid", b.conv(x, 16, 20, 1))
    flat = b.op("Reshape", b.op("Concat", boxes, scores, axis=1), b.constant(np.int64([1, 24, 256])))
    return b.op("Transpose", flat, perm=[0, 2, 1])


def decoded_boxes(b):
    """Sizes as exponentials, edges as the mean of a Softmax over bins."""
    x = b.silu(b.conv(b.input("x", [1, 3, 16, 16]), 3, 16, stride=2))
    rows = b.op("Transpose", b.op("Reshape", b.conv(x, 16, 68, 1), b.constant(np.int64([1, 68, 64]))), perm=[0, 2, 1])
    sizes = b.op("Mul", b.op("Exp", b.op("Slice", rows, *map(b.constant, np.int64([[0], [4], [2]])))), b.constant(np.float32(8)))
    bins = b.op("Reshape", b.op("Slice", rows, *map(b.constant, np.int64([[4], [68], [2]]))), b.constant(np.int64([1, 64, 4, 16])))
    edges = b.op("MatMul", b.op("Softmax", bins, axis=-1), b.constant(np.arange(16, dtype=np.float32).reshape(16, 1)))
    return b.op("Concat", sizes, b.op("Reshape", edges, b.constant(np.int64([1, 64, 4]))), axis=2)


def masked_attention(b):
    """Embeddings of words and places, a mask of the least float in an Add, and the table of words once more as the output layer."""
    ids, places, mask = (b.input(name, [1, 12], TensorProto.INT64) for name in ("ids", "places", "mask"))
    table = b.normal(60, 32, scale=1)
    x = b.op("Add", b.op("Gather", table, ids), b.op("Gather", b.normal(12, 32, scale=0.5), places))
    gamma, beta = b.constant(np.ones(32, np.float32)), b.normal(32, scale=0.1)
    x = b.op("LayerNormalization", x, gamma, beta)
    hidden = b.op("Mul", b.op("Sub", b.constant(np.float32(1)), b.op("Unsqueeze", b.op("Cast", mask, to=TensorProto.FLOAT), b.constant(np.int64([1])))), b.constant(LEAST_FLOAT))
    q, k, v = (b.linear(x, 32, 32) for _ in range(3))
    scores = b.op("Mul", b.op("MatMul", q, b.op("Transpose", k, perm=[0, 2, 1])), b.constant(np.float32(32 ** -0.5)))
    seen = b.op("MatMul", b.op("Softmax", b.op("Add", scores, hidden), axis=-1), v)
    x = b.op("LayerNormalization", b.op("Add", x, b.linear(seen, 32, 32)), gamma, beta)
    return b.op("MatMul", x, b.op("Transpose", table, perm=[1, 0]))


def sentences(random):
    length = random.integers(4, 13)
    return {"ids": random.integers(0, 60, (1, 12)), "places": np.arange(12)[None], "mask": np.int64(np.arange(12) < length)[None]}


def outlier_channels(b):
    """A transformer's block: three of 32 channels behind each normalization are forty times louder than the rest."""
    x = b.input("x", [1, 12, 32])
    loud = np.where(np.arange(32) % 11 == 4, 40, 1).astype(np.float32)
    for _ in range(2):
        y = b.op("LayerNormalization", x, b.constant(loud), b.normal(32, scale=0.1))
        wide = b.op("Relu", b.op("Add", b.op("MatMul", y, b.normal(32, 64, scale=0.05)), b.normal(64, scale=0.1)))
        x = b.op("Add", x, b.linear(wide, 64, 32))
    return x


def open_extents(b):
    """Height and width are open; an enlarged map is brought to the size of another by Shape, Slice, Concat and Resize."""
    x = b.op("Relu", b.conv(b.input("x", ["N", 3, "H", "W"]), 3, 16))
    small = b.op("Relu", b.conv(x, 16, 16, stride=2))
    size = b.op("Slice", b.op("Shape", x), b.constant(np.int64([2])), b.constant(np.int64([4])))
    channels = b.op("Slice", b.op("Shape", small), b.constant(np.int64([0])), b.constant(np.int64([2])))
    large = b.op("Resize", small, "", "", b.op("Concat", channels, size, axis=0), mode="nearest",
                 coordinate_transformation_mode="asymmetric", nearest_mode="floor")
    return b.op("DepthToSpace", b.conv(b.op("Concat", x, large, axis=1), 32, 12), blocksize=2)


def grouped_convolutions(b):
    x = b.op("Relu", b.conv(b.input("x", [1, 8, 16, 16]), 8, 24, group=4))
    x = b.op("Clip", b.conv(x, 24, 24, stride=2, group=24), b.constant(np.float32(0)), b.constant(np.float32(6)))
    x = b.op("Add", x, b.conv(x, 24, 24, 5, group=24))
    return b.conv(x, 24, 12, group=3)


def shared_weights(b):
    x = b.op("Relu", b.conv(b.input("x", [1, 3, 16, 16]), 3, 16))
    weight, bias = b.normal(16, 16, 3, 3), b.normal(16, scale=0.1)
    for _ in range(3):
        x = b.op("Relu", b.op("Conv", x, weight, bias, pads=[1] * 4))
    return b.op("GlobalAveragePool", x)


def loud_depthwise(b):
    """A depthwise layer behind channels of which two are five hundred times louder than the rest."""
    x = b.op("Relu", b.conv(b.input("x", [1, 3, 16, 16]), 3, 16))
    gains = np.where(np.arange(16) < 2, 100, 0.2).astype(np.float32).reshape(1, 16, 1, 1)
    taps = b.constant((b.random.standard_normal((16, 1, 3, 3)) / gains.reshape(16, 1, 1, 1)).astype(np.float32))
    return b.conv(b.op("Conv", b.op("Mul", x, b.constant(gains)), taps, group=16, pads=[1] * 4), 16, 8, 1)


def fixed_batch(b):
    """Exported for four pictures at a time."""
    x = b.op("Relu", b.conv(b.input("x", [4, 3, 16, 16]), 3, 16))
    return b.op("GlobalAveragePool", b.conv(b.op("MaxPool", x, kernel_shape=[2, 2], strides=[2, 2]), 16, 16))


def transposed_convolution(b):
    x = b.op("LeakyRelu", b.conv(b.input("x", [1, 3, 12, 12]), 3, 16), alpha=0.1)
    x = b.op("ConvTranspose", x, b.normal(16, 8, 4, 4), b.normal(8, scale=0.1), strides=[2, 2], pads=[1] * 4)
    return b.conv(b.op("Relu", x), 8, 3)


# name: graph, its inputs, recipe, words that must explain what stays in float.
GRAPHS = {
    "boxes and scores": (boxes_and_scores, pictures(1, 3, 16, 16), "quantize-static", "boxes beside scores"),
    "decoded boxes": (decoded_boxes, pictures(1, 3, 16, 16), "quantize-static", "decodes a Softmax"),
    "mask of the least float": (masked_attention, sentences, "quantize-static", "Softmax stays in float32"),
    "outlier channels": (outlier_channels, pictures(1, 12, 32), "smooth-activations, quantize-static", "LayerNormalization stay in float32"),
    "open extents": (open_extents, pictures(2, 3, 12, 18), "quantize-static", ""),
    "fixed batch": (fixed_batch, pictures(4, 3, 16, 16), "quantize-static", ""),
    "grouped convolutions": (grouped_convolutions, pictures(1, 8, 16, 16), "quantize-static", ""),
    "shared weights": (shared_weights, pictures(1, 3, 16, 16), "quantize-static", ""),
    "loud depthwise": (loud_depthwise, pictures(1, 3, 16, 16), "quantize-static", "of 16 of its input reaches"),
    "transposed convolution": (transposed_convolution, pictures(1, 3, 12, 12), "quantize-static", ""),
}


def as_written(path, feeds):
    """The file's nodes one by one in ONNX Runtime: Q and DQ as ONNX defines them, layers in float."""
    options = onnxruntime.SessionOptions()
    options.graph_optimization_level = onnxruntime.GraphOptimizationLevel.ORT_DISABLE_ALL
    return onnxruntime.InferenceSession(str(path), options, providers=["CPUExecutionProvider"]).run(None, feeds)[0]


@pytest.fixture(scope="module")
def quantized(pare, tmp_path_factory):
    """quantized(name): the float graph, the artifact, inputs it was not calibrated on, and what pare said. Made once."""
    made = {}

    def get(name):
        if name not in made:
            graph, inputs, recipe, _ = GRAPHS[name]
            folder = tmp_path_factory.mktemp("graph")
            builder, random = Builder(7), np.random.default_rng(8)
            builder.save(folder / "float.onnx", graph(builder))
            samples = [inputs(random) for _ in range(16)]
            # A row of the files is a sample, so one with a batch of its own gives as many.
            np.savez(folder / "x.npz", **{key: np.concatenate([s[key] for s in samples]) for key in samples[0]})
            names = ", ".join(f'{key} = "x.npz:{key}"' for key in samples[0])
            (folder / "data.toml").write_text("task = \"compare\"\n" + "".join(
                f'[{split}]\nformat = "npy"\ninputs = {{ {names} }}\n' for split in ("test", "calibration")))
            done = pare("compress", folder / "float.onnx", "--recipe", recipe, "--data", folder / "data.toml", "-o", folder / "int8.onnx")
            assert done.code == 0, done.err
            made[name] = SimpleNamespace(original=folder / "float.onnx", path=folder / "int8.onnx", inputs=inputs(random), said=done.out + done.err)
        return made[name]

    return get


@pytest.mark.parametrize("name", GRAPHS)
def test_runtimes_agree(pare, quantized, tmp_path, name):
    small = quantized(name)
    onnx.checker.check_model(onnx.load(small.path), full_check=True)
    exact, defined = as_written(small.original, small.inputs), as_written(small.path, small.inputs)
    ours, reference, elsewhere = three_results(pare, small.path, small.inputs, tmp_path)
    assert ours.shape == defined.shape == reference.shape == elsewhere.shape
    assert sqnr(defined, ours) >= 60
    assert sqnr(exact, ours) >= 25
    for result in (reference, elsewhere):
        assert sqnr(exact, result) >= (25 if EXACT else 10)
    assert GRAPHS[name][-1] in small.said


@pytest.mark.parametrize("name", GRAPHS)
def test_weights_are_stored_in_bytes(quantized, name):
    """Layers that compute in float too; what stays is as small as biases, scales and normalizations are."""
    graph = onnx.load(quantized(name).path).graph
    floats = [t for t in graph.initializer if t.data_type == TensorProto.FLOAT]
    assert max(int(np.prod(t.dims)) for t in floats) <= 68
    assert any(t.data_type == TensorProto.INT8 for t in graph.initializer)


def test_shared_weights_are_stored_once(quantized):
    graph = onnx.load(quantized("shared weights").path).graph
    assert sum(list(t.dims) == [16, 16, 3, 3] for t in graph.initializer) == 1


def test_scores_survive_beside_the_boxes(pare, quantized, tmp_path):
    small = quantized("boxes and scores")
    exact = as_written(small.original, small.inputs)
    assert sqnr(exact[..., 4:], three_results(pare, small.path, small.inputs, tmp_path)[0][..., 4:]) >= 25


def test_open_extents_take_other_sizes(pare, quantized, tmp_path):
    small = quantized("open extents")
    other = {"x": np.random.default_rng(9).standard_normal((1, 3, 21, 14)).astype(np.float32)}
    ours = three_results(pare, small.path, other, tmp_path)[0]
    assert ours.shape == (1, 3, 42, 28)
    assert sqnr(as_written(small.path, other), ours) >= 60
