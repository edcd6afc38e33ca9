"""Peak memory of each engine: a fresh process that loads the artifact and runs it once (VmHWM)."""
import json
import subprocess

import numpy as np


def run_once(command):
    try:
        done = subprocess.run(command, capture_output=True, text=True, timeout=600)
    except (OSError, subprocess.TimeoutExpired) as error:
        return {"error": str(error)}
    lines = done.stdout.strip().splitlines()
    if done.returncode != 0 or not lines:
        return {"error": (done.stderr.strip().splitlines() or [f"exit status {done.returncode}"])[-1]}
    found = json.loads(lines[-1])
    return found if isinstance(found, dict) else {"peak_bytes": found, "interpreter_bytes": 0}


def pare_command(pare, path, inputs):
    shapes = [word for file in inputs for word in ("--shape", "x".join(map(str, np.load(file, mmap_mode="r").shape)))]
    return [str(pare), "measure-memory", str(path), "--threads", "1", *shapes]


def measure_memory(commands, pare, path, inputs):
    """{engine: {"peak_bytes", "interpreter_bytes"} or {"error"}}; commands: as they are timed. The interpreter's share is
    what Python and NumPy took before the engine was loaded; pare has none."""
    rows = {}
    for name, command in commands.items():
        rows[name] = run_once(pare_command(pare, path, inputs) if name == "pare" else [*command, "--once"])
    return rows


def summarize(rows):
    """pare against the smaller peer: its whole process, and without its interpreter."""
    peers = [r for n, r in rows.items() if n != "pare" and "peak_bytes" in r]
    if not peers or "peak_bytes" not in rows.get("pare", {}):
        return None
    ours = rows["pare"]["peak_bytes"]
    return {"ratio": ours / min(r["peak_bytes"] for r in peers),
            "net_ratio": ours / min(r["peak_bytes"] - r["interpreter_bytes"] for r in peers)}
