"""Prior authorizations: a request there and back, its building, and ten thousand that are open."""

import socket
import threading
import time
from collections.abc import Iterator
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from statistics import median
from typing import Any

import requests

from bots import clock_watch
from bots.fhir_client import FhirClient
from bots.mapping import pas_request
from fhir_profiles import elements, pas, pas_rules, prior_auth
from fhir_profiles.prior_auth import Status
from server.validation import check
from tests import pas as given
from tests.acceptance.test_prior_auth import endpoint, payer
from tests.contract.payer import built
from tests.fakes import NOW, FakeFhir, tools
from tests.programs import Programs
from tools.bench_checks import percentile

ITEMS, REQUESTS, BUILT, OPEN, CHUNK, LOOKS = 18, 50, 50, 10_000, 500, 10


def prior_auths(folder: Path) -> Iterator[str]:
    """Yield the lines that tell of prior authorizations; `folder` is empty."""
    yield "| prior authorization | figure |"
    yield "|---|---|"
    yield f"| a request of {ITEMS} items built and validated, CPU, p50 | {_built():.1f} ms |"
    programs = Programs(folder)
    with programs.running(*given.world(payer(), endpoint(programs))):
        times = sorted(_submits(programs))
        told = f"| `$submit` of {ITEMS} items to the sandbox's payer and back"
        yield f"{told}, p50 | {median(times) * 1000:.0f} ms |"
        yield f"{told}, p95 | {percentile(times, 95) * 1000:.0f} ms |"
        _load(programs)
        looks = sorted(_looks(programs))
        told = f"| the worklist of {OPEN:,} that are open, p50 of {LOOKS}"
        yield f"{told} | {median(looks) * 1000:.0f} ms |"
        first, again = _watched(programs)
        yield f"| the clocks of {OPEN:,} looked at, a tenth newly late | {first:.1f} s |"
        yield f"| the same with nothing new | {again:.1f} s |"
        yield f"| `$submit` to a payer that says nothing, back after | {_silent(programs):.1f} s |"
    yield ""


def _built() -> float:
    """Return the milliseconds of CPU that a request takes to build and to hold to all rules."""
    claim = given.claim("bench", items=ITEMS)
    reached = {f"{one['resourceType']}/{one['id']}": one for one in given.world()}
    spans = []
    for number in range(BUILT):
        started = time.thread_time()
        bundle = pas_request.bundle(claim, reached, number=str(number), moment=NOW, server="bench")
        found = [*pas_rules.check(bundle), *check.against(bundle, pas.REQUEST_BUNDLE)]
        spans.append((time.thread_time() - started) * 1000)
        if found:
            raise SystemExit(f"the request is not sound: {found}")
    return median(spans)


def _submits(programs: Programs) -> Iterator[float]:
    session = requests.Session()
    for number in range(REQUESTS):
        bundle = built(given.claim(f"bench-{number}", items=ITEMS), number=f"BENCH-{number}")
        started = time.perf_counter()
        reply = session.post(f"{programs.fhir}/Claim/$submit", json=bundle, timeout=60)
        reply.raise_for_status()
        yield time.perf_counter() - started


def _load(programs: Programs) -> None:
    """Store as many open authorizations, due over two weeks; a tenth of them are late."""
    now = datetime.now(UTC)  # noqa: TID251 the clocks of the programs are real
    programs.put(given.claim("open"))
    for start in range(0, OPEN, CHUNK):
        entries = [_entry(number, now) for number in range(start, start + CHUNK)]
        bundle = {"resourceType": "Bundle", "type": "transaction", "entry": entries}
        requests.post(programs.fhir, json=bundle, timeout=120).raise_for_status()
    programs.settled()


def _entry(number: int, now: datetime) -> dict[str, Any]:
    made = prior_auth.task(
        claim="Claim/open", patient={"reference": "Patient/pat"}, number=f"open-{number}",
        bundle="", authored=now.isoformat(),
    )  # fmt: skip
    due = now - timedelta(hours=1) if number % 10 == 0 else now + timedelta(minutes=30 + number * 2)
    period = {"start": (due - timedelta(days=7)).isoformat(), "end": due.isoformat()}
    task = {**prior_auth.moved(made, Status.PENDED), "id": f"open-{number}"}
    return elements.put_entry({**task, "restriction": {"period": period}})


def _looks(programs: Programs) -> Iterator[float]:
    session, pause = requests.Session(), threading.Event()
    for _ in range(LOOKS):
        started = time.perf_counter()
        session.get(f"{programs.server}/authorizations", timeout=60).raise_for_status()
        yield time.perf_counter() - started
        pause.wait(0.05)


def _silent(programs: Programs) -> float:
    """Return the seconds until an answer that says "pended" goes back."""
    with socket.create_server(("127.0.0.1", 0)) as silent:
        port = silent.getsockname()[1]
        programs.put({**endpoint(programs), "address": f"http://127.0.0.1:{port}/fhir"})
        programs.put(given.claim("silent"))
        started = time.perf_counter()
        reply = requests.post(f"{programs.fhir}/Claim/silent/$submit", timeout=60)
        reply.raise_for_status()
        return time.perf_counter() - started


def _watched(programs: Programs) -> tuple[float, float]:
    """Return the seconds of a look at all clocks, and of the next one.

    The bots look themselves every quarter of an hour, and did so before there were any.
    """
    kit = tools(FakeFhir(), now=lambda: datetime.now(UTC))  # noqa: TID251 as above
    kit = replace(kit, fhir=FhirClient(programs.fhir))
    spans = []
    for _ in range(2):
        started = time.perf_counter()
        clock_watch.run(kit)
        spans.append(time.perf_counter() - started)
    return spans[0], spans[1]
