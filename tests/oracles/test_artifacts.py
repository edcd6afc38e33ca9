"""Every kind of artifact loads in the standard runtimes and computes there what pare computes."""
import numpy as np
import onnx
import openvino
import pytest

from conftest import EXACT, onnxruntime_session

NETWORKS = ["resnet20", "resnet32", "fashion"]
BEST_STATIC = "equalize-layers, quantize-static{calibration=mse}, correct-bias"
# recipe -> (kind, images it may lose of the 1,017, bytes ResNet-20 may take)
RECIPES = {
    "fold-batchnorm": ("float", 1, 1_100_000),
    "cast-weights{type=f16}": ("half", 4, 570_000),
    "cast-weights{type=bf16}": ("half", 4, 570_000),
    "quantize-dynamic": ("dynamic", 4, 330_000),
    "quantize-dynamic{activations=all}": ("dynamic", 4, 330_000),
    "quantize-static": ("int8", 8, 300_000),
    "quantize-static{activations=s8}": ("int8", 8, 300_000),
    BEST_STATIC: ("int8", 8, 300_000),
    "quantize-weights{bits=4, group=32}": ("float", 12, 205_000),
    "quantize-weights{bits=4, group=32, zero-points=yes}": ("float", 12, 205_000),
}
PUBLISHED = {"resnet20": 0.9164, "resnet32": 0.9282}  # MANIFEST.json


def sqnr(want, got):
    noise = float(np.sum((want.astype(np.float64) - got) ** 2))
    return 10 * np.log10(float(np.sum(want.astype(np.float64) ** 2)) / noise) if noise else np.inf


def in_onnxruntime(path, images):
    session = onnxruntime_session(path)
    return session.run(None, {session.get_inputs()[0].name: images})[0]


def in_openvino(path, images):
    core = openvino.Core()
    model = core.compile_model(core.read_model(str(path)), "CPU",
                               {"INFERENCE_PRECISION_HINT": "f32", "PERFORMANCE_HINT": "LATENCY"})
    return model(images)[0]


def in_pare(pare, path, images, folder):
    np.save(folder / "x.npy", images)
    done = pare("run", path, "--input", folder / "x.npy", "--output", folder / "y", "--quiet")
    assert done.code == 0, done.err
    outputs = list((folder / "y").glob("*.npy"))
    assert len(outputs) == 1
    return np.load(outputs[0])


def same_top1(a, b):
    return float(np.mean(a.argmax(1) == b.argmax(1)))


@pytest.fixture(scope="session")
def artifact(pare, network, tmp_path_factory):
    """artifact(name, recipe): the compressed file, made once."""
    made = {}

    def get(name, recipe):
        if (name, recipe) not in made:
            path = tmp_path_factory.mktemp("artifact") / "small.onnx"
            net = network(name)
            done = pare("compress", net.path, "--recipe", recipe, "--data", net.data, "-o", path, "--quiet")
            assert done.code == 0, done.err
            made[name, recipe] = path
        return made[name, recipe]

    return get


@pytest.mark.parametrize("recipe", RECIPES)
@pytest.mark.parametrize("name", NETWORKS)
def test_runtimes_agree(pare, network, artifact, tmp_path, name, recipe):
    net, path = network(name), artifact(name, recipe)
    kind, may_lose, _ = RECIPES[recipe]
    onnx.checker.check_model(onnx.load(path), full_check=True)

    # Dynamic quantization measures its ranges over the whole batch, in the standard runtimes as in pare.
    want = in_onnxruntime(path, net.images)
    got = in_pare(pare, path, net.images, tmp_path)
    assert got.shape == want.shape and got.dtype == np.float32
    if kind == "float":
        assert np.abs(want - got).max() <= 1e-3 * np.abs(want).max()
    else:
        assert sqnr(want, got) >= 35.0
        assert same_top1(want, got) >= 0.99

    few = net.images[:100]
    elsewhere = in_openvino(path, few)
    reference = in_onnxruntime(path, few) if kind == "dynamic" else want[:100]
    assert elsewhere.shape == reference.shape
    assert same_top1(reference, elsewhere) >= (0.97 if EXACT or kind in ("float", "half") else 0.9)

    if name in PUBLISHED:
        least = round(PUBLISHED[name] * len(net.labels)) - may_lose
        for runtime, outputs in (("ONNX Runtime", want), ("pare", got)):
            assert int(np.sum(outputs.argmax(1) == net.labels)) >= least, runtime


@pytest.mark.parametrize("name", NETWORKS)
def test_plain_model_agrees(pare, network, tmp_path, name):
    net = network(name)
    want, got = in_onnxruntime(net.path, net.images), in_pare(pare, net.path, net.images, tmp_path)
    assert np.abs(want - got).max() <= 1e-3 * np.abs(want).max()
    if name in PUBLISHED:
        assert abs(int(np.sum(got.argmax(1) == net.labels)) - round(PUBLISHED[name] * len(net.labels))) <= 1


@pytest.mark.parametrize("recipe", RECIPES)
def test_sizes(artifact, recipe):
    assert artifact("resnet20", recipe).stat().st_size <= RECIPES[recipe][2]
