"""From an acknowledged write to its delivery: latency, rates, many Subscriptions, bad receivers.

What is delivered is counted exactly: each event is a resource of its own or a version of one, and
the receiver writes down each delivery before it answers.
"""

import itertools
import json
import sqlite3
import sys
import threading
import time
from collections import Counter, defaultdict
from collections.abc import Callable, Iterator
from contextlib import closing
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import requests

from fhir_profiles import systems
from server import clock
from server.store import deliveries, purge
from server.store.database import Database
from tests import databases, samples
from tests.programs import Programs, wait_for
from tests.receiver import Got
from tools import load, processes

RATE, EVENTS, POSTERS = 10, 300, 8
CREATES, UPDATES, RESOURCES = 4000, 1000, 50
DRAIN_LIMIT_S = 120
FEW, MANY = 10, 1200
BAD = ("/hang", "/slow/5000", "/reset", "/redirect", "/flood", "/drip")
DRAINED = 4000  # events that workers find waiting


@dataclass(frozen=True, slots=True)
class Burst:
    """What posters flat out came to: writes and deliveries a second, and what went wrong."""

    posted: float
    delivered: float
    backlog_s: float
    lost: int
    doubled: int
    disordered: int


def subscriptions(folder: Path) -> Iterator[str]:
    """Yield the lines that tell of deliveries; `folder` is empty."""
    yield "| write acknowledged -> delivery received, 10 events/s | p50 | p99 |"
    yield "|---|---|---|"
    with _programs(folder / "sqlite", "") as programs:
        yield _latency("SQLite", programs)
    with databases.postgres(folder / "postgres", durable=True) as server:
        with _programs(folder / "pg", databases.new("postgresql", folder, server)) as programs:
            yield _latency("PostgreSQL, Procrastinate in the server", programs)
        yield ""
        yield from _bursts(folder)
        yield from _workers(folder, server)
    yield from _many(folder)
    yield from _contained(folder)


class _programs:  # noqa: N801 used as a with statement only
    """A server and a receiver, for a while."""

    def __init__(
        self, folder: Path, database: str, *, workers: bool = False, processes: int = 1
    ) -> None:
        folder.mkdir()
        settings = {"INFORCE_DELIVERY": "workers"} if workers else {}
        serve = ("--workers", str(processes))
        self._programs = Programs(folder, database, settings, serve=serve)

    def __enter__(self) -> Programs:
        self._programs.start("receiver", "server")
        return self._programs

    def __exit__(self, *_: object) -> None:
        self._programs.stop()


def subscribe(programs: Programs, path: str, criteria: str, **more: Any) -> None:
    """Post a rest-hook Subscription to a path of the receiver, or to a whole address."""
    address = path if "://" in path else f"{programs.receiver}{path}"
    body = samples.subscription(address, criteria, **more)
    del body["id"]
    answer = requests.post(f"{programs.fhir}/Subscription", json=body, timeout=20)
    if not answer.ok:
        sys.exit(answer.text)


def _coverage(key: str, number: int = 0) -> dict[str, Any]:
    return samples.coverage(key, dependent=str(number), status="active")


def _latency(name: str, programs: Programs) -> str:
    subscribe(programs, "/ok", "Coverage?status=active")
    _paced(programs, "warm", 50, 50)
    times = sorted(answered for _, answered in _paced(programs, "paced", EVENTS, RATE))
    return f"| {name} | {_ms(times, 50)} | {_ms(times, 99)} |"


def _paced(
    programs: Programs, prefix: str, count: int, rate: float, *, to: str = "/ok"
) -> list[tuple[float, float]]:
    """Put so many coverages, `rate` a second.

    Return for each the seconds until its delivery, since it was sent and since it was answered.
    """
    session, pause, sent, answered = requests.Session(), threading.Event(), {}, {}
    began = time.perf_counter()
    for number in range(count):
        pause.wait(max(0.0, began + number / rate - time.perf_counter()))
        key = f"{prefix}-{number}"
        sent[key] = clock.now().timestamp()
        session.put(f"{programs.fhir}/Coverage/{key}", json=_coverage(key), timeout=20)
        answered[key] = clock.now().timestamp()
    keys = set(answered)
    wait_for(lambda: keys <= {g.resource["id"] for g in programs.received(to)}, "all come")
    came = {got.resource["id"]: got.at for got in programs.received(to)}
    return [(came[key] - sent[key], max(0.0, came[key] - at)) for key, at in answered.items()]


def _ms(times: list[float], percent: int) -> str:
    return f"{times[max(0, -(-len(times) * percent // 100) - 1)] * 1000:.1f} ms"


def _bursts(folder: Path) -> Iterator[str]:
    with _programs(folder / "alone", "", processes=2) as programs:
        alone = _creates(programs).rate
    with _programs(folder / "burst", "", processes=2) as programs:
        subscribe(programs, "/ok", "Coverage?status=active")
        found = _burst(programs)
    sizes = _sizes(folder / "burst" / "inforce.db", RESOURCES + CREATES + UPDATES)
    yield f"| {POSTERS} posters, {CREATES} creates and {UPDATES} updates, SQLite | figure |"
    yield "|---|---|"
    yield f"| created without a Subscription | {alone:.0f}/s |"
    yield (f"| created with one Subscription | {found.posted:.0f}/s, "
           f"{1 - found.posted / alone:.0%} less |")  # fmt: skip
    yield f"| delivered, from the first write to the last delivery | {found.delivered:.0f}/s |"
    yield f"| backlog when the posters stop | {found.backlog_s:.1f} s |"
    yield (f"| lost, doubled, out of order | {found.lost}, {found.doubled}, "
           f"{found.disordered} |")  # fmt: skip
    yield f"| database: a version of a coverage ({len(_body())} bytes) | {sizes['version']:.0f} B |"
    yield f"| its delivery | {sizes['delivery']:.0f} B |"
    yield f"| the AuditEvent of the attempt | {sizes['AuditEvent']:.0f} B |"
    yield ""


def _body() -> bytes:
    return json.dumps({k: v for k, v in _coverage("x").items() if k != "id"}).encode()


def _sizes(path: Path, events: int) -> dict[str, float]:
    """Return the bytes that an event takes: its AuditEvent, its delivery, and all else.

    Each is what a compacted copy of the database has less without it.
    """
    database = Database(f"sqlite:///{path}")
    far = 2**62
    sizes = [_compact(path)]
    with database.write() as connection:
        while purge.audits(connection, database.names, systems.AUDIT_SUBTYPE, far, 1000):
            pass
    sizes.append(_compact(path))
    with database.write() as connection:
        deliveries.remove_done(connection, far, events)
    sizes.append(_compact(path))
    database.close()
    whole, unaudited, bare = sizes
    return {
        "AuditEvent": (whole - unaudited) / events,
        "delivery": (unaudited - bare) / events,
        "version": bare / events,
    }


def _compact(path: Path) -> int:
    copy = path.with_suffix(".copy")
    with closing(sqlite3.connect(path)) as raw:
        raw.execute("VACUUM INTO ?", (str(copy),))
    size = copy.stat().st_size
    copy.unlink()
    return size


def _creates(programs: Programs) -> load.Run:
    body = _body()
    return _run(programs, lambda _n: load.request("POST", "/fhir/Coverage", body), CREATES, 201)


def _run(programs: Programs, make: Callable[[int], bytes], count: int, expected: int) -> load.Run:
    run = load.run(
        programs.ports["server"], make, count=count, connections=POSTERS, expected=expected
    )
    if run.wrong:
        sys.exit(f"{run.wrong} writes were not answered by {expected}")
    return run


def _burst(programs: Programs) -> Burst:
    """Create and update as fast as it goes, and see that every event comes once, in order."""
    keys = [f"u{n}" for n in range(RESOURCES)]
    for key in keys:
        requests.put(f"{programs.fhir}/Coverage/{key}", json=_coverage(key), timeout=20)
    programs.settled()
    began = clock.now().timestamp()
    created = _creates(programs)

    def update(number: int) -> bytes:
        key = keys[number % RESOURCES]
        body = json.dumps(_coverage(key, number + 1)).encode()
        return load.request("PUT", f"/fhir/Coverage/{key}", body)

    _run(programs, update, UPDATES, 200)
    stopped = clock.now().timestamp()
    expected = RESOURCES + CREATES + UPDATES
    wait_for(lambda: len(programs.received("/ok")) >= expected, "the deliveries", DRAIN_LIMIT_S)
    programs.settled()
    got = programs.received("/ok")
    last = max(one.at for one in got)
    lost, doubled, disordered = verdict(got, expected)
    rate = (CREATES + UPDATES) / (last - began)
    return Burst(created.rate, rate, max(0.0, last - stopped), lost, doubled, disordered)


def verdict(got: list[Got], expected: int) -> tuple[int, int, int]:
    """Return how many events were lost, came twice, and came after a later one of a resource."""
    versions: dict[str, list[int]] = defaultdict(list)
    for one in got:
        resource = one.resource
        versions[resource["id"]].append(int(resource["meta"]["versionId"]))
    times = Counter((key, number) for key, numbers in versions.items() for number in numbers)
    disordered = sum(
        after < before
        for numbers in versions.values()
        for before, after in itertools.pairwise(dict.fromkeys(numbers))
    )
    return expected - len(times), sum(times.values()) - len(times), disordered


def _workers(folder: Path, server: str) -> Iterator[str]:
    yield f"| PostgreSQL, {DRAINED} events that wait, workers beside the server | delivered |"
    yield "|---|---|"
    for workers in (1, 2, 3):
        url = databases.new("postgresql", folder, server)
        yield f"| {workers} | {_drained(folder / f'workers-{workers}', url, workers):.0f}/s |"
    yield ""


def _drained(folder: Path, url: str, workers: int) -> float:
    """Return the deliveries a second of so many workers that find events waiting."""
    with _programs(folder, url, workers=True) as programs:
        subscribe(programs, "/ok", "Coverage?status=active")
        for _ in range(DRAINED // CREATES):
            _creates(programs)
        programs.start(*(f"worker-{number}" for number in range(workers)))
        wait_for(lambda: len(programs.received("/ok")) >= DRAINED, "all come", DRAIN_LIMIT_S)
        at = sorted(one.at for one in programs.received("/ok"))
    return len(at) / (at[-1] - at[0])


def _many(folder: Path) -> Iterator[str]:
    """Compare the cost of a write with few and with many Subscriptions to its type."""
    costs = {}
    for count in (FEW, MANY):
        with _programs(folder / f"many-{count}", "") as programs:
            for number in range(count - 1):
                subscribe(programs, "/other", f"Coverage?identifier=urn:bench|{number}")
            subscribe(programs, "/ok", "Coverage?status=active&dependent=7")
            _creates(programs)
            before = processes.cpu_s(programs.process("server"))
            _creates(programs)
            costs[count] = (processes.cpu_s(programs.process("server")) - before) * 1000 / CREATES
            body = samples.coverage("fires", dependent="7")
            requests.put(f"{programs.fhir}/Coverage/fires", json=body, timeout=20)
            wait_for(partial(programs.received, "/ok"), f"Subscription {count} fires")
    yield "| active Subscriptions to the type | server CPU of a create |"
    yield "|---|---|"
    for count, cost in costs.items():
        yield f"| {count:,} | {cost:.2f} ms |"
    yield (f"| ratio | {costs[MANY] / costs[FEW]:.2f} |")
    yield ""


def _contained(folder: Path) -> Iterator[str]:
    """Compare the latency of a good receiver: alone, beside other good ones, beside bad ones.

    The others are a process of their own: what they do must cost this one nothing.
    """
    good = tuple(f"/ok?{number}" for number in range(len(BAD)))
    listed = ", ".join(BAD)
    yield f"| write sent -> delivery received, {RATE}/s, SQLite | p50 | p99 |"
    yield "|---|---|---|"
    for number, (beside, words) in enumerate((
        ((), "a good receiver alone"),
        (good, f"beside {len(good)} other good ones"),
        (BAD, f"beside {len(BAD)} that misbehave ({listed})"),
    )):  # fmt: skip
        with _programs(folder / f"contained-{number}", "") as programs:
            programs.start("stranger")
            for path in ("/ok", *(f"{programs.stranger}{path}" for path in beside)):
                subscribe(programs, path, "Coverage?status=active")
            _paced(programs, "warm", 50, 50)
            times = sorted(whole for whole, _ in _paced(programs, "paced", EVENTS, RATE))
        yield f"| {words} | {_ms(times, 50)} | {_ms(times, 99)} |"
    yield ""
