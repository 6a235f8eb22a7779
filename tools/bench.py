"""Measure one check end to end, and one create and read against their limits, in one run.

`make bench` prints the figures; with `--write` it also puts them into docs/performance.md. The
limit is a plain Flask handler on the same server that does no work: ratios to it hold across
machines, times do not. Everything runs on loopback with the sandbox at zero latency.
"""

import argparse
import json
import os
import platform
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Callable, Iterator
from datetime import UTC, datetime
from functools import partial
from pathlib import Path
from statistics import median
from typing import Any

import requests

ROOT = Path(__file__).parent.parent
sys.path.insert(0, str(ROOT))

from tests import samples
from tests.programs import Programs, free_port, wait_for
from tests.x12_texts import file_271

CHECKS, POSTERS, RATE, REQUESTS = 200, 8, 35, 1000
TICKS_S = os.sysconf("SC_CLK_TCK")
MARK = "<!-- figures -->"


def main() -> None:
    """Measure and print; `--write` also puts the figures into docs/performance.md."""
    parser = argparse.ArgumentParser(description=__doc__, epilog="example: make bench ARGS=--write")
    parser.add_argument("--write", action="store_true", help="write docs/performance.md")
    chosen = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        text = "\n".join([*_machine(), *_checks(Path(folder)), *_limits(Path(folder))]) + "\n"
    print(text)
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


def _checks(folder: Path) -> Iterator[str]:
    programs = Programs(folder)
    try:
        programs.start("sandbox", "server", "bots")
        programs.register()
        for resource in (samples.clinic(), samples.payer(), samples.patient()):
            programs.put(resource)
        programs.answer("INF100001", file_271("active-ppo"))
        _post(programs, "warm", 20)
        alone = sorted(_one_by_one(programs, 50))
        paced, spread = _many(programs, "paced", RATE)
        flat_out, _ = _many(programs, "many", 0)
    finally:
        programs.stop()
    yield "| one check: Coverage posted -> CoverageEligibilityResponse stored | figure |"
    yield "|---|---|"
    yield f"| alone, p50 | {median(alone) * 1000:.0f} ms |"
    yield f"| alone, p95 | {_percentile(alone, 95) * 1000:.0f} ms |"
    yield f"| {CHECKS} checks posted at {RATE}/s, p50 | {median(spread) * 1000:.0f} ms |"
    yield f"| {CHECKS} checks posted at {RATE}/s, p95 | {_percentile(spread, 95) * 1000:.0f} ms |"
    yield f"| {CHECKS} checks posted at {RATE}/s, stored | {paced:.0f} checks/s |"
    yield f"| {CHECKS} checks posted by {POSTERS} at once, stored | {flat_out:.0f} checks/s |"
    yield ""


def _post(programs: Programs, prefix: str, count: int) -> None:
    for number in range(count):
        programs.put(samples.coverage(f"{prefix}-{number}"))
    wait_for(lambda: _answered(programs, f"{prefix}-{count - 1}"), "the checks", 60)
    programs.settled()


def _answered(programs: Programs, coverage_id: str) -> bool:
    query = f"CoverageEligibilityResponse?coverage=Coverage/{coverage_id}&_summary=count"
    found = requests.get(f"{programs.fhir}/{query}", timeout=20).json()
    return bool(found["total"])


def _one_by_one(programs: Programs, count: int) -> Iterator[float]:
    pause = threading.Event()
    session = requests.Session()
    for number in range(count):
        coverage_id = f"alone-{number}"
        query = f"CoverageEligibilityResponse?coverage=Coverage/{coverage_id}&_summary=count"
        started = time.perf_counter()
        session.put(f"{programs.fhir}/Coverage/{coverage_id}",
                    json=samples.coverage(coverage_id), timeout=20)  # fmt: skip
        while not session.get(f"{programs.fhir}/{query}", timeout=20).json()["total"]:
            pause.wait(0.001)
        yield time.perf_counter() - started
        programs.settled()


def _many(programs: Programs, prefix: str, rate: float) -> tuple[float, list[float]]:
    """Post CHECKS coverages, `rate` a second (0: as fast as it goes).

    Return how many checks a second were stored from the first post to the last response, and the
    sorted times from stored Coverage to stored response, by the server's own clock.
    """
    _post_all(programs, prefix, rate)
    programs.settled()
    spans = list(_spans(programs, prefix))
    if len(spans) != CHECKS:
        sys.exit(f"expected {CHECKS} responses, found {len(spans)}")
    whole = max(end for _, end in spans) - min(start for start, _ in spans)
    times = sorted((end - start).total_seconds() for start, end in spans)
    return CHECKS / whole.total_seconds(), times


def _post_all(programs: Programs, prefix: str, rate: float) -> None:
    numbers, lock, pause = iter(range(CHECKS)), threading.Lock(), threading.Event()
    started = time.perf_counter()

    def post() -> None:
        session = requests.Session()
        while True:
            with lock:
                number = next(numbers, None)
            if number is None:
                return
            if rate:
                pause.wait(max(0.0, started + number / rate - time.perf_counter()))
            body = samples.coverage(f"{prefix}-{number}")
            session.put(f"{programs.fhir}/Coverage/{prefix}-{number}", json=body, timeout=60)

    threads = [threading.Thread(target=post) for _ in range(POSTERS)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()


def _spans(programs: Programs, prefix: str) -> Iterator[tuple[datetime, datetime]]:
    """Yield when each coverage and its response were stored."""
    for response in programs.search("CoverageEligibilityResponse?_count=1000"):
        address = response["insurance"][0]["coverage"]["reference"]
        if f"/{prefix}-" in address:
            first = requests.get(f"{programs.fhir}/{address}/_history/1", timeout=20).json()
            yield _moment(first), _moment(response)


def _moment(resource: dict[str, Any]) -> datetime:
    return datetime.fromisoformat(resource["meta"]["lastUpdated"])


def _percentile(values: list[float], percent: int) -> float:
    """Return the nearest-rank percentile of sorted values."""
    return values[max(0, -(-len(values) * percent // 100) - 1)]


FLOOR = """
from flask import Flask, Response, request
BODY = b'{"resourceType":"Coverage","id":"c","status":"active"}'
def application():
    app = Flask("floor")
    def read(): return Response(BODY, content_type="application/fhir+json; charset=utf-8")
    def create():
        request.get_data()
        return Response(BODY, 201, content_type="application/fhir+json; charset=utf-8")
    app.add_url_rule("/fhir/Coverage/c", "read", read)
    app.add_url_rule("/fhir/Coverage", "create", create, methods=["POST"])
    app.add_url_rule("/healthz", "healthz", lambda: "ok")
    return app
"""


def _limits(folder: Path) -> Iterator[str]:
    floor = _floor(folder)
    alone = folder / "alone"
    alone.mkdir()
    programs = Programs(alone)
    try:
        programs.start("server")
        programs.put(samples.coverage("c"))
        rows = {}
        for name, base, pid in (
            ("limit", floor[1], floor[0].pid),
            ("ours", programs.server, programs.process("server")),
        ):
            for kind, call in (("read", _read), ("create", _create)):
                call(base, 200)
                rows[name, kind] = _cost(pid, partial(call, base, REQUESTS))
    finally:
        programs.stop()
        floor[0].terminate()
        floor[0].wait()
    yield "| server CPU per request | plain Flask | ours | ratio |"
    yield "|---|---|---|---|"
    for kind in ("read", "create"):
        limit, ours = rows["limit", kind], rows["ours", kind]
        yield f"| {kind} of a Coverage | {limit:.2f} ms | {ours:.2f} ms | {ours / limit:.1f} |"


def _floor(folder: Path) -> tuple["subprocess.Popen[bytes]", str]:
    (folder / "floor.py").write_text(FLOOR, "utf-8")
    port = free_port()
    command = [sys.executable, "-m", "granian", "--interface", "wsgi", "--factory",
               "--port", str(port), "--blocking-threads", "16", "floor:application"]  # fmt: skip
    child = subprocess.Popen(command, cwd=folder, stdout=subprocess.DEVNULL,
                             stderr=subprocess.DEVNULL, start_new_session=True)  # fmt: skip
    base = f"http://127.0.0.1:{port}"

    def answers() -> bool:
        try:
            return requests.get(f"{base}/healthz", timeout=2).ok
        except requests.RequestException:
            return False

    wait_for(answers, "the limit answers", 30)
    return child, base


def _read(base: str, count: int) -> None:
    session = requests.Session()
    for _ in range(count):
        session.get(f"{base}/fhir/Coverage/c", timeout=20)


def _create(base: str, count: int) -> None:
    session = requests.Session()
    body = json.dumps(samples.coverage()).encode()
    headers = {"Content-Type": "application/fhir+json"}
    for _ in range(count):
        session.post(f"{base}/fhir/Coverage", data=body, headers=headers, timeout=20)


def _cost(pid: int, work: Callable[[], None]) -> float:
    """Return the CPU milliseconds per request that the process tree of `pid` spends on `work`."""
    before = _cpu_s(pid)
    work()
    return (_cpu_s(pid) - before) * 1000 / REQUESTS


def _cpu_s(pid: int) -> float:
    total, pids = 0.0, [pid]
    while pids:
        one = pids.pop()
        fields = Path(f"/proc/{one}/stat").read_text("utf-8").rpartition(")")[2].split()
        total += (int(fields[11]) + int(fields[12])) / TICKS_S
        for task in Path(f"/proc/{one}/task").iterdir():
            pids += [int(child) for child in (task / "children").read_text("utf-8").split()]
    return total


if __name__ == "__main__":
    main()
