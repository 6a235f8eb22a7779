"""Ticks, and what is kept for a time only, on both databases."""

import threading
from collections.abc import Callable, Iterator
from datetime import timedelta

import pytest

from fhir_profiles import systems
from server import clock
from server.interactions import retention, search
from server.interactions.engine import Engine
from server.schedule import Schedule, Tick
from server.store import jobs
from server.store.database import Database
from tests import engines, samples
from tests.engines import put
from tests.programs import wait_for

DAY_S = 24 * 3600


@pytest.fixture
def database(new_database: Callable[[], str]) -> Iterator[Database]:
    made = Database(new_database())
    yield made
    made.close()


def test_two_processes_fire_each_tick_once(database: Database) -> None:
    """Both hear the clock; one of them enqueues the job."""
    kept = engines.engine(database, now=clock.now, new_id=clock.new_id)
    tick = Tick(retention.KIND, DAY_S, {"audit_days": 1})
    both = [Schedule(kept, (tick,)), Schedule(kept, (tick,))]
    for one in both:
        one.start()

    def first() -> bool:
        with database.read() as connection:
            return jobs.next_one(connection) is not None

    wait_for(first, "the tick has fired")
    threading.Event().wait(0.3)
    for one in both:
        one.stop()
    with database.read() as connection:
        (count,) = connection.execute("SELECT count(*) FROM job").fetchone()
    assert 1 == count


def audit(subtype: str, system: str) -> dict[str, object]:
    return {
        "resourceType": "AuditEvent", "recorded": "2026-11-01T00:00:00Z",
        "type": {"system": "urn:t", "code": "rest"},
        "subtype": [{"system": system, "code": subtype}],
        "agent": [{"requestor": True}], "source": {"observer": {"display": "us"}},
    }  # fmt: skip


def test_old_audits_of_deliveries_are_removed_and_no_others(database: Database) -> None:
    """What a client recorded stays; so does what is young, with all that stands about it."""
    now = clock.now()

    def at(days: int) -> Engine:
        return engines.engine(database, now=lambda: now - timedelta(days=days))

    put(at(91), audit("notification", systems.AUDIT_SUBTYPE), "old")
    put(at(91), audit("notification", "urn:other"), "theirs")
    put(at(1), audit("notification", systems.AUDIT_SUBTYPE), "young")
    put(at(91), samples.coverage("c"), "c")
    done = retention.run(at(0), {"audit_days": 90}, lambda _text: None)

    assert {"audits": 1, "deliveries": 0} == done
    found = search.search(at(0), "AuditEvent", [("subtype", "notification")])
    assert ["theirs", "young"] == sorted(match.id for match in found.matches)
    with database.read() as connection:
        left = connection.execute(
            "SELECT count(*) FROM ix_token t WHERE NOT EXISTS"
            " (SELECT 1 FROM resource r WHERE r.rid = t.rid)"
        ).fetchone()
    assert 0 == left[0]
