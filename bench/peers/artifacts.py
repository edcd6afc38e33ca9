"""Makes what is timed: the models, the calibration data, and each tool's int8 and bf16 artifact."""
import dataclasses
import json
import pathlib
import shutil
import subprocess
import sys

import numpy as np
import onnx

import make_models
import samples

HERE = pathlib.Path(__file__).resolve().parent
ROOT = HERE.parents[1]
RECIPES = {"float16": "fold-batchnorm, cast-weights{type=f16}", "bf16": "fold-batchnorm, cast-weights{type=bf16}",
           "dynamic": "fold-batchnorm, quantize-dynamic", "int8": "fold-batchnorm, quantize-static"}


@dataclasses.dataclass
class Pruned:
    """A column of pruned models: what pare does in front of the recipe, and the dense precision that peers run."""
    prune: str
    dense: str
    models: tuple  # that are timed so


# Peers run their own dense artifact: none gains anything from zeros.
PRUNED = {
    "fp32-90": Pruned("prune-weights{sparsity=0.9}", "fp32", ("resnet20",)),
    "int8-85": Pruned("prune-weights{sparsity=0.85}", "int8", ("resnet20", "resnet50", "mobilenetv2")),
    "int8-90": Pruned("prune-weights{sparsity=0.9}", "int8", ("resnet20", "resnet50", "mobilenetv2")),
    "int8-16x4-85": Pruned("prune-weights{sparsity=0.85,pattern=16x4}", "int8", ("resnet50", "mobilenetv2")),
}
# What each peer makes itself. In float16 both run the file that pare wrote: neither computes in it on a CPU.
PEER_TOOLS = {
    "dynamic": {"onnxruntime-dynamic": "ort_dynamic.onnx", "nncf-weights": "nncf_weights.xml"},
    "int8": {"onnxruntime": "ort_int8.onnx", "nncf": "nncf_int8.xml", "nncf-mixed": "nncf_mixed_int8.xml"},
}
LEAST_SQNR_DB = {"fp32": 80, "float16": 60, "bf16": 25, "dynamic": 20, "int8": 20}  # the same artifact in pare and in ONNX Runtime


@dataclasses.dataclass
class Model:
    name: str
    source: pathlib.Path  # what pare reads
    folder: pathlib.Path  # the artifacts
    burst: int  # inferences a turn
    data: pathlib.Path  # pare's data description
    inputs: int = 1
    test_data: pathlib.Path | None = None  # labelled images

    def files(self, kind):
        """The .npy file of every input: kind is "input" (what is timed) or "calib"."""
        return [self.folder / f"{kind}_{k}.npy" for k in range(self.inputs)]

    @property
    def fixed(self):
        """The model with the shapes that are timed written into it: what the peers like best."""
        return self.folder / "fp32.onnx"


RANDOM = tuple(make_models.MAKERS)


def cifar_columns(folder):
    return [samples.read_cifar(folder / "cifar10_train_5085.bin", samples.CIFAR_COUNT)[0]]


def super_resolution(scale, shape, most):
    """Samples of a super-resolution model whose input lies in 0..most, from the pictures made for that scale."""
    return lambda folder: [samples.read_pictures(folder / f"calibration/LRx{scale}", shape) * np.float32(most / 255)]


# Trained models of the shared folder: file, and what makes the samples from the file's folder.
SHARED = {
    "resnet20": ("image_classification/resnet20_cifar10.onnx", cifar_columns),
    "resnet32": ("image_classification/resnet32_cifar10.onnx", cifar_columns),
    "yolox": ("object_detection/yolox_nano_416.onnx",
              lambda folder: [samples.read_pictures(folder / "calibration", (416, 416), letterbox=True)]),
    "minilm": ("text_classification/minilm_l6_banking77.onnx",
               lambda folder: samples.read_tokens(folder / "banking77_train_tokens.jsonl")),
    "rfdn": ("generative/rfdn_x4.onnx", super_resolution(4, (60, 78), 255)),
    "carn2": ("generative/carn_m_x2.onnx", super_resolution(2, (120, 156), 1)),
    "carn4": ("generative/carn_m_x4.onnx", super_resolution(4, (60, 78), 1)),
}
# The examples in the repository: where the model lies, and what reads its inputs.
EMBEDDED = {
    "fashion": ("examples/fashion/fashion.onnx", samples.read_fashion),
    "generator": ("examples/fashion-generator/generator.onnx", samples.make_latents),
}
NAMES = (*SHARED, *EMBEDDED, *RANDOM)
BURSTS = {"resnet20": 20, "resnet32": 20, "fashion": 20, "generator": 20, "mobilenetv2": 10}  # others: 3


def fix_shapes(source, target, shapes):
    """Writes `shapes` (of the inputs, by position) into the model; returns the names of its inputs."""
    model = onnx.load(source)
    constants = {t.name for t in model.graph.initializer}
    inputs = [i for i in model.graph.input if i.name not in constants]
    known = {}
    for value, shape in zip(inputs, shapes, strict=True):
        for dim, extent in zip(value.type.tensor_type.shape.dim, shape, strict=True):
            if dim.dim_param:
                known[dim.dim_param] = extent
            dim.dim_value = extent
    for value in model.graph.output:
        for dim in value.type.tensor_type.shape.dim:
            if dim.dim_param in known:
                dim.dim_value = known[dim.dim_param]
    del model.graph.value_info[:]
    onnx.save(model, target)
    return [i.name for i in inputs]


def fix_artifact(model, source, target):
    """`source` with the shapes that are timed written into it."""
    fix_shapes(source, target, [np.load(file, mmap_mode="r").shape for file in model.files("input")])
    return target


def prepare_model(name, models_dir, work):
    """Returns the Model, or None with a message where the shared files are absent."""
    folder = work / name
    folder.mkdir(parents=True, exist_ok=True)
    if name in RANDOM:
        source = folder / "source.onnx"
        if not source.exists():
            onnx.save(make_models.MAKERS[name](), source)
        columns = [samples.make_random_images()]
    elif name in EMBEDDED:
        if not samples.FASHION.exists():
            print(f"{name}: skipped, {samples.FASHION} is absent (apt install dataset-fashion-mnist)")
            return None
        file, read = EMBEDDED[name]
        source = ROOT / file
        columns = [read()]
    else:
        file, read = SHARED[name]
        source = models_dir / file
        if not source.exists():
            print(f"{name}: skipped, {source} is absent")
            return None
        columns = read(source.parent)
    model = Model(name, source, folder, BURSTS.get(name, 3), folder / "calib.toml", len(columns))
    names = fix_shapes(source, model.fixed, [(1, *column.shape[1:]) for column in columns])
    samples.write_calibration(folder, names, columns)
    if SHARED.get(name, ("", None))[1] is cifar_columns:
        model.test_data = source.parent / "cifar10_test_first1017.bin"
    return model


def dense_of(precision):
    """The precision that the peers run, and that is asked of the outputs."""
    return PRUNED[precision].dense if precision in PRUNED else precision


def recipe_of(precision):
    dense = dense_of(precision)
    parts = [RECIPES.get(dense, "fold-batchnorm")]
    if precision in PRUNED:
        parts = [f"fold-batchnorm, {PRUNED[precision].prune}"] + parts[0].split(", ")[1:]
    return ", ".join(parts)


def compress_command(pare, model, precision, out):
    data = ["--data", str(model.data)] if dense_of(precision) == "int8" else []
    return [str(pare), "compress", str(model.source), "--recipe", recipe_of(precision), *data, "-o", str(out)]


def quantize_command(model, tool, out):
    return [sys.executable, str(HERE / "quantize_peer.py"), tool, str(model.fixed), str(out),
            *map(str, model.files("calib"))]


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


def make_peers(model, precision):
    """{tool: artifact} of those that make one in this precision."""
    made = {}
    for tool, name in PEER_TOOLS.get(precision, {}).items():
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
    inputs = model.files("input")
    error = run_quietly([str(pare), "run", str(artifact), "--input", *map(str, inputs), "--output", str(folder)])
    if error:
        return {"skipped": f"pare run: {error}"}
    found = ask_checker("compare", artifact, folder, *inputs)
    if "error" in found:
        return {"skipped": found["error"]}
    least = LEAST_SQNR_DB[dense_of(precision)]
    return {"sqnr_db": found["sqnr_db"], "least_db": least, "passed": found["sqnr_db"] >= least}


def describe(model, tool, precision, path):
    """A row of the table of artifacts: size, and accuracy where there are labelled images."""
    row = {"model": model.name, "tool": tool, "precision": precision, "bytes": size_bytes(path)}
    if model.test_data:
        row |= ask_checker("top1", path, model.test_data)
    return row
