"""What a Subscription gets beside events: the handshake, heartbeats, and its end.

One process of a database does this, whatever engine delivers. A handshake that was not recorded is
sent again: the Subscription is still `requested` then. Source: Subscriptions R5 Backport 1.1,
channels.html#rest-hook; FHIR R4 subscription.html.
"""

import logging
import time
from concurrent.futures import ThreadPoolExecutor

from server.errors import log_fault
from server.interactions import attempts, subscription_state
from server.interactions.engine import Engine
from server.interactions.turns import Turns
from server.search.values import micros
from server.store import deliveries
from server.subscriptions import delivery, notification
from server.subscriptions.audit import Attempt
from server.subscriptions.breaker import Breaker
from server.subscriptions.delivery import Answer, Sent
from server.subscriptions.dispatch import Ended
from server.subscriptions.hook import ACTIVE, ERROR, OFF, REQUESTED, Hook
from server.subscriptions.sender import Sender

POLL_S = 0.25
THREADS = 16
_log = logging.getLogger(__name__)


class Signals:
    """Shakes hands, keeps alive, and ends Subscriptions, until stopped."""

    def __init__(self, engine: Engine, sender: Sender, *, is_open: bool) -> None:
        """Do nothing before start(). Where the server `is_open` everybody may hear everything."""
        self._engine = engine
        self._sender = sender
        self._is_open = is_open
        self._busy: set[tuple[int, str]] = set()
        self._beats: dict[int, float] = {}  # Subscription row -> when its next heartbeat is due
        self._breaker = Breaker()
        # Apart: heartbeats that hang must not keep a handshake waiting.
        self._pools = {
            what: ThreadPoolExecutor(THREADS, thread_name_prefix=what)
            for what in (notification.HANDSHAKE, notification.HEARTBEAT)
        }
        self._turns = Turns(engine.database, "signals", self._turn, POLL_S)

    def start(self) -> None:
        """Begin, as soon as no other process does this for the database."""
        self._turns.start()

    def stop(self) -> None:
        """Begin nothing more and wait for what is under way."""
        self._turns.stop()
        for pool in self._pools.values():
            pool.shutdown()

    def _turn(self) -> None:
        with self._engine.database.read() as connection:
            hooks = self._engine.hooks.by_row(connection)
        now, steady = self._engine.now(), time.monotonic()
        self._beats = {rid: at for rid, at in self._beats.items() if rid in hooks}
        for hook in hooks.values():
            if hook.is_over(now) and hook.status != OFF:
                subscription_state.move(self._engine, hook, OFF)
            elif hook.topic is not None and hook.status == REQUESTED:
                self._begin(hook, notification.HANDSHAKE)
            elif hook.heartbeat_s and hook.status == ACTIVE:
                due = self._beats.setdefault(hook.rid, steady + hook.heartbeat_s)
                if due <= steady and not self._breaker.wait_s(hook.endpoint, steady):
                    self._begin(hook, notification.HEARTBEAT)
                    self._beats[hook.rid] = max(due + hook.heartbeat_s, steady)

    def _begin(self, hook: Hook, what: str) -> None:
        """Begin a task unless the same is under way for this Subscription.

        A client that may not read what its Subscription tells of hears nothing, not even a count.
        """
        if not self._is_open and hook.scopes.lacking(f"{one}.r" for one in hook.types):
            subscription_state.move(self._engine, hook, ERROR, attempts.MAY_NOT_READ)
            return
        key = (hook.rid, what)
        if key not in self._busy:
            self._busy.add(key)
            self._pools[what].submit(self._do, hook, what, key)

    def _do(self, hook: Hook, what: str, key: tuple[int, str]) -> None:
        try:
            answer = self._send(hook, what)
            if what == notification.HANDSHAKE:
                self._shaken(hook, answer)
        except Exception as error:  # noqa: BLE001 the next turn tries again
            log_fault(_log, f"{what} failed", error)
            self._turns.wait(1.0)
        finally:
            self._busy.discard(key)

    def _send(self, hook: Hook, what: str) -> Answer:
        engine, uid = self._engine, self._engine.new_id()
        with engine.database.read() as connection:
            count = deliveries.events_so_far(connection, hook.rid)
        began = micros(engine.now())
        body = notification.bundle(hook, engine.base, count, (), kind=what, uid=uid, at=began)
        sent = Sent(uid=uid, body=body, attempt=1, trace=uid, depth=0)
        answer = self._sender.send(hook, sent, began // 1_000_000)
        answered = answer.status is not None
        self._breaker.heard(hook.endpoint, time.monotonic(), answered=answered)
        taken = delivery.is_taken(hook, answer)
        attempt = Attempt(
            subscription=hook.id, endpoint=hook.endpoint, kind=what, uid=uid, number=1, trace=uid,
            dues=(), answer=answer, state="done" if taken else "dead", at=micros(engine.now()),
            carries=False,
        )  # fmt: skip
        attempts.record(engine, [Ended(attempt, ())])
        return answer

    def _shaken(self, hook: Hook, answer: Answer) -> None:
        """Activate a Subscription whose endpoint answered the handshake; else put it in error."""
        if delivery.is_taken(hook, answer):
            subscription_state.move(self._engine, hook, ACTIVE)
            return
        said = f"HTTP {answer.status}" if answer.status is not None else answer.fault
        text = f"The handshake failed: {said}. Mend the endpoint, then store status requested."
        subscription_state.move(self._engine, hook, ERROR, text)
