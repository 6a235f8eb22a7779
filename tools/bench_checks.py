"""One check end to end: from a posted Coverage to its stored response."""

import json
import sys
import threading
import time
from collections.abc import Iterator
from datetime import UTC, date, datetime, timedelta
from pathlib import Path
from statistics import median
from typing import Any

import requests
import urllib3

from fhir_profiles import codec, elements
from tests import samples
from tests.programs import Programs, wait_for
from tests.x12_texts import file_271

CHECKS, POSTERS, RATE, RUNS = 400, 8, 35, 3
PAYER_MS, SLOW_POSTERS, IN_PARALLEL, LOOK_S = 300, 40, 40, 0.02
LIGHT = urllib3.PoolManager(maxsize=SLOW_POSTERS)  # takes little of the cores that all share
VISITS, CHUNK = 1000, 50


def checks(folder: Path) -> Iterator[str]:
    """Yield the lines that tell of one check, alone and among others; `folder` is empty."""
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
        flat_out = max(_many(programs, f"many-{n}", 0)[0] for n in range(RUNS))
        programs.fault(route="primary", kind="none", times=10**6, latency_ms=PAYER_MS)
        slow, waits = _many(programs, "slow", 0, posters=SLOW_POSTERS)
        flown, flights = max(
            _many(programs, f"flown-{n}", 0, SLOW_POSTERS, at_once=IN_PARALLEL) for n in range(RUNS)
        )
        swept = _sweep(programs)
    finally:
        programs.stop()
    yield "| one check: Coverage posted -> CoverageEligibilityResponse stored | figure |"
    yield "|---|---|"
    yield f"| alone, p50 | {median(alone) * 1000:.0f} ms |"
    yield f"| alone, p95 | {percentile(alone, 95) * 1000:.0f} ms |"
    yield f"| {CHECKS} checks posted at {RATE}/s, p50 | {median(spread) * 1000:.0f} ms |"
    yield f"| {CHECKS} checks posted at {RATE}/s, p95 | {percentile(spread, 95) * 1000:.0f} ms |"
    yield f"| {CHECKS} checks posted at {RATE}/s, stored | {paced:.0f} checks/s |"
    told = f"{CHECKS} checks posted by {POSTERS} at once, stored, the best of {RUNS} runs"
    yield f"| {told} | {flat_out:.0f} checks/s |"
    told = (
        f"{CHECKS} checks, {IN_PARALLEL} in parallel, payer takes {PAYER_MS} ms, the best of {RUNS}"
    )
    yield f"| {told}, p95 | {percentile(flights, 95) * 1000:.0f} ms |"
    yield f"| {told}, stored | {flown:.0f} checks/s |"
    told = f"{CHECKS} checks posted by {SLOW_POSTERS} at once, payer takes {PAYER_MS} ms"
    yield f"| {told}, p95 | {percentile(waits, 95) * 1000:.0f} ms |"
    yield f"| {told}, stored | {slow:.0f} checks/s |"
    yield f"| a sweep of {VISITS:,} appointments, payer takes {PAYER_MS} ms | {swept:.0f} s |"
    yield ""


def _sweep(programs: Programs) -> float:
    """Return the seconds of a sweep of VISITS appointments, each of a patient of its own."""
    day = datetime.now(UTC).date() + timedelta(days=2)  # noqa: TID251 a day that is to come
    post_visits(programs, VISITS, day)
    started = time.perf_counter()
    done = programs.run("bots", "sweep", "--day", str(day), "--json")
    if done.returncode or json.loads(done.stdout)["verified"] != VISITS:
        sys.exit(f"the sweep did not verify all: {done.stdout}{done.stderr}")
    return time.perf_counter() - started


def post_visits(programs: Programs, count: int, day: date) -> None:
    """Store that many visits of a day, each of a patient with a coverage of its own."""
    for start in range(0, count, CHUNK):
        entries = [one for number in range(start, start + CHUNK) for one in _visit(number, day)]
        bundle = {"resourceType": "Bundle", "type": "transaction", "entry": entries}
        requests.post(programs.fhir, json=bundle, timeout=120).raise_for_status()
        programs.settled()


def _visit(number: int, day: date) -> list[dict[str, Any]]:
    patient, coverage = f"swept-{number}", f"swept-{number}"
    visit = {
        "resourceType": "Appointment", "id": f"swept-{number}", "status": "pending",
        "start": f"{day}T15:00:00Z", "end": f"{day}T15:30:00Z",
        "participant": [{"actor": {"reference": f"Patient/{patient}"}, "status": "accepted"}],
    }  # fmt: skip
    whose = {"beneficiary": {"reference": f"Patient/{patient}"}}
    resources = [samples.patient(patient), samples.coverage(coverage, **whose), visit]
    return [elements.put_entry(one) for one in resources]


def _post(programs: Programs, prefix: str, count: int) -> None:
    for number in range(count):
        programs.put(samples.coverage(f"{prefix}-{number}"))
    wait_for(lambda: is_answered(programs, f"{prefix}-{count - 1}"), "the checks", 60)
    programs.settled()


def is_answered(programs: Programs, coverage_id: str) -> bool:
    """Tell whether there is a response about a coverage."""
    return bool(answers(programs, f"coverage=Coverage/{coverage_id}&"))


def answers(programs: Programs, about: str = "") -> int:
    """Return how many responses there are, of all coverages or of those in the query `about`."""
    query = f"CoverageEligibilityResponse?{about}_summary=count"
    return int(codec.decode(LIGHT.request("GET", f"{programs.fhir}/{query}").data)["total"])


def store(programs: Programs, coverage_id: str) -> None:
    """Store a coverage of the sample patient."""
    body = codec.encode(samples.coverage(coverage_id))
    kind = {"Content-Type": "application/fhir+json"}
    LIGHT.request("PUT", f"{programs.fhir}/Coverage/{coverage_id}", body=body, headers=kind)


def _one_by_one(programs: Programs, count: int) -> Iterator[float]:
    pause = threading.Event()
    for number in range(count):
        coverage_id = f"alone-{number}"
        started = time.perf_counter()
        store(programs, coverage_id)
        while not is_answered(programs, coverage_id):
            pause.wait(0.001)
        yield time.perf_counter() - started
        programs.settled()


def _many(
    programs: Programs, prefix: str, rate: float, posters: int = POSTERS, *, at_once: int = CHECKS
) -> tuple[float, list[float]]:
    """Post CHECKS coverages, `rate` a second (0: as fast as it goes).

    No more than `at_once` of them are without an answer at any moment.

    Return how many checks a second were stored from the first post to the last response, and the
    sorted times from stored Coverage to stored response, by the server's own clock.
    """
    started = datetime.now(UTC)  # noqa: TID251 the server's clock is ours
    _post_all(programs, prefix, rate, posters, at_once)
    programs.settled()
    spans = list(_spans(programs, prefix, started))
    if len(spans) != CHECKS:
        sys.exit(f"expected {CHECKS} responses, found {len(spans)}")
    whole = max(end for _, end in spans) - min(start for start, _ in spans)
    times = sorted((end - start).total_seconds() for start, end in spans)
    return CHECKS / whole.total_seconds(), times


def _post_all(programs: Programs, prefix: str, rate: float, posters: int, at_once: int) -> None:
    numbers, lock, pause = iter(range(CHECKS)), threading.Lock(), threading.Event()
    places, since = threading.Semaphore(at_once), datetime.now(UTC)  # noqa: TID251 as in _many
    started = time.perf_counter()

    def post() -> None:
        while True:
            with lock:
                number = next(numbers, None)
            if number is None:
                return
            if rate:
                pause.wait(max(0.0, started + number / rate - time.perf_counter()))
            places.acquire()
            store(programs, f"{prefix}-{number}")

    threads = [threading.Thread(target=post) for _ in range(posters)]
    for thread in threads:
        thread.start()
    if at_once < CHECKS:
        _let_go(programs, places, since)
    for thread in threads:
        thread.join()


def _let_go(programs: Programs, places: threading.Semaphore, since: datetime) -> None:
    """Free a place for each answer that is new `since` then, until all are there."""
    pause, seen = threading.Event(), 0
    while seen < CHECKS:
        pause.wait(LOOK_S)
        now = answers(programs, f"{_since(since)}&")
        if now > seen:
            places.release(now - seen)
            seen = now


def _spans(programs: Programs, prefix: str, since: datetime) -> Iterator[tuple[datetime, datetime]]:
    """Yield when each coverage and its response were stored, of those posted `since`."""
    query = f"{_since(since)}&_count=1000"
    for response in programs.search(f"CoverageEligibilityResponse?{query}"):
        address = response["insurance"][0]["coverage"]["reference"]
        if f"/{prefix}-" in address:
            first = requests.get(f"{programs.fhir}/{address}/_history/1", timeout=20).json()
            yield _moment(first), _moment(response)


def _since(moment: datetime) -> str:
    return f"_lastUpdated=ge{moment:%Y-%m-%dT%H:%M:%S.%fZ}"


def _moment(resource: dict[str, Any]) -> datetime:
    return datetime.fromisoformat(resource["meta"]["lastUpdated"])


def percentile(values: list[float], percent: int) -> float:
    """Return the nearest-rank percentile of sorted values."""
    return values[max(0, -(-len(values) * percent // 100) - 1)]
