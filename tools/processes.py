"""A process of its own, and what one costs with all below it: CPU seconds and memory."""

import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

ROOT = Path(__file__).parents[1]
TICKS_S = os.sysconf("SC_CLK_TCK")


def apart(module: str) -> str:
    """Return what a module prints that runs in a process of its own: its CPU is nobody else's."""
    run = [sys.executable, "-m", module]
    ran = subprocess.run(run, cwd=ROOT, check=True, text=True, stdout=subprocess.PIPE)
    return ran.stdout


def cpu_s(pid: int) -> float:
    """Return the CPU seconds that a process and all below it have spent."""
    total = 0.0
    for one in _tree(pid):
        fields = Path(f"/proc/{one}/stat").read_text("utf-8").rpartition(")")[2].split()
        total += (int(fields[11]) + int(fields[12])) / TICKS_S
    return total


def _tree(pid: int) -> Iterator[int]:
    """Yield a process and all below it."""
    pids = [pid]
    while pids:
        one = pids.pop()
        yield one
        for task in Path(f"/proc/{one}/task").iterdir():
            pids += [int(child) for child in (task / "children").read_text("utf-8").split()]


def memory_mib(pid: int) -> float:
    """Return the memory of a process and all below it, shared parts divided (PSS), in MiB."""
    total = 0
    for one in _tree(pid):
        text = Path(f"/proc/{one}/smaps_rollup").read_text("utf-8")
        line = next(line for line in text.splitlines() if line.startswith("Pss:"))
        total += int(line.split()[1])
    return total / 1024
