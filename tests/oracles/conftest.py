"""What the oracle tests share: the program, the models, their data, and a way to run commands."""
import gzip
import os
import subprocess
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import onnxruntime
import pytest

ROOT = Path(__file__).resolve().parents[2]
MODELS = ROOT.parent / "shared" / "models"
FASHION = Path("/usr/share/datasets/fashion-mnist")
# Without VNNI the 8-bit products of ONNX Runtime (unless told otherwise) and OpenVINO saturate in 16 bits.
EXACT = "vnni" in Path("/proc/cpuinfo").read_text()


def pytest_addoption(parser):
    parser.addoption("--pare", default="build/release/pare", help="the program under test")


@pytest.fixture(scope="session")
def pare(request):
    program = Path(request.config.getoption("--pare")).resolve()
    if not program.exists():
        pytest.exit(f"{program} is absent: run ./dev build, or name it with --pare", returncode=2)

    # Waiting threads that spin make everything slow where other work shares the processors.
    os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")

    def run(*arguments, timeout=240, **options):
        done = subprocess.run([str(program), *map(str, arguments)], capture_output=True, text=True, timeout=timeout,
                              cwd=options.pop("cwd", ROOT), stdin=subprocess.DEVNULL, **options)
        return SimpleNamespace(code=done.returncode, out=done.stdout, err=done.stderr, args=arguments)

    run.program = program
    return run


def onnxruntime_session(path):
    """ONNX Runtime's session that computes what the file says: on a CPU without VNNI its usual 8-bit products saturate."""
    def session(option, value):
        options = onnxruntime.SessionOptions()
        options.log_severity_level = 4
        options.intra_op_num_threads = 2
        option(options, value)
        return onnxruntime.InferenceSession(str(path), options, providers=["CPUExecutionProvider"])

    try:
        return session(lambda o, v: o.add_session_config_entry("session.x64quantprecision", v), "1")
    except onnxruntime.capi.onnxruntime_pybind11_state.Fail:  # that rewriting fails on some graphs: node by node, in floats
        return session(lambda o, v: setattr(o, "graph_optimization_level", v), onnxruntime.GraphOptimizationLevel.ORT_DISABLE_ALL)


@pytest.fixture(scope="session")
def models():
    if not MODELS.exists():
        pytest.skip(f"{MODELS} is absent")
    return MODELS


def cifar(count):
    raw = np.fromfile(MODELS / "image_classification/cifar10_test_first1017.bin", np.uint8).reshape(-1, 3073)[:count]
    pixels = raw[:, 1:].reshape(-1, 3, 32, 32).astype(np.float32) / 255
    mean = np.array([0.485, 0.456, 0.406], np.float32).reshape(1, 3, 1, 1)
    std = np.array([0.229, 0.224, 0.225], np.float32).reshape(1, 3, 1, 1)
    return (pixels - mean) / std, raw[:, 0].astype(int)


def fashion(count):
    with gzip.open(FASHION / "t10k-images-idx3-ubyte.gz") as file:
        pixels = np.frombuffer(file.read(), np.uint8, offset=16).reshape(-1, 1, 28, 28)[:count].astype(np.float32) / 255
    with gzip.open(FASHION / "t10k-labels-idx1-ubyte.gz") as file:
        labels = np.frombuffer(file.read(), np.uint8, offset=8)[:count].astype(int)
    return (pixels - np.float32(0.2860)) / np.float32(0.3530), labels


@pytest.fixture(scope="session")
def network():
    """network(name): the model's path, its data description, and test images with labels."""
    made = {}

    def get(name):
        if name in made:
            return made[name]
        if name == "fashion":
            path, data, needed = ROOT / "examples/fashion/fashion.onnx", ROOT / "examples/fashion/fashion.toml", FASHION
        else:
            path = MODELS / f"image_classification/{name}_cifar10.onnx"
            data, needed = ROOT / "tests/models/cifar10.toml", path
        for file in (path, needed):
            if not file.exists():
                pytest.skip(f"{file} is absent")
        images, labels = fashion(1000) if name == "fashion" else cifar(1017)
        made[name] = SimpleNamespace(name=name, path=path, data=data, images=images, labels=labels)
        return made[name]

    return get


@pytest.fixture(scope="session")
def small_model(network, tmp_path_factory):
    """The quickest model that is here, with a data description of few images."""
    net = network("fashion" if FASHION.exists() else "resnet20")
    text = net.data.read_text().replace('"../../../shared/models', f'"{MODELS}').replace("limit = 300", "limit = 50")
    data = tmp_path_factory.mktemp("data") / "few.toml"
    data.write_text(text.replace("[test]\n", "[test]\nlimit = 500\n"))
    return SimpleNamespace(**{**vars(net), "data": data})
