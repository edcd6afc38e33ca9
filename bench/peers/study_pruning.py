#!/usr/bin/env python3
"""Studies how far every model can be pruned, and writes the pruning part of docs/guide/study.md.

`pare study` prunes to each sparsity, alone and with int8, into .pare files. Then all files of a model are timed in turns, each
in a process of its own; latency is a multiple of the same precision without pruning, taken within a round. The rest of
the page stays as it is.
"""
import argparse
import json
import pathlib
import subprocess

import numpy as np

import artifacts
import interleave
import run
import sections
import study
import tables
from study_tables import change_text, quality_text

SPARSITIES = (0.5, 0.7, 0.8, 0.9)
DENSE_INT8 = "quantize-static"
REPORT_SECONDS = 1  # for the latencies in the report of `pare study`, all rows together


def parse_arguments():
    p = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    p.add_argument("--models", type=run.words(study.DATA), default=[m for m in study.DATA if m != "carn4"], metavar="NAMES",
                   help="comma-separated: " + ", ".join(study.DATA))
    p.add_argument("--prune", default="prune-weights{sparsity=%s,score=obs}", help="the pass, %%s stands for the sparsity")
    p.add_argument("--rounds", type=int, default=8, help="of all files of a model in turns, for latency")
    p.add_argument("--latency-only", action="store_true", help="times the files of an earlier run again")
    p.add_argument("--threads", type=int, default=1)
    p.add_argument("--pare", type=pathlib.Path, default=artifacts.ROOT / "build/release/pare")
    p.add_argument("--serve", type=pathlib.Path, help="bench_serve; default: beside pare, or bench/ below it")
    p.add_argument("--models-dir", type=pathlib.Path, default=artifacts.ROOT.parent / "shared/models")
    p.add_argument("--out", type=pathlib.Path, default=artifacts.ROOT / "build/study-pruning", help="reports, artifacts, figures")
    p.add_argument("--page", type=pathlib.Path, default=artifacts.ROOT / "docs/guide/study.md")
    a = p.parse_args()
    a.serve = a.serve or run.find_serve(a.pare)
    return a


def recipes(a):
    """[(sparsity, int8, recipe)]"""
    rows = [(0, True, DENSE_INT8)]
    for sparsity in SPARSITIES:
        prune = a.prune % sparsity
        rows += [(sparsity, False, prune), (sparsity, True, f"{prune}, {DENSE_INT8}")]
    return rows


def onnx_bytes(a, row, folder):
    """What the same model takes as an ONNX file."""
    target = folder / "as.onnx"
    done = subprocess.run([str(a.pare), "compress", row["model"], "-o", str(target), "--quiet"], capture_output=True, text=True)
    if done.returncode != 0:
        return None
    size = target.stat().st_size
    target.unlink()
    return size


def study_model(a, model):
    folder = a.out / model.name
    folder.mkdir(parents=True, exist_ok=True)
    plan = recipes(a)
    listed = folder / "recipes.txt"
    listed.write_text("".join(recipe + "\n" for _, _, recipe in plan))
    (folder / "rows.json").unlink(missing_ok=True)
    command = [a.pare, "study", model.source, "--data", artifacts.ROOT / study.DATA[model.name], "--recipes", listed,
               "--format", "pack", "--out", folder, "--seconds", REPORT_SECONDS, "--threads", a.threads]
    error = artifacts.run_quietly([str(word) for word in command])
    if error:
        return {"error": error}
    found = json.loads((folder / "rows.json").read_text())
    for row, (sparsity, int8, _) in zip(found["rows"], [(0, False, "")] + plan):
        row["sparsity"], row["int8"] = sparsity, int8
        if row["error"] is None:
            row["onnx_bytes"] = row["size_bytes"] if row is found["rows"][0] else onnx_bytes(a, row, folder)
    found.pop("examples", None)
    return found


def time_rows(a, model, found):
    """Adds to every row what it takes, and that as a multiple of the row without pruning in the same precision."""
    rows = {str(i): row for i, row in enumerate(found.get("rows", [])) if row["error"] is None}
    inputs = ["--input", *map(str, model.files("input"))]
    commands = {i: [str(a.serve), row["model"], "--threads", str(a.threads), *inputs] for i, row in rows.items()}
    cell = interleave.time_cell(commands, a.threads, a.rounds, model.burst, subject="0")
    for error in cell["errors"].values():
        print(f"  {error}")
    rounds = {i: np.array(engine["rounds_ms"]) for i, engine in cell["engines"].items()}
    for i, times in rounds.items():
        dense = next((d for d in rounds if rows[d]["sparsity"] == 0 and rows[d]["int8"] == rows[i]["int8"]), i)
        rows[i] |= {"ms": float(np.median(times)), "of_dense": float(np.median(times / rounds[dense]))}
    found["foreign_cores"] = cell["foreign_cores"]
    if cell["foreign_cores"] > run.BUSY:
        print(f"  warning: other processes used {cell['foreign_cores']:.2f} cores meanwhile")


def latency_text(row):
    return f"{row['of_dense']:.2f}" if "of_dense" in row else "–"


def model_table(name, found):
    if "error" in found:
        return f"`{name}`: the study failed: {found['error']}\n"
    rows, base = found["rows"], found["rows"][0]
    metric = (base.get("metric") or {}).get("name", "quality")
    body = []
    for int8 in (False, True):
        own = [row for row in rows if row["int8"] == int8]
        for row in own:
            title = "int8" if int8 else "float32"
            title += f", {100 * row['sparsity']:.0f} %" if row["sparsity"] else ", dense"
            if row["error"]:
                body.append([title, "failed: " + row["error"].replace("|", "/").replace("\n", " "), *[""] * 6])
                continue
            onnx = row.get("onnx_bytes")
            body.append([title, quality_text(row.get("metric")), change_text(row), f"{onnx / 1e6:.2f}" if onnx else "–",
                         "–" if row is base else f"{row['size_bytes'] / 1e6:.2f}",
                         "–" if row is base else f"{100 * row['size_bytes'] / base['size_bytes']:.1f} %",
                         tables.milliseconds(row.get("ms")), latency_text(row)])
    head = [f"`{found['file']}`", f"{metric} [95 %]", "change [95 %]", "MB .onnx", "MB .pare", "of float32", "ms",
            "of dense"]
    return tables.table(head, body)


def instructions():
    """What decides the speed of products here."""
    flags = pathlib.Path("/proc/cpuinfo").read_text().split()
    return "AVX-512" if "avx512f" in flags else "AVX2 (no AVX-512, no VNNI)"


def section(result):
    missing = [f"`{name}`" for name in study.DATA if name not in result["models"]]
    text = [f"One shot, without training: `{result['prune'] % 'S'}`, alone and followed by `{DENSE_INT8}`. *of dense* is the latency "
            f"as a multiple of the same precision without pruning, {result['threads']} thread(s), measured in one run; below 1 "
            f"pruning pays. {result['date']}, {result['machine']['cpu']}, {result['instructions']}."
            + (f" Not run: {', '.join(missing)}." if missing else "") + "\n"]
    text += [model_table(name, found) for name, found in result["models"].items()]
    return "\n".join(text)


def main():
    a = parse_arguments()
    result = {"machine": run.describe_machine(), "date": study.datetime.date.today().isoformat(), "prune": a.prune,
              "threads": a.threads, "instructions": instructions(), "models": {}}
    a.out.mkdir(parents=True, exist_ok=True)
    kept = a.out / "pruning.json"
    if a.latency_only:
        result |= {key: value for key, value in json.loads(kept.read_text()).items() if key in ("prune", "models")}
    for name in a.models:
        model = artifacts.prepare_model(name, a.models_dir, artifacts.ROOT / "build/peers")
        if not model:
            continue
        print(f"pruning {name}", flush=True)
        if not a.latency_only:
            result["models"][name] = {"file": model.source.name, **study_model(a, model)}
        if name in result["models"]:
            time_rows(a, model, result["models"][name])
        kept.write_text(json.dumps(result, indent=1) + "\n")
    a.page.write_text(sections.PRUNING.replaced(a.page.read_text(), section(result)))
    print(f"{a.page}\n{kept}")


if __name__ == "__main__":
    main()
