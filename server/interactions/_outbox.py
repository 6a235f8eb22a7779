"""The events of one write transaction, recorded at its end, and the turns of Subscriptions."""

from collections.abc import Iterable, Iterator
from dataclasses import replace
from typing import Any

from server.interactions.engine import Engine
from server.search.values import micros
from server.store import deliveries
from server.store.connection import Connection
from server.store.deliveries import Due, Lane, New
from server.subscriptions import audit, events, topics
from server.subscriptions.events import Event
from server.subscriptions.hook import ACTIVE, COUNTING, Hook

OVER = "the Subscription ended in the transaction of the event"
LOOP = "the chain of deliveries that led to it is too long"


class Outbox:
    """Collects what a transaction has to tell, and writes it down when all else is written."""

    def __init__(self, engine: Engine, connection: Connection, cause: tuple[str, int, int]) -> None:
        """Work in the transaction of `connection`; `cause` is trace, depth and priority."""
        self._engine = engine
        self._connection = connection
        self._trace, self._depth, self._priority = cause
        self._found: list[tuple[New, Hook, Event]] = []
        self._released: list[Lane] = []
        self._has_turned = False  # whether a Subscription has changed in this transaction

    def is_watched(self, epochs: tuple[int, int], type_name: str) -> bool:
        """Tell whether any Subscription looks at resources of a type at all."""
        return self._engine.hooks.is_watched(self._connection, epochs, type_name)

    def notice(self, epochs: tuple[int, int], event: Event) -> None:
        """Hear of a new version."""
        for hook in self._engine.hooks.concerned(self._connection, epochs, event):
            self._found.append((self._new(hook, event), hook, event))

    def tell_again(self, epochs: tuple[int, int], event: Event, only: str, now: int) -> int:
        """Tell of a version once more, as of now; return how many Subscriptions hear of it.

        With `only`, an id, no other Subscription does.
        """
        hooks = self._engine.hooks.concerned(self._connection, epochs, event)
        chosen = [hook for hook in hooks if not only or hook.id == only]
        self._found += [(replace(self._new(hook, event), at=now), hook, event) for hook in chosen]
        return len(chosen)

    def turn(self, rid: int, body: dict[str, Any], updated: int) -> None:
        """Let what waits for a Subscription go, wait or end, as its new status has it.

        The body of a deleted one is empty.
        """
        self._has_turned = True
        status = body.get("status", "")
        if status == ACTIVE:
            lanes = deliveries.release(self._connection, rid, updated)
            is_topic = topics.find(body["criteria"]) is not None
            self._released += [(sub, 0 if is_topic else row, first) for sub, row, first in lanes]
        elif status in COUNTING:
            deliveries.hold(self._connection, rid)
        else:
            reason = "the Subscription is off" if status else "the Subscription was deleted"
            deliveries.drop(self._connection, rid, updated, reason)

    def send_again(self, dues: Iterable[Due], now: int) -> None:
        """Let deliveries be due once more; those of a Subscription that is not active are held.

        Those of a Subscription that is gone stay as they are: nobody would send them.
        """
        hooks = self._engine.hooks.by_row(self._connection)
        for due in dues:
            hook = hooks.get(due.subscription)
            if hook is None:
                continue
            deliveries.send_again(self._connection, due.did, now)
            if hook.status == ACTIVE:
                self._released.append((due.subscription, hook.lane(due.rid), deliveries.REAL_TIME))
            else:
                deliveries.hold(self._connection, due.subscription)

    def loops(self) -> Iterator[dict[str, Any]]:
        """Yield an AuditEvent for each event that is not sent: its chain is too long."""
        for new, hook, event in self._found:
            if new.reason == LOOP:
                address = f"{event.type}/{event.id}"
                yield audit.loop_event(hook, address, new, self._engine.base)

    def close(self) -> bool:
        """Record the events; tell whether any is to be sent.

        Two transactions that number events would wait for each other otherwise: by one guard all
        events are numbered, and who has it waits for no row of a resource any more.
        """
        lanes = list(self._released)
        if self._has_turned:
            self._found = [self._turned(*found) for found in self._found]
        if self._found:
            self._connection.guard(events.EVENTS)
            deliveries.add(self._connection, [new for new, _, _ in self._found])
            lanes += [
                (new.subscription, hook.lane(new.rid), new.priority)
                for new, hook, _ in self._found
                if not new.is_held and not new.reason
            ]
        if lanes:
            self._engine.dispatch.added(self._connection, lanes)
        return bool(lanes)

    def _turned(self, new: New, hook: Hook, event: Event) -> tuple[New, Hook, Event]:
        """Return an event as its Subscription is now, at the end of the transaction."""
        now = self._engine.hooks.by_row(self._connection).get(hook.rid)
        if now is None or now.status not in COUNTING:
            return replace(new, reason=new.reason or OVER), hook, event
        return replace(new, is_held=now.status != ACTIVE), now, event

    def _new(self, hook: Hook, event: Event) -> New:
        return New(
            subscription=hook.rid,
            rid=event.rid,
            vrid=event.vrid,
            uid=self._engine.new_id(),
            trace=self._trace,
            at=micros(event.moment),
            depth=self._depth,
            priority=self._priority,
            is_held=hook.status != ACTIVE,
            reason=LOOP if self._depth > self._engine.chain_limit else "",
        )
