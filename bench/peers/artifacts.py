"""Makes what is timed: the models, the calibration data, and each tool's int8 and bf16 artifact."""
import dataclasses
import json
import pathlib
import shutil
import subprocess
import sys

import onnx

import make_models
import samples

HERE = pathlib.Path(__file__).resolve().parent
ROOT = HERE.parents[1]
RECIPES = {"bf16": "fold-batchnorm, cast-weights{type=bf16}", "int8": "fold-batchnorm, quantize-static"}
PEER_TOOLS = {"onnxruntime": "ort_int8.onnx", "nncf": "nncf_int8.xml", "nncf-mixed": "nncf_mixed_int8.xml"}
LEAST_SQNR_DB = {"fp32": 80, "bf16": 25, "int8": 20}  # the same artifact in pare and in ONNX Runtime


@dataclasses.dataclass
class Model:
    name: str
    source: pathlib.Path  # what pare reads
    folder: pathlib.Path  # the artifacts
    burst: int  # inferences a turn
    data: pathlib.Path  # pare's data description
    test_data: pathlib.Path | None = None  # labelled images

    @property
    def fixed(self):
        """The model with a batch of 1 written into it: what the peers like best."""
        return self.folder / "fp32.onnx"


CIFAR = ("resnet20", "resnet32")
RANDOM = tuple(make_models.MAKERS)
NAMES = CIFAR + RANDOM
BURSTS = {"resnet20": 20, "resnet32": 20, "mobilenetv2": 10, "resnet50": 3}


def fix_batch(source, target):
    model = onnx.load(source)
    for value in [*model.graph.input, *model.graph.output]:
        for dim in value.type.tensor_type.shape.dim:
            if dim.dim_param:
                dim.dim_value = 1
    del model.graph.value_info[:]
    onnx.save(model, target)


def describe_cifar(models_dir, folder):
    """pare's data description: the one users see; its paths lead to the default models folder only."""
    shown = ROOT / "tests/models/cifar10.toml"
    usual = models_dir.resolve() == (ROOT.parent / "shared/models").resolve()
    return shown if shown.exists() and usual else folder / "calib.toml"


def prepare_model(name, models_dir, work):
    """Returns the Model, or None with a message where the shared files are absent."""
    folder = work / name
    folder.mkdir(parents=True, exist_ok=True)
    if name in RANDOM:
        source = folder / "source.onnx"
        if not source.exists():
            onnx.save(make_models.MAKERS[name](), source)
        model = Model(name, source, folder, BURSTS[name], folder / "calib.toml")
        images = samples.make_random_images()
    else:
        pack = models_dir / "image_classification"
        source = pack / f"{name}_cifar10.onnx"
        if not source.exists():
            print(f"{name}: skipped, {source} is absent")
            return None
        images, _ = samples.read_cifar(pack / "cifar10_train_5085.bin", samples.CIFAR_COUNT)
        data = describe_cifar(models_dir, folder)
        model = Model(name, source, folder, BURSTS[name], data, pack / "cifar10_test_first1017.bin")
    samples.write_calibration(folder, images)
    fix_batch(source, model.fixed)
    return model


def compress_command(pare, model, precision, out):
    data = ["--data", str(model.data)] if precision == "int8" else []
    return [str(pare), "compress", str(model.source), "--recipe", RECIPES[precision], *data, "-o", str(out)]


def quantize_command(model, tool, out):
    return [sys.executable, str(HERE / "quantize_peer.py"), tool, str(model.fixed),
            str(model.folder / "calib.npy"), str(out)]


def run_quietly(command):
    """None if it went well, else the last line it wrote."""
    try:
        done = subprocess.run(command, capture_output=True, text=True, timeout=1800)
    except (OSError, subprocess.TimeoutExpired) as error:
        return str(error)
    lines = (done.stderr + done.stdout).strip().splitlines()
    return None if done.returncode == 0 else (lines[-1] if lines else f"exit status {done.returncode}")


def make_artifact(command, out):
    """Made afresh each time: an old artifact would hide that a tool fails now."""
    for old in (out, out.with_suffix(".bin")):
        old.unlink(missing_ok=True)
    error = run_quietly(command)
    if error is None and not out.exists():
        error = f"{out.name} was not written"
    if error:
        print(f"  {out.name}: {error}")
        return None
    return out


def make_pare(pare, model, precision):
    if not pare.exists():
        return None
    if precision == "fp32":
        return model.source
    out = model.folder / f"pare_{precision}.onnx"
    return make_artifact(compress_command(pare, model, precision, out), out)


def make_peers(model):
    """{tool: int8 artifact}."""
    made = {}
    for tool, name in PEER_TOOLS.items():
        out = make_artifact(quantize_command(model, tool, model.folder / name), model.folder / name)
        if out:
            made[tool] = out
    return made


def size_bytes(path):
    weights = path.with_suffix(".bin") if path.suffix == ".xml" else None
    return path.stat().st_size + (weights.stat().st_size if weights else 0)


def ask_checker(*words):
    done = subprocess.run([sys.executable, str(HERE / "check_outputs.py"), *map(str, words)], capture_output=True,
                          text=True)
    if done.returncode != 0:
        lines = done.stderr.strip().splitlines()
        return {"error": lines[-1] if lines else "the check failed"}
    return json.loads(done.stdout.strip().splitlines()[-1])


def check_pare(pare, model, artifact, precision):
    """{"sqnr_db", "least_db", "passed"}, or {"skipped": why} where `pare run` or the reference does not work."""
    folder = model.folder / f"outputs_{precision}"
    shutil.rmtree(folder, ignore_errors=True)
    input_file = model.folder / "input.npy"
    error = run_quietly([str(pare), "run", str(artifact), "--input", str(input_file), "--output", str(folder)])
    if error:
        return {"skipped": f"pare run: {error}"}
    found = ask_checker("compare", artifact, input_file, folder)
    if "error" in found:
        return {"skipped": found["error"]}
    least = LEAST_SQNR_DB[precision]
    return {"sqnr_db": found["sqnr_db"], "least_db": least, "passed": found["sqnr_db"] >= least}


def describe(model, tool, precision, path):
    """A row of the table of artifacts: size, and accuracy where there are labelled images."""
    row = {"model": model.name, "tool": tool, "precision": precision, "bytes": size_bytes(path)}
    if model.test_data:
        row |= ask_checker("top1", path, model.test_data)
    return row
