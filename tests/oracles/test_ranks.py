"""Several processes under mpirun: the same model as one process trains, a study shared out, and no process left waiting for a dead one."""
import json
import os
import shutil
import signal
import subprocess
import time
from pathlib import Path

import numpy as np
import onnx
import pytest
from onnx import numpy_helper

ROOT = Path(__file__).resolve().parents[2]
MODEL = ROOT / "examples/fashion/fashion.onnx"
IDX = Path("/usr/share/datasets/fashion-mnist")


@pytest.fixture
def mpirun(pare):
    folder = pare.program.parent
    missing = [name for name in ("libpare_mpi.so", "libpare_train.so") if not (folder / name).exists()]
    if missing or shutil.which("mpirun") is None or not IDX.exists():
        pytest.skip(f"needs mpirun, Fashion-MNIST and {missing or 'nothing else'}")
    # As root and with more processes than cores, which a test machine may well ask for.
    return ["mpirun", "--allow-run-as-root", "--oversubscribe", "-n", "2"]


@pytest.fixture
def data(tmp_path):
    text = (ROOT / "examples/fashion/fashion.toml").read_text()
    head, calibration = text.split("[calibration]")
    test, rest = head.split("[test]")
    table, after = calibration.split("limit = 300")
    path = tmp_path / "data.toml"
    path.write_text(test + "[test]" + rest.rstrip() + "\nlimit = 200\n\n[calibration]" + table + "limit = 40" + after
                    + "\n[training]" + table + "limit = 700\n")
    return path


def weights(path):
    return {t.name: numpy_helper.to_array(t) for t in onnx.load(path).graph.initializer}


def running(pid):
    try:
        return Path(f"/proc/{pid}/stat").read_text().rsplit(")", 1)[1].split()[0] != "Z"
    except OSError:
        return False


# Pruned so far that an epoch betters it: the best state is never the first one.
PRUNING = "prune-weights{sparsity=0.9}"
RECIPE = PRUNING + ", finetune{epochs=1, batch=64, held-out=0.1, optimizer=sgd, rate=0.002, augment=flip-shift}"


def test_two_processes_train_what_one_does(pare, mpirun, data, tmp_path):
    pruned, one, two = tmp_path / "pruned.onnx", tmp_path / "one.onnx", tmp_path / "two.onnx"
    command = lambda recipe, out: [pare.program, "compress", MODEL, "--recipe", recipe, "--data", data, "-o", out, "--threads", "1"]
    subprocess.run(command(PRUNING, pruned), check=True, capture_output=True)
    subprocess.run(command(RECIPE, one), check=True, capture_output=True)
    subprocess.run(mpirun + command(RECIPE, two), check=True, capture_output=True)
    before, alone, together = weights(pruned), weights(one), weights(two)
    moved = max(np.abs(alone[name] - before[name]).max() for name in alone if name in before)
    assert moved > 1e-2
    for name, value in alone.items():
        assert np.allclose(together[name], value, rtol=1e-3, atol=3e-4), name


def test_a_process_that_dies_ends_the_others(pare, mpirun, data, tmp_path):
    command = [pare.program, "compress", MODEL, "--recipe", RECIPE.replace("epochs=1", "epochs=500"), "--data", data, "-o", tmp_path / "x.onnx", "--threads", "1"]
    run = subprocess.Popen(mpirun + command, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE)
    checkpoint, deadline = tmp_path / "x.onnx.training.2", time.time() + 120
    while not checkpoint.exists() and time.time() < deadline and run.poll() is None:
        time.sleep(0.1)
    assert checkpoint.exists(), run.stderr.read() if run.poll() is not None else "no epoch within two minutes"
    children = Path(f"/proc/{run.pid}/task/{run.pid}/children").read_text().split()
    workers = [int(pid) for pid in children if "pare" in Path(f"/proc/{pid}/comm").read_text()]
    assert len(workers) == 2
    os.kill(workers[1], signal.SIGKILL)
    assert run.wait(timeout=60) != 0
    assert run.stderr.read()
    deadline = time.time() + 20
    while any(running(pid) for pid in workers) and time.time() < deadline:
        time.sleep(0.1)
    assert not any(running(pid) for pid in workers)
    assert not (tmp_path / "x.onnx").exists()


def test_a_study_is_shared_out(pare, mpirun, data, tmp_path):
    recipes = tmp_path / "recipes.txt"
    recipes.write_text("cast-weights{type=f16}\nquantize-dynamic\nfold-batchnorm, quantize-static\n")
    out = tmp_path / "study"
    subprocess.run(mpirun + [pare.program, "study", MODEL, "--data", data, "--recipes", recipes, "--out", out, "--seconds", "0.2", "--threads", "1"], check=True, capture_output=True)
    rows = json.loads((out / "rows.json").read_text())["rows"]
    assert len(rows) == 4
    assert all(row["error"] is None and row["latency"] and row["metric"] for row in rows)
    assert sorted(p.name for p in out.glob("rows*")) == ["rows.json"]
