"""What an engine of deliveries does, whatever runs it; and one attempt, the same for all.

Two engines: threads of the server on SQLite (threads.py), and Procrastinate's workers on PostgreSQL
(procrastinate.py). One set of contract tests holds for both. A row of the event log is the truth:
an engine may be killed at any moment and loses nothing.
"""

from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Protocol

from server.search.values import micros
from server.store.connection import Connection
from server.store.database import Database
from server.store.deliveries import Due, Lane, Outcome
from server.subscriptions import audit, delivery
from server.subscriptions.audit import Attempt
from server.subscriptions.delivery import Answer, Sent
from server.subscriptions.events import Hooks
from server.subscriptions.hook import EMPTY, Hook
from server.subscriptions.sender import Sender


@dataclass(frozen=True, slots=True)
class Ended:
    """An attempt that is over, and what becomes of the deliveries it was about."""

    attempt: Attempt
    outcomes: Sequence[Outcome]

    @property
    def is_answered(self) -> bool | None:
        """Tell whether the endpoint gave an answer; None where nothing was sent to it."""
        answer = self.attempt.answer
        return None if answer is delivery.WITHHELD else answer.status is not None


Record = Callable[[Sequence[Ended]], None]


@dataclass(frozen=True, slots=True)
class Post:
    """What an engine works with; `base` is our FHIR base URL.

    Where the server `is_open` nobody has to be allowed to hear what a Subscription tells.
    """

    database: Database
    hooks: Hooks
    sender: Sender
    base: str
    now: Callable[[], datetime]
    is_open: bool


class Dispatch(Protocol):
    """An engine: it delivers what is due, in order in each lane, at least once."""

    def start(self, record: Record) -> None:
        """Begin; `record` makes the end of attempts last."""
        ...

    def stop(self) -> None:
        """Start no more attempts and wait for those under way to be recorded."""
        ...

    def added(self, connection: Connection, lanes: Sequence[Lane]) -> None:
        """Hear, inside their transaction, of deliveries that are due now: a lane for each."""
        ...

    def wake(self, depth: int) -> None:
        """Hear that a transaction with such deliveries was committed."""
        ...


def attempt(post: Post, hook: Hook, dues: Sequence[Due]) -> Ended:
    """Send one notification, and tell what came of it.

    Nothing is sent unless the client that answers for the Subscription may read, now, all that the
    notification is about (Backport 1.1, "Safety and Security").
    """
    if not post.is_open and hook.scopes.lacking(f"{due.type}.r" for due in dues):
        return _ended(post, hook, dues, _nothing(dues), delivery.WITHHELD)
    what = delivery.sent(hook, post.base, dues)
    return _ended(post, hook, dues, what, post.sender.send(hook, what, int(post.now().timestamp())))


def failed(post: Post, hook: Hook, dues: Sequence[Due]) -> Ended:
    """Tell of an attempt that a fault of ours kept from being made: it is tried again."""
    return _ended(post, hook, dues, _nothing(dues), Answer(None, fault="the server failed"))


def _nothing(dues: Sequence[Due]) -> Sent:
    first = dues[0]
    return Sent(first.uid, b"", delivery.tried(dues) + 1, first.trace, first.depth)


def _ended(post: Post, hook: Hook, dues: Sequence[Due], what: Sent, answer: Answer) -> Ended:
    now = micros(post.now())
    outcomes = delivery.outcomes(hook, dues, answer, now)
    ended = Attempt(
        subscription=hook.id,
        endpoint=hook.endpoint,
        kind=audit.NOTIFICATION,
        uid=what.uid,
        number=what.attempt,
        trace=what.trace,
        dues=dues,
        answer=answer,
        state=outcomes[0].state,
        at=now,
        reason=outcomes[0].reason,
        carries=bool(what.body) and hook.content != EMPTY,
    )
    return Ended(ended, outcomes)


def share(
    flying: Counter[str], endpoint: str, places: int, is_proven: Callable[[str], bool]
) -> int:
    """Return how many of all places an endpoint may have.

    One whose last attempt was answered gets half of what others such leave, of three quarters of
    the places. All others together share the rest, one each: however many of them hang, who
    answers finds a place.
    """
    doubtful = places // 4
    proven = Counter({one: count for one, count in flying.items() if is_proven(one)})
    if is_proven(endpoint):
        return max(1, (places - doubtful - proven.total() + proven[endpoint]) // 2)
    others = flying.total() - proven.total() - flying[endpoint]
    return 1 if others < doubtful else 0
