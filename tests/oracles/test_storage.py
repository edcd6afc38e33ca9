"""Pruned models as files: sparse initializers in the standard runtimes, and pack files back to ONNX."""
import numpy as np
import onnx
import onnxruntime
import pytest
from onnx import helper, numpy_helper

from conftest import onnxruntime_session

RECIPES = {
    "prune-weights{sparsity=0.9}": ("onnx.FLOAT", 0.15),
    "prune-weights{sparsity=0.95}, quantize-static": ("onnx.INT8", 0.08),
    "quantize-static": (None, 0.25),
    "cast-weights{type=f16}": (None, 0.50),
}


def compress(pare, model, output, *more):
    done = pare("compress", model, "-o", output, "--quiet", *more)
    assert done.code == 0, done.err
    return output


@pytest.mark.parametrize("recipe", RECIPES)
def test_pack_files_become_the_same_onnx(pare, network, tmp_path, recipe):
    net = network("resnet20")
    options = ("--recipe", recipe, "--data", net.data)
    direct = compress(pare, net.path, tmp_path / "direct.onnx", *options)
    packed = compress(pare, net.path, tmp_path / "small.pare", *options)
    mapped = compress(pare, packed, tmp_path / "mapped.pare", "--mapped")
    for file in (packed, mapped):
        back = compress(pare, file, tmp_path / "back.onnx")
        assert back.read_bytes() == direct.read_bytes()
    assert packed.stat().st_size <= RECIPES[recipe][1] * net.path.stat().st_size
    assert packed.stat().st_size < mapped.stat().st_size
    for command in (["inspect", packed], ["run", mapped, "--explain"]):
        assert pare(*command).code == 0


def test_a_pruned_int8_network_takes_six_percent(pare, network, tmp_path):
    net = network("resnet20")
    packed = compress(pare, net.path, tmp_path / "small.pare", "--recipe", "prune-weights{sparsity=0.9}, quantize-static",
                      "--data", net.data)
    assert packed.stat().st_size <= 0.06 * 1_096_788


@pytest.mark.parametrize("recipe", [r for r, (kind, _) in RECIPES.items() if kind])
def test_onnxruntime_reads_sparse_initializers(pare, network, tmp_path, recipe):
    net = network("resnet20")
    dense = compress(pare, net.path, tmp_path / "dense.onnx", "--recipe", recipe, "--data", net.data)
    sparse = compress(pare, net.path, tmp_path / "sparse.onnx", "--recipe", recipe + ", store-sparse", "--data", net.data)
    model = onnx.load(sparse)
    kinds = {onnx.TensorProto.DataType.Name(s.values.data_type) for s in model.graph.sparse_initializer}
    assert kinds == {RECIPES[recipe][0].split(".")[1]}
    assert sparse.stat().st_size < 0.6 * dense.stat().st_size
    images = np.random.RandomState(1).randn(4, 3, 32, 32).astype(np.float32)
    results = []
    for path in (dense, sparse):
        session = onnxruntime_session(path)
        results.append(session.run(None, {session.get_inputs()[0].name: images})[0])
    assert np.array_equal(*results)
    again = compress(pare, sparse, tmp_path / "again.onnx")
    assert again.read_bytes() == sparse.read_bytes()


@pytest.mark.parametrize("recipe", ["quantize-weights{bits=4, group=32}", "quantize-weights{bits=4, group=16, zero-points=yes}", "quantize-weights{bits=8, group=32}"])
def test_onnxruntime_runs_matmul_nbits(pare, tmp_path, recipe):
    random = np.random.RandomState(3)
    x = helper.make_tensor_value_info("x", onnx.TensorProto.FLOAT, ["N", 96])
    y = helper.make_tensor_value_info("y", onnx.TensorProto.FLOAT, ["N", 24])
    constants = {"w1": (96, 64), "w2": (24, 64), "b2": (24,)}
    nodes = [helper.make_node("MatMul", ["x", "w1"], ["h"]), helper.make_node("Relu", ["h"], ["r"]), helper.make_node("Gemm", ["r", "w2", "b2"], ["y"], transB=1)]
    graph = helper.make_graph(nodes, "linear", [x], [y], [numpy_helper.from_array(random.randn(*s).astype(np.float32), n) for n, s in constants.items()])
    onnx.save(helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8), tmp_path / "m.onnx")
    standard = compress(pare, tmp_path / "m.onnx", tmp_path / "standard.onnx", "--recipe", recipe)
    packed = compress(pare, tmp_path / "m.onnx", tmp_path / "packed.onnx", "--recipe", recipe + ", matmul-nbits")
    model = onnx.load(packed)
    assert [n.op_type for n in model.graph.node] == ["MatMulNBits", "Relu", "MatMulNBits"]
    assert max(o.version for o in model.opset_import if not o.domain) < 21
    feed = {"x": random.randn(5, 96).astype(np.float32)}
    results = [onnxruntime_session(path).run(None, feed)[0] for path in (standard, packed)]
    assert np.allclose(*results, rtol=1e-4, atol=1e-3)
    again = compress(pare, packed, tmp_path / "again.onnx")
    options = onnxruntime.SessionOptions()  # else ONNX Runtime makes MatMulNBits of it that rounds activations to 8 bits
    options.graph_optimization_level = onnxruntime.GraphOptimizationLevel.ORT_DISABLE_ALL
    plain = onnxruntime.InferenceSession(str(again), options, providers=["CPUExecutionProvider"])
    assert np.allclose(plain.run(None, feed)[0], results[0], rtol=1e-4, atol=1e-3)
