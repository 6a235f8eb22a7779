"""What was acknowledged stays, whatever ends the server; several servers share one PostgreSQL."""

import itertools
import random
import threading
from collections.abc import Callable, Iterator
from contextlib import suppress

import pytest
import requests

from tests import samples
from tests.programs import Programs

pytestmark = pytest.mark.loopback
KILLS, WRITERS = 4, 6


@pytest.mark.req("DUR-01")
def test_a_kill_during_writes(
    tmp_path_factory: pytest.TempPathFactory, new_database: Callable[[], str]
) -> None:
    """Every write that was answered is there after kill -9, and the index is right."""
    programs = Programs(tmp_path_factory.mktemp("durable"), new_database())
    acknowledged: dict[str, str] = {}
    moments = random.Random(7)  # noqa: S311 any moment will do
    try:
        for round_ in range(KILLS):
            programs.start("server")
            stop = threading.Event()
            writers = [
                threading.Thread(
                    target=_write, args=(programs, f"r{round_}w{n}", acknowledged, stop)
                )
                for n in range(WRITERS)
            ]
            for writer in writers:
                writer.start()
            stop.wait(moments.uniform(0.4, 1.2))
            programs.kill("server")
            stop.set()
            for writer in writers:
                writer.join()
        programs.start("server")
        assert len(acknowledged) > KILLS * WRITERS
        for fhir_id, family in acknowledged.items():
            found = requests.get(f"{programs.fhir}/Patient/{fhir_id}", timeout=20).json()
            there = int(found["name"][0]["family"].removeprefix("Dur"))
            assert there >= int(family.removeprefix("Dur"))  # the last may not have been answered
        total = requests.get(f"{programs.fhir}/Patient?family=dur&_count=0", timeout=20).json()
        assert total["total"] >= len(acknowledged)
        done = programs.run("server", "reindex")
        assert (0, True) == (done.returncode, " 0 of them anew" in done.stdout), done.stdout
    finally:
        programs.stop()


def _write(
    programs: Programs, prefix: str, acknowledged: dict[str, str], stop: threading.Event
) -> None:
    session, number = requests.Session(), 0
    while not stop.is_set():
        number += 1
        fhir_id, family = f"{prefix}-{number % 7}", f"Dur{number}"
        body = samples.patient(fhir_id, name=[{"family": family}])
        with suppress(requests.RequestException):
            answer = session.put(f"{programs.fhir}/Patient/{fhir_id}", json=body, timeout=20)
            if answer.ok:
                acknowledged[fhir_id] = family


@pytest.fixture(scope="module")
def pair(
    tmp_path_factory: pytest.TempPathFactory, kind: str, new_database: Callable[[], str]
) -> Iterator[tuple[Programs, Programs]]:
    """Two server programs on one database, as two machines would run them."""
    database = new_database()
    first = Programs(tmp_path_factory.mktemp(f"first-{kind}"), database)
    second = Programs(tmp_path_factory.mktemp(f"second-{kind}"), database)
    try:
        first.start("server")
        second.start("server")
        yield first, second
    finally:
        first.stop()
        second.stop()


@pytest.mark.req("DUR-02")
def test_two_servers_make_one_resource(pair: tuple[Programs, Programs]) -> None:
    """Parallel conditional creates and updates on both: one resource, no lost version."""
    for number in range(5):
        body = samples.coverage(identifier=[{"system": "urn:pair", "value": str(number)}])
        found: list[tuple[int, str]] = []

        def create(server: Programs, body: dict[str, object] = body, n: int = number,
                   found: list[tuple[int, str]] = found) -> None:  # fmt: skip
            answer = requests.post(
                f"{server.fhir}/Coverage", json=body, timeout=30,
                headers={"If-None-Exist": f"identifier=urn:pair|{n}"},
            )  # fmt: skip
            found.append((answer.status_code, answer.json()["id"]))

        _at_once([(create, server) for server in pair for _ in range(6)])
        assert [200] * 11 + [201] == sorted(status for status, _ in found)
        assert 1 == len({fhir_id for _, fhir_id in found})

    numbers = itertools.count()

    def update(server: Programs) -> None:
        body = samples.patient("shared", name=[{"family": f"Family {next(numbers)}"}])
        assert server.put(body).ok

    _at_once([(update, server) for server in pair for _ in range(8)])
    history = requests.get(f"{pair[0].fhir}/Patient/shared/_history?_count=0", timeout=20).json()
    assert 16 == history["total"]


@pytest.mark.req("DUR-02")
def test_two_servers_know_the_same_search_parameters(pair: tuple[Programs, Programs]) -> None:
    """What one stores, the other searches by."""
    first, second = pair
    first.put({
        "resourceType": "SearchParameter", "id": "pair", "status": "active", "url": "http://pair",
        "name": "Pair", "code": "pair", "description": "x", "base": ["Coverage"], "type": "date",
        "expression": "Coverage.period",
    })  # fmt: skip
    second.put(samples.coverage("pair", period={"start": "2031-05-01", "end": "2031-05-02"}))
    assert 0 == first.run("server", "reindex").returncode

    for server in pair:
        assert ["pair"] == [r["id"] for r in server.search("Coverage?pair=2031-05")]


def _at_once(work: list[tuple[Callable[[Programs], None], Programs]]) -> None:
    threads = [threading.Thread(target=run, args=(server,)) for run, server in work]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
