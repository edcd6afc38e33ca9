"""study.json as the page docs/guide/study.md: a template's words, and tables where it says {{model NAME}}."""
import re

import sections
import tables

TITLES = {"fp32": "float32", "bf16": "bfloat16", "dynamic": "int8 dynamic"}
SCALES = {"top1": (100, "%"), "accuracy": (100, "%"), "mAP50-95": (100, ""), "mAP50": (100, "")}


def ratio(mine, theirs):
    return "–" if not mine or not theirs else f"{mine / theirs:.2f}"


def pair(values):
    return " / ".join(values)


def engine_ms(timed, threads, prefix):
    for cell in timed.get("cells", []):
        if cell["threads"] == threads:
            return tables.fastest(cell, prefix)[0]
    return None


def least_mb(timed, prefix):
    engines = timed.get("memory", {}).get("engines", {})
    found = [e["peak_bytes"] for n, e in engines.items() if n.startswith(prefix) and "peak_bytes" in e]
    return f"{min(found) / 1e6:.0f}" if found else "–"


def quality_text(metric):
    if not metric:
        return "–"
    scale, _ = SCALES.get(metric["name"], (100 if metric["high"] is not None and abs(metric["high"]) <= 1 else 1, ""))
    value = f"{scale * metric['value']:.2f}"
    if metric.get("low") is None or metric.get("high") is None:
        return value
    return f"{value} [{scale * metric['low']:.2f}, {scale * metric['high']:.2f}]"


def change_text(row):
    paired, metric = row.get("paired"), row.get("metric")
    if not paired or not metric:
        return ""
    scale, _ = SCALES.get(metric["name"], (100 if abs(metric["value"]) <= 1 else 1, ""))
    values = [paired["difference"], paired["low"], paired["high"]]
    if any(v is None for v in values):
        return ""
    return "{:+.2f} [{:+.2f}, {:+.2f}]".format(*(scale * v for v in values))


def row_text(row, baseline, timed, first):
    """One row: of pare, and pare's time as a share of the same precision's in each peer."""
    name = row.get("precision", row.get("recipe", "?"))
    cells = [TITLES.get(name, name)]
    if row.get("error"):
        return [*cells, "failed: " + row["error"].replace("|", "/").replace("\n", " "), *[""] * 8]
    size = f"{row['size_bytes'] / 1e6:.2f}"
    if row is not baseline:
        size += f" ({100 * row['size_bytes'] / baseline['size_bytes']:.0f} %)"
    own = [engine_ms(timed, t, "pare") for t in (1, 2)]
    cells += [size, quality_text(row.get("metric")), change_text(row)]
    cells.append(pair(tables.milliseconds(v) for v in own))
    cells.append("1" if row is baseline else pair(ratio(v, engine_ms(first, t, "pare")) for t, v in zip((1, 2), own)))
    for peer in ("onnxruntime", "openvino"):
        cells.append(pair(ratio(v, engine_ms(timed, t, peer)) for t, v in zip((1, 2), own)))
    cells.append(pair(least_mb(timed, e) for e in ("pare", "onnxruntime", "openvino")))
    return cells


def notes(model):
    lines = []
    for precision, timed in model["timed"].items():
        if "error" in timed:
            lines.append(f"{TITLES.get(precision, precision)} was not timed: {timed['error']}")
        for name in sorted({n for cell in timed.get("cells", []) for n in cell["errors"]}):
            lines.append(f"{TITLES.get(precision, precision)}: {name} did not run.")
    if model.get("peer_int8"):
        peer = model["peer_int8"]
        lines.append(f"ONNX Runtime's own int8 file (per channel, min-max, the same calibration data) reaches "
                     f"{quality_text(peer['metric'])} at {peer['size_bytes'] / 1e6:.2f} MB.")
    return "".join(f"\n{line}\n" for line in lines)


def model_text(name, result, earlier):
    """The section of a model, between its marks; of one that was not run, what the page said before."""
    begin, end = f"<!-- {name} -->\n", f"<!-- end of {name} -->\n"
    model = result["models"].get(name)
    if model is None:
        if begin in earlier and end in earlier:
            return earlier[earlier.index(begin):earlier.index(end) + len(end)]
        return f"{begin}`{name}` is not studied yet: `./dev study --models {name}`.\n{end}"
    if "error" in model["study"]:
        return f"{begin}`{model['file']}`: the study failed: {model['study']['error']}\n{end}"
    rows, timed = model["study"]["rows"], model["timed"]
    metric = (rows[0].get("metric") or {}).get("name", "quality")
    head = [f"`{model['file']}`", "MB", f"{metric} [95 %]", "change [95 %]", "ms, 1 / 2 threads", "of pare's float32",
            "of ONNX Runtime", "of OpenVINO", "peak MB: pare / ONNX Runtime / OpenVINO"]
    body = [row_text(row, rows[0], timed.get(row.get("precision"), {}), timed.get("fp32", {})) for row in rows]
    advice = model["study"].get("recommendation", "")
    return (f"{begin}{tables.table(head, body)}\n{model['study'].get('data', '')}. {advice}\n{notes(model)}\n"
            f"*{measured_on(model, result)}*\n{end}")


def measured_on(model, result):
    machine = result["machine"]
    versions = ", ".join(f"{k} {v}" for k, v in machine["versions"].items())
    foreign = max((c["foreign_cores"] for t in model["timed"].values() for c in t.get("cells", [])), default=0.0)
    pare = model["study"].get("machine", {})
    return (f"{machine['cpu']}, {machine['cores']} cores ({pare.get('isa', 'unknown instruction sets')}); "
            f"{pare.get('os', '')}; {result['date']}; pare {pare.get('pare', '?')}, {versions}; medians of "
            f"{result['rounds']} interleaved rounds, during which other processes used at most {foreign:.2f} cores.")


def write_page(template, result, earlier):
    """`earlier`: the page as it was, which keeps what was not run and what other scripts write."""
    page = template.replace("{{pruning}}", sections.PRUNING.kept(earlier)).replace("{{language}}", sections.LANGUAGE.kept(earlier))
    return re.sub(r"\{\{model (\w+)\}\}\n?", lambda found: model_text(found[1], result, earlier), page)
