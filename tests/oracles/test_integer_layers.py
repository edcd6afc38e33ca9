"""Quantized networks whose activations, joins, gates and moves lie between Q and DQ, against ONNX Runtime."""
import json

import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper, numpy_helper

from test_artifacts import in_onnxruntime, in_pare, sqnr


class Network:
    """Nodes with per-tensor uint8 activations and int8 weights."""

    def __init__(self, shape):
        self.nodes, self.constants, self.shape = [], [], shape
        self.random = np.random.default_rng(5)

    def constant(self, value):
        name = f"c{len(self.constants)}"
        self.constants.append(numpy_helper.from_array(np.asarray(value), name))
        return name

    def add(self, op, *inputs, **attributes):
        name = f"v{len(self.nodes)}"
        self.nodes.append(helper.make_node(op, list(inputs), [name], **attributes))
        return name

    def pair(self, x, scale, zero=128):
        parameters = [self.constant(np.float32(scale)), self.constant(np.uint8(zero))]
        return self.add("DequantizeLinear", self.add("QuantizeLinear", x, *parameters), *parameters)

    def conv(self, x, inputs, outputs, kernel, stride=1, group=1):
        fan = inputs // group * kernel * kernel
        weights = self.random.integers(-127, 128, (outputs, inputs // group, kernel, kernel)).astype(np.int8)
        scales = (self.random.uniform(0.5, 1.5, outputs) * 0.02 / np.sqrt(fan)).astype(np.float32)
        w = self.add("DequantizeLinear", self.constant(weights), self.constant(scales),
                     self.constant(np.zeros(outputs, np.int8)), axis=0)
        bias = self.constant(self.random.normal(0, 0.1, outputs).astype(np.float32))
        return self.add("Conv", x, w, bias, strides=[stride] * 2, pads=[kernel // 2] * 4, group=group)

    def swish(self, x):
        return self.add("Mul", x, self.add("Sigmoid", x))

    def integers(self, *values):
        return self.constant(np.array(values, np.int64))

    def save(self, path, output):
        graph = helper.make_graph(self.nodes, "g", [helper.make_tensor_value_info("x", TensorProto.FLOAT, self.shape)],
                                  [helper.make_tensor_value_info(output, TensorProto.FLOAT, [None] * len(self.shape))], self.constants)
        model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 14)], ir_version=8)
        onnx.checker.check_model(model)
        onnx.save(model, path)


def detector(n):
    """Focus, split paths, pooling at several sizes, enlarging; each activation once in front of its quantization."""
    parts = []
    for row, col in ((0, 0), (1, 0), (0, 1), (1, 1)):
        parts.append(n.add("Slice", "x", n.integers(row, col), n.integers(1 << 30, 1 << 30), n.integers(2, 3),
                           n.integers(2, 2)))
    x = n.pair(n.add("Concat", *parts, axis=1), 0.03)
    x = n.pair(n.swish(n.conv(x, 12, 24, 3)), 0.02, 20)
    x = n.pair(n.swish(n.conv(x, 24, 24, 3, 2, 24)), 0.01, 30)
    a, b = (n.pair(n.swish(n.conv(x, 24, 16, 1)), 0.01, 40) for _ in range(2))
    c = n.pair(n.add("Add", a, n.pair(n.swish(n.conv(a, 16, 16, 3)), 0.01, 40)), 0.015, 40)
    x = n.pair(n.add("Concat", c, b, axis=1), 0.015, 40)
    pools = [n.add("MaxPool", x, kernel_shape=[k, k], pads=[k // 2] * 4) for k in (3, 5)]
    x = n.pair(n.add("LeakyRelu", n.conv(n.pair(n.add("Concat", x, *pools, axis=1), 0.015, 40), 96, 32, 1), alpha=0.1),
               0.02, 40)
    x = n.pair(n.add("Resize", x, "", n.constant(np.array([1, 1, 2, 2], np.float32)), mode="nearest",
                     coordinate_transformation_mode="asymmetric", nearest_mode="floor"), 0.02, 40)
    return n.add("Sigmoid", n.conv(x, 32, 6, 1))


def phone(n):
    """Activations quantized on both sides, squeeze and excitation, pixels from channels."""
    x = n.pair(n.conv(n.pair("x", 0.03), 3, 24, 3), 0.03)
    x = n.pair(n.add("HardSwish", x), 0.02, 30)
    gate = n.pair(n.add("Relu", n.conv(n.pair(n.add("GlobalAveragePool", x), 0.01), 24, 8, 1)), 0.01, 0)
    gate = n.pair(n.add("HardSigmoid", n.conv(gate, 8, 24, 1), alpha=1 / 6, beta=0.5), 1 / 255, 0)
    x = n.pair(n.add("Mul", x, gate), 0.02, 30)
    y = n.pair(n.conv(x, 24, 24, 5, 1, 24), 0.03)
    x = n.pair(n.add("Add", x, n.pair(n.add("Mul", y, n.pair(n.add("Sigmoid", y), 1 / 255, 0)), 0.02, 20)), 0.03, 60)
    x = n.pair(n.conv(x, 24, 12, 3, 1, 4), 0.03)
    return n.pair(n.add("DepthToSpace", x, blocksize=2, mode="CRD"), 0.03)


def text(n):
    """Linear layers on [batch, tokens, features] with bias and Gelu."""
    def linear(x, inputs, outputs):
        w = n.add("DequantizeLinear", n.constant(n.random.integers(-127, 128, (inputs, outputs)).astype(np.int8)),
                  n.constant(np.full(outputs, 0.02 / np.sqrt(inputs), np.float32)),
                  n.constant(np.zeros(outputs, np.int8)), axis=1)
        return n.add("Add", n.add("MatMul", x, w), n.constant(n.random.normal(0, 0.1, outputs).astype(np.float32)))

    y = linear(n.pair("x", 0.03), 24, 40)
    root, one, half = (n.constant(np.float32(v)) for v in (np.sqrt(2), 1, 0.5))
    y = n.add("Mul", n.add("Mul", y, n.add("Add", n.add("Erf", n.add("Div", y, root)), one)), half)
    return n.add("Add", linear(n.pair(y, 0.02, 20), 40, 24), "x")


@pytest.mark.parametrize(("build", "shape"), [(detector, (1, 3, 48, 64)), (phone, (1, 3, 20, 28)), (text, (2, 9, 24))])
def test_network_agrees(pare, tmp_path, build, shape):
    network = Network(shape)
    path = tmp_path / "model.onnx"
    network.save(path, build(network))
    x = np.random.default_rng(9).normal(0, 1, shape).astype(np.float32)
    want, got = in_onnxruntime(path, x), in_pare(pare, path, x, tmp_path)
    assert got.shape == want.shape
    assert sqnr(want, got) >= 33.0


def test_every_layer_is_integer(pare, tmp_path):
    """What the networks are for: nothing between the layers falls back to floats or to the reference."""
    network = Network((1, 3, 48, 64))
    path = tmp_path / "model.onnx"
    network.save(path, detector(network))
    x = tmp_path / "x.npy"
    np.save(x, np.zeros((1, 3, 48, 64), np.float32))
    done = pare("run", path, "--input", x, "--explain", "--json", tmp_path / "plan.json", "--quiet")
    assert done.code == 0, done.err
    plan = json.loads((tmp_path / "plan.json").read_text())["plan"]
    assert [s["op"] for s in plan if s["precision"] != "int8" and s["op"] != "Reorder"] == []
