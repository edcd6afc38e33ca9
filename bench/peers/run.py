#!/usr/bin/env python3
"""pare against ONNX Runtime and OpenVINO in one interleaved run.

Every engine is a process of its own, warm and pinned to the same cores. In each round every engine runs one burst, in
rotating order, while the others are stopped; ratios are taken within a round, so a slower machine slows all of them.
Outputs are compared before anything is timed. OpenVINO's precision is pinned: by default it turns fp32 into bf16.
"""
import argparse
import importlib.metadata
import json
import os
import pathlib
import sys

import artifacts
import compression
import interleave
import memory
import tables

PRECISIONS = ("fp32", "float16", "bf16", "dynamic", "int8")
USUAL = ("fp32", "bf16", "int8")  # the others are for the study
PEERS = ("onnxruntime", "openvino", "nncf", "onnx")
ENGINES_OF = {"onnxruntime": "onnxruntime", "onnxruntime-dynamic": "onnxruntime", "nncf": "openvino",
              "nncf-mixed": "openvino-mixed", "nncf-weights": "openvino"}  # what runs a tool's artifact
DENSE = interleave.OWN + "-dense"  # pare's own artifact without pruning, beside a pruned one
BUSY = 0.1  # cores used by other processes above which a cell, at two threads above all, means little


def words(choices, kind=str):
    def parse(text):
        values = [kind(w) for w in text.replace(",", " ").split()]
        for value in values:
            if value not in choices:
                raise argparse.ArgumentTypeError(f"{value} is not one of {', '.join(map(str, choices))}")
        return values

    return parse


def parse_arguments():
    p = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    root = artifacts.ROOT
    p.add_argument("--models", type=words(artifacts.NAMES), default=list(artifacts.NAMES), metavar="NAMES",
                   help="comma-separated: " + ", ".join(artifacts.NAMES))
    p.add_argument("--precisions", type=words((*PRECISIONS, *artifacts.PRUNED)), default=list(USUAL), metavar="NAMES",
                   help="comma-separated: " + ", ".join((*PRECISIONS, *artifacts.PRUNED)) + "; default: " + ", ".join(USUAL))
    p.add_argument("--sparse", action="store_true",
                   help="pruned models against the peers' dense ones: " + ", ".join(artifacts.PRUNED))
    p.add_argument("--threads", type=words((1, 2, 4, 8, 16), int), default=[1, 2], metavar="COUNTS",
                   help="comma-separated")
    p.add_argument("--rounds", type=int, default=30)
    p.add_argument("--quick", action="store_true", help="8 rounds, one measured compression")
    p.add_argument("--no-compression", action="store_true", help="do not measure what compressing costs")
    p.add_argument("--pare", type=pathlib.Path, default=root / "build/release/pare")
    p.add_argument("--serve", type=pathlib.Path, help="bench_serve; default: beside pare, or bench/ below it")
    p.add_argument("--models-dir", type=pathlib.Path, default=root.parent / "shared/models")
    p.add_argument("--work", type=pathlib.Path, default=root / "build/peers", help="models and artifacts")
    p.add_argument("--json", type=pathlib.Path, metavar="FILE")
    p.add_argument("--markdown", type=pathlib.Path, metavar="FILE")
    a = p.parse_args()
    if a.sparse:
        a.precisions = list(artifacts.PRUNED)
    if a.quick:
        a.rounds = min(a.rounds, 8)
    if a.rounds < 1:
        p.error("--rounds must be at least 1")
    a.serve = a.serve or find_serve(a.pare)
    return a


def find_serve(pare):
    beside = [pare.parent / "bench_serve", pare.parent / "bench" / "bench_serve"]
    return next((b for b in beside if b.exists()), beside[0])


def describe_machine():
    cpu = "unknown CPU"
    for line in pathlib.Path("/proc/cpuinfo").read_text().splitlines():
        if line.startswith("model name"):
            cpu = line.split(":", 1)[1].strip()
            break
    return {"cpu": cpu, "cores": len(os.sched_getaffinity(0)),
            "versions": {n: importlib.metadata.version(n) for n in PEERS}}


def make_commands(serve, model, paths, precision, threads):
    """{engine: command} of one cell; paths: {tool: artifact}, "fixed" is the peers' fp32 model, or pare's float16."""
    inputs = ["--input", *map(str, model.files("input"))]

    def peer_command(engine, path, threads, precision="f32"):
        return [sys.executable, str(artifacts.HERE / "serve_peer.py"), engine, str(path), "--threads", str(threads),
                "--precision", precision, *inputs]

    commands = {}
    for name in ("pare", DENSE):
        if paths.get(name):
            commands[name] = [str(serve), str(paths[name]), "--threads", str(threads), *inputs]
    precision = artifacts.dense_of(precision)
    if precision in ("fp32", "float16"):
        commands["onnxruntime"] = peer_command("onnxruntime", paths["fixed"], threads)
        commands["openvino"] = peer_command("openvino", paths["fixed"], threads)
    elif precision == "bf16":
        commands["openvino"] = peer_command("openvino", paths["fixed"], threads, "bf16")
    else:
        for tool, name in ENGINES_OF.items():
            if tool in paths:
                commands[name] = peer_command(name.split("-")[0], paths[tool], threads)
    return commands


def gather_paths(a, model, precision):
    """Makes the artifacts of one model and precision; returns {tool: path} and the rows that describe them."""
    paths = {"fixed": model.fixed}
    dense = artifacts.dense_of(precision)
    paths |= artifacts.make_peers(model, dense)
    made = artifacts.make_pare(a.pare, model, precision)
    if precision != dense:
        paths[DENSE] = artifacts.make_pare(a.pare, model, dense)
    if made:
        paths["pare"] = made
    if made and precision == "float16":
        paths["fixed"] = artifacts.fix_artifact(model, made, model.folder / "float16_fixed.onnx")
    shown = {t: p for t, p in paths.items() if p and t not in ("fixed", DENSE) and (t != "pare" or precision != "fp32")}
    if dense == "fp32":
        shown["original"] = model.fixed
    return paths, [artifacts.describe(model, t, precision if t == "pare" else dense, p) for t, p in shown.items()]


def check_outputs(a, model, paths, precision):
    if "pare" not in paths:
        return {"skipped": "pare has no artifact"}
    check = artifacts.check_pare(a.pare, model, paths["pare"], precision)
    if "skipped" in check:
        print(f"  check of outputs skipped: {check['skipped']}")
    else:
        word = "agree" if check["passed"] else "DIFFER"
        print(f"  outputs {word}: {check['sqnr_db']:.1f} dB against ONNX Runtime (least: {check['least_db']})")
    return check


def print_cell(cell):
    text = "  ".join(f"{n} {tables.milliseconds(e['median_ms'])}" for n, e in cell["engines"].items())
    print(f"  {cell['threads']} thread(s): {text}  ratio {tables.ratio_text(cell)}", flush=True)
    for name, error in cell["errors"].items():
        print(f"    {name}: {error}")
    if cell["foreign_cores"] > BUSY:
        print(f"    warning: other processes used {cell['foreign_cores']:.2f} cores meanwhile")


def measure_model(a, model, precision):
    print(f"{model.name} {precision}", flush=True)
    paths, rows = gather_paths(a, model, precision)
    check = check_outputs(a, model, paths, precision)
    cells = []
    for threads in a.threads:
        commands = make_commands(a.serve, model, paths, precision, threads)
        cell = {"model": model.name, "precision": precision, "check": check}
        cell |= interleave.time_cell(commands, threads, a.rounds, model.burst)
        print_cell(cell)
        cells.append(cell)
    # After the timing: what pare measured about its layers is remembered by then.
    once = {n: c for n, c in make_commands(a.serve, model, paths, precision, 1).items() if n != DENSE}
    used = memory.measure_memory(once, a.pare, paths.get("pare"), model.files("input"))
    print("  memory: " + "  ".join(f"{n} {tables.megabytes(r)}" for n, r in used.items()), flush=True)
    return cells, rows, {"model": model.name, "engines": used} | (memory.summarize(used) or {})


def measure_all(a):
    result = {"machine": describe_machine(), "rounds": a.rounds, "groups": {}, "artifacts": [], "compression": None}
    models = [artifacts.prepare_model(n, a.models_dir, a.work) for n in a.models]
    models = [m for m in models if m]
    for precision in a.precisions:
        cells, used = [], []
        for model in models:
            if precision in artifacts.PRUNED and model.name not in artifacts.PRUNED[precision].models:
                continue
            found, rows, row = measure_model(a, model, precision)
            cells += found
            used.append(row)
            result["artifacts"] += rows
        sound = [c for c in cells if c["check"].get("passed", True)]
        means = {t: interleave.geometric_mean([c for c in sound if c["threads"] == t]) for t in a.threads}
        result["groups"][precision] = {"cells": cells, "means": means, "memory": used}
    first = models[0] if models else None
    if first and "int8" in a.precisions and not a.no_compression:
        rows = compression.measure_compression(first, a.pare, 1 if a.quick else 3)
        result["compression"] = {"model": first.name, "rows": rows}
    return result


def write_results(a, result):
    text = tables.write_markdown(result)
    print("\n" + text)
    if a.markdown:
        a.markdown.write_text(text)
    if a.json:
        for group in result["groups"].values():
            for cell in group["cells"]:
                cell.pop("draws", None)
        a.json.write_text(json.dumps(result, indent=1) + "\n")


def main():
    a = parse_arguments()
    for path in (a.pare, a.serve):
        if not path.exists():
            print(f"note: {path} is absent, pare's column stays empty where it is needed")
    result = measure_all(a)
    write_results(a, result)
    cells = [c for g in result["groups"].values() for c in g["cells"]]
    wrong = [c for c in cells if not c["check"].get("passed", True)]
    sys.exit(1 if wrong else 0)


if __name__ == "__main__":
    main()
