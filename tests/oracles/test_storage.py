"""Pruned models as files: sparse initializers in the standard runtimes, and pack files back to ONNX."""
import numpy as np
import onnx
import pytest

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
