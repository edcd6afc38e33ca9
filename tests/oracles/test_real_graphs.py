"""Compressed networks of every task load in ONNX Runtime and OpenVINO and compute there what pare computes."""
import json

import numpy as np
import onnx
import openvino
import pytest

from conftest import EXACT, MODELS, ROOT, onnxruntime_session
from test_artifacts import sqnr

# name -> model, data description, white in its pictures, least SQNR in dB between two runtimes. Runtimes round sums in other
# orders, so values between two steps fall to either side; YOLOX has the most layers for that to grow, and pare and OpenVINO
# lie equally far from ONNX Runtime (21.8 and 22.3 dB).
REAL = {
    "yolox": ("object_detection/yolox_nano_416.onnx", "coco100.toml", 255, 18.0),
    "minilm": ("text_classification/*.onnx", "banking77.toml", None, 23.0),
    "rfdn": ("generative/rfdn_x4.onnx", "sr20.toml", 255, 28.0),
    "carn_x2": ("generative/carn_m_x2.onnx", "sr20_carn_x2.toml", 1, 40.0),
    "carn_x4": ("generative/carn_m_x4.onnx", "sr20_carn_x4.toml", 1, 40.0),
}


@pytest.fixture(scope="module")
def compressed(pare, models, tmp_path_factory):
    made = {}

    def get(name, recipe):
        if (name, recipe) not in made:
            pattern, description, _, _ = REAL[name]
            model = next(iter(sorted(models.glob(pattern))), None)
            if model is None:
                pytest.skip(f"{pattern} is absent")
            folder = tmp_path_factory.mktemp(name)
            text = (ROOT / "tests/models" / description).read_text().replace('"../../../shared/models', f'"{MODELS}')
            head, tail = text.split("[calibration]", 1)
            lines = [line for line in tail.split("\n") if not line.startswith("limit")]
            (folder / "few.toml").write_text(head + "[calibration]\nlimit = 4" + "\n".join(lines))
            done = pare("compress", model, "--recipe", recipe, "--data", folder / "few.toml", "-o", folder / "s.onnx", "--quiet")
            assert done.code == 0, done.err
            made[name, recipe] = folder / "s.onnx"
        return made[name, recipe]

    return get


def inputs_of(path, white=1):
    """A sentence of the test set, or smooth pictures of the model's shapes; open extents are small."""
    random, feeds = np.random.default_rng(3), {}
    for value in onnxruntime_session(path).get_inputs():
        shape = [d if isinstance(d, int) else 1 if i == 0 else 24 for i, d in enumerate(value.shape)]
        if "int64" in value.type:
            line = next(open(MODELS / "text_classification/banking77_test_tokens.jsonl"))
            ids = np.array([json.loads(line)["input_ids"]], np.int64)
            feeds[value.name] = np.ones_like(ids) if "mask" in value.name else np.zeros_like(ids) \
                if "type" in value.name else ids
        else:
            rows, columns = np.mgrid[0:shape[2], 0:shape[3]]
            wave = np.sin(rows / 5 + random.uniform(0, 6, (*shape[:2], 1, 1))) * np.cos(columns / 7) * 0.4 + 0.5
            feeds[value.name] = (white * np.clip(wave + random.normal(0, 0.02, shape), 0, 1)).astype(np.float32)
    return feeds


def three_results(pare, path, feeds, folder):
    reference = onnxruntime_session(path).run(None, feeds)
    core = openvino.Core()
    compiled = core.compile_model(core.read_model(str(path)), "CPU", {"INFERENCE_PRECISION_HINT": "f32"})
    elsewhere = compiled(feeds)
    arguments = []
    for i, (name, value) in enumerate(feeds.items()):
        np.save(folder / f"x{i}.npy", value)
        arguments += ["--input", f"{name}={folder / f'x{i}.npy'}"]
    done = pare("run", path, *arguments, "--output", folder / "y", "--quiet")
    assert done.code == 0, done.err
    ours = np.load(sorted((folder / "y").glob("*.npy"))[0])
    return ours, reference[0], elsewhere[0]


@pytest.mark.parametrize("recipe", ["quantize-static", "quantize-dynamic"])
@pytest.mark.parametrize("name", REAL)
def test_runtimes_agree(pare, compressed, tmp_path, name, recipe):
    path = compressed(name, recipe)
    onnx.checker.check_model(onnx.load(path))
    ours, reference, elsewhere = three_results(pare, path, inputs_of(path, REAL[name][2]), tmp_path)
    assert ours.shape == reference.shape == elsewhere.shape
    least = REAL[name][3]
    assert sqnr(reference, ours) >= (least if recipe == "quantize-static" else 60)
    assert sqnr(reference, elsewhere) >= (min(least, 20 if recipe == "quantize-dynamic" else least) if EXACT else 10)


def test_assigned_bits_load_everywhere(pare, network, tmp_path):
    net = network("resnet20")
    done = pare("compress", net.path, "--recipe", "assign-bits{size=0.4}", "--data", net.data, "-o", tmp_path / "s.onnx")
    assert done.code == 0, done.err
    assert " in bf16: alone it leaves the output" in done.out + done.err
    assert (tmp_path / "s.onnx").stat().st_size <= 0.46 * net.path.stat().st_size  # with names and nodes
    ours, reference, elsewhere = three_results(pare, tmp_path / "s.onnx", {
        onnxruntime_session(net.path).get_inputs()[0].name: net.images[:64]}, tmp_path)
    assert sqnr(reference, ours) >= 30 and sqnr(reference, elsewhere) >= 25
