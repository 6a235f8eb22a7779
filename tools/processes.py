"""What processes cost: CPU seconds and memory of a process and all below it."""

import os
from collections.abc import Iterator
from pathlib import Path

TICKS_S = os.sysconf("SC_CLK_TCK")


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
