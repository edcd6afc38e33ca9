#!/usr/bin/env python3
"""Makes tests/golden/onnx/*.onnx: small models with the results another implementation gives for them.

Each file holds, beside the model, a node `test.Golden` that reads the constants golden_in_0 … and golden_out_0 …: the
inputs and the results ONNX Runtime computed (numpy, for operator sets older than ONNX Runtime runs). typed_data.onnx has
pairs of initializers, NAME_typed and NAME_raw, that must read the same. versions.txt says what made them.

    make_onnx_fixtures.py [FOLDER]
"""
import pathlib
import sys

import numpy as np
import onnx
import onnxruntime as ort
from onnx import TensorProto as T
from onnx import helper as h
from onnx import numpy_helper as nh

FOLDER = pathlib.Path(sys.argv[1] if len(sys.argv) > 1 else pathlib.Path(__file__).parent.parent / "tests/golden/onnx")
RNG = np.random.default_rng(7)


def f32(*dims):
    return RNG.standard_normal(dims).astype(np.float32)


def save(model, name, inputs, outputs):
    """Adds inputs and expected outputs to `model` and writes it."""
    arrays = [(f"golden_in_{i}", a) for i, a in enumerate(inputs)] + [(f"golden_out_{i}", a) for i, a in enumerate(outputs)]
    model.graph.initializer.extend(nh.from_array(np.asarray(a), n) for n, a in arrays)
    model.graph.node.append(h.make_node("Golden", [n for n, _ in arrays], ["golden"], domain="test"))
    model.graph.output.append(h.make_tensor_value_info("golden", T.FLOAT, None))
    model.opset_import.append(h.make_opsetid("test", 1))
    onnx.save(model, FOLDER / f"{name}.onnx")


def model_of(opset, nodes, inputs, outputs, constants=(), ir=8, value_info=()):
    def info(name, array_or_type):
        if isinstance(array_or_type, int):
            return h.make_tensor_value_info(name, array_or_type, None)
        return h.make_tensor_value_info(name, h.np_dtype_to_tensor_dtype(array_or_type.dtype), array_or_type.shape)

    graph = h.make_graph(nodes, "fixture", [info(n, a) for n, a in inputs], [info(n, t) for n, t in outputs],
                         [nh.from_array(a, n) for n, a in constants], value_info=value_info)
    return h.make_model(graph, opset_imports=[h.make_opsetid("", opset)], ir_version=ir, producer_name="fixtures")


def by_runtime(name, opset, nodes, inputs, outputs, constants=(), ir=8):
    model = model_of(opset, nodes, inputs, outputs, constants, ir)
    options = ort.SessionOptions()
    options.log_severity_level = 3
    session = ort.InferenceSession(model.SerializeToString(), options, providers=["CPUExecutionProvider"])
    save(model, name, [a for _, a in inputs], session.run(None, dict(inputs)))


def by_hand(name, opset, nodes, inputs, outputs, expected, constants=(), ir=3):
    save(model_of(opset, nodes, inputs, outputs, constants, ir), name, [a for _, a in inputs], expected)


def old_broadcast():
    """Before opset 7: broadcast/axis attributes, is_test, types as strings, slopes per channel."""
    x, b, slope = f32(2, 3, 4, 5), f32(3), np.array([0.1, 0.2, 0.3], np.float32)
    row = f32(3, 4)
    y = np.where((t := x + b[:, None, None] * 1) < 0, t * slope[:, None, None], t) * row[:, :, None]
    by_hand("old_broadcast_6", 6, [
        h.make_node("Add", ["x", "b"], ["s"], broadcast=1, axis=1, consumed_inputs=[0, 0]),
        h.make_node("PRelu", ["s", "slope"], ["p"], consumed_inputs=[0, 0]),
        h.make_node("Dropout", ["p"], ["d"], is_test=1, ratio=0.3),
        h.make_node("Mul", ["d", "row"], ["m"], broadcast=1, axis=1),
        h.make_node("Cast", ["m"], ["y"], to=T.FLOAT),
    ], [("x", x)], [("y", T.FLOAT)], [y.astype(np.float32)], [("b", b), ("slope", slope), ("row", row)])
    x = f32(2, 6)
    by_hand("old_reshape_1", 1, [
        h.make_node("Reshape", ["x"], ["r"], shape=[3, 4], consumed_inputs=[0]),
        h.make_node("Concat", ["r", "r"], ["c"]),
        h.make_node("Cast", ["c"], ["y"], to="DOUBLE"),
    ], [("x", x)], [("y", T.DOUBLE)], [np.concatenate([x.reshape(3, 4)] * 2, 1).astype(np.float64)])


def attributes_to_inputs():
    x = f32(2, 3, 4, 6)
    by_runtime("attributes_7", 7, [
        h.make_node("Slice", ["x"], ["s"], starts=[1, -3], ends=[3, 1000], axes=[2, 3]),
        h.make_node("Clip", ["s"], ["c"], min=-0.5, max=0.75),
        h.make_node("Pad", ["c"], ["p"], pads=[0, 0, 1, 0, 0, 0, 0, 2], value=1.5, mode="constant"),
        h.make_node("Unsqueeze", ["p"], ["u"], axes=[0, 3]),
        h.make_node("Squeeze", ["u"], ["q"], axes=[0]),
        h.make_node("Squeeze", ["q"], ["q2"]),
        h.make_node("Split", ["q2"], ["a", "b"], axis=1, split=[1, 2]),
        h.make_node("ReduceSum", ["b"], ["r"], axes=[1], keepdims=1),
        h.make_node("ReduceMean", ["r"], ["rm"], axes=[2], keepdims=0),
        h.make_node("Dropout", ["rm"], ["d"], ratio=0.25),
        h.make_node("ReduceSum", ["a"], ["all"], keepdims=0),
    ], [("x", x)], [("d", T.FLOAT), ("all", T.FLOAT)])
    by_runtime("top_k_9", 9, [h.make_node("TopK", ["x"], ["t", "i"], k=2, axis=2)], [("x", x)], [("t", T.FLOAT), ("i", T.INT64)])
    by_runtime("attributes_10", 10, [
        h.make_node("Clip", ["x"], ["c"], max=0.1),
        h.make_node("Pad", ["c"], ["p"], pads=[0, 0, 1, 1, 0, 0, 1, 1], mode="reflect"),
        h.make_node("Squeeze", ["one"], ["z"], axes=[0]),
        h.make_node("Add", ["p", "z"], ["y"]),
    ], [("x", x)], [("y", T.FLOAT)], [("one", np.ones((1, 6 + 2), np.float32))])
    by_runtime("attributes_12", 12, [
        h.make_node("Unsqueeze", ["x"], ["u"], axes=[-1]),
        h.make_node("ReduceSum", ["u"], ["r"], axes=[-1, 1], keepdims=0),
        h.make_node("Split", ["r"], ["a", "b"], axis=-1),
        h.make_node("Dropout", ["b"], ["y"]),
    ], [("x", x)], [("a", T.FLOAT), ("y", T.FLOAT)])


def softmax():
    for opset, op, axis in [(7, "Softmax", None), (11, "Softmax", -2), (12, "LogSoftmax", 2), (12, "Softmax", 3)]:
        given = {} if axis is None else {"axis": axis}
        by_runtime(f"{op.lower()}_{opset}_axis_{axis if axis is not None else 'default'}".replace("-", "minus"), opset,
                   [h.make_node(op, ["x"], ["s"], **given), h.make_node("Relu", ["s"], ["y"])],
                   [("x", f32(2, 3, 4, 5))], [("y", T.FLOAT)])
    by_runtime("softmax_9_column", 9, [h.make_node("Softmax", ["x"], ["y"], axis=1)], [("x", f32(2, 5, 1, 1))], [("y", T.FLOAT)])


def resize():
    x = f32(1, 2, 4, 6)
    scales = np.array([1, 1, 2, 3], np.float32)
    by_runtime("upsample_7", 7, [h.make_node("Upsample", ["x"], ["y"], mode="nearest", scales=[1.0, 1.0, 2.0, 3.0])],
               [("x", x)], [("y", T.FLOAT)])
    by_runtime("upsample_9_linear", 9, [h.make_node("Upsample", ["x", "scales"], ["y"], mode="linear")], [("x", x)],
               [("y", T.FLOAT)], [("scales", scales)])
    by_runtime("resize_10", 10, [h.make_node("Resize", ["x", "scales"], ["y"], mode="nearest")], [("x", x)], [("y", T.FLOAT)],
               [("scales", scales)])
    by_runtime("resize_10_smaller", 10, [h.make_node("Resize", ["x", "scales"], ["y"], mode="nearest")], [("x", f32(1, 2, 7, 9))],
               [("y", T.FLOAT)], [("scales", np.array([1, 1, 0.6, 0.4], np.float32))])
    by_runtime("resize_11_tf", 11, [h.make_node("Resize", ["x", "roi", "scales"], ["y"], mode="nearest", nearest_mode="floor",
                                                coordinate_transformation_mode="tf_half_pixel_for_nn")],
               [("x", f32(1, 2, 5, 7))], [("y", T.FLOAT)], [("roi", np.zeros(0, np.float32)), ("scales", np.array([1, 1, 1.7, 0.6], np.float32))])


def batch_norm():
    params = [(n, np.abs(f32(3)) + 0.5) for n in ("scale", "bias", "mean", "var")]
    by_runtime("batch_norm_7", 7, [h.make_node("BatchNormalization", ["x", "scale", "bias", "mean", "var"], ["y"], epsilon=1e-3)],
               [("x", f32(2, 3, 4))], [("y", T.FLOAT)], params, ir=3 + 1)


def raised_further():
    """Opset 13 that must mean the same after raising to 21."""
    x = f32(2, 6, 4)
    by_runtime("beyond_13", 13, [
        h.make_node("ReduceMean", ["x"], ["m"], axes=[-1], keepdims=1),
        h.make_node("ReduceMax", ["x"], ["mx"], axes=[2], keepdims=1),
        h.make_node("Sub", ["m", "mx"], ["d"]),
        h.make_node("Split", ["d"], ["a", "b", "c"], axis=1),
        h.make_node("Concat", ["c", "a", "b"], ["y"], axis=1),
    ], [("x", x)], [("y", T.FLOAT)])
    by_runtime("reduce_l2_13", 13, [h.make_node("ReduceL2", ["x"], ["y"], axes=[1], keepdims=0)], [("x", x)], [("y", T.FLOAT)])


def typed_data():
    nodes, pairs = [], []
    n = 5  # odd, so that packed types end inside a byte
    values = {
        "f32": (T.FLOAT, f32(n)), "f64": (T.DOUBLE, RNG.standard_normal(n)), "i64": (T.INT64, np.array([-2**62, -1, 0, 1, 2**62])),
        "u64": (T.UINT64, np.array([0, 1, 2**40, 2**63, 2**64 - 1], np.uint64)), "u32": (T.UINT32, np.array([0, 1, 2, 3, 2**32 - 1], np.uint32)),
        "i32": (T.INT32, np.array([-2**31, -1, 0, 1, 2**31 - 1], np.int32)), "i16": (T.INT16, np.array([-32768, -1, 0, 1, 32767], np.int16)),
        "u16": (T.UINT16, np.array([0, 1, 2, 3, 65535], np.uint16)), "i8": (T.INT8, np.array([-128, -1, 0, 1, 127], np.int8)),
        "u8": (T.UINT8, np.array([0, 1, 2, 3, 255], np.uint8)), "bool": (T.BOOL, np.array([1, 0, 1, 1, 0], bool)),
        "f16": (T.FLOAT16, f32(n).astype(np.float16)), "bf16": (T.BFLOAT16, f32(n)), "c64": (T.COMPLEX64, (f32(n) + 1j * f32(n)).astype(np.complex64)),
        "c128": (T.COMPLEX128, RNG.standard_normal(n) + 1j), "f8e4m3fn": (T.FLOAT8E4M3FN, f32(n)), "f8e5m2": (T.FLOAT8E5M2, f32(n)),
        "i4": (T.INT4, np.array([-8, -1, 0, 1, 7])), "u4": (T.UINT4, np.array([0, 1, 2, 3, 15])), "f4": (T.FLOAT4E2M1, f32(n)),
        "i2": (T.INT2, np.array([-2, -1, 0, 1, -2])), "u2": (T.UINT2, np.array([0, 1, 2, 3, 3])),
    }
    for name, (number, array) in values.items():
        typed = h.make_tensor(name + "_typed", number, [n], array)
        assert not typed.HasField("raw_data"), name
        # The raw form, from onnx's own reading of the typed one.
        raw = nh.from_array(nh.to_array(typed), name + "_raw")
        assert raw.data_type == number and raw.HasField("raw_data"), name
        pairs += [typed, raw]
    pairs.append(h.make_tensor("text_typed", T.STRING, [3], [b"", b"one", "zwei ü".encode()]))
    pairs.append(h.make_tensor("empty_typed", T.FLOAT, [0, 4], []))
    nodes.append(h.make_node("Golden", [p.name for p in pairs], ["golden"], domain="test"))
    graph = h.make_graph(nodes, "typed", [], [h.make_tensor_value_info("golden", T.FLOAT, None)], pairs)
    onnx.save(h.make_model(graph, opset_imports=[h.make_opsetid("", 25), h.make_opsetid("test", 1)], ir_version=13), FOLDER / "typed_data.onnx")


def sparse_and_constants():
    dense = np.zeros((3, 4), np.float32)
    dense[0, 1], dense[1, 2], dense[2, 3] = 5, 6, 7
    values = nh.from_array(np.array([5, 6, 7], np.float32), "sparse_linear")
    linear = h.make_sparse_tensor(values, nh.from_array(np.array([1, 6, 11]), "li"), [3, 4])
    pair_values = nh.from_array(np.array([5, 6, 7], np.float32), "sparse_pairs")
    pairs = h.make_sparse_tensor(pair_values, nh.from_array(np.array([[0, 1], [1, 2], [2, 3]]), "pi"), [3, 4])
    nodes = [
        h.make_node("Constant", [], ["c_sparse"], sparse_value=h.make_sparse_tensor(values, nh.from_array(np.array([1, 6, 11]), "ci"), [3, 4])),
        h.make_node("Constant", [], ["c_value"], value=nh.from_array(dense, "v")),
        h.make_node("Constant", [], ["c_float"], value_float=2.5), h.make_node("Constant", [], ["c_floats"], value_floats=[1.0, 2.0]),
        h.make_node("Constant", [], ["c_int"], value_int=-3), h.make_node("Constant", [], ["c_ints"], value_ints=[4, 5, 6]),
        h.make_node("Constant", [], ["c_string"], value_string="text"), h.make_node("Constant", [], ["c_strings"], value_strings=["a", "bc"]),
    ]
    names = ["sparse_linear", "sparse_pairs"] + [n.output[0] for n in nodes]
    nodes.append(h.make_node("Golden", names, ["golden"], domain="test"))
    graph = h.make_graph(nodes, "constants", [], [h.make_tensor_value_info("golden", T.FLOAT, None)], [], sparse_initializer=[linear, pairs])
    onnx.save(h.make_model(graph, opset_imports=[h.make_opsetid("", 13), h.make_opsetid("test", 1)], ir_version=8), FOLDER / "constants.onnx")


def subgraphs():
    """If inside If; the inner branches read the graphs around them, an initializer and a Constant of their own."""
    def info(name):
        return h.make_tensor_value_info(name, T.FLOAT, None)

    deep = h.make_graph([h.make_node("Mul", ["x", "w"], ["deep_t"]), h.make_node("Add", ["deep_t", "mid"], ["deep_y"])], "deep", [], [info("deep_y")])
    other = h.make_graph([h.make_node("Constant", [], ["k"], value=nh.from_array(np.float32([10, 20]), "k")),
                          h.make_node("Sub", ["mid", "k"], ["other_y"])], "other", [], [info("other_y")])
    then = h.make_graph([h.make_node("Unsqueeze", ["x"], ["mid_u"], axes=[0]), h.make_node("Squeeze", ["mid_u"], ["mid"], axes=[0]),
                         h.make_node("If", ["flag2"], ["then_y"], then_branch=deep, else_branch=other)], "then", [], [info("then_y")],
                        [nh.from_array(np.float32([3, 4]), "w")])
    orelse = h.make_graph([h.make_node("Neg", ["x"], ["else_y"])], "else", [], [info("else_y")])
    nodes = [h.make_node("If", ["flag"], ["y"], then_branch=then, else_branch=orelse)]
    x = f32(2)
    by_runtime("subgraphs_11", 11, nodes, [("flag", np.array(True)), ("flag2", np.array(False)), ("x", x)], [("y", T.FLOAT)])


def encoded_weights():
    """Weights as quantizers store them: int8 per channel, int32 bias, float16 behind Cast, int4 in blocks."""
    x, scale = f32(1, 3, 8, 8), np.abs(f32(4)) * 0.01 + 0.01
    w = RNG.integers(-127, 128, (4, 3, 3, 3)).astype(np.int8)
    by_runtime("int8_weights", 13, [
        h.make_node("QuantizeLinear", ["x", "x_scale", "x_zero"], ["activations_of_the_first_layer_quantized"]),
        h.make_node("DequantizeLinear", ["activations_of_the_first_layer_quantized", "x_scale", "x_zero"], ["activations_of_the_first_layer"]),
        h.make_node("DequantizeLinear", ["w_q", "w_scale", "w_zero"], ["w"], axis=0),
        h.make_node("DequantizeLinear", ["b_q", "b_scale"], ["b"], axis=0),
        h.make_node("Conv", ["activations_of_the_first_layer", "w", "b"], ["y"]),
    ], [("x", x)], [("y", T.FLOAT)],
        [("x_scale", np.float32(0.02)), ("x_zero", np.uint8(128)), ("w_q", w), ("w_scale", scale), ("w_zero", np.zeros(4, np.int8)),
         ("b_q", np.array([5, -7, 100, 0], np.int32)), ("b_scale", (scale * 0.02).astype(np.float32))])
    by_runtime("float16_weights", 13, [h.make_node("Cast", ["w_h"], ["w"], to=T.FLOAT), h.make_node("MatMul", ["a", "w"], ["y"])],
               [("a", f32(2, 6))], [("y", T.FLOAT)], [("w_h", f32(6, 4).astype(np.float16))])
    model = model_of(21, [h.make_node("DequantizeLinear", ["w_q", "w_scale"], ["w"], axis=0, block_size=4), h.make_node("MatMul", ["a", "w"], ["y"])],
                     [("a", f32(2, 8))], [("y", T.FLOAT)], [("w_scale", np.abs(f32(2, 3)) + 0.1)], ir=10)
    model.graph.initializer.append(h.make_tensor("w_q", T.INT4, [8, 3], RNG.integers(-8, 8, 24)))
    session = ort.InferenceSession(model.SerializeToString(), providers=["CPUExecutionProvider"])
    a = f32(2, 8)
    save(model, "int4_weights", [a], session.run(None, {"a": a}))


def external():
    model = model_of(13, [h.make_node("MatMul", ["x", "w"], ["t"]), h.make_node("Add", ["t", "b"], ["y"])], [("x", f32(2, 16))],
                     [("y", T.FLOAT)], [("w", f32(16, 24)), ("b", f32(24))])
    onnx.save(model, FOLDER / "external.onnx", save_as_external_data=True, location="external.bin", size_threshold=64)


def other_kinds():
    """What pare carries from file to file without a use for it: sequences, types as attributes, functions, metadata."""
    function = h.make_function("test.functions", "Twice", ["a"], ["b"], [h.make_node("Add", ["a", "a"], ["b"])], [h.make_opsetid("", 17)])
    nodes = [
        h.make_node("SequenceConstruct", ["x", "x"], ["seq"]),
        h.make_node("Optional", [], ["none"], type=h.make_tensor_type_proto(T.FLOAT, [2])),
        h.make_node("OptionalHasElement", ["none"], ["has"]),
        h.make_node("Twice", ["x"], ["y"], domain="test.functions"),
    ]
    graph = h.make_graph(nodes, "kinds", [h.make_tensor_value_info("x", T.FLOAT, ["N", 2])],
                         [h.make_tensor_sequence_value_info("seq", T.FLOAT, None), h.make_tensor_value_info("has", T.BOOL, []),
                          h.make_tensor_value_info("y", T.FLOAT, ["N", 2])])
    model = h.make_model(graph, opset_imports=[h.make_opsetid("", 17), h.make_opsetid("test.functions", 1)], functions=[function], ir_version=8)
    h.set_model_props(model, {"author": "fixtures", "licence": "none"})
    onnx.save(model, FOLDER / "other_kinds.onnx")


def main():
    FOLDER.mkdir(parents=True, exist_ok=True)
    for make in (old_broadcast, attributes_to_inputs, softmax, resize, batch_norm, raised_further, typed_data, sparse_and_constants,
                 subgraphs, encoded_weights, external, other_kinds):
        make()
    (FOLDER / "versions.txt").write_text(f"made by tools/make_onnx_fixtures.py with onnx {onnx.__version__}, "
                                         f"onnxruntime {ort.__version__}, numpy {np.__version__}\n")


main()
