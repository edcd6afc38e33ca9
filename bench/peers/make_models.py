#!/usr/bin/env python3
"""Writes ResNet-50 v1.5 and MobileNetV2 at 224x224, batch 1, with random weights: make_models.py OUT_DIR

For timing only: no pretrained files are needed and no download happens. BatchNorm is folded, as every exporter does
for inference, so each convolution has a bias. Weights are He-scaled (He et al. 2015, variance gain / fan-in) and the
last convolution of a residual branch is damped, so that activations keep a sane range through the depth: quantizers
then see ranges like a trained network's, and no value overflows or becomes a denormal number.
"""
import pathlib
import sys

import numpy as np
import onnx
from onnx import TensorProto, helper, numpy_helper

SEED = 20261123
CLASSES = 1000
RESIDUAL_DAMPING = 0.3  # standard deviation of a branch relative to its input; 16 blocks then grow it by < 2x

# (blocks, middle channels, stride of the first block), He et al. 2016, table 1; v1.5 strides in the 3x3.
RESNET50_STAGES = [(3, 64, 1), (4, 128, 2), (6, 256, 2), (3, 512, 2)]
# (expansion, channels, blocks, stride of the first block), Sandler et al. 2018, table 2.
MOBILENETV2_STAGES = [(1, 16, 1, 1), (6, 24, 2, 2), (6, 32, 3, 2), (6, 64, 4, 2), (6, 96, 3, 1), (6, 160, 3, 2),
                      (6, 320, 1, 1)]


class Builder:
    """Collects nodes and initializers; every method returns the name of the value it made."""

    def __init__(self):
        self.random = np.random.default_rng(SEED)
        self.nodes = []
        self.initializers = []

    def constant(self, array, name):
        self.initializers.append(numpy_helper.from_array(array, name))
        return name

    def node(self, op, inputs, **attributes):
        name = f"{op.lower()}_{len(self.nodes)}"
        self.nodes.append(helper.make_node(op, inputs, [name], name=name, **attributes))
        return name

    def normal(self, shape, deviation):
        return (self.random.standard_normal(shape) * deviation).astype(np.float32)

    def conv(self, x, channels_in, channels_out, kernel=1, stride=1, group=1, gain=2.0):
        """gain: 2 after a rectifier (its output has half the power), 1 after a linear layer."""
        fan_in = channels_in // group * kernel * kernel
        prefix = f"conv_{len(self.nodes)}"
        shape = (channels_out, channels_in // group, kernel, kernel)
        weight = self.constant(self.normal(shape, np.sqrt(gain / fan_in)), prefix + ".weight")
        bias = self.constant(self.normal((channels_out,), 0.1 * np.sqrt(min(gain, 1.0))), prefix + ".bias")
        return self.node("Conv", [x, weight, bias], kernel_shape=[kernel] * 2, strides=[stride] * 2,
                         pads=[kernel // 2] * 4, dilations=[1, 1], group=group)

    def relu(self, x):
        return self.node("Relu", [x])

    def add(self, a, b):
        return self.node("Add", [a, b])

    def classifier(self, x, channels):
        x = self.node("Flatten", [self.node("GlobalAveragePool", [x])], axis=1)
        weight = self.constant(self.normal((CLASSES, channels), np.sqrt(1.0 / channels)), "fc.weight")
        bias = self.constant(self.normal((CLASSES,), 0.1), "fc.bias")
        return self.node("Gemm", [x, weight, bias], transB=1)

    def model(self, output, name):
        self.nodes[-1].output[0] = "logits"
        assert self.nodes[-1].name == output
        inputs = [helper.make_tensor_value_info("input", TensorProto.FLOAT, [1, 3, 224, 224])]
        outputs = [helper.make_tensor_value_info("logits", TensorProto.FLOAT, [1, CLASSES])]
        graph = helper.make_graph(self.nodes, name, inputs, outputs, self.initializers)
        model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 13)], ir_version=8)
        onnx.checker.check_model(model, full_check=True)
        return model


def make_resnet50():
    b = Builder()
    x = b.relu(b.conv("input", 3, 64, kernel=7, stride=2, gain=1.0))
    x = b.node("MaxPool", [x], kernel_shape=[3, 3], strides=[2, 2], pads=[1, 1, 1, 1])
    channels = 64
    for blocks, middle, first_stride in RESNET50_STAGES:
        for block in range(blocks):
            stride = first_stride if block == 0 else 1
            y = b.relu(b.conv(x, channels, middle))
            y = b.relu(b.conv(y, middle, middle, kernel=3, stride=stride))
            y = b.conv(y, middle, middle * 4, gain=2.0 * RESIDUAL_DAMPING**2)
            shortcut = b.conv(x, channels, middle * 4, stride=stride, gain=2.0) if block == 0 else x
            x = b.relu(b.add(y, shortcut))
            channels = middle * 4
    return b.model(b.classifier(x, channels), "resnet50")


def make_mobilenetv2():
    b = Builder()
    limits = [b.constant(np.array(v, np.float32), n) for v, n in ((0.0, "relu6.low"), (6.0, "relu6.high"))]

    def relu6(x):
        return b.node("Clip", [x, *limits])

    x = relu6(b.conv("input", 3, 32, kernel=3, stride=2, gain=1.0))
    channels, gain = 32, 2.0
    for expansion, channels_out, blocks, first_stride in MOBILENETV2_STAGES:
        for block in range(blocks):
            stride = first_stride if block == 0 else 1
            residual = stride == 1 and channels == channels_out
            middle = channels * expansion
            y = x if expansion == 1 else relu6(b.conv(x, channels, middle, gain=gain))
            y = relu6(b.conv(y, middle, middle, kernel=3, stride=stride, group=middle))
            y = b.conv(y, middle, channels_out, gain=2.0 * (RESIDUAL_DAMPING**2 if residual else 1.0))
            x = b.add(x, y) if residual else y
            channels, gain = channels_out, 1.0  # bottlenecks are linear
    x = relu6(b.conv(x, channels, 1280, gain=1.0))
    return b.model(b.classifier(x, 1280), "mobilenetv2")


MAKERS = {"resnet50": make_resnet50, "mobilenetv2": make_mobilenetv2}


def main():
    if len(sys.argv) != 2:
        sys.exit(__doc__.splitlines()[0])
    out = pathlib.Path(sys.argv[1])
    out.mkdir(parents=True, exist_ok=True)
    for name, make in MAKERS.items():
        path = out / f"{name}.onnx"
        onnx.save(make(), path)
        print(f"{path} {path.stat().st_size} bytes")


if __name__ == "__main__":
    main()
