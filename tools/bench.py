"""Measure one check end to end, and reads and writes against their limits, in one run.

`make bench` prints the figures; with `--write` it also puts them into docs/performance.md. The
limit is a plain Flask handler on the same server that does no work: ratios to it hold across
machines, times do not. Everything runs on loopback with the sandbox at zero latency.
"""

import argparse
import itertools
import json
import os
import platform
import sqlite3
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime
from pathlib import Path
from statistics import median
from typing import Any

import psycopg
import requests

ROOT = Path(__file__).parent.parent
sys.path.insert(0, str(ROOT))

from server import cli
from tests import databases, samples
from tests.programs import Programs, free_port, wait_for
from tests.x12_texts import file_271
from tools import load

CHECKS, POSTERS, RATE = 200, 8, 35
TICKS_S = os.sysconf("SC_CLK_TCK")
MARK = "<!-- figures -->"


def main() -> None:
    """Measure and print; `--write` also puts the figures into docs/performance.md."""
    parser = argparse.ArgumentParser(description=__doc__, epilog="example: make bench ARGS=--write")
    parser.add_argument("--write", action="store_true", help="write docs/performance.md")
    parser.add_argument("--limits", action="store_true", help="leave out the checks")
    chosen = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        place = Path(folder)
        parts = [_machine()] + ([] if chosen.limits else [_checks(place)]) + [_limits(place)]
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
BODY = %r
def application():
    app = Flask("floor")
    kind = "application/fhir+json; charset=utf-8"
    app.add_url_rule("/fhir/<t>/<i>", "read", lambda t, i: Response(BODY, content_type=kind))
    app.add_url_rule("/fhir/<t>", "search", lambda t: Response(BODY, content_type=kind))
    app.add_url_rule("/healthz", "healthz", lambda: "ok")
    return app
"""
SMALL, LARGE, CLIENTS, WORKERS = 1_000, 200_000, 16, 2


def _limits(folder: Path) -> Iterator[str]:
    programs = _server(folder / "small", "")
    try:
        base, port = programs.fhir, programs.ports["server"]
        _fill(programs, SMALL, folder)
        one = requests.get(f"{base}/Coverage/n7", timeout=20).content
        floor = _floor(folder, one)
        rows = [("static Flask", floor[0].pid, floor[1], "/fhir/Coverage/c", None)]
        rows += [(name, programs.process("server"), port, path, None) for name, path in READS]
        found = {row[0]: _measured(*row) for row in rows}
        floor[0].terminate()
        floor[0].wait()
        yield (f"| {CLIENTS} connections, {WORKERS} processes | requests/s | of static Flask "
               "| server CPU | p99 |")  # fmt: skip
        yield "|---|---|---|---|---|"
        limit = found["static Flask"]
        for name, (run, cpu) in found.items():
            yield (f"| {name} | {run.rate:.0f} | {run.rate / limit[0].rate:.0%} | {cpu:.2f} ms | "
                   f"{run.percentile(99) * 1000:.0f} ms |")  # fmt: skip
        yield ""
        yield from _writes(programs, _sqlite_limit(folder))
        yield from _flat(programs, folder, found)
    finally:
        programs.stop()
    yield from _postgres(folder)
    yield from _start(folder)


READS = (
    ("read by id", "/fhir/Coverage/n7"),
    ("search by reference and status", "/fhir/Coverage?beneficiary=Patient/p7&status=active"),
    ("search by identifier", "/fhir/Coverage?identifier=urn:bench|7"),
    ("search with _include", "/fhir/Coverage?identifier=urn:bench|7&_include=Coverage:beneficiary"),
    ("one page of 20", "/fhir/Coverage?_count=20&_total=none"),
    ("search sorted by date", "/fhir/Coverage?beneficiary=Patient/p7&_sort=-_lastUpdated"),
    ("history of an instance", "/fhir/Coverage/n7/_history"),
    ("metadata", "/fhir/metadata"),
)


def _server(folder: Path, database: str) -> Programs:
    folder.mkdir()
    programs = Programs(folder, database, serve=("--workers", str(WORKERS)))
    programs.start("server")
    return programs


def _coverage(number: int) -> dict[str, Any]:
    return samples.coverage(
        f"n{number}", beneficiary={"reference": f"Patient/p{number % max(1, SMALL // 3)}"},
        identifier=[{"system": "urn:bench", "value": str(number)}],
        period={"start": "2026-01-01", "end": "2026-12-31"},
    )  # fmt: skip


def _fill(programs: Programs, count: int, folder: Path) -> None:
    """Load coverages n0 up to n{count - 1} and their patients."""
    path = folder / f"load-{count}.ndjson"
    with path.open("w", encoding="utf-8") as file:
        for number in range(min(count, SMALL)):
            file.write(json.dumps(samples.patient(f"p{number}")) + "\n")
        for number in range(count):
            file.write(json.dumps(_coverage(number)) + "\n")
    done = programs.run("server", "load", str(path))
    if done.returncode:
        sys.exit(done.stderr)


def _measured(  # noqa: PLR0913 what a run is made of
    name: str, pid: int, port: int, path: str, make: Callable[[int], bytes] | None,
    *, count: int = 8000, expected: int = 200,
) -> tuple[load.Run, float]:  # fmt: skip
    """Return a run of requests and the server CPU milliseconds of each."""
    fixed = load.request("GET", path)
    load.run(port, make or (lambda _n: fixed), count=count // 10, connections=CLIENTS,
             expected=expected)  # fmt: skip
    before = _cpu_s(pid)
    run = load.run(port, (lambda n: make(n + count)) if make else (lambda _n: fixed), count=count,
                   connections=CLIENTS, expected=expected)  # fmt: skip
    if run.wrong:
        sys.exit(f"{name}: {run.wrong} answers were not {expected}")
    return run, (_cpu_s(pid) - before) * 1000 / count


def _writes(programs: Programs, limit: float) -> Iterator[str]:
    port, pid = programs.ports["server"], programs.process("server")
    plain = json.dumps(_coverage(0)).encode()

    def create(_number: int) -> bytes:
        return load.request("POST", "/fhir/Coverage", plain)

    def update(number: int) -> bytes:
        body = json.dumps({**_coverage(number % 900), "dependent": str(number)}).encode()
        return load.request("PUT", f"/fhir/Coverage/n{number % 900}", body)

    def stale(number: int) -> bytes:
        body = json.dumps({**_coverage(number % 900), "dependent": "x"}).encode()
        return load.request("PUT", f"/fhir/Coverage/n{number % 900}", body, If_Match='W/"999999"')

    def bundle(kind: str, count: int) -> bytes:
        entries = [
            {"fullUrl": f"urn:uuid:{n:08d}-9b1e-4c5f-8f4d-7a110d7d0f2a", "resource": _coverage(n)}
            | ({"request": {"method": "POST", "url": "Coverage"}} if kind == "transaction" else {})
            for n in range(count)
        ]  # fmt: skip
        body = {"resourceType": "Bundle", "type": kind, "entry": entries}
        return json.dumps(body).encode()

    transaction, collection = bundle("transaction", 10), bundle("collection", 39)
    response = json.dumps(_response(60)).encode()
    fhir = "/fhir/CoverageEligibilityResponse"
    rows: list[tuple[str, Callable[[int], bytes], int, int]] = [
        ("create a Coverage", create, 3000, 201),
        ("update with a change", update, 3000, 200),
        ("stale If-Match", stale, 3000, 412),
        ("transaction of 10", lambda _n: load.request("POST", "/fhir", transaction), 300, 200),
        (f"Bundle of {len(collection) // 1024} KB stored",
         lambda _n: load.request("POST", "/fhir/Bundle", collection), 300, 201),
        (f"60-item response of {len(response) // 1024} KB created",
         lambda _n: load.request("POST", fhir, response), 300, 201),
    ]  # fmt: skip
    yield (f"| SQLite, indexed and durable limit {limit:.0f}/s | requests/s | of the limit "
           "| server CPU | p99 |")  # fmt: skip
    yield "|---|---|---|---|---|"
    for name, make, count, status in rows:
        run, cpu = _measured(name, pid, port, "/", make, count=count, expected=status)
        yield (f"| {name} | {run.rate:.0f} | {run.rate / limit:.0%} | {cpu:.2f} ms | "
               f"{run.percentile(99) * 1000:.0f} ms |")  # fmt: skip
    yield ""


def _response(items: int) -> dict[str, Any]:
    """A CoverageEligibilityResponse of so many items with two benefits each."""

    def concept(system: str, code: str) -> dict[str, Any]:
        return {"coding": [{"system": system, "code": code, "display": f"Display of {code}"}]}

    item = {
        "category": concept("https://codesystem.x12.org/005010/1365", "30"),
        "network": concept("http://terminology.hl7.org/CodeSystem/benefit-network", "in"),
        "unit": concept("http://terminology.hl7.org/CodeSystem/benefit-unit", "individual"),
        "term": concept("http://terminology.hl7.org/CodeSystem/benefit-term", "annual"),
        "benefit": [
            {"type": concept("http://terminology.hl7.org/CodeSystem/benefit-type", code),
             "allowedMoney": {"value": 1500.0, "currency": "USD"},
             "usedMoney": {"value": 250.0, "currency": "USD"}}
            for code in ("deductible", "copay")
        ],
    }  # fmt: skip
    return {
        "resourceType": "CoverageEligibilityResponse", "status": "active", "purpose": ["benefits"],
        "patient": {"reference": "Patient/p1"}, "created": "2026-11-24T15:00:00Z",
        "request": {"reference": "CoverageEligibilityRequest/r"}, "outcome": "complete",
        "insurer": {"reference": "Organization/payer"},
        "insurance": [{"coverage": {"reference": "Coverage/n1"}, "inforce": True,
                       "item": [item] * items}],
    }  # fmt: skip


def _sqlite_limit(folder: Path) -> float:
    """Return commits a second of a row, its history and six index rows, synchronous=FULL."""
    connection = sqlite3.connect(folder / "limit.db", isolation_level=None)
    for statement in ("PRAGMA journal_mode = WAL", "PRAGMA synchronous = FULL", *_LIMIT_TABLES):
        connection.execute(statement.replace("{blob}", "BLOB").replace("{end}", " WITHOUT ROWID"))

    def one(number: int) -> None:
        connection.execute("BEGIN IMMEDIATE")
        key = f"{number * 2654435761 % 2**32:032x}"
        connection.execute("INSERT INTO r VALUES (?, 1, ?)", (key, _LIMIT_BODY))
        connection.execute("INSERT INTO h VALUES (?, 1, ?)", (key, _LIMIT_BODY))
        connection.executemany("INSERT INTO ix VALUES (?, ?, ?)", _limit_rows(key))
        connection.execute("COMMIT")

    return _per_second(one)


_LIMIT_TABLES = (
    "CREATE TABLE r (id TEXT PRIMARY KEY, ver INTEGER, body {blob})",
    "CREATE TABLE h (id TEXT, ver INTEGER, body {blob}, PRIMARY KEY (id, ver))",
    "CREATE TABLE ix (p TEXT, v TEXT, id TEXT, PRIMARY KEY (p, v, id)){end}",
)
_LIMIT_BODY = b'{"resourceType":"Coverage","x":"' + b"a" * 980 + b'"}'


def _limit_rows(key: str) -> list[tuple[str, str, str]]:
    names = ("identifier", "beneficiary", "payor", "status", "subscriber", "type")
    return [(name, key[place : place + 16], key) for place, name in enumerate(names)]


def _per_second(work: Callable[[int], None], count: int = 3000) -> float:
    for number in range(count // 10):
        work(number)
    started = time.perf_counter()
    for number in range(count // 10, count):
        work(number)
    return (count - count // 10) / (time.perf_counter() - started)


def _flat(
    programs: Programs, folder: Path, small: dict[str, tuple[load.Run, float]]
) -> Iterator[str]:
    """Compare reads and searches of a small store with the same of a large one."""
    started = time.perf_counter()
    _fill(programs, LARGE, folder)
    took = time.perf_counter() - started
    yield f"| server CPU by size of the store | {SMALL:,} | {LARGE:,} coverages | ratio |"
    yield "|---|---|---|---|"
    for name, path in READS[:6]:
        run, cpu = _measured(name, programs.process("server"), programs.ports["server"], path, None)
        yield f"| {name} | {small[name][1]:.3f} ms | {cpu:.3f} ms | {cpu / small[name][1]:.2f} |"
        del run
    yield ""
    yield f"`inforce load` stored {LARGE:,} coverages in {took:.0f} s, {LARGE / took:.0f}/s."
    yield ""


def _postgres(folder: Path) -> Iterator[str]:
    with databases.postgres(folder / "postgres", durable=True) as server:
        limit = _postgres_limit(databases.new("postgresql", folder, server))
        programs = _server(folder / "pg", databases.new("postgresql", folder, server))
        try:
            body = json.dumps(_coverage(0)).encode()
            run, cpu = _measured(
                "create", programs.process("server"), programs.ports["server"], "/",
                lambda _n: load.request("POST", "/fhir/Coverage", body), count=2000, expected=201,
            )  # fmt: skip
        finally:
            programs.stop()
    yield (f"| PostgreSQL, indexed limit {limit:.0f}/s | requests/s | of the limit "
           "| server CPU | p99 |")  # fmt: skip
    yield "|---|---|---|---|---|"
    yield (f"| create a Coverage | {run.rate:.0f} | {run.rate / limit:.0%} | {cpu:.2f} ms | "
           f"{run.percentile(99) * 1000:.0f} ms |")  # fmt: skip
    yield ""


def _postgres_limit(url: str) -> float:
    """Return commits a second of the same rows over four connections, pipelined."""
    with psycopg.connect(url, autocommit=True) as connection:
        for statement in _LIMIT_TABLES:
            connection.execute(statement.replace("{blob}", "BYTEA").replace("{end}", ""))

    def work(place: int) -> None:
        with psycopg.connect(url, prepare_threshold=1) as connection:
            for number in range(place, 3000, 4):
                key = f"{number * 2654435761 % 2**32:032x}"
                with connection.pipeline():
                    connection.execute("INSERT INTO r VALUES (%s, 1, %s)", (key, _LIMIT_BODY))
                    connection.execute("INSERT INTO h VALUES (%s, 1, %s)", (key, _LIMIT_BODY))
                    names, values, keys = zip(*_limit_rows(key), strict=True)
                    connection.execute(
                        "INSERT INTO ix SELECT unnest(%s::text[]), unnest(%s::text[]),"
                        " unnest(%s::text[])", (list(names), list(values), list(keys)),
                    )  # fmt: skip
                connection.commit()

    started = time.perf_counter()
    with ThreadPoolExecutor(4) as pool:
        list(pool.map(work, range(4)))
    return 3000 / (time.perf_counter() - started)


def _start(folder: Path) -> Iterator[str]:
    """Measure the first answer of a new server, and its memory at rest."""
    place = folder / "start"
    place.mkdir()
    programs = Programs(place)
    started = time.perf_counter()
    try:
        programs.start("server")
        first = time.perf_counter() - started
        threading.Event().wait(2)
        memory = _memory_mib(programs.process("server"))
    finally:
        programs.stop()
    yield "| a new server, one process | figure |"
    yield "|---|---|"
    yield f"| start to the first 200, empty store | {first:.2f} s |"
    yield f"| memory at rest, all server processes (PSS) | {memory:.0f} MiB |"


def _memory_mib(pid: int) -> float:
    total = 0
    for one in _tree(pid):
        text = Path(f"/proc/{one}/smaps_rollup").read_text("utf-8")
        line = next(line for line in text.splitlines() if line.startswith("Pss:"))
        total += int(line.split()[1])
    return total / 1024


def _floor(folder: Path, body: bytes) -> tuple["subprocess.Popen[bytes]", int]:
    """Start the limit of reads: Flask that returns the same bytes, on the same web server."""
    (folder / "floor.py").write_text(FLOOR % body, "utf-8")
    port = free_port()
    command = [sys.executable, "-m", "granian", "--interface", "wsgi", "--factory", "--port",
               str(port), "--workers", str(WORKERS), "--blocking-threads", str(cli.THREADS),
               "--no-ws", "floor:application"]  # fmt: skip
    child = subprocess.Popen(command, cwd=folder, stdout=subprocess.DEVNULL,
                             stderr=subprocess.DEVNULL, start_new_session=True)  # fmt: skip

    def answers() -> bool:
        try:
            return requests.get(f"http://127.0.0.1:{port}/healthz", timeout=2).ok
        except requests.RequestException:
            return False

    wait_for(answers, "the limit answers", 30)
    return child, port


def _cpu_s(pid: int) -> float:
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


if __name__ == "__main__":
    main()
