"""The contract of both engines, over real databases and a sender that we hold.

Order, recovery, give-up, batches, fairness: the same tests for threads on SQLite and Procrastinate
on PostgreSQL.
"""

import sqlite3
import threading
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

import pytest
from procrastinate.exceptions import ConnectorException
from procrastinate.manager import JobManager

from fhir_profiles import codec, systems
from server.interactions import _write, attempts, delete, search, subscription_state
from server.interactions._write import Origin, Writing
from server.store.database import Database
from server.store.sqlite import Sqlite
from server.subscriptions import delivery, threads
from server.subscriptions.breaker import OPEN_S, OPENS_AFTER
from server.subscriptions.delivery import Answer, Sent
from server.subscriptions.hook import Hook
from tests import samples
from tests.programs import wait_for
from tests.stations import WAIT_S, HeldSender, Station

Build = Callable[..., Station]


@pytest.mark.req("check-28 check-29")
def test_events_of_one_resource_keep_their_order_through_retries(station: Build) -> None:
    """Version 2 waits until version 1 was taken; version 1 comes though version 2 would not fit."""
    one = station(HeldSender(500))
    one.subscribe("Coverage?status=active")
    one.save("c", status="active")
    one.save("c", status="draft")
    one.save("c", status="active", dependent="2")
    one.start()

    found = one.sent(3)
    assert [1, 2, 1] == [attempt for attempt, _ in found]
    assert [False, False, True] == [b'"dependent"' in body for _, body in found]
    assert one.sender.uids[0] == one.sender.uids[1]


@pytest.mark.req("check-24")
def test_every_attempt_is_an_audit_event(station: Build) -> None:
    """Two attempts, two AuditEvents: one of a minor failure, one of success, of one delivery."""
    one = station(HeldSender(500))
    one.subscribe()
    one.save("c")
    one.start()
    one.sent(2)

    about = ("entity:identifier", f"{systems.DELIVERY}|{one.sender.uids[0]}")
    page = search.search(one.engine, "AuditEvent", [about, ("_sort", "date")])
    found = [codec.decode(match.body) for match in page.matches]
    assert ["4", "0"] == [audit["outcome"] for audit in found]
    assert "Patient/pat" in [entity["what"].get("reference") for entity in found[0]["entity"]]


def test_what_was_not_settled_is_sent_again_by_the_next_engine(station: Build) -> None:
    """The outbox row is the truth: a process that dies loses nothing."""
    one = station()
    one.subscribe()
    one.save("c")
    assert 1 == one.waiting()
    other = station()
    other.start()

    assert 1 == len(other.sent(1))


@pytest.mark.req("SUBT-31")
def test_a_write_that_is_undone_tells_nobody(station: Build) -> None:
    """SUBT-31: events commit with their resource or not at all."""
    one = station()
    one.subscribe()
    engine = one.engine
    incoming = _write.check(engine, "Coverage", samples.coverage("c"))

    def work(writing: Writing) -> None:
        writing.save(incoming, "c", method="PUT")
        raise RuntimeError

    with pytest.raises(RuntimeError):
        _write.transact(engine, Origin(""), work)

    assert (0, 0, 0) == one.counts()


def test_criteria_choose(station: Build) -> None:
    """SUBC-01: fires on a match only, and on delete only if asked (prior-art check 19)."""
    one = station()
    one.subscribe("Coverage?status=active")
    one.save("a", status="draft")
    one.save("b", status="active")
    delete.delete(one.engine, "Coverage", "b", if_match=None, origin=Origin(""))

    assert 1 == one.waiting()


@pytest.mark.req("check-25")
def test_a_final_no_is_a_dead_letter_and_the_next_event_goes_on(station: Build) -> None:
    """Given up means counted and kept, not lost; sent again it is the same delivery."""
    one = station(HeldSender(422))
    one.subscribe()
    one.save("c", status="active")
    one.save("c", status="draft")
    one.start()
    one.sent(2)
    wait_for(lambda: one.counts() == (0, 1, 0), "one dead letter", WAIT_S)

    dead = next(due for due in one.listed() if due.state == "dead")
    _write.transact(one.engine, Origin(""), lambda writing: writing.send_again([dead]))
    found = one.sent(3)
    assert found[0][1] == found[2][1]
    assert one.sender.uids[0] == one.sender.uids[2]
    assert (0, 0, 0) == one.counts()


@pytest.mark.req("SUBC-03")
def test_a_subscription_whose_every_attempt_failed_is_in_error(station: Build) -> None:
    """It holds what comes then, and sends it when the client has asked for it again."""
    limit = {"url": systems.EXT_HOOK_ATTEMPTS, "valueInteger": 1}
    one = station(HeldSender(500))
    one.subscribe(extension=[limit])
    one.save("c")
    one.start()
    wait_for(lambda: _status(one) == "error", "the Subscription is in error", WAIT_S)
    one.save("d")
    assert (0, 1, 1) == one.counts()
    assert 1 == len(one.sender.sent)

    one.subscribe(extension=[limit])
    assert "active" == _status(one)
    assert b'"d"' in one.sent(2)[1][1]


def _status(one: Station) -> str:
    page = search.search(one.engine, "Subscription", [("_id", "sub")])
    return str(codec.decode(page.matches[0].body)["status"])


def _numbers(body: bytes) -> list[int]:
    parameters = codec.decode(body)["entry"][0]["resource"]["parameter"]
    events = [p["part"] for p in parameters if p["name"] == "notification-event"]
    return [int(part[0]["valueString"]) for part in events]


@pytest.mark.req("SUBT-22 SUBT-24")
def test_events_of_a_topic_go_out_in_order_of_their_numbers(station: Build) -> None:
    """At most maxCount together, without gaps; what failed comes again as it was."""
    one = station(HeldSender(500))
    one.subscribe(
        **samples.topic(
            "coverage-changed", extension=[{"url": systems.EXT_MAX_COUNT, "valuePositiveInt": 2}]
        )
    )
    for number in range(3):
        one.save(f"c{number}")
    assert (0, 0, 3) == one.counts()
    with one.database.read() as connection:
        (hook,) = one.engine.hooks.by_row(connection).values()
    subscription_state.move(one.engine, hook, "active")
    one.save("c3")
    one.save("c3", status="draft")
    one.start()

    found = one.sent(4)
    assert [[1, 2], [1, 2], [3, 4], [5]] == [_numbers(body) for _, body in found]
    assert found[0][1] == found[1][1]
    assert one.sender.uids[0] == one.sender.uids[1]


@pytest.mark.req("check-22")
def test_a_chain_of_deliveries_ends(station: Build) -> None:
    """A write that too many deliveries led to is stored, told to nobody, and audited."""
    one = station()
    one.subscribe()
    for depth in (8, 9):
        incoming = _write.check(one.engine, "Coverage", samples.coverage(f"d{depth}"))
        _write.transact(
            one.engine, Origin("t", depth=depth),
            lambda writing, i=incoming: writing.save(i, i.body["id"], method="PUT"),  # type: ignore[misc]
        )  # fmt: skip

    assert (1, 1, 0) == one.counts()
    found = search.search(one.engine, "AuditEvent", [("subtype", "loop"), ("outcome", "8")])
    assert 1 == len(found.matches)


class StuckSender(HeldSender):
    """Holds everything but for one endpoint until told to go on."""

    def __init__(self) -> None:
        super().__init__()
        self.go, self.fast = threading.Event(), threading.Event()

    def send(self, hook: Hook, what: Sent, timestamp: int) -> Answer:
        if hook.endpoint.endswith("fast"):
            self.fast.set()
        else:
            self.go.wait(WAIT_S)
        return super().send(hook, what, timestamp)


def test_endpoints_that_hang_leave_the_others_alone(station: Build) -> None:
    """However much waits for several endpoints, another one's event goes out at once."""
    one = station(StuckSender())
    for name in ("slow-1", "slow-2", "slow-3"):
        one.subscribe("Coverage?status=active", name)
    one.subscribe("Coverage?status=draft", "fast")
    for number in range(100):
        one.save(f"slow-{number}", status="active")
    one.start()
    one.save("fast", status="draft")

    assert one.sender.fast.wait(WAIT_S)
    one.sender.go.set()


def is_done(one: Station, fhir_id: str) -> bool:
    return any(due.id == fhir_id and due.state == "done" for due in one.listed())


class DeafSender(HeldSender):
    """One endpoint never answers."""

    def send(self, hook: Hook, what: Sent, timestamp: int) -> Answer:
        answer = super().send(hook, what, timestamp)
        return Answer(None, fault="no connection") if hook.endpoint.endswith("deaf") else answer


def beside_the_deaf(station: Build, events: int) -> Station:
    """Return a station whose circuit to one endpoint is open, with another Subscription."""
    one = station(DeafSender())
    one.subscribe("Coverage?status=active", "deaf")
    for number in range(events):
        one.save(f"deaf-{number}", status="active")
    one.start()
    wait_for(lambda: len(one.sender.sent) >= OPENS_AFTER, "the circuit is open", WAIT_S)
    one.subscribe("Coverage?status=draft", "heard")
    return one


def test_a_dead_endpoint_is_not_its_whole_host(station: Build) -> None:
    """Another endpoint of the same host gets its events at once, not after the circuit's wait."""
    one = beside_the_deaf(station, OPENS_AFTER + 1)
    one.save("heard", status="draft")
    wait_for(partial(is_done, one, "heard"), "the other endpoint is served", OPEN_S / 2)


def test_what_waits_for_a_silent_endpoint_hides_nothing(
    station: Build, monkeypatch: pytest.MonkeyPatch
) -> None:
    """More than is read at once waits for it when another's event comes: that is found at once."""
    monkeypatch.setattr(threads, "BATCH", 4)
    monkeypatch.setattr(threads, "POLL_S", 600.0)  # nothing but a bell wakes the loop
    monkeypatch.setattr(threads, "LEFT_ALONE_S", 0.1)
    one = beside_the_deaf(station, OPENS_AFTER + 10)
    threading.Event().wait(0.3)
    one.save("heard", status="draft")
    wait_for(partial(is_done, one, "heard"), "the other endpoint is served", OPEN_S / 2)


def test_outcomes_that_cannot_be_recorded_are_recorded_later(
    station: Build, database: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Nothing is lost for it; by threads, nothing is sent again."""
    one, failing = station(), [True]
    real = attempts.record

    def record(*given: Any) -> None:
        if failing and failing.pop():
            raise sqlite3.OperationalError
        real(*given)

    monkeypatch.setattr(attempts, "record", record)
    one.subscribe()
    one.save("c")
    one.start()

    one.sent(1)
    assert ["done"] == [due.state for due in one.listed()]
    # Procrastinate does the job again, and so the delivery, under the same id.
    assert 1 == len(set(one.sender.uids) if database.address else one.sender.uids)


@pytest.mark.parametrize("fails", [False, True])
def test_what_has_ended_is_recorded_at_the_stop(
    station: Build, monkeypatch: pytest.MonkeyPatch, fails: bool
) -> None:
    """Also where a recording is under way then, and where that one fails."""
    one, begun, go, real = station(), threading.Event(), threading.Event(), attempts.record

    def record(*given: Any) -> None:
        if not begun.is_set():
            begun.set()
            go.wait(WAIT_S)
            if fails:
                raise sqlite3.OperationalError
        real(*given)

    monkeypatch.setattr(attempts, "record", record)
    one.subscribe()
    one.save("c")
    one.start()
    assert begun.wait(WAIT_S)
    stop = threading.Thread(target=one.dispatch.stop)
    stop.start()
    go.set()
    stop.join()

    if not (fails and one.database.address):  # Procrastinate does the job again at the next start
        assert ["done"] == [due.state for due in one.listed()]


def test_no_more_is_sent_than_can_be_recorded(
    station: Build, database: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    """While the writer is away outcomes pile up to a bound, and all are recorded in the end."""
    monkeypatch.setattr(threads, "UNRECORDED", 8)
    monkeypatch.setattr(threads, "THREADS", 8)
    one, go, real = station(), threading.Event(), attempts.record

    def record(*given: Any) -> None:
        go.wait(WAIT_S)
        real(*given)

    monkeypatch.setattr(attempts, "record", record)
    one.subscribe()
    for number in range(60):
        one.save(f"c-{number}")
    one.start()
    wait_for(lambda: len(one.sender.sent) >= 8, "some are sent", WAIT_S)
    threading.Event().wait(0.5)
    piled_up = len(one.sender.sent)
    go.set()

    assert 60 == len(one.sent(60))
    assert database.address or piled_up < 20


def test_a_fault_of_ours_is_tried_again(station: Build, monkeypatch: pytest.MonkeyPatch) -> None:
    """An attempt that could not be made is no delivery that is lost."""
    one = station()
    one.subscribe()
    one.save("c")
    real, broken = delivery.sent, [True]

    def sent(*given: Any) -> Sent:
        if broken and broken.pop():
            raise RuntimeError
        found: Sent = real(*given)
        return found

    monkeypatch.setattr(delivery, "sent", sent)
    one.start()

    assert 1 == len(one.sent(1))
    (due,) = one.listed()
    assert ("done", 2) == (due.state, due.attempts)
    page = search.search(one.engine, "AuditEvent", [("outcome", "4")])
    assert "the server failed" in page.matches[0].body.decode()


def test_a_job_whose_end_was_not_stored_holds_up_nobody(
    station: Build, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Procrastinate's word is lost once, with its connection: the lane goes on all the same."""
    real, losing = JobManager.finish_job, [True]

    async def finish(self: JobManager, *given: Any, **named: Any) -> None:
        if losing and losing.pop():
            raise ConnectorException
        await real(self, *given, **named)

    monkeypatch.setattr(JobManager, "finish_job", finish)
    one = station()
    one.subscribe()
    one.save("c")
    one.start()
    one.sent(1)
    one.save("c", status="draft")

    assert 2 == len(one.sent(2))


def test_who_answers_is_served_beside_any_number_that_hang(station: Build) -> None:
    """More endpoints than there are places never answer, each a first time."""
    one = station(StuckSender())
    one.subscribe("Coverage?status=draft", "fast")
    one.start()
    one.save("first", status="draft")
    wait_for(lambda: not one.waiting(), "it has answered once", WAIT_S)
    for number in range(80):
        one.subscribe("Coverage?status=active", f"slow-{number}")
    one.save("slow", status="active")
    one.sender.fast.clear()
    one.save("second", status="draft")

    assert one.sender.fast.wait(WAIT_S / 2)
    one.sender.go.set()


def test_an_event_of_a_subscription_that_ends_with_it(station: Build) -> None:
    """In one transaction: it is given up, and what others wait for goes out."""
    one = station()
    one.subscribe("Coverage?status=active", "ends")
    one.subscribe("Coverage?status=draft", "stays")

    def work(writing: Writing) -> None:
        for number in range(300):
            coverage = samples.coverage(f"c{number}", status="active")
            writing.save(_write.check(one.engine, "Coverage", coverage), f"c{number}", method="PUT")
        body = samples.subscription("http://127.0.0.1:9/ends", "Coverage?status=active")
        off = _write.check(one.engine, "Subscription", {**body, "id": "ends", "status": "off"})
        writing.save(off, "ends", method="PUT")

    _write.transact(one.engine, Origin("trace"), work)
    one.start()
    one.save("other", status="draft")

    assert 1 == len(one.sent(1))
    assert (0, 300, 0) == one.counts()


def test_a_part_of_a_notification_is_sent_again_to_its_end(station: Build) -> None:
    """Its whole goes out again, under its id; attempts are counted for the events asked for."""
    one = station(HeldSender(200, 500, 500))
    limit = {"url": systems.EXT_HOOK_ATTEMPTS, "valueInteger": 2}
    three = {"url": systems.EXT_MAX_COUNT, "valuePositiveInt": 3}
    topic = samples.topic("coverage-changed", extension=[three])
    one.subscribe(**topic, extension=[limit])
    for number in range(3):
        one.save(f"c{number}")
    with one.database.read() as connection:
        (hook,) = one.engine.hooks.by_row(connection).values()
    subscription_state.move(one.engine, hook, "active")
    one.start()
    one.sent(1)
    later = one.listed()[1:]
    _write.transact(one.engine, Origin(""), lambda writing: writing.send_again(later))
    one.dispatch.wake(0)

    found = one.sent(3)
    assert [1, 1, 2] == [attempt for attempt, _ in found]
    assert [[1, 2, 3]] * 3 == [_numbers(body) for _, body in found]
    assert ["done", "dead", "dead"] == [due.state for due in one.listed()]


def test_two_engines_deliver_each_event_once(station: Build) -> None:
    """Two processes of a SQLite file: one leads. Two workers of PostgreSQL: each takes its part."""
    sender = HeldSender()
    first, second = station(sender), station(sender)
    first.subscribe()
    first.start()
    second.start()
    for number in range(30):
        first.save(f"c{number}")

    first.sent(30)
    assert 30 == len(sender.sent) == len(set(sender.uids))
    first.dispatch.stop()
    second.save("after")
    assert 31 == len(second.sent(31))


def test_a_full_disk_leaves_no_wrong_numbers(tmp_path: Path) -> None:
    """SQLite undoes the transaction itself; what was learnt in it is forgotten."""
    made = Database(f"sqlite:///{tmp_path / 'full.db'}")
    with made.write() as connection:
        (pages,) = connection.execute("PRAGMA page_count").fetchone()
        connection.execute("CREATE TABLE filler (x BLOB)")
    assert isinstance(made._engine, Sqlite)
    made._engine._writer.execute(f"PRAGMA max_page_count = {pages + 3}")
    with pytest.raises(sqlite3.OperationalError, match="full"), made.write() as connection:
        number = made.names.system(connection, "http://a")
        connection.execute("INSERT INTO filler VALUES (zeroblob(100000))")
    with made.write() as connection:
        assert number == made.names.system(connection, "http://b")
    made.close()
