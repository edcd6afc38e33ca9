"""Graphs with channels cut load in ONNX Runtime and compute there what pare computes, for every model there is."""
import json

import numpy as np
import onnx
import pytest

from conftest import MODELS, onnxruntime_session
from test_artifacts import sqnr

NAMES = sorted(str(path.relative_to(MODELS)) for path in MODELS.rglob("*.onnx")) if MODELS.exists() else []
RECIPES = ["prune-channels{macs=0.67}", "prune-channels{macs=0.5, score=l1}"]


def random_inputs(session):
    """Named extents: 1 in front, 64 elsewhere (a multiple of every stride); whole numbers are tokens."""
    random = np.random.default_rng(1)
    inputs = {}
    for value in session.get_inputs():
        shape = [extent if isinstance(extent, int) else 1 if i == 0 else 64 for i, extent in enumerate(value.shape)]
        whole = "int" in value.type
        inputs[value.name] = random.integers(0, 2 if "mask" in value.name or "type" in value.name else 200, shape) if whole else random.standard_normal(shape).astype(np.float32)
    return inputs


def weights_of(path):
    return sum(int(np.prod(tensor.dims)) for tensor in onnx.load(path).graph.initializer if len(tensor.dims) > 1)


@pytest.mark.parametrize("recipe", RECIPES)
@pytest.mark.parametrize("name", NAMES)
def test_runtimes_agree(pare, models, tmp_path, name, recipe):
    small = tmp_path / "small.onnx"
    done = pare("compress", models / name, "--recipe", recipe, "-o", small, "--quiet", "--json", tmp_path / "small.json")
    assert done.code == 0, done.err
    record = json.loads((tmp_path / "small.json").read_text())["passes"][0]
    assert record["changed"] > 0
    assert weights_of(small) < 0.95 * weights_of(models / name)
    onnx.checker.check_model(onnx.load(small), full_check=True)

    session = onnxruntime_session(small)
    inputs = random_inputs(session)
    want = session.run(None, inputs)
    arguments = []
    for value in session.get_inputs():
        file = tmp_path / f"{len(arguments)}.npy"
        np.save(file, inputs[value.name].astype({"tensor(int64)": np.int64, "tensor(int32)": np.int32}.get(value.type, np.float32)))
        arguments += ["--input", f"{value.name}={file}"]
    done = pare("run", small, *arguments, "--output", tmp_path / "y", "--quiet")
    assert done.code == 0, done.err
    got = {path.stem: np.load(path) for path in (tmp_path / "y").glob("*.npy")}
    assert len(got) == len(want)
    for expected in want:
        fitting = [array for array in got.values() if array.shape == expected.shape]
        assert fitting and max(sqnr(expected, array) for array in fitting) > 60
