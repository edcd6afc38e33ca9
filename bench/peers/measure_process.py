#!/usr/bin/env python3
"""Runs a command and writes its seconds and peak memory: python3 -I -S measure_process.py RESULT.json COMMAND…

Linux lets a child inherit the peak memory its parent had when it was started, so a big Python process cannot measure a
small program. This one imports next to nothing: what it cannot see below is its own 10 MB.
"""
import json
import os
import sys
import time


def main():
    start = time.perf_counter()
    child = os.posix_spawnp(sys.argv[2], sys.argv[2:], os.environ)
    _, status, usage = os.wait4(child, 0)
    seconds = time.perf_counter() - start
    with open(sys.argv[1], "w") as file:
        json.dump({"seconds": seconds, "peak_memory_bytes": usage.ru_maxrss * 1024,
                   "cpu_seconds": usage.ru_utime + usage.ru_stime}, file)
    sys.exit(os.waitstatus_to_exitcode(status))


if __name__ == "__main__":
    main()
