#!/usr/bin/env python3
"""Writes tests/golden/ops: inputs and outputs of operators from a second implementation.

    python tools/make_op_goldens.py            (needs onnx and onnxruntime)

Most cases are the backend node tests of the onnx package; `extra_cases` adds, computed by ONNX Runtime, older forms and
settings that those tests lack. One file an operator: graphs in pare's text form (src/graph/text.h), each with the
operator's node and its arrays as the constants "given NAME" and "expected NAME".
"""
import base64
import re
import sys
import warnings
from pathlib import Path

import numpy as np
import onnx
from onnx import TensorProto, helper, numpy_helper
from onnx.backend.test.case.node import collect_testcases

warnings.filterwarnings("ignore")
ROOT = Path(__file__).resolve().parent.parent
FOLDER = ROOT / "tests/golden/ops"
MOST_ELEMENTS = 7000  # per case, all arrays together: the folder stays below 3 MB

# Cases of catalogued operators that are left out, and why.
LEFT_OUT = [
    (r"averagepool_2d_ceil_last_window_starts_on_pad|roialign_aligned|gridsample_bicubic$", "recorded with four digits"),
    (r"attention.*_bf16", "the reference rounds every step to bfloat16, pare the result"),
    (r"identity_(sequence|opt)|_string|strings?_", "strings, sequences and optionals are not computed with"),
    (r"training|dropout_random", "training mode"),
]

# Operators of other domains; their cases are ONNX Runtime's.
DOMAINS = {"MatMulNBits": "com.microsoft"}

TYPES = {
    TensorProto.FLOAT: "float32", TensorProto.UINT8: "uint8", TensorProto.INT8: "int8", TensorProto.UINT16: "uint16",
    TensorProto.INT16: "int16", TensorProto.INT32: "int32", TensorProto.INT64: "int64", TensorProto.BOOL: "bool",
    TensorProto.FLOAT16: "float16", TensorProto.DOUBLE: "float64", TensorProto.UINT32: "uint32", TensorProto.UINT64: "uint64",
    TensorProto.BFLOAT16: "bfloat16", TensorProto.UINT4: "uint4", TensorProto.INT4: "int4", TensorProto.UINT2: "uint2",
    TensorProto.INT2: "int2", TensorProto.FLOAT8E4M3FN: "float8e4m3fn", TensorProto.FLOAT8E4M3FNUZ: "float8e4m3fnuz",
    TensorProto.FLOAT8E5M2: "float8e5m2", TensorProto.FLOAT8E5M2FNUZ: "float8e5m2fnuz", TensorProto.FLOAT8E8M0: "float8e8m0",
    TensorProto.FLOAT4E2M1: "float4e2m1",
}


def catalog():
    """Operator names of the catalog, from the records in src/graph/ops."""
    source = "".join(p.read_text() for p in sorted((ROOT / "src/graph/ops").glob("*.cpp")))
    with_graphs = {"If", "Loop", "Scan"}  # tested in tests/unit/graph/control_test.cpp
    return sorted((set(re.findall(r'const Op op_\w+\{\s*"(\w+)", "(?:com.microsoft)?"', source)) | set(re.findall(r'^\w+\(\w+, "(\w+)", ', source, re.M))) - with_graphs)


def quoted(data):
    if isinstance(data, str):
        data = data.encode()
    return '"' + "".join("\\" + chr(b) if b in b'"\\' else chr(b) if 32 <= b < 127 else f"\\x{b:02x}" for b in data) + '"'


def name(text):
    return text if re.fullmatch(r"[A-Za-z0-9_./:$+-]*[A-Za-z0-9_./$+-]", text) and text not in ("_", "input", "output", "value", "const", "outer") else quoted(text)


def shape(dims):
    return "x".join(map(str, dims)) if len(dims) else "scalar"


def number(value):
    if isinstance(value, float):
        value = np.float32(value)
    text = str(value)
    return text if not isinstance(value, np.floating) or re.search(r"[.en]", text) else text + ".0"


def array(tensor):
    """TYPE SHAPE DATA of a TensorProto; None where pare has no such type."""
    if tensor.data_type not in TYPES:
        return None
    kind, values = TYPES[tensor.data_type], numpy_helper.to_array(tensor)
    head = f"{kind} {shape(values.shape)} "
    if kind in ("float4e2m1", "float8e4m3fn", "float8e4m3fnuz", "float8e5m2", "float8e5m2fnuz", "float8e8m0"):
        return head + 'base64 "' + base64.b64encode(raw_codes(tensor, values)).decode() + '"'
    if kind in ("uint4", "int4", "uint2", "int2", "bfloat16", "bool"):
        return head + "[" + ", ".join(number(v) for v in values.astype(np.float32 if kind == "bfloat16" else np.int64).ravel()) + "]"
    if values.size <= 16:
        return head + "[" + ", ".join(number(v) for v in values.ravel()) + "]"
    return head + 'base64 "' + base64.b64encode(np.ascontiguousarray(values).tobytes()).decode() + '"'


def raw_codes(tensor, values):
    """The bytes of small floats; two of float4 a byte, the first in the low half."""
    codes = np.ascontiguousarray(values).view(np.uint8).ravel()
    if tensor.data_type != TensorProto.FLOAT4E2M1:
        return codes.tobytes()
    codes = np.append(codes & 15, np.zeros(codes.size % 2, np.uint8))
    return (codes[0::2] | codes[1::2] << 4).tobytes()


def attribute(a):
    kind = onnx.AttributeProto
    if a.type == kind.INT:
        return str(a.i)
    if a.type == kind.FLOAT:
        return number(np.float32(a.f))
    if a.type == kind.STRING:
        return quoted(a.s)
    if a.type == kind.INTS:
        return "[" + ", ".join(map(str, a.ints)) + "]" if a.ints else "ints[]"
    if a.type == kind.FLOATS:
        return "[" + ", ".join(number(np.float32(f)) for f in a.floats) + "]" if a.floats else "floats[]"
    if a.type == kind.STRINGS:
        return "[" + ", ".join(quoted(s) for s in a.strings) + "]"
    if a.type == kind.TENSOR:
        return "tensor " + array(a.t)
    raise ValueError(f"attribute {a.name} of type {a.type}")


def case_text(title, model, inputs, outputs):
    """One graph; None where an array's type is unknown to pare."""
    graph, node = model.graph, model.graph.node[0]
    lines = [f'graph {quoted(title)} opset {next(o.version for o in model.opset_import if o.domain in ("", "ai.onnx"))}']
    data = []
    for prefix, infos, arrays in (("given ", graph.input, inputs), ("expected ", graph.output, outputs)):
        for info, tensor in zip(infos, arrays):
            text = array(tensor)
            if text is None:
                return None
            data.append(f"const {quoted(prefix + info.name)}: {text}")
            if prefix == "given ":
                lines.append(f"input {name(info.name)}: {TYPES[tensor.data_type]} {shape(tensor.dims)}")
    attributes = ", ".join(f"{name(a.name)}={attribute(a)}" for a in sorted(node.attribute, key=lambda a: a.name))
    results, operands = (", ".join(name(n) if n else "_" for n in names) for names in (node.output, node.input))
    domain = "@" + node.domain if node.domain else ""
    lines += data + [f"{results} = {node.op_type}{domain}({operands})" + (f" {{{attributes}}}" if attributes else "")]
    lines += [f"output {name(info.name)}" for info in graph.output]
    return "\n".join(lines) + "\n"


def as_tensor(value):
    if isinstance(value, TensorProto):
        return value
    return numpy_helper.from_array(np.asarray(value)) if isinstance(value, (np.ndarray, np.generic)) else None


def backend_cases(wanted):
    """(operator, text) of the onnx package's node tests, and what was left out."""
    left = {}
    for case in collect_testcases(None):
        nodes = case.model.graph.node
        if len(nodes) != 1 or nodes[0].op_type not in wanted or nodes[0].domain not in ("", "ai.onnx") or case.model.graph.initializer:
            continue
        reason = next((why for pattern, why in LEFT_OUT if re.search(pattern, case.name)), None)
        for number_of_set, (inputs, outputs) in enumerate(case.data_sets):
            tensors = [[as_tensor(v) for v in values] for values in (inputs, outputs)]
            if not reason and any(t is None for part in tensors for t in part):
                reason = "not tensors"
            if not reason and sum(int(np.prod(t.dims)) for part in tensors for t in part) > MOST_ELEMENTS:
                reason = "large"
            text = None if reason else case_text(case.name + (f"_{number_of_set}" if number_of_set else ""), case.model, *tensors)
            if text is None:
                left.setdefault(reason or "an element type pare does not compute with", []).append(case.name)
            else:
                yield nodes[0].op_type, text
    for reason, names in sorted(left.items()):
        print(f"left out {len(names)} ({reason}): {' '.join(sorted(set(names)))}", file=sys.stderr)


def extra_cases():
    """(title, operator, opset, inputs, attributes, number of outputs): computed by ONNX Runtime."""
    r = np.random.default_rng(1)

    def f(*dims):
        return r.standard_normal(dims).astype(np.float32)

    def i(*values):
        return np.array(values, np.int64)

    yield "conv_grouped_dilated_bias", "Conv", 13, [f(2, 4, 9, 8), f(6, 2, 3, 2), f(6)], dict(group=2, dilations=[2, 1], strides=[2, 3], pads=[2, 0, 1, 1]), 1
    yield "conv_depthwise", "Conv", 13, [f(1, 5, 7, 7), f(5, 1, 3, 3), f(5)], dict(group=5, pads=[1, 1, 1, 1]), 1
    yield "conv_1d", "Conv", 13, [f(2, 3, 11), f(4, 3, 4)], dict(strides=[2], auto_pad="SAME_UPPER"), 1
    yield "conv_3d", "Conv", 13, [f(1, 2, 4, 5, 3), f(3, 2, 2, 3, 2)], dict(pads=[1, 0, 1, 0, 1, 0]), 1
    yield "conv_same_lower", "Conv", 13, [f(1, 2, 6, 7), f(2, 2, 2, 4)], dict(auto_pad="SAME_LOWER", strides=[1, 2]), 1
    yield "conv_transpose_grouped", "ConvTranspose", 13, [f(1, 4, 4, 3), f(4, 2, 3, 2), f(4)], dict(group=2, strides=[2, 1], pads=[1, 0, 0, 1], output_padding=[1, 0]), 1
    yield "conv_transpose_same_upper", "ConvTranspose", 13, [f(1, 2, 4, 5), f(2, 3, 3, 3)], dict(auto_pad="SAME_UPPER", strides=[2, 2]), 1
    yield "conv_transpose_same_lower", "ConvTranspose", 13, [f(1, 2, 4, 5), f(2, 3, 4, 3)], dict(auto_pad="SAME_LOWER", strides=[3, 2]), 1
    yield "gemm_alpha_beta_column", "Gemm", 13, [f(3, 4), f(5, 4), f(3, 1)], dict(alpha=0.5, beta=-2.0, transB=1), 1
    yield "matmul_broadcast", "MatMul", 13, [f(2, 1, 3, 4), f(3, 4, 2)], {}, 1
    yield "matmul_vector_matrix", "MatMul", 13, [f(4), f(2, 4, 3)], {}, 1
    u8 = lambda *dims: r.integers(0, 256, dims).astype(np.uint8)
    i8 = lambda *dims: r.integers(-128, 128, dims).astype(np.int8)
    yield "matmul_integer_per_column", "MatMulInteger", 13, [u8(3, 5), i8(5, 4), np.array(117, np.uint8), i8(4)], {}, 1
    yield "matmul_integer_batched", "MatMulInteger", 13, [u8(2, 3, 5), u8(2, 5, 4), np.array(3, np.uint8), np.array(250, np.uint8)], {}, 1
    yield "average_pool_ceil", "AveragePool", 13, [f(1, 2, 8, 7)], dict(kernel_shape=[3, 2], strides=[3, 2], pads=[1, 0, 1, 1], ceil_mode=1), 1
    yield "average_pool_ceil_count_pad", "AveragePool", 19, [f(1, 2, 8, 7)], dict(kernel_shape=[3, 2], strides=[3, 2], pads=[1, 0, 1, 1], ceil_mode=1, count_include_pad=1), 1
    yield "max_pool_ceil_dilated", "MaxPool", 13, [f(1, 2, 9, 8)], dict(kernel_shape=[3, 2], strides=[2, 2], dilations=[2, 1], pads=[1, 1, 1, 1], ceil_mode=1), 1
    yield "max_pool_1d", "MaxPool", 13, [f(1, 2, 10)], dict(kernel_shape=[3], strides=[2], auto_pad="SAME_LOWER"), 1
    yield "softmax_axis1", "Softmax", 13, [f(2, 3, 4)], dict(axis=1), 1
    yield "softmax_11_default", "Softmax", 11, [f(2, 3, 4)], {}, 1
    yield "softmax_11_axis0", "Softmax", 11, [f(2, 3)], dict(axis=0), 1
    yield "log_softmax_11_axis2", "LogSoftmax", 11, [f(2, 3, 2, 2)], dict(axis=2), 1
    yield "layer_norm_middle", "LayerNormalization", 17, [f(2, 3, 4), f(3, 4), f(3, 4)], dict(axis=1, epsilon=1e-3), 1
    yield "batch_norm_1d", "BatchNormalization", 13, [f(5, 3), f(3), f(3), f(3), np.abs(f(3))], dict(epsilon=1e-2), 1
    yield "lrn_five", "LRN", 13, [f(1, 6, 3, 2)], dict(size=5, alpha=0.3, beta=0.6, bias=1.5), 1
    yield "reduce_mean_attribute", "ReduceMean", 13, [f(2, 3, 4)], dict(axes=[-1, 0], keepdims=0), 1
    yield "reduce_max_attribute", "ReduceMax", 13, [f(2, 3, 4)], dict(axes=[1]), 1
    yield "reduce_min_all", "ReduceMin", 13, [f(2, 3)], dict(keepdims=0), 1
    yield "reduce_sum_int", "ReduceSum", 13, [r.integers(-9, 9, (2, 3, 4)), i(1)], {}, 1
    yield "clip_6_attributes", "Clip", 6, [f(3, 4)], dict(min=-0.5, max=0.25), 1
    yield "clip_only_max", "Clip", 13, [f(3, 4), None, np.float32(0.5)], {}, 1
    yield "prelu_channel", "PRelu", 13, [f(2, 3, 4, 2), f(3, 1, 1)], {}, 1
    yield "erf", "Erf", 13, [f(4, 4)], {}, 1
    yield "squeeze_attribute", "Squeeze", 11, [f(1, 3, 1, 2)], dict(axes=[0, -2]), 1
    yield "squeeze_all", "Squeeze", 13, [f(1, 3, 1, 2)], {}, 1
    yield "unsqueeze_attribute", "Unsqueeze", 11, [f(3, 2)], dict(axes=[0, 3]), 1
    yield "split_attribute", "Split", 11, [f(5, 4)], dict(axis=0, split=[2, 3]), 2
    yield "slice_reverse", "Slice", 13, [f(6, 5), i(-1, 4), i(-100, 0), i(0, -1), i(-2, -1)], {}, 1
    yield "slice_beyond", "Slice", 13, [f(6, 5), i(2, -3), i(1000, 2**62), i(1, 0)], {}, 1
    yield "gather_negative", "Gather", 13, [f(3, 4, 2), np.array([[0, -1], [2, 1]], np.int64)], dict(axis=1), 1
    yield "gather_scalar", "Gather", 13, [f(3, 4), np.array(-2, np.int32)], dict(axis=0), 1
    yield "pad_reflect_2d", "Pad", 13, [f(1, 1, 4, 3), i(0, 0, 2, 1, 0, 0, 1, 2)], dict(mode="reflect"), 1
    yield "pad_negative", "Pad", 13, [f(4, 5), i(-1, 2, 1, -2), np.float32(7)], {}, 1
    yield "pad_edge_int", "Pad", 13, [r.integers(0, 9, (2, 3)), i(1, 1, 0, 2)], dict(mode="edge"), 1
    yield "transpose_4d", "Transpose", 13, [f(2, 3, 4, 5)], dict(perm=[3, 1, 0, 2]), 1
    yield "concat_three", "Concat", 13, [f(2, 1, 3), f(2, 4, 3), f(2, 2, 3)], dict(axis=-2), 1
    yield "expand_keeps", "Expand", 13, [f(3, 1), i(2, 1, 4)], {}, 1
    yield "tile_2d", "Tile", 13, [f(2, 3), i(2, 2)], {}, 1
    yield "depth_to_space_3", "DepthToSpace", 13, [f(2, 18, 2, 3)], dict(blocksize=3, mode="CRD"), 1
    yield "quantize_axis_0", "QuantizeLinear", 13, [4 * f(3, 5), np.array([0.1, 0.02, 1.5], np.float32), np.array([3, -7, 0], np.int8)], dict(axis=0), 1
    yield "quantize_half_even", "QuantizeLinear", 13, [np.arange(-8, 8, dtype=np.float32) / 2, np.float32(1), np.uint8(4)], {}, 1
    yield "dequantize_int32", "DequantizeLinear", 13, [r.integers(-10**6, 10**6, (3, 4)).astype(np.int32), np.array([0.1, 0.02, 1.5, 1e-4], np.float32)], dict(axis=1), 1
    yield "dequantize_blocks", "DequantizeLinear", 21, [i8(4, 6), np.abs(f(2, 6)), i8(2, 6)], dict(axis=0, block_size=2), 1
    yield "dynamic_quantize_positive", "DynamicQuantizeLinear", 13, [np.abs(f(3, 4)) + 1], {}, 3
    yield "pow_int_float", "Pow", 13, [i(2, 3, 4), np.array([0.5, 2, 3], np.float32)], {}, 1
    yield "div_int_negative", "Div", 13, [i(-7, 7, -7, 7), i(2, -2, -2, 2)], {}, 1
    yield "greater_nan", "Greater", 13, [np.array([np.nan, 1, 2], np.float32), np.array([1, np.nan, 1], np.float32)], {}, 1
    yield "max_three_broadcast", "Max", 13, [f(2, 3), f(3), f(2, 1)], {}, 1
    yield "where_broadcast", "Where", 13, [np.array([True, False, True]), f(2, 1), f(1, 3)], {}, 1
    yield "range_down", "Range", 13, [np.float32(3), np.float32(-1.5), np.float32(-0.75)], {}, 1
    yield "flatten_negative", "Flatten", 13, [f(2, 3, 4)], dict(axis=-1), 1
    yield "cast_to_bool", "Cast", 13, [np.array([0, -0.0, 0.25, np.nan, 3], np.float32)], dict(to=TensorProto.BOOL), 1
    yield "cast_truncates", "Cast", 13, [np.array([1.9, -1.9, 0.5, -0.5], np.float32)], dict(to=TensorProto.INT32), 1
    yield "cast_narrows", "Cast", 13, [i(300, -129, 127, 2**33 + 5)], dict(to=TensorProto.INT8), 1
    yield "mod_fmod_negative", "Mod", 13, [f(3, 4), f(4)], dict(fmod=1), 1
    yield "gelu_wide", "Gelu", 20, [4 * f(3, 5)], {}, 1
    yield "mish", "Mish", 18, [10 * f(3, 6)], {}, 1
    yield "celu_alpha", "Celu", 13, [2 * f(3, 4)], dict(alpha=0.3), 1
    yield "shrink_bias", "Shrink", 13, [f(4, 4)], dict(lambd=0.4, bias=-0.2), 1
    yield "reduce_l2_attribute", "ReduceL2", 13, [f(2, 3, 4)], dict(axes=[-1, 0]), 1
    yield "reduce_prod_int", "ReduceProd", 13, [r.integers(-9, 9, (2, 3, 4))], dict(axes=[1], keepdims=0), 1
    yield "reduce_log_sum_exp_large", "ReduceLogSumExp", 13, [300 * f(2, 5)], dict(axes=[1]), 1
    yield "argmin_ties_last", "ArgMin", 13, [r.integers(0, 3, (3, 6)).astype(np.float32)], dict(axis=-1, select_last_index=1), 1
    yield "top_k_ties", "TopK", 13, [r.integers(0, 4, (3, 8, 2)).astype(np.float32), i(5)], dict(axis=1), 2
    yield "top_k_smallest_int", "TopK", 13, [r.integers(-50, 50, (4, 6)), i(3)], dict(largest=0), 2
    yield "unique_floats_unsorted", "Unique", 13, [r.integers(0, 5, (3, 4)).astype(np.float32)], dict(sorted=0), 4
    yield "gather_elements_negative", "GatherElements", 13, [f(3, 4, 2), r.integers(-4, 4, (3, 5, 1))], dict(axis=1), 1
    yield "gather_nd_batches", "GatherND", 13, [f(2, 3, 4, 2), r.integers(-3, 3, (2, 5, 1))], dict(batch_dims=1), 1
    yield "scatter_elements_add", "ScatterElements", 18, [f(3, 4), np.array([[0, 2, 0], [-1, 1, 1]], np.int64), f(2, 3)], dict(axis=0, reduction="add"), 1
    yield "scatter_nd_max", "ScatterND", 18, [f(4, 3), np.array([[1], [3], [1]], np.int64), f(3, 3)], dict(reduction="max"), 1
    yield "one_hot_outside", "OneHot", 13, [i(0, 2, -1, 5, -7), np.int64(4), np.array([-1, 3], np.float32)], dict(axis=0), 1
    yield "trilu_lower_batched", "Trilu", 14, [f(2, 3, 5), np.array(1, np.int64)], dict(upper=0), 1
    yield "cum_sum_int_reverse", "CumSum", 14, [r.integers(-9, 9, (3, 4)), np.array(-1, np.int64)], dict(reverse=1, exclusive=1), 1
    yield "det_batch", "Det", 13, [f(3, 4, 4)], {}, 1
    yield "space_to_depth_3", "SpaceToDepth", 13, [f(2, 2, 6, 9)], dict(blocksize=3), 1
    yield "conv_integer_grouped", "ConvInteger", 13, [u8(1, 4, 6, 5), u8(4, 2, 3, 2), np.array(121, np.uint8), np.array(99, np.uint8)], dict(group=2, strides=[2, 1], pads=[1, 0, 1, 1]), 1
    one = lambda v, t: np.array(v, t)
    yield "qlinear_conv_channels", "QLinearConv", 13, [u8(2, 3, 6, 5), one(0.03, np.float32), one(117, np.uint8), i8(4, 3, 3, 3), np.array([0.01, 0.02, 0.005, 0.03], np.float32), np.zeros(4, np.int8), one(0.4, np.float32), one(130, np.uint8), r.integers(-9999, 9999, 4).astype(np.int32)], dict(pads=[1, 1, 1, 1]), 1
    yield "qlinear_matmul_batched", "QLinearMatMul", 13, [u8(2, 3, 9), one(0.02, np.float32), one(120, np.uint8), i8(9, 4), one(0.01, np.float32), one(3, np.int8), one(0.05, np.float32), one(128, np.uint8)], {}, 1
    yield "quantize_int16", "QuantizeLinear", 21, [100 * f(3, 5), np.float32(0.01), np.int16(-77)], {}, 1
    yield "hardmax_ties", "Hardmax", 13, [r.integers(0, 3, (2, 3, 4)).astype(np.float32)], dict(axis=1), 1
    yield from resize_cases(f, i)
    yield from layer_cases(f, i, u8)


def resize_cases(f, i):
    empty = np.array([], np.float32)
    # Where in * scale is no integer, ONNX Runtime and the onnx package disagree on align_corners.
    for mode in ("nearest", "linear", "cubic"):
        for transform in ("half_pixel", "asymmetric", "align_corners", "pytorch_half_pixel"):
            yield f"resize_{mode}_{transform}_up", "Resize", 13, [f(1, 2, 4, 5), empty, np.array([1, 1, 2.25, 1.6] if transform == "align_corners" else [1, 1, 2.3, 1.7], np.float32)], dict(mode=mode, coordinate_transformation_mode=transform), 1
            yield f"resize_{mode}_{transform}_down", "Resize", 13, [f(1, 1, 7, 6), None, None, i(1, 1, 3, 4)], dict(mode=mode, coordinate_transformation_mode=transform), 1
    for rounding in ("round_prefer_floor", "round_prefer_ceil", "floor", "ceil"):
        for transform in ("half_pixel", "asymmetric", "tf_half_pixel_for_nn"):
            opset = 11 if transform.startswith("tf") else 13
            yield f"resize_nearest_{rounding}_{transform}", "Resize", opset, [f(1, 1, 5, 4), empty, np.array([1, 1, 2, 0.5], np.float32)], dict(mode="nearest", nearest_mode=rounding, coordinate_transformation_mode=transform), 1
    yield "resize_cubic_exclude_outside", "Resize", 13, [f(1, 1, 5, 4), empty, np.array([1, 1, 1.6, 2], np.float32)], dict(mode="cubic", exclude_outside=1, cubic_coeff_a=-0.5), 1
    yield "resize_linear_antialias", "Resize", 18, [f(1, 1, 9, 8), None, np.array([1, 1, 0.4, 0.6], np.float32)], dict(mode="linear", antialias=1), 1


def layer_cases(f, i, u8):
    """Larger operators: recurrent layers, sampling, detection, products of few bits."""
    yield "global_lp_pool_3", "GlobalLpPool", 13, [f(2, 3, 4, 5)], dict(p=3), 1
    yield "lstm_both_lengths_peepholes", "LSTM", 14, [f(5, 2, 3), f(2, 16, 3), f(2, 16, 4), f(2, 32), np.array([5, 3], np.int32), f(2, 2, 4), f(2, 2, 4), f(2, 12)], dict(hidden_size=4, direction="bidirectional"), 3
    yield "lstm_reverse_clip_activations", "LSTM", 14, [f(4, 2, 3), f(1, 16, 3), f(1, 16, 4), f(1, 32)], dict(hidden_size=4, direction="reverse", clip=0.7, activations=["HardSigmoid", "Softsign", "Relu"], activation_alpha=[0.3], activation_beta=[0.4]), 3
    yield "gru_both_lengths_linear", "GRU", 14, [f(5, 2, 3), f(2, 12, 3), f(2, 12, 4), f(2, 24), np.array([2, 5], np.int32), f(2, 2, 4)], dict(hidden_size=4, direction="bidirectional", linear_before_reset=1), 2
    yield "rnn_reverse", "RNN", 14, [f(3, 2, 3), f(1, 4, 3), f(1, 4, 4), f(1, 8)], dict(hidden_size=4, direction="reverse", activations=["LeakyRelu"], activation_alpha=[0.2]), 2
    yield "max_pool_indices", "MaxPool", 13, [f(2, 2, 6, 5)], dict(kernel_shape=[3, 2], strides=[2, 2], pads=[1, 0, 1, 1]), 2
    yield "instance_norm_1d", "InstanceNormalization", 13, [f(2, 3, 6), f(3), f(3)], dict(epsilon=1e-2), 1
    yield "nms_centres", "NonMaxSuppression", 13, [np.abs(f(2, 12, 4)), f(2, 3, 12), i(4), np.array([0.3], np.float32), np.array([-0.5], np.float32)], dict(center_point_box=1), 1
    yield "grid_sample_3d_border", "GridSample", 20, [f(1, 2, 3, 4, 5), 1.4 * f(1, 2, 3, 2, 3)], dict(padding_mode="border", align_corners=1), 1
    yield "grid_sample_cubic_reflection", "GridSample", 20, [f(1, 2, 5, 4), 1.6 * f(1, 3, 4, 2)], dict(mode="cubic", padding_mode="reflection"), 1
    yield "roi_align_adaptive_max", "RoiAlign", 16, [f(2, 2, 8, 7), np.array([[0, 0, 6, 5], [1.3, 2.1, 5.5, 7.9], [-1, -2, 3, 9]], np.float32), i(0, 1, 1)], dict(output_height=3, output_width=2, sampling_ratio=2, spatial_scale=0.8), 1
    yield "matmul_nbits_4", "MatMulNBits", 13, [f(2, 3, 40), u8(5, 2, 16), np.abs(f(10))], dict(K=40, N=5, bits=4, block_size=32), 1
    yield "matmul_nbits_4_zeros", "MatMulNBits", 13, [f(3, 48), u8(6, 3, 8), np.abs(f(18)), u8(12)], dict(K=48, N=6, bits=4, block_size=16), 1
    yield "matmul_nbits_8_zeros", "MatMulNBits", 13, [f(3, 64), u8(4, 2, 32), np.abs(f(8)), u8(8)], dict(K=64, N=4, bits=8, block_size=32), 1
    yield "einsum_two_sums", "Einsum", 13, [f(2, 3, 4), f(4, 3, 5)], dict(equation="bij,jik->bk"), 1
    yield "einsum_implied", "Einsum", 13, [f(2, 3, 4), f(2, 4, 5)], dict(equation="...ij,...jk"), 1


def run_extra(title, operator, opset, inputs, attributes, results):
    import onnxruntime
    given = {f"x{k}": np.asarray(value) for k, value in enumerate(inputs) if value is not None}
    names = [f"x{k}" if value is not None else "" for k, value in enumerate(inputs)]
    node = helper.make_node(operator, names, [f"y{k}" for k in range(results)], domain=DOMAINS.get(operator), **attributes)
    infos = [helper.make_tensor_value_info(k, helper.np_dtype_to_tensor_dtype(v.dtype), v.shape) for k, v in given.items()]
    outs = [helper.make_empty_tensor_value_info(n) for n in node.output]
    model = helper.make_model(helper.make_graph([node], "case", infos, outs), opset_imports=[helper.make_opsetid("", opset), *(helper.make_opsetid(d, 1) for d in {node.domain} - {""})], ir_version=9)
    options = onnxruntime.SessionOptions()
    options.graph_optimization_level = onnxruntime.GraphOptimizationLevel.ORT_DISABLE_ALL
    options.log_severity_level = 4
    session = onnxruntime.InferenceSession(model.SerializeToString(), options, providers=["CPUExecutionProvider"])
    outputs = session.run(None, given)
    return case_text("ort_" + title, model, [as_tensor(v) for v in given.values()], [as_tensor(v) for v in outputs])


def main():
    import onnxruntime
    wanted = catalog()
    cases = {operator: [] for operator in wanted}
    for operator, text in backend_cases(wanted):
        cases[operator].append(text)
    for extra in extra_cases():
        try:
            cases[extra[1]].append(run_extra(*extra))
        except Exception as error:  # ONNX Runtime refuses some combinations: say which, go on
            print(f"ONNX Runtime refuses {extra[0]}: {str(error).splitlines()[0]}", file=sys.stderr)
    FOLDER.mkdir(parents=True, exist_ok=True)
    for old in FOLDER.glob("*.txt"):
        old.unlink()
    for operator, texts in cases.items():
        if texts:
            (FOLDER / f"{operator}.txt").write_text("\n".join(texts))
    (FOLDER / "README.md").write_text(
        f"Inputs and outputs of operators, made by tools/make_op_goldens.py from the backend node tests of onnx {onnx.__version__}\n"
        f"(cases test_*) and by ONNX Runtime {onnxruntime.__version__} (cases ort_*). Not written by hand.\n")
    empty = [operator for operator, texts in cases.items() if not texts]
    size = sum(p.stat().st_size for p in FOLDER.iterdir())
    print(f"{sum(map(len, cases.values()))} cases of {len(cases) - len(empty)} operators, {size} bytes" + (f"; without a case: {empty}" if empty else ""))


if __name__ == "__main__":
    main()
