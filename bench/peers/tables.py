"""The results as Markdown tables, for docs/guide/benchmarks.md and for the terminal."""


def table(head, rows):
    align = ["---"] + ["---:"] * (len(head) - 1)
    return "\n".join("| " + " | ".join(row) + " |" for row in [head, align, *rows]) + "\n"


def milliseconds(value):
    return "–" if value is None else f"{value:.3f}" if value < 10 else f"{value:.2f}"


def ratio_text(cell):
    if "ratio" not in cell:
        return "–"
    return f"{cell['ratio']:.2f} [{cell['ratio_low']:.2f}, {cell['ratio_high']:.2f}]"


def check_mark(cell):
    if "ratio" not in cell:
        return ""
    if "skipped" in cell["check"]:
        return " (outputs not checked)"
    return "" if cell["check"]["passed"] else " (outputs differ)"


def fastest(cell, prefix):
    """The fastest engine whose name starts with prefix: OpenVINO has two int8 artifacts."""
    found = [(e["median_ms"], n) for n, e in cell["engines"].items() if n.startswith(prefix)]
    return min(found) if found else (None, "")


def openvino_text(cell):
    value, name = fastest(cell, "openvino")
    return milliseconds(value) + (" (mixed)" if name.endswith("mixed") else "")


def latency_table(cells, means):
    own = any("own_ratio" in c for c in cells)  # pruned models, beside pare's dense ones
    head = ["model", "threads", "pare ms", "ONNX Runtime ms", "OpenVINO ms", "pare / best peer"] + (["pare / pare dense"] if own else [])
    rows = []
    for c in cells:
        rows.append([c["model"], str(c["threads"]), milliseconds(c["engines"].get("pare", {}).get("median_ms")),
                     milliseconds(fastest(c, "onnxruntime")[0]), openvino_text(c), ratio_text(c) + check_mark(c)])
        if own:
            rows[-1].append(f"{c['own_ratio']:.2f}" if "own_ratio" in c else "–")
    for threads, mean in means.items():
        if mean:
            rows.append(["geometric mean", str(threads), "", "", "", ratio_text(mean)] + [""] * own)
    return table(head, rows)


def megabytes(row):
    return f"{row['peak_bytes'] / 1e6:.1f}" if "peak_bytes" in row else "–"


def memory_table(rows):
    """Of a peer: its process, and in brackets what is left of it without Python and NumPy."""

    def least(row, prefix):
        found = [(e["peak_bytes"], e["peak_bytes"] - e["interpreter_bytes"]) for n, e in row["engines"].items()
                 if n.startswith(prefix) and "peak_bytes" in e]
        return "{:.1f} ({:.1f})".format(*(v / 1e6 for v in min(found))) if found else "–"

    body = [[r["model"], megabytes(r["engines"].get("pare", {})), least(r, "onnxruntime"), least(r, "openvino"),
             *(f"{r[k]:.2f}" if k in r else "–" for k in ("ratio", "net_ratio"))] for r in rows]
    return table(["model", "pare MB", "ONNX Runtime MB", "OpenVINO MB", "pare / least peer", "without interpreter"], body)


def artifact_table(rows):
    body = []
    for r in rows:
        score = f"{100 * r['top1']:.2f}" if "top1" in r else r.get("error", "–")
        body.append([r["model"], r["tool"], r["precision"], f"{r['bytes']:,}", score])
    return table(["model", "tool", "precision", "bytes", "top-1 %"], body)


def compression_table(rows):
    body = []
    for r in rows:
        if "error" in r:
            body.append([r["tool"], "failed", "", ""])
            continue
        work = f"{r['quantize_seconds']:.2f}" if "quantize_seconds" in r else f"{r['seconds']:.2f}"
        body.append([r["tool"], f"{r['seconds']:.2f}", work, f"{r['peak_memory_bytes'] / 1e6:.0f}"])
    return table(["tool", "process s", "quantizing only s", "peak memory MB"], body)


def machine_text(result):
    m = result["machine"]
    versions = ", ".join(f"{k} {v}" for k, v in m["versions"].items())
    cells = [c for group in result["groups"].values() for c in group["cells"]]
    foreign = max((c["foreign_cores"] for c in cells), default=0.0)
    return (f"{m['cpu']}, {m['cores']} cores; other processes used at most {foreign:.2f} cores during a cell. "
            f"{versions}. Batch 1, medians of {result['rounds']} interleaved rounds; a ratio below 1 means pare is "
            "faster; its interval is 95 % (bootstrap over rounds). `(mixed)`: NNCF's preset MIXED was the faster of "
            "its two.\n")


def write_markdown(result):
    parts = [machine_text(result)]
    for precision, group in result["groups"].items():
        parts.append(f"### {precision}\n\n" + latency_table(group["cells"], group["means"]))
        parts.append("Peak memory of a fresh process that loads the model and runs it once:\n\n" +
                     memory_table(group["memory"]))
    if result["artifacts"]:
        parts.append("### Artifacts\n\n" + artifact_table(result["artifacts"]))
    if result["compression"]:
        name = result["compression"]["model"]
        parts.append(f"### Compressing {name} to int8\n\n" + compression_table(result["compression"]["rows"]))
    return "\n".join(parts)
