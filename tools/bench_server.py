"""Reads and writes of the server against their limits, small and large, on both databases."""

import json
import sys
import threading
import time
from collections.abc import Callable, Iterator
from functools import cache
from pathlib import Path
from typing import Any

import requests

from tests import databases, samples
from tests.programs import Programs
from tools import floors, load, processes
from tools.bench_response import ITEMS, RESPONSES, stored

SMALL, LARGE, CLIENTS, WORKERS = 1_000, 200_000, 16, 2


def limits(folder: Path) -> Iterator[str]:
    """Yield the lines that tell of reads and writes against their limits; `folder` is empty."""
    programs = _server(folder / "small", "")
    try:
        base, port = programs.fhir, programs.ports["server"]
        _fill(programs, SMALL, folder)
        one = requests.get(f"{base}/Coverage/n7", timeout=20).content
        floor = floors.floor(folder, one, WORKERS)
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
        yield from _writes(programs, floors.sqlite_limit(folder))
        yield from _flat(programs, folder, found)
    finally:
        programs.stop()
    yield from _postgres(folder)
    yield from _start(folder)


READS = (
    ("read by id", "/fhir/Coverage/n7"),
    ("search by reference and status", "/fhir/Coverage?beneficiary=Patient/p7&status=active"),
    ("search by identifier", "/fhir/Coverage?identifier=urn:bench|700"),
    (
        "search with _include",
        "/fhir/Coverage?identifier=urn:bench|700&_include=Coverage:beneficiary",
    ),
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
        f"n{number}", beneficiary={"reference": f"Patient/p{number // 3}"},
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
    *, count: int = 8000, expected: int = 200, connections: int = CLIENTS,
) -> tuple[load.Run, float]:  # fmt: skip
    """Return a run of requests and the server CPU milliseconds of each."""
    fixed = load.request("GET", path)
    load.run(port, make or (lambda _n: fixed), count=count // 10, connections=connections,
             expected=expected)  # fmt: skip
    before = processes.cpu_s(pid)
    run = load.run(port, (lambda n: make(n + count)) if make else (lambda _n: fixed), count=count,
                   connections=connections, expected=expected)  # fmt: skip
    if run.wrong:
        sys.exit(f"{name}: {run.wrong} answers were not {expected}")
    return run, (processes.cpu_s(pid) - before) * 1000 / count


Row = tuple[str, Callable[[int], bytes], int, int]  # name, request, how many, status
ALONE = "create a Coverage, one client alone"


def _writes(programs: Programs, limit: float) -> Iterator[str]:
    port, pid = programs.ports["server"], programs.process("server")
    yield (f"| SQLite, indexed and durable limit {limit:.0f}/s | requests/s | of the limit "
           "| server CPU | p99 |")  # fmt: skip
    yield "|---|---|---|---|---|"
    costs: dict[str, float] = {}
    for name, make, count, status in _rows():
        connections = 1 if name == ALONE else CLIENTS
        run, cpu = _measured(
            name, pid, port, "/", make, count=count, expected=status, connections=connections
        )
        costs[name] = cpu
        yield (f"| {name} | {run.rate:.0f} | {run.rate / limit:.0%} | {cpu:.2f} ms | "
               f"{run.percentile(99) * 1000:.0f} ms |")  # fmt: skip
    share = costs["transaction of 10"] / 10
    yield ""
    yield (f"An entry of a transaction costs {share:.2f} ms of CPU: {share / costs[ALONE]:.0%} of "
           f"a create alone, {share / costs['create a Coverage']:.0%} of one that shares its "
           "commit.")  # fmt: skip
    yield ""
    for kind, built in json.loads(processes.apart("tools.bench_response")).items():
        kept = costs[_named(kind)]
        yield (f"{_named(kind)}: {built:.1f} ms of CPU to build through the R4B models, "
               f"{built + kept:.1f} ms built, validated and stored.")  # fmt: skip
    yield ""


def _rows() -> list[Row]:
    plain = json.dumps(_coverage(0)).encode()

    def create(_number: int) -> bytes:
        return load.request("POST", "/fhir/Coverage", plain)

    def update(number: int, **headers: str) -> bytes:
        body = json.dumps({**_coverage(number % 900), "dependent": str(number)}).encode()
        return load.request("PUT", f"/fhir/Coverage/n{number % 900}", body, **headers)

    def matched(number: int) -> bytes:
        body = json.dumps({**samples.patient(f"p{number}"), "active": False}).encode()
        return load.request("PUT", f"/fhir/Patient/p{number}", body, If_Match='W/"1"')

    collection = _bundle("collection", 39)
    fhir = "/fhir/CoverageEligibilityResponse"
    return [
        ("create a Coverage", create, 3000, 201),
        (ALONE, create, 1000, 201),
        ("update with a change", update, 3000, 200),
        ("update with If-Match", matched, 450, 200),
        ("stale If-Match", lambda n: update(n, If_Match='W/"999999"'), 3000, 412),
        ("transaction of 10",
         lambda _n: load.request("POST", "/fhir", _bundle("transaction", 10)), 300, 200),
        (f"Bundle of {len(collection) // 1024} KB stored",
         lambda _n: load.request("POST", "/fhir/Bundle", collection), 300, 201),
        *((_named(kind), lambda _n, kind=kind: load.request("POST", fhir, stored(kind)), 300,
           201) for kind in RESPONSES),
    ]  # fmt: skip


@cache
def _bundle(kind: str, count: int) -> bytes:
    entries = [
        {"fullUrl": f"urn:uuid:{n:08d}-9b1e-4c5f-8f4d-7a110d7d0f2a", "resource": _coverage(n)}
        | ({"request": {"method": "POST", "url": "Coverage"}} if kind == "transaction" else {})
        for n in range(count)
    ]  # fmt: skip
    return json.dumps({"resourceType": "Bundle", "type": kind, "entry": entries}).encode()


def _named(kind: str) -> str:
    return f"response of {ITEMS} items, {kind}, {len(stored(kind)) // 1024} KB"


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
        limit = floors.postgres_limit(databases.new("postgresql", folder, server))
        programs = _server(folder / "pg", databases.new("postgresql", folder, server))
        try:
            body = json.dumps(_coverage(0)).encode()
            run, cpu = _measured(
                "create", programs.process("server"), programs.ports["server"], "/",
                lambda _n: load.request("POST", "/fhir/Coverage", body), count=6000, expected=201,
            )  # fmt: skip
        finally:
            programs.stop()
    yield (f"| PostgreSQL, indexed limit {limit:.0f}/s | requests/s | of the limit "
           "| server CPU | p99 |")  # fmt: skip
    yield "|---|---|---|---|---|"
    yield (f"| create a Coverage | {run.rate:.0f} | {run.rate / limit:.0%} | {cpu:.2f} ms | "
           f"{run.percentile(99) * 1000:.0f} ms |")  # fmt: skip
    yield ""


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
        memory = processes.memory_mib(programs.process("server"))
    finally:
        programs.stop()
    yield "| a new server, one process | figure |"
    yield "|---|---|"
    yield f"| start to the first 200, empty store | {first:.2f} s |"
    yield f"| memory at rest, all server processes (PSS) | {memory:.0f} MiB |"
