"""What a user meets at the command line: help, bad input, full disks, kills, and the JSON scripts depend on."""
import json
import os
import re
import shutil
import signal
import subprocess
import time

import numpy as np
import pytest

ROW_KEYS = {"model", "recipe", "format", "size_bytes", "weights", "macs", "metric", "latency", "peak_memory_bytes",
            "energy_joules", "energy_note", "compress_seconds", "error", "shapes"}
METRIC_KEYS = {"name", "value", "low", "high", "count", "higher_is_better"}
LATENCY_KEYS = {"median_ms", "p95_ms", "ratio", "ratio_low", "ratio_high", "threads", "batch", "runs"}


def commands(pare):
    listed = re.search(r"Subcommands:\n((?:  .*\n?)+)", pare("--help").out).group(1)
    return re.findall(r"^  (\w[\w-]*)", listed, re.M)


def check_row(row):
    assert ROW_KEYS <= row.keys()
    assert METRIC_KEYS <= row["metric"].keys()
    assert LATENCY_KEYS <= row["latency"].keys()
    assert {"count", "nonzero"} <= row["weights"].keys()
    assert row["error"] is None and row["energy_note"] if row["energy_joules"] is None else True
    assert 0 <= row["metric"]["low"] <= row["metric"]["value"] <= row["metric"]["high"] <= 1


def test_no_arguments_shows_the_way_in(pare):
    done = pare()
    assert done.code == 0 and "pare inspect" in done.out


def test_every_help(pare):
    assert pare("--help").code == 0
    found = commands(pare)
    assert len(found) >= 10
    for command in found:
        done = pare(command, "--help")
        assert done.code == 0 and done.out and not done.err, command


@pytest.fixture()
def bad(small_model, tmp_path):
    """A folder of files that are wrong, each in its way."""
    good = small_model.path.read_bytes()
    (tmp_path / "empty.onnx").write_bytes(b"")
    (tmp_path / "truncated.onnx").write_bytes(good[: len(good) // 2])
    (tmp_path / "random.onnx").write_bytes(np.random.default_rng(1).bytes(5000))
    with open(tmp_path / "archive.onnx", "wb") as file:
        np.savez(file, x=np.zeros((2, 2), np.float32))
    np.save(tmp_path / "shape.npy", np.zeros((1, 5, 7), np.float32))
    (tmp_path / "cut.npy").write_bytes((tmp_path / "shape.npy").read_bytes()[:-9])
    (tmp_path / "model.onnx").write_bytes(good)
    (tmp_path / "file").write_text("a file, no folder")
    (tmp_path / "absent.toml").write_text('task = "classify"\n[test]\nformat = "idx"\nimages = "none.gz"\nlabels = "none.gz"\n')
    (tmp_path / "broken.toml").write_text("task = [\n")
    (tmp_path / "rows.json").write_text('{"rows": [')
    (tmp_path / "recipes.txt").write_text("fold-batchnorm\nfold-batchnrom\n")
    return tmp_path


COMPRESS = ["compress", "{dir}/model.onnx", "-o", "{dir}/out.onnx", "--recipe"]
# name: (arguments, exit status, what stderr must mention)
BAD = {
    "missing model": (["inspect", "{dir}/none.onnx"], 1, "none.onnx"),
    "missing model, measure": (["measure", "{dir}/none.onnx"], 1, "none.onnx"),
    "missing model, compress": (["compress", "{dir}/none.onnx", "--recipe", "fold-batchnorm", "-o", "{dir}/out.onnx"], 1, "none.onnx"),
    "folder as model": (["inspect", "{dir}"], 1, "{dir}"),
    "empty": (["inspect", "{dir}/empty.onnx"], 1, "empty.onnx"),
    "truncated": (["inspect", "{dir}/truncated.onnx"], 1, "truncated.onnx"),
    "truncated, compress": (["compress", "{dir}/truncated.onnx", "--recipe", "fold-batchnorm", "-o", "{dir}/out.onnx"], 1, "truncated.onnx"),
    "random bytes": (["inspect", "{dir}/random.onnx"], 1, "random.onnx"),
    "npz named onnx": (["inspect", "{dir}/archive.onnx"], 1, "archive.onnx"),
    "input of another shape": (["run", "{dir}/model.onnx", "--input", "{dir}/shape.npy"], 1, "shape.npy|5x7|1x5|rank|dimension"),
    "input cut short": (["run", "{dir}/model.onnx", "--input", "{dir}/cut.npy"], 1, "cut.npy"),
    "input missing": (["run", "{dir}/model.onnx", "--input", "{dir}/none.npy"], 1, "none.npy"),
    "calibration without data": (COMPRESS + ["quantize-static"], (1, 2), "--data"),
    "option mistyped": (["measure", "{dir}/model.onnx", "--bacth", "2"], 2, "did you mean --batch"),
    "option value out of range": (["measure", "{dir}/model.onnx", "--batch", "0"], 2, "--batch"),
    "command mistyped": (["compres", "{dir}/model.onnx"], 2, "did you mean `pare compress"),
    "pass mistyped": (COMPRESS + ["fold-batchnrom"], 2, "fold-batchnorm"),
    "pass option mistyped": (COMPRESS + ["cast-weights{typ=f16}"], 2, "'type'"),
    "pass option's value": (COMPRESS + ["cast-weights{type=f17}"], 2, "f16"),
    "recipe's braces": (COMPRESS + ["cast-weights{type=f16"], 2, "recipe"),
    "recipe in a file": (["study", "{dir}/model.onnx", "--data", "{good}", "--recipes", "{dir}/recipes.txt", "--out", "{dir}/st"], 2, "recipes.txt"),
    "data description missing": (COMPRESS + ["fold-batchnorm", "--data", "{dir}/none.toml"], 1, "none.toml"),
    "data description broken": (["measure", "{dir}/model.onnx", "--data", "{dir}/broken.toml"], 1, "broken.toml"),
    "data description naming a missing file": (["measure", "{dir}/model.onnx", "--data", "{dir}/absent.toml"], 1, "none.gz"),
    "output in a missing folder": (["compress", "{dir}/model.onnx", "--recipe", "fold-batchnorm", "-o", "{dir}/no/out.onnx"], 1, "no/out.onnx"),
    "output under a file": (["compress", "{dir}/model.onnx", "--recipe", "fold-batchnorm", "-o", "{dir}/file/out.onnx"], 1, "file/out.onnx"),
    "output where nobody writes": (["compress", "{dir}/model.onnx", "--recipe", "fold-batchnorm", "-o", "/proc/out.onnx"], 1, "/proc/out.onnx"),
    "output of an unknown kind": (["compress", "{dir}/model.onnx", "--recipe", "fold-batchnorm", "-o", "{dir}/out.xyz"], (1, 2), "out.xyz"),
    "output is the input": (["compress", "{dir}/model.onnx", "--recipe", "fold-batchnorm", "-o", "{dir}/model.onnx"], 2, "model.onnx"),
    "output is the input, spelled otherwise": (["compress", "{dir}/model.onnx", "--recipe", "fold-batchnorm", "-o", "{dir}/./model.onnx"], 2, "model.onnx"),
    "study's folder is a file": (["study", "{dir}/model.onnx", "--data", "{good}", "--out", "{dir}/file"], 1, "file"),
    "JSON under a file": (["passes", "--json", "{dir}/file/p.json"], 1, "p.json"),
    "rows cut short": (["report", "{dir}/rows.json", "-o", "{dir}/out.html"], 1, "rows.json"),
    "no such pass": (["passes", "quantize-statc"], 2, "quantize-static"),
}


@pytest.mark.parametrize("case", BAD)
def test_bad_input(pare, bad, small_model, case):
    template, status, mention = BAD[case]
    fill = {"dir": str(bad), "good": str(small_model.data)}
    filled = [re.sub(r"\{(dir|good)\}", lambda m: fill[m[1]], a) for a in template]
    before = {f: f.read_bytes() for f in bad.rglob("*") if f.is_file()}
    done = pare(*filled)
    expected = status if isinstance(status, tuple) else (status,)
    assert done.code in expected, (done.code, done.err)
    assert re.search(mention.replace("{dir}", re.escape(str(bad))), done.err), done.err
    assert "terminate called" not in done.err and "Traceback" not in done.err
    if done.code == 2:
        assert len(done.err.strip().splitlines()) >= 2, "a mistake on the command line comes with a hint: " + done.err
    after = {f: f.read_bytes() for f in bad.rglob("*") if f.is_file()}
    assert after == before, "files appeared, vanished or changed"


def test_full_disk(pare, small_model, tmp_path):
    disk = tmp_path / "disk"
    disk.mkdir()
    if shutil.which("mount") is None or subprocess.run(
            ["mount", "-t", "tmpfs", "-o", "size=64k", "none", str(disk)], capture_output=True).returncode:
        pytest.skip("mounting a small file system is not allowed here")
    try:
        done = pare("compress", small_model.path, "--recipe", "fold-batchnorm", "-o", disk / "out.onnx")
        left = list(disk.iterdir())
    finally:
        subprocess.run(["umount", str(disk)], check=True)
    assert done.code == 1 and "out.onnx" in done.err and "space" in done.err.lower(), done.err
    assert not left


def test_json_to_a_full_device(pare, tmp_path):
    with open("/dev/full", "w") as full:
        done = subprocess.run([str(pare.program), "passes", "--json", "-"], stdout=full, stderr=subprocess.PIPE, text=True)
    assert done.returncode == 1 and done.stderr


def test_measure_json(pare, small_model, tmp_path):
    done = pare("measure", small_model.path, "--data", small_model.data, "--seconds", "0.2", "--json", "-")
    assert done.code == 0, done.err
    table = json.loads(done.out)  # nothing but JSON on standard output
    assert {"machine", "rows"} <= table.keys() and len(table["rows"]) == 1
    check_row(table["rows"][0])
    assert table["rows"][0]["size_bytes"] == small_model.path.stat().st_size


@pytest.mark.parametrize("command", ["passes", "ops", "codecs", "kernels", "formats"])
def test_catalogs_json(pare, command):
    done = pare(command, "--json", "-")
    assert done.code == 0 and json.loads(done.out)


def test_inspect_and_compress_json(pare, small_model, tmp_path):
    done = pare("inspect", small_model.path, "--no-time", "--json", "-")
    assert done.code == 0 and json.loads(done.out)
    done = pare("compress", small_model.path, "--recipe", "fold-batchnorm", "-o", tmp_path / "o.onnx", "--json", "-")
    assert done.code == 0 and json.loads(done.out)


def test_same_bytes_twice(pare, small_model, tmp_path):
    for name in ("a.onnx", "b.onnx"):
        assert pare("compress", small_model.path, "--recipe", "quantize-static", "--data", small_model.data,
                    "-o", tmp_path / name, "--quiet").code == 0
    assert (tmp_path / "a.onnx").read_bytes() == (tmp_path / "b.onnx").read_bytes()


def test_killed_study_resumes(pare, small_model, tmp_path):
    recipes, out = tmp_path / "recipes.txt", tmp_path / "study"
    recipes.write_text("fold-batchnorm\ncast-weights{type=f16}\nquantize-dynamic\nquantize-static\n")
    arguments = ["study", str(small_model.path), "--data", str(small_model.data), "--recipes", str(recipes),
                 "--out", str(out), "--seconds", "1", "--quiet"]
    first = subprocess.Popen([str(pare.program), *arguments], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    deadline = time.monotonic() + 120
    rows = []
    while time.monotonic() < deadline and first.poll() is None:
        if (out / "rows.json").exists():
            rows = json.loads((out / "rows.json").read_text())["rows"]  # complete at every moment
            if len(rows) >= 2:
                break
        time.sleep(0.02)
    finished_early = first.poll() is not None
    first.send_signal(signal.SIGKILL)
    first.wait()
    assert not finished_early, "the study ended before it could be killed: rows are not written as they are made"

    rows = json.loads((out / "rows.json").read_text())["rows"]
    kept = [r for r in rows if r["recipe"] and r["error"] is None]
    assert kept
    stamps = {r["model"]: os.stat(r["model"]).st_mtime_ns for r in kept}
    assert not [f for f in (out / "artifacts").iterdir() if f.suffix != ".onnx" and f.name in stamps]

    done = pare(*arguments)
    assert done.code == 0, done.err
    final = json.loads((out / "rows.json").read_text())["rows"]
    assert len(final) == 5
    for row in final:
        check_row(row)
    for row in kept:
        again = [r for r in final if r["recipe"] == row["recipe"]]
        assert len(again) == 1 and again[0]["compress_seconds"] == row["compress_seconds"]
        assert os.stat(row["model"]).st_mtime_ns == stamps[row["model"]]
    assert (out / "report.html").stat().st_size > 1000
    left = [f.name for f in (out / "artifacts").iterdir() if f.suffix != ".onnx"]
    assert not left, "the killed run's temporary files stay: " + str(left)
