"""The dispatcher: one loop and a pool of threads, in one process per database.

The process that leads the database is the dispatcher; its lead ends with it, however it ends.
Rows stay `due` until their outcome is committed, so a crash repeats and never loses.
"""

import logging
import threading
from collections import Counter
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from datetime import datetime
from queue import Empty, SimpleQueue

from server.errors import log_fault
from server.search.values import micros
from server.store import deliveries
from server.store.database import Database
from server.store.deliveries import Due, Outcome
from server.subscriptions import delivery
from server.subscriptions.criteria import Hook
from server.subscriptions.delivery import Sender
from server.subscriptions.events import Hooks

THREADS = 32
PER_ENDPOINT = 24  # so that one slow endpoint leaves threads for the others
BATCH = 256
POLL_S = 0.25  # a safety net: finds what another process wrote; our own writes wake the loop
_log = logging.getLogger(__name__)


class Dispatcher:
    """Delivers what is due, in order per Subscription and resource, until stopped."""

    def __init__(
        self, database: Database, hooks: Hooks, sender: Sender, now: Callable[[], datetime]
    ) -> None:
        """Work on `database`; nothing starts before start()."""
        self._database = database
        self._hooks = hooks
        self._sender = sender
        self._now = now
        self._wake = threading.Event()
        self._stop = threading.Event()
        self._settled: SimpleQueue[Outcome] = SimpleQueue()
        self._flying: dict[int, str] = {}
        self._thread = threading.Thread(target=self._run, name="dispatcher", daemon=True)

    def start(self) -> None:
        """Begin, as soon as no other process is the dispatcher of this database."""
        self._thread.start()

    def wake(self) -> None:
        """Look at the outbox now: something was committed."""
        self._wake.set()

    def stop(self) -> None:
        """Start no more attempts and wait for those under way to be recorded."""
        self._stop.set()
        self._wake.set()
        self._thread.join()

    def _run(self) -> None:
        with self._database.lead("dispatch", self._stop.wait) as leads:
            if not leads:
                return
            with ThreadPoolExecutor(THREADS, thread_name_prefix="delivery") as pool:
                while not self._stop.is_set():
                    self._turn(pool)
            self._settle()

    def _turn(self, pool: ThreadPoolExecutor) -> None:
        self._wake.clear()
        try:
            self._settle()
            for due, hook in self._ready():
                self._flying[due.did] = hook.endpoint
                pool.submit(self._attempt, due, hook)
        except Exception as error:  # noqa: BLE001 the loop outlives a full disk or a locked file, and tries again
            log_fault(_log, "dispatcher turn failed", error)
            self._stop.wait(1.0)
        self._wake.wait(POLL_S)

    def _settle(self) -> None:
        outcomes = []
        while True:
            try:
                outcomes.append(self._settled.get_nowait())
            except Empty:
                break
        if not outcomes:
            return
        try:
            with self._database.write() as connection:
                deliveries.settle(connection, outcomes)
        except Exception:
            for one in outcomes:
                self._settled.put(one)
            raise
        for one in outcomes:
            self._flying.pop(one.did, None)
            if one.state == "dead":
                _log.error("delivery given up, row %d, last status %s", one.did, one.status)

    def _ready(self) -> list[tuple[Due, Hook]]:
        now = self._now()
        free = THREADS - len(self._flying)
        if free <= 0:
            return []
        busy = Counter(self._flying.values())
        with self._database.read() as connection:
            hooks = self._hooks.by_row(connection)
            full = [rid for rid, hook in hooks.items() if busy[hook.endpoint] >= PER_ENDPOINT]
            limit = len(self._flying) + BATCH
            found = deliveries.due(connection, micros(now), limit, without=full)
        if len(found) == limit:
            self._wake.set()  # there is more: look again without those that are full by then
        ready: list[tuple[Due, Hook]] = []
        for due in found:
            hook = hooks.get(due.subscription)
            if due.did in self._flying or len(ready) >= free:
                continue
            if hook is None or not hook.is_live(now):
                self._settled.put(Outcome(due.did, "dead", due.attempts, micros(now), None))
                self._flying[due.did] = ""
                self._wake.set()
            elif busy[hook.endpoint] < PER_ENDPOINT:
                busy[hook.endpoint] += 1
                ready.append((due, hook))
        return ready

    def _attempt(self, due: Due, hook: Hook) -> None:
        answer = delivery.Answer(None)
        try:
            answer = self._sender.send(hook, due, int(self._now().timestamp()))
        except Exception as error:  # noqa: BLE001 a row must never stay in flight: it is tried again
            log_fault(_log, f"delivery attempt failed, row {due.did}", error)
        self._settled.put(delivery.outcome(due, answer, micros(self._now())))
        self._wake.set()
