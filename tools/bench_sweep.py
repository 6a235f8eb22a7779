"""The day's sweep of many visits, and what it leaves to people: `make bench-sweep`.

Ten minutes is what the sweep of 10,000 may take at 300 ms of payer; a check at the desk meanwhile
may take twice of what it takes alone.
"""

import json
import subprocess
import sys
import tempfile
import threading
import time
from datetime import UTC, datetime, timedelta
from functools import partial
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parent.parent))

from tests import samples
from tests.programs import Programs, wait_for
from tests.x12_texts import file_271
from tools import bench_checks

VISITS, ALONE, BESIDE = 10_000, 40, 100
PAUSE_S = 1.0  # between two people at the desk


def main() -> int:
    """Measure, print a table and return 0; 1 where a visit was not verified."""
    with tempfile.TemporaryDirectory() as folder:
        programs = Programs(Path(folder))
        try:
            return _measured(programs)
        finally:
            programs.stop()


def _measured(programs: Programs) -> int:
    programs.start("sandbox", "server", "bots")
    for resource in (samples.clinic(), samples.payer(), samples.patient()):
        programs.put(resource)
    programs.answer("INF100001", file_271("active-ppo"))
    day = datetime.now(UTC).date() + timedelta(days=2)  # noqa: TID251 a day that is to come
    bench_checks.post_visits(programs, VISITS, day)
    programs.register()  # now: the coverages themselves are not what is measured
    latency = bench_checks.PAYER_MS
    programs.fault(route="primary", kind="none", times=10**6, latency_ms=latency)
    alone = sorted(_desk(programs, "alone", ALONE))
    started = time.perf_counter()
    command = [sys.executable, "-m", "bots", "sweep", "--day", str(day), "--json"]
    with subprocess.Popen(
        command, env=programs.environment, stdout=subprocess.PIPE, text=True
    ) as sweep:
        beside = sorted(_desk(programs, "beside", BESIDE, sweep))
        told, _ = sweep.communicate()
    took_s = time.perf_counter() - started
    verified = json.loads(told)["verified"] if sweep.returncode == 0 else 0
    one, other = (bench_checks.percentile(times, 95) for times in (alone, beside))
    print(f"| a sweep of {VISITS:,} visits, payer takes {latency} ms | figure |")
    print("|---|---|")
    print(f"| all of it | {took_s:.0f} s, {verified:,} verified |")
    print(f"| a check at the desk, alone, p95 | {one * 1000:.0f} ms |")
    print(f"| a check at the desk, beside it, p95 of {len(beside)} | {other * 1000:.0f} ms |")
    print(f"| beside it to alone | {other / one:.1f} |")
    return 0 if verified == VISITS else 1


def _desk(
    programs: Programs, prefix: str, count: int, sweep: subprocess.Popen[str] | None = None
) -> list[float]:
    """Return the seconds of checks one by one, of `count`, or as long as a sweep runs."""
    times, pause = [], threading.Event()
    for number in range(count):
        if sweep is not None and sweep.poll() is not None:
            break
        coverage = f"{prefix}-{number}"
        started = time.perf_counter()
        bench_checks.store(programs, coverage)
        answered = partial(bench_checks.is_answered, programs, coverage)
        wait_for(answered, coverage, 120)
        times.append(time.perf_counter() - started)
        pause.wait(PAUSE_S)
    return times


if __name__ == "__main__":
    sys.exit(main())
