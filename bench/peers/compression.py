"""What compressing itself costs: seconds and peak memory of int8 on one model, each run a fresh process."""
import json
import pathlib
import statistics
import subprocess
import sys
import tempfile

import artifacts

LAUNCHER = [sys.executable, "-I", "-S", str(artifacts.HERE / "measure_process.py")]


def measure_once(command):
    with tempfile.TemporaryDirectory() as folder:
        result = pathlib.Path(folder) / "result.json"
        done = subprocess.run([*LAUNCHER, str(result), *command], capture_output=True, text=True)
        if done.returncode != 0:
            lines = (done.stderr + done.stdout).strip().splitlines()
            return {"error": lines[-1] if lines else f"exit status {done.returncode}"}
        row = json.loads(result.read_text())
    last = (done.stdout.strip().splitlines() or [""])[-1]
    return row | (json.loads(last) if last.startswith("{") else {})


def measure_compression(model, pare, repeats):
    """Rows {tool, seconds, quantize_seconds, peak_memory_bytes}: medians, tools in turns, one unmeasured run first."""
    out = model.folder / "compression"
    out.mkdir(exist_ok=True)
    commands = {"pare": artifacts.compress_command(pare, model, "int8", out / "pare.onnx")} if pare.exists() else {}
    commands["onnxruntime"] = artifacts.quantize_command(model, "onnxruntime", out / "ort.onnx")
    commands["nncf"] = artifacts.quantize_command(model, "nncf", out / "nncf.xml")
    runs = {tool: [] for tool in commands}
    for repeat in range(repeats + 1):
        for tool, command in commands.items():
            found = measure_once(command)
            if repeat > 0:
                runs[tool].append(found)
    return [summarize(tool, rows) for tool, rows in runs.items()]


def summarize(tool, rows):
    errors = [r["error"] for r in rows if "error" in r]
    if errors:
        print(f"  compression by {tool}: {errors[0]}")
        return {"tool": tool, "error": errors[0]}
    keys = set.intersection(*(set(r) for r in rows))
    return {"tool": tool} | {k: statistics.median(r[k] for r in rows) for k in sorted(keys)}
