"""Measure one check end to end, and reads and writes against their limits, in one run.

`make bench` prints the figures; with `--write` it also puts them into docs/performance.md. The
limit is a plain Flask handler on the same server that does no work: ratios to it hold across
machines, times do not. Everything runs on loopback with the sandbox at zero latency.
"""

import argparse
import itertools
import os
import platform
import sys
import tempfile
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path

ROOT = Path(__file__).parent.parent
sys.path.insert(0, str(ROOT))

from tools import bench_checks, bench_prior_auth, bench_server, bench_subscriptions, processes

MARK = "<!-- figures -->"


def main() -> None:
    """Measure and print; `--write` also puts the figures into docs/performance.md."""
    parser = argparse.ArgumentParser(description=__doc__, epilog="example: make bench ARGS=--write")
    parser.add_argument("--write", action="store_true", help="write docs/performance.md")
    parser.add_argument("--limits", action="store_true", help="leave out the checks")
    chosen = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        place = Path(folder)
        for name in ("subscriptions", "prior-auth"):
            (place / name).mkdir()
        parts = (
            [_machine()]
            + ([] if chosen.limits else [bench_checks.checks(place)])
            + [bench_prior_auth.prior_auths(place / "prior-auth")]
            + [processes.apart("tools.bench_x12").splitlines()]
            + [bench_subscriptions.subscriptions(place / "subscriptions")]
            + [bench_server.limits(place)]
        )
        text = ""
        for line in itertools.chain.from_iterable(parts):
            print(line, flush=True)
            text += f"{line}\n"
    if chosen.write:
        page = ROOT / "docs" / "performance.md"
        head = page.read_text("utf-8").split(MARK, maxsplit=1)[0]
        page.write_text(f"{head}{MARK}\n\n{text}", "utf-8")


def _machine() -> Iterator[str]:
    cpu = next((line.partition(":")[2].strip() for line in
                Path("/proc/cpuinfo").read_text("utf-8").splitlines()
                if line.startswith("model name")), "unknown")  # fmt: skip
    yield (f"Measured {datetime.now(UTC):%Y-%m-%d} on {os.cpu_count()} cores ({cpu}), "  # noqa: TID251
           f"{platform.system()}, Python {platform.python_version()}; server, bots, sandbox and "
           "client share the cores.")  # fmt: skip
    yield ""


if __name__ == "__main__":
    main()
