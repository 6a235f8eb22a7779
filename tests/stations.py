"""A database with an engine of deliveries, and a sender that we hold."""

import threading
from functools import partial
from typing import Any

from server import clock
from server.app import dispatcher
from server.interactions import attempts
from server.registry import Registry
from server.store import deliveries
from server.store.database import Database
from server.store.deliveries import Due
from server.subscriptions.delivery import Answer, Sent
from server.subscriptions.dispatch import Dispatch, Post
from server.subscriptions.events import Hooks
from server.subscriptions.hook import Hook
from tests import engines, samples
from tests.engines import BASE
from tests.programs import wait_for

WAIT_S = 20.0


class HeldSender:
    """Answers with the given statuses, one for each attempt, then with 200; keeps what was sent."""

    def __init__(self, *statuses: int | None) -> None:
        self.sent: list[tuple[int, bytes]] = []
        self.uids: list[str] = []
        self._statuses = list(statuses)
        self._lock = threading.Lock()

    def send(self, hook: Hook, what: Sent, timestamp: int) -> Answer:
        assert hook.endpoint
        assert timestamp
        with self._lock:
            self.sent.append((what.attempt, what.body))
            self.uids.append(what.uid)
            return Answer(self._statuses.pop(0) if self._statuses else 200)


class Station:
    """A database with an engine that writes to it and one that delivers, started when told."""

    def __init__(self, database: Database, sender: Any, *, is_open: bool = True) -> None:
        self.database, self.sender = database, sender
        hooks = Hooks(BASE, Registry())
        post = Post(database, hooks, sender, BASE, clock.now, is_open)
        self.dispatch: Dispatch = dispatcher(post, is_worker=True)
        self.engine = engines.engine(
            database, hooks, now=clock.now, dispatch=self.dispatch, new_id=clock.new_id
        )

    def start(self) -> None:
        self.dispatch.start(partial(attempts.record, self.engine))

    def subscribe(self, criteria: str = "Coverage", name: str = "sub", **more: Any) -> None:
        body = {**samples.subscription(f"http://127.0.0.1:9/{name}", criteria), "id": name, **more}
        engines.put(self.engine, body, name)

    def save(self, fhir_id: str, **more: str) -> None:
        engines.put(self.engine, samples.coverage(fhir_id, **more), fhir_id)

    def sent(self, count: int) -> list[tuple[int, bytes]]:
        """Wait until so many attempts were made, and all of them recorded."""
        wait_for(lambda: len(self.sender.sent) >= count, f"{count} attempts", WAIT_S)
        wait_for(lambda: not self.waiting(), "nothing waits", WAIT_S)
        found: list[tuple[int, bytes]] = self.sender.sent
        return found

    def waiting(self) -> int:
        with self.database.read() as connection:
            return deliveries.counts(connection)[0]

    def counts(self) -> tuple[int, int, int]:
        with self.database.read() as connection:
            return deliveries.counts(connection)

    def listed(self) -> list[Due]:
        with self.database.read() as connection:
            return deliveries.listed(connection, {}, before=None, limit=1000)[::-1]
