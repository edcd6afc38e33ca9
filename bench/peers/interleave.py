"""Times several engines in turns: each is a server process, each round gives every one a burst, in rotating order."""
import os
import select
import signal
import subprocess
import time

import numpy as np

READY_SECONDS = 300
RESAMPLES = 2000
SEED = 3
OWN = "pare"  # engines of this name, and of names that begin with it, are no peers


class EngineFailed(Exception):
    pass


class Engine:
    """A server pinned to the first `threads` cores, and stopped (SIGSTOP) outside run().

    Idle is not enough: ONNX Runtime's workers spin for tens of milliseconds after an inference and would take a core
    from the engine that comes next.
    """

    def __init__(self, name, command, threads):
        cores = sorted(os.sched_getaffinity(0))[:threads]
        self.name = name
        self.process = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, bufsize=0,
                                        preexec_fn=lambda: os.sched_setaffinity(0, cores))
        line = self.read_line()
        if line != "ready":
            self.stop()
            raise EngineFailed(f"{name} said {line!r} instead of 'ready'")
        self.process.send_signal(signal.SIGSTOP)

    def read_line(self):
        data = b""
        while not data.endswith(b"\n"):
            ready, _, _ = select.select([self.process.stdout], [], [], READY_SECONDS)
            chunk = os.read(self.process.stdout.fileno(), 65536) if ready else b""
            if not chunk:
                self.stop()
                raise EngineFailed(f"{self.name} ended or hung")
            data += chunk
        return data.decode().strip()

    def run(self, count):
        """Latencies in ms; one more inference is made first and dropped, it wakes threads and fills caches."""
        self.process.send_signal(signal.SIGCONT)
        try:
            self.process.stdin.write(f"run {count + 1}\n".encode())
        except OSError as error:
            raise EngineFailed(f"{self.name}: {error}") from error
        values = [float(v) / 1e3 for v in self.read_line().split()]
        self.process.send_signal(signal.SIGSTOP)
        if len(values) != count + 1:
            raise EngineFailed(f"{self.name} answered {len(values)} latencies instead of {count + 1}")
        return values[1:]

    def cpu_seconds(self):
        with open(f"/proc/{self.process.pid}/stat") as file:
            fields = file.read().rpartition(")")[2].split()
        return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")

    def stop(self):
        if self.process.poll() is None:
            self.process.send_signal(signal.SIGCONT)
            try:
                self.process.stdin.write(b"quit\n")
                self.process.wait(timeout=5)
            except (OSError, subprocess.TimeoutExpired):
                self.process.kill()
                self.process.wait()


class ForeignLoad:
    """Cores that processes other than the engines (and this one) used since it was made: 0 on a quiet machine."""

    def __init__(self, engines):
        self.engines = engines
        self.start = self.read()

    def read(self):
        with open("/proc/stat") as file:
            user, nice, system, _, _, irq, softirq, steal = map(int, file.readline().split()[1:9])
        busy = (user + nice + system + irq + softirq + steal) / os.sysconf("SC_CLK_TCK")
        own = sum(e.cpu_seconds() for e in self.engines) + time.process_time()
        return np.array([busy - own, time.perf_counter()])

    def cores(self):
        """Counters have a resolution of one tick a process, which is taken off."""
        busy, seconds = self.read() - self.start
        blur = (len(self.engines) + 1) / os.sysconf("SC_CLK_TCK")
        return max(0.0, float((busy - blur) / seconds))


def start_engines(commands, threads):
    """Starts every engine that can; returns them and {name: error} of the others."""
    engines, errors = [], {}
    for name, command in commands.items():
        try:
            engines.append(Engine(name, command, threads))
        except (OSError, EngineFailed) as error:
            errors[name] = str(error)
    return engines, errors


def run_rounds(engines, rounds, burst):
    """{engine: array [rounds, burst] of ms}."""
    times = {e.name: [] for e in engines}
    for r in range(rounds):
        first = r % len(engines)
        for engine in engines[first:] + engines[:first]:
            times[engine.name].append(engine.run(burst))
    return {name: np.array(rows) for name, rows in times.items()}


def bootstrap_medians(values):
    random = np.random.default_rng(SEED)
    picks = random.integers(0, len(values), (RESAMPLES, len(values)))
    return np.median(np.asarray(values)[picks], axis=1)


def compare_to_best(times, subject):
    """Ratio subject / best peer, as the median over rounds; best is the peer with the lowest median of all.

    `own_ratio`: the same against another artifact of the subject's own.
    """
    peers = {n: np.median(t) for n, t in times.items() if n != subject and not n.startswith(OWN)}
    if not peers:
        return None
    best = min(peers, key=peers.get)
    result = {"best_peer": best}
    for own in times:
        if subject in times and own != subject and own.startswith(OWN):
            result["own_ratio"] = float(np.median(np.median(times[subject], axis=1) / np.median(times[own], axis=1)))
    if subject in times:
        ratios = np.median(times[subject], axis=1) / np.median(times[best], axis=1)
        draws = bootstrap_medians(ratios)
        low, high = np.percentile(draws, [2.5, 97.5])
        result |= {"ratio": float(np.median(ratios)), "ratio_low": float(low), "ratio_high": float(high),
                   "draws": draws}
    return result


def geometric_mean(cells):
    """Over cells with a ratio: mean and 95 % interval, from the cells' own bootstrap draws."""
    cells = [c for c in cells if "ratio" in c]
    if not cells:
        return None
    draws = np.exp(np.mean([np.log(c["draws"]) for c in cells], axis=0))
    low, high = np.percentile(draws, [2.5, 97.5])
    mean = float(np.exp(np.mean([np.log(c["ratio"]) for c in cells])))
    return {"ratio": mean, "ratio_low": float(low), "ratio_high": float(high), "cells": len(cells)}


def time_cell(commands, threads, rounds, burst, subject="pare"):
    engines, errors = start_engines(commands, threads)
    try:
        load = ForeignLoad(engines)
        times = run_rounds(engines, rounds, burst)
        foreign = load.cores()
    finally:
        for engine in engines:
            engine.stop()
    summary = {n: {"median_ms": float(np.median(t)), "p95_ms": float(np.percentile(t, 95)), "min_ms": float(t.min()),
                   "rounds_ms": [round(float(v), 5) for v in np.median(t, axis=1)]} for n, t in times.items()}
    cell = {"threads": threads, "engines": summary, "errors": errors, "foreign_cores": foreign}
    return cell | (compare_to_best(times, subject) or {})
