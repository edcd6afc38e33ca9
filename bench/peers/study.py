#!/usr/bin/env python3
"""Studies every model of the shared folder and those of the examples, and writes docs/guide/study.md.

Quality, size and recommendation come from `pare study`; latency and peak memory of pare and of its peers from run.py.
What fails leaves a dash or a sentence in the page, and the rest goes on. The words around the tables are study_page.md's.
"""
import argparse
import datetime
import json
import pathlib
import subprocess
import types

import artifacts
import run
import sections
import study_tables

TEMPLATE = artifacts.HERE / "study_page.md"
# pare's data description of each model; what the model is called and where it lies, artifacts.py knows.
DATA = {
    "fashion": "examples/fashion/fashion.toml",
    "generator": "examples/fashion-generator/generator.toml",
    "resnet20": "tests/models/cifar10.toml",
    "resnet32": "tests/models/cifar10.toml",
    "yolox": "tests/models/coco100.toml",
    "minilm": "tests/models/banking77.toml",
    "rfdn": "tests/models/sr20.toml",
    "carn2": "tests/models/sr20_carn_x2.toml",
    "carn4": "tests/models/sr20_carn_x4.toml",
}
QUICK = ("fashion", "resnet20")
# Rows beyond the precisions that run.py times beside its peers: model → title → recipe. They show size and quality.
EXTRA = {
    "generator": {
        "60 % zeros": "prune-weights{sparsity=0.6, score=obs}",
        "80 % zeros, distilled": "prune-weights{sparsity=0.8}, distil{loss=values, epochs=3, rate=0.001}",
        "4-bit weights": "quantize-static{bits=4}",
        "4-bit weights, distilled": "quantize-static{bits=4}, distil{loss=values, epochs=3, rate=0.001}",
        "half the multiplications, distilled": "prune-channels{macs=0.5}, distil{loss=values, epochs=3, rate=0.001}",
    },
}


def parse_arguments():
    p = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    p.add_argument("--models", type=run.words(DATA), default=list(DATA), metavar="NAMES",
                   help="comma-separated: " + ", ".join(DATA))
    p.add_argument("--rounds", type=int, default=12)
    p.add_argument("--quick", action="store_true", help=f"only {' and '.join(QUICK)}, 4 rounds")
    p.add_argument("--peers", type=pathlib.Path, metavar="FILE",
                   help="what `./dev bench --json FILE` wrote: cells it has are taken from it")
    p.add_argument("--pare", type=pathlib.Path, default=artifacts.ROOT / "build/release/pare")
    p.add_argument("--models-dir", type=pathlib.Path, default=artifacts.ROOT.parent / "shared/models")
    p.add_argument("--out", type=pathlib.Path, default=artifacts.ROOT / "build/study", help="reports, artifacts, figures")
    p.add_argument("--page", type=pathlib.Path, default=artifacts.ROOT / "docs/guide/study.md")
    a = p.parse_args()
    if a.quick:
        a.models, a.rounds = [m for m in a.models if m in QUICK], min(a.rounds, 4)
    return a


def study_rows(model):
    return {p: artifacts.RECIPES[p] for p in run.PRECISIONS if p != "fp32"} | EXTRA.get(model.name, {})


def run_study(a, model):
    """rows.json of `pare study`, with its rows named; {"error"} where it failed."""
    folder = a.out / model.name
    folder.mkdir(parents=True, exist_ok=True)
    recipes = folder / "recipes.txt"
    recipes.write_text("".join(recipe + "\n" for recipe in study_rows(model).values()))
    (folder / "rows.json").unlink(missing_ok=True)
    command = [a.pare, "study", model.source, "--data", artifacts.ROOT / DATA[model.name], "--recipes", recipes,
               "--out", folder, "--seconds", "2"]
    error = artifacts.run_quietly([str(word) for word in command])
    if error:
        print(f"  pare study: {error}")
        return {"error": error}
    found = json.loads((folder / "rows.json").read_text())
    for name, row in zip(["fp32", *study_rows(model)], found["rows"]):
        row["precision"] = name
    found.pop("examples", None)
    return found


def judge_peer_int8(a, model):
    """Quality of ONNX Runtime's own int8 file, run by pare: the same integers, and every task's protocol."""
    path = model.folder / artifacts.PEER_TOOLS["int8"]["onnxruntime"]
    if not path.exists() or "restore" in (artifacts.ROOT / DATA[model.name]).read_text():
        return None  # its file has one size of picture, the test pictures have many
    command = [str(a.pare), "measure", str(path), "--data", str(artifacts.ROOT / DATA[model.name]), "--seconds", "0.1",
               "--quiet", "--json", "-"]
    done = subprocess.run(command, capture_output=True, text=True)
    if done.returncode != 0:
        print(f"  ONNX Runtime's int8: {(done.stderr.strip().splitlines() or ['failed'])[-1]}")
        return None
    row = json.loads(done.stdout)["rows"][0]
    return {"metric": row["metric"], "size_bytes": row["size_bytes"]}


def earlier_cells(a):
    """{(model, precision): (cells, memory row)} of an earlier bench."""
    if a.peers is None:
        return {}
    found = {}
    for precision, group in json.loads(a.peers.read_text())["groups"].items():
        for row in group.get("memory", []):
            cells = [c for c in group["cells"] if c["model"] == row["model"]]
            if cells:
                found[row["model"], precision] = (cells, row)
    return found


def time_model(a, model, earlier):
    """{precision: {"cells", "memory"}}"""
    options = types.SimpleNamespace(pare=a.pare, serve=run.find_serve(a.pare), threads=[1, 2], rounds=a.rounds)
    found = {}
    for precision in run.PRECISIONS:
        try:
            if (model.name, precision) in earlier:
                cells, used = earlier[model.name, precision]
            else:
                cells, _, used = run.measure_model(options, model, precision)
            for cell in cells:
                cell.pop("draws", None)
            found[precision] = {"cells": cells, "memory": used}
        except Exception as error:  # one cell may not cost the others
            print(f"  {precision}: {error}")
            found[precision] = {"error": str(error)}
    return found


def main():
    a = parse_arguments()
    earlier = earlier_cells(a)
    result = {"machine": run.describe_machine(), "rounds": a.rounds, "date": datetime.date.today().isoformat(),
              "models": {}}
    a.out.mkdir(parents=True, exist_ok=True)
    for name in a.models:
        model = artifacts.prepare_model(name, a.models_dir, artifacts.ROOT / "build/peers")
        if not model:
            continue
        print(f"studying {name}", flush=True)
        study = run_study(a, model)
        timed = time_model(a, model, earlier)
        result["models"][name] = {"file": model.source.name, "study": study, "timed": timed,
                                  "peer_int8": judge_peer_int8(a, model)}
        (a.out / "study.json").write_text(json.dumps(result, indent=1) + "\n")
    earlier_page = a.page.read_text() if a.page.exists() else ""
    a.page.write_text(study_tables.write_page(TEMPLATE.read_text(), result, earlier_page))
    print(f"{a.page}\n{a.out / 'study.json'}")


if __name__ == "__main__":
    main()
