"""The dispatcher over a real database and a sender that we hold: order, recovery, give-up."""

import sqlite3
import threading
from collections.abc import Callable, Iterator
from datetime import UTC, datetime
from pathlib import Path

import pytest

from server.interactions import _write, delete
from server.interactions._write import Origin, Writing
from server.interactions.engine import Engine
from server.registry import Registry
from server.store import deliveries
from server.store.database import Database
from server.store.deliveries import Due
from server.store.sqlite import Sqlite
from server.subscriptions.criteria import Hook
from server.subscriptions.delivery import Answer, Sender
from server.subscriptions.events import Hooks
from server.subscriptions.threads import Dispatcher
from tests import engines, samples

BASE = "http://me/fhir"
WAIT_S = 10.0


class HeldSender(Sender):
    """Answers from a list, and notes what was sent."""

    def __init__(self, *statuses: int) -> None:
        super().__init__(connections=1, allow_private=True)
        self.sent: list[tuple[int, bytes]] = []
        self.enough = threading.Event()
        self.expected = 1
        self._statuses = list(statuses)

    def send(self, hook: Hook, due: Due, timestamp: int) -> Answer:
        assert hook.endpoint
        assert timestamp
        self.sent.append((due.attempts + 1, due.body))
        if len(self.sent) >= self.expected:
            self.enough.set()
        return Answer(self._statuses.pop(0) if self._statuses else 200)


@pytest.fixture
def database(new_database: Callable[[], str]) -> Iterator[Database]:
    made = Database(new_database())
    yield made
    made.close()


def now() -> datetime:
    return datetime.now(UTC)


def engine_on(database: Database, hooks: Hooks, wake: Callable[[], None]) -> Engine:
    return engines.engine(database, hooks, now=now, wake=wake)


def subscribe(engine: Engine, criteria: str = "Coverage") -> None:
    engines.put(engine, samples.subscription("http://127.0.0.1:9/hook", criteria), "sub")


def save(engine: Engine, fhir_id: str, **more: str) -> None:
    engines.put(engine, samples.coverage(fhir_id, **more), fhir_id)


def waiting(database: Database) -> int:
    with database.read() as connection:
        return len(deliveries.due(connection, 2**62, 100))


def test_events_of_one_resource_keep_their_order_through_retries(database: Database) -> None:
    """Version 2 waits until version 1 was taken, however often that fails (prior-art check 28)."""
    hooks, sender = Hooks(BASE, Registry()), HeldSender(500)
    dispatcher = Dispatcher(database, hooks, sender, now)
    engine = engine_on(database, hooks, dispatcher.wake)
    subscribe(engine)
    save(engine, "c", status="active")
    save(engine, "c", status="draft")
    sender.expected = 3
    dispatcher.start()

    assert sender.enough.wait(WAIT_S)
    dispatcher.stop()
    assert [1, 2, 1] == [attempt for attempt, _ in sender.sent]
    assert [True, True, False] == [b'"active"' in body for _, body in sender.sent]
    assert 0 == waiting(database)


def test_what_was_not_settled_is_sent_again_by_the_next_dispatcher(database: Database) -> None:
    """The outbox row is the truth: a process that dies loses nothing."""
    hooks = Hooks(BASE, Registry())
    engine = engine_on(database, hooks, lambda: None)
    subscribe(engine)
    save(engine, "c")
    assert 1 == waiting(database)
    sender = HeldSender()
    dispatcher = Dispatcher(database, Hooks(BASE, Registry()), sender, now)
    dispatcher.start()

    assert sender.enough.wait(WAIT_S)
    dispatcher.stop()
    assert 0 == waiting(database)


def test_a_write_that_is_undone_tells_nobody(database: Database) -> None:
    """SUBT-31: events commit with their resource or not at all."""
    hooks = Hooks(BASE, Registry())
    engine = engine_on(database, hooks, lambda: None)
    subscribe(engine)
    incoming = _write.check(engine, "Coverage", samples.coverage("c"))

    def work(writing: Writing) -> None:
        writing.save(incoming, "c", method="PUT")
        raise RuntimeError

    with pytest.raises(RuntimeError):
        _write.transact(engine, Origin(""), work)

    assert 0 == waiting(database)


def test_criteria_choose(database: Database) -> None:
    """SUBC-01: fires on a match only, and on delete only if asked (prior-art check 19)."""
    hooks = Hooks(BASE, Registry())
    engine = engine_on(database, hooks, lambda: None)
    subscribe(engine, "Coverage?status=active")
    save(engine, "a", status="draft")
    save(engine, "b", status="active")
    delete.delete(engine, "Coverage", "b", if_match=None, origin=Origin(""))

    assert 1 == waiting(database)


def test_a_final_no_is_a_dead_letter_and_the_next_event_goes_on(database: Database) -> None:
    """Given up means counted, not lost: /readyz tells of it."""
    hooks, sender = Hooks(BASE, Registry()), HeldSender(422)
    dispatcher = Dispatcher(database, hooks, sender, now)
    engine = engine_on(database, hooks, dispatcher.wake)
    subscribe(engine)
    sender.expected = 2
    save(engine, "c", status="active")
    save(engine, "c", status="draft")
    dispatcher.start()

    assert sender.enough.wait(WAIT_S)
    dispatcher.stop()
    with database.read() as connection:
        assert (0, 1) == deliveries.counts(connection)


def test_a_slow_endpoint_leaves_the_others_alone(database: Database) -> None:
    """However much waits for one endpoint, another one's event goes out at once."""
    hooks = Hooks(BASE, Registry())
    engine = engine_on(database, hooks, lambda: None)
    for name, criteria in (("slow", "Coverage?status=active"), ("fast", "Coverage?status=draft")):
        body = {**samples.subscription(f"http://127.0.0.1:9/{name}", criteria), "id": name}
        engines.put(engine, body, name)
    for number in range(400):
        save(engine, f"slow-{number}", status="active")
    save(engine, "fast", status="draft")
    sender = StuckSender()
    dispatcher = Dispatcher(database, hooks, sender, now)
    dispatcher.start()

    assert sender.fast.wait(WAIT_S)
    sender.go.set()
    dispatcher.stop()


class StuckSender(HeldSender):
    """Holds everything for one endpoint until told to go on."""

    def __init__(self) -> None:
        super().__init__()
        self.go, self.fast = threading.Event(), threading.Event()

    def send(self, hook: Hook, due: Due, timestamp: int) -> Answer:
        if hook.endpoint.endswith("fast"):
            self.fast.set()
        else:
            self.go.wait(WAIT_S)
        return super().send(hook, due, timestamp)


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


def test_databases_side_by_side_have_their_own_dispatchers(tmp_path: Path) -> None:
    """clinic.a and clinic.b in one folder do not share a lock."""
    running = []
    for name in ("clinic.a", "clinic.b"):
        made = Database(f"sqlite:///{tmp_path / name}")
        hooks, sender = Hooks(BASE, Registry()), HeldSender()
        dispatcher = Dispatcher(made, hooks, sender, now)
        engine = engine_on(made, hooks, dispatcher.wake)
        subscribe(engine)
        save(engine, "c")
        dispatcher.start()
        assert sender.enough.wait(WAIT_S), name
        running.append((dispatcher, made))
    for dispatcher, made in running:
        dispatcher.stop()
        made.close()


def test_one_process_dispatches(database: Database) -> None:
    """A second dispatcher of the same file waits for the first to go."""
    first_sender, second_sender = HeldSender(), HeldSender()
    hooks = Hooks(BASE, Registry())
    first = Dispatcher(database, hooks, first_sender, now)
    engine = engine_on(database, hooks, first.wake)
    subscribe(engine)
    first.start()
    save(engine, "c")
    assert first_sender.enough.wait(WAIT_S)
    second = Dispatcher(database, hooks, second_sender, now)
    second.start()
    first_sender.enough.clear()
    save(engine, "d")
    assert first_sender.enough.wait(WAIT_S)
    assert [] == second_sender.sent
    first.stop()
    save(engine, "e")

    assert second_sender.enough.wait(WAIT_S)
    second.stop()
