"""The engine for SQLite: one loop and its threads, in one process per database.

The loop finds what is due and hands it out; what waits, for receivers or for the writer of the
database, does so in another thread. In a flood the loop records what has ended itself, which slows
it as it should.
The process that leads the database delivers; its lead ends with it, however it ends. Rows stay
`due` until their outcome is committed, so a crash repeats and never loses.
"""

import logging
import threading
import time
from collections import Counter, deque
from collections.abc import Iterable, Mapping, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from queue import SimpleQueue

from server.errors import log_fault
from server.search.values import micros
from server.store import deliveries
from server.store.connection import Connection
from server.store.deliveries import Due, Lane
from server.subscriptions import dispatch
from server.subscriptions.breaker import Breaker
from server.subscriptions.dispatch import Ended, Post, Record
from server.subscriptions.hook import Hook

THREADS = 128
BATCH = 256
RECORD_S, COMMIT_S = 0.0008, 0.004  # what an outcome and its commit cost, on a slow machine
PAUSE_LIMIT_S = 0.5
YIELD = 8.0  # how much longer than it has waited for the writer the loop leaves it to others
HEARD_S = 0.5  # how long after a write others count as writing
TOGETHER, SETTLE_S = 32, 0.01  # outcomes that share a transaction, and how long they wait for it
UNRECORDED = 4 * TOGETHER  # with so many outcomes not recorded nothing more is sent
FLOOD_PER_S, COUNT_S = 200, 0.1  # taken by receivers, in so long: the loop records and gives way
STAYS_LIMIT = 4 * BATCH  # rows that are kept for endpoints that are full
POLL_S = 0.25  # a safety net, and how late a retry may be; the bell wakes the loop for what is new
LEFT_ALONE_S = 1.0  # how long a silent endpoint is not even looked at
_log = logging.getLogger(__name__)
Ready = tuple[Hook, Sequence[Due]]


class Threads:
    """Delivers what is due, in order in each lane, until stopped."""

    def __init__(self, post: Post, *, is_worker: bool) -> None:
        """Work on the database of `post`; only wake who delivers if this is no worker."""
        self._post = post
        self._is_worker = is_worker
        self._bell = post.database.bell("dispatch")
        self._others = post.database.bell("others")  # who writes what no delivery led to
        self._breaker = Breaker()
        self._stop = threading.Event()
        self._landed: SimpleQueue[Ended] = SimpleQueue()
        self._ended: list[Ended] = []  # attempts that are over and not recorded yet
        self._recorder = ThreadPoolExecutor(1, thread_name_prefix="recorder")
        self._recording: Future[None] | None = None  # the first `_together` of `_ended`
        self._together = 0
        self._is_flood = False  # whether recording takes so much that others hardly get to write
        self._counted, self._counted_since = 0, 0.0
        self._flying: dict[int, Hook] = {}  # attempts under way, by their first row
        self._rows: set[int] = set()  # all rows that are under way, or not recorded yet
        self._found: deque[Due] = deque()  # rows that were read and not sent yet
        self._settled_at = self._paused_until = 0.0
        self._heard_at = 0.0  # when others were last heard to write
        self._later: dict[int, float] = {}  # Subscription row -> when to look at it again
        self._record: Record = lambda _ended: None
        self._thread = threading.Thread(target=self._run, name="dispatcher", daemon=True)

    def start(self, record: Record) -> None:
        """Begin, as soon as no other process is the dispatcher of this database."""
        self._record = record
        if self._is_worker:
            self._thread.start()

    def added(self, _connection: Connection, _lanes: Sequence[Lane]) -> None:
        """Do nothing: the rows themselves are found."""

    def wake(self, depth: int) -> None:
        """Let the loop look now, in whichever process it runs."""
        if not depth:
            self._others.ring()
        self._bell.ring()

    def stop(self) -> None:
        """Start no more attempts and wait for those under way to be recorded."""
        self._stop.set()
        self._bell.ring()
        if self._is_worker:
            self._thread.join()

    def _run(self) -> None:
        with self._post.database.lead("dispatch", self._stop.wait) as leads:
            if not leads():
                return
            with ThreadPoolExecutor(THREADS, thread_name_prefix="delivery") as pool:
                while not self._stop.is_set():
                    self._turn(pool)
            self._found.clear()
            self._record_rest()
            self._recorder.shutdown()

    def _turn(self, pool: ThreadPoolExecutor) -> None:
        try:
            self._land()
            self._settle()
            for hook, dues in self._ready() if self._may_send() else ():
                self._flying[dues[0].did] = hook
                self._rows.update(due.did for due in dues)
                pool.submit(self._attempt, hook, dues)
        except Exception as error:  # noqa: BLE001 the loop outlives a full disk or a locked file, and tries again
            log_fault(_log, "dispatcher turn failed", error)
            self._stop.wait(1.0)
        pause_s, self._paused_until = self._paused_until - time.monotonic(), 0.0
        if pause_s > 0:
            self._stop.wait(pause_s)
            self._counted_since += pause_s
            self._bell.ring()
        self._bell.wait(SETTLE_S if self._ended and self._recording is None else POLL_S)

    def _may_send(self) -> bool:
        """Tell whether the writer is not to be left to others, and outcomes do not pile up."""
        return not self._paused_until and len(self._ended) < UNRECORDED

    def _record_rest(self) -> None:
        """Record all that has ended; what cannot be recorded is sent again by the next engine."""
        if self._recording is not None and self._recording.exception() is None:
            self._forget()
        self._land()
        for start in range(0, len(self._ended), TOGETHER):
            try:
                self._record(self._ended[start : start + TOGETHER])
            except Exception as error:  # noqa: BLE001 the others may be recorded all the same
                log_fault(_log, "the outcomes of deliveries are not recorded", error)

    def _land(self) -> None:
        """Take in what has ended: its threads are free."""
        for _ in range(self._landed.qsize()):
            ended = self._landed.get_nowait()
            self._flying.pop(ended.attempt.dues[0].did)
            self._ended.append(ended)

    def _settle(self) -> None:
        """Have recorded what has ended; while there is more to send or to come, many at a time."""
        if self._recording is not None:
            if not self._recording.done():
                return
            recording, self._recording = self._recording, None
            recording.result()  # raises what kept it from that, to be tried again
            self._forget()
        if self._others.wait(0):
            self._heard_at = time.monotonic()
        if not self._ended:
            return
        if (self._found or self._flying) and len(self._ended) < TOGETHER and not self._is_late():
            return
        self._settled_at, self._together = time.monotonic(), min(len(self._ended), TOGETHER)
        ended = self._ended[: self._together]
        if self._is_flood:
            self._record(ended)
            self._forget()
            self._give_way()
        else:
            self._recording = self._recorder.submit(self._record, ended)
            self._recording.add_done_callback(lambda _: self._bell.ring())

    def _give_way(self) -> None:
        """Leave the writer to others, with much to send, for a multiple of the wait for it.

        That wait tells that others write. Bots that write what deliveries led to are no others:
        less would be delivered to them, and the writer be free for nobody.
        """
        now = time.monotonic()
        waited_s = now - self._settled_at - RECORD_S * self._together - COMMIT_S
        if len(self._found) >= TOGETHER and now - self._heard_at < HEARD_S:
            self._paused_until = now + min(max(0.0, waited_s) * YIELD, PAUSE_LIMIT_S)

    def _forget(self) -> None:
        """Let go of what is recorded, and count what was taken: so many so fast are a flood."""
        for one in self._ended[: self._together]:
            self._counted += one.attempt.state == "done"
            self._rows.difference_update(due.did for due in one.attempt.dues)
        del self._ended[: self._together]
        span_s = time.monotonic() - self._counted_since
        if span_s >= COUNT_S:
            self._is_flood = self._counted / span_s >= FLOOD_PER_S
            self._counted, self._counted_since = 0, time.monotonic()

    def _is_late(self) -> bool:
        return time.monotonic() - self._settled_at > SETTLE_S

    def _ready(self) -> list[Ready]:
        """Return what to send now, at most as much as there are threads for."""
        steady = time.monotonic()
        self._later = {sub: at for sub, at in self._later.items() if at > steady}
        flying = Counter(hook.endpoint for hook in self._flying.values())
        busy = {hook.rid for hook in self._flying.values()}
        busy.update(one.attempt.dues[0].subscription for one in self._ended)
        with self._post.database.read() as connection:
            hooks = self._post.hooks.by_row(connection)
            ready = self._take(connection, hooks, flying, busy)
            has_more = bool(ready)
            if not ready and flying.total() < THREADS:
                # All that was read waits for full endpoints: others may have something new.
                left_out = self._left_out(hooks.values(), flying, busy)
                left_out |= {due.subscription for due in self._found}
                now = micros(self._post.now())
                found = deliveries.due(connection, now, BATCH, known=self._rows, without=left_out)
                self._found.extend(found)
                has_more = len(found) == BATCH
                ready = self._take(connection, hooks, flying, busy)
        if has_more:
            self._bell.ring()
        return ready

    def _take(
        self,
        connection: Connection,
        hooks: Mapping[int, Hook],
        flying: Counter[str],
        busy: set[int],
    ) -> list[Ready]:
        """Take from what was read all that can go now; what waits for its endpoint stays."""
        now, steady, stays = self._post.now(), time.monotonic(), list[Due]()
        full: set[str] = set()  # endpoints with as many as they may have
        room = THREADS - flying.total()
        ready: list[Ready] = []
        while self._found and len(ready) < room:
            due = self._found.popleft()
            hook = hooks.get(due.subscription)
            if hook is None or not hook.is_live(now) or hook.rid in self._later:
                continue  # it is found again when it can go
            if hook.endpoint in full or self._is_full(flying, hook.endpoint):
                full.add(hook.endpoint)
                stays.append(due)
                continue
            dues = self._dues(connection, hook, due, micros(now), busy)
            if dues and not self._waits(hook, steady):
                flying[hook.endpoint] += 1
                busy.add(hook.rid)
                ready.append((hook, dues))
        # What is let go here is found again when its endpoint has a place.
        self._found.extendleft(reversed(stays[:STAYS_LIMIT]))
        return ready

    def _is_full(self, flying: Counter[str], endpoint: str) -> bool:
        share = dispatch.share(flying, endpoint, THREADS, self._breaker.is_proven)
        return flying[endpoint] >= share

    def _left_out(self, hooks: Iterable[Hook], flying: Counter[str], busy: set[int]) -> set[int]:
        """Return the Subscriptions that nothing can be sent to now."""
        now = self._post.now()
        return {
            hook.rid
            for hook in hooks
            if hook.rid in self._later
            or not hook.is_live(now)
            or self._is_full(flying, hook.endpoint)
            or (hook.topic is not None and hook.rid in busy)
        }

    def _dues(
        self, connection: Connection, hook: Hook, due: Due, now: int, busy: set[int]
    ) -> Sequence[Due]:
        """Return what goes out with `due`; nothing where the Subscription's order has it wait.

        To a topic's Subscription one notification is under way at a time, by event numbers.
        """
        if hook.topic is None:
            return [due]
        if hook.rid in busy:
            return []
        first = deliveries.first_of(connection, hook.rid)
        if first is None:
            return []
        if first.due_at > now:
            self._later[hook.rid] = time.monotonic() + POLL_S
            return []
        return deliveries.batch(connection, first, hook.max_count)

    def _waits(self, hook: Hook, steady: float) -> bool:
        """Tell whether the endpoint is silent, and has to be left alone for a while."""
        wait_s = self._breaker.wait_s(hook.endpoint, steady)
        if wait_s:
            self._later[hook.rid] = steady + min(wait_s, LEFT_ALONE_S)
        return wait_s > 0

    def _attempt(self, hook: Hook, dues: Sequence[Due]) -> None:
        try:
            ended = dispatch.attempt(self._post, hook, dues)
        except Exception as error:  # noqa: BLE001 a row must never stay in flight: it is tried again
            log_fault(_log, f"delivery attempt failed, row {dues[0].did}", error)
            ended = dispatch.failed(self._post, hook, dues)
        self._breaker.heard(hook.endpoint, time.monotonic(), answered=ended.is_answered)
        self._landed.put(ended)
        self._bell.ring()
