"""One attempt: sign it, POST it within its time, and say what should follow.

Signed: HMAC-SHA256 over "timestamp.delivery id.body" in X-Inforce-Signature, and over the body
alone in X-Signature, which older receivers know. Redirects are not followed.
"""

import hashlib
import hmac
from collections.abc import Sequence
from dataclasses import dataclass
from email.utils import parsedate_to_datetime
from http import HTTPStatus

from server.search.values import micros
from server.store.deliveries import Due, Outcome
from server.subscriptions import notification
from server.subscriptions.hook import Hook

# Waits between attempts: twelve attempts over more than 27 hours.
RETRY_AFTER_S = (1, 5, 25, 120, 300, 900, 3600, 7200, 14400, 28800, 43200)
RETRY_AFTER_LIMIT_S, DIGITS = 3600, 9
# The receiver says that the event itself is wrong for it: the same bytes will never be right.
_NEVER_AGAIN = frozenset({HTTPStatus.BAD_REQUEST, HTTPStatus.GONE, HTTPStatus.UNPROCESSABLE_ENTITY})
EXHAUSTED = "every attempt failed"
FORBIDDEN = "its client may not read what it tells of"
WITHHELD_S = 1  # until it is looked at again, should the Subscription not be in error by then
WROTE = "X-Inforce-Wrote"


@dataclass(frozen=True, slots=True)
class Sent:
    """What is sent: a body, the delivery id, and the facts that go into headers."""

    uid: str
    body: bytes
    attempt: int
    trace: str
    depth: int
    interaction: str = ""
    event: int = 0
    gone: str = ""


@dataclass(frozen=True, slots=True)
class Answer:
    """What the receiver said.

    An HTTP status or None (no answer, then `fault` tells why), its Retry-After as text, what it
    told in an OperationOutcome, and what it says it wrote (Type/id/_history/version).
    """

    status: int | None
    retry_after: str = ""
    told: str = ""
    wrote: tuple[str, ...] = ()
    fault: str = ""
    took_ms: int = 0


WITHHELD = Answer(None, fault="not sent")  # in place of what a receiver would say


def sent(hook: Hook, base: str, dues: Sequence[Due]) -> Sent:
    """Return the notification of events as it is sent, the same bytes at every attempt."""
    first, last = dues[0], dues[-1]
    return Sent(
        uid=first.uid,
        body=notification.body(hook, base, dues),
        attempt=tried(dues) + 1,
        trace=first.trace,
        depth=max(due.depth for due in dues),
        interaction=notification.interaction(first) if hook.topic is None else "",
        event=last.event,
        gone="" if first.body or hook.topic else f"{first.type}/{first.id}",
    )


def tried(dues: Sequence[Due]) -> int:
    """Return how often those of the events that still wait were tried.

    Others are sent along where they once were in one notification with them.
    """
    return max((due.attempts for due in dues if not due.is_over), default=0)


def headers_of(hook: Hook, what: Sent, timestamp: int) -> dict[str, str]:
    """Return the headers of one attempt, the Subscription's own ones included."""
    headers = {
        "Content-Type": hook.payload or "application/fhir+json",
        "X-Inforce-Subscription": hook.id,
        "X-Inforce-Delivery": what.uid,
        "X-Inforce-Attempt": str(what.attempt),
        "X-Inforce-Timestamp": str(timestamp),
        # What a receiver writes in consequence carries this on, so that a loop is seen.
        "X-Inforce-Depth": str(what.depth + 1),
        **dict(hook.headers),
    }
    optional = {
        "X-Inforce-Event": str(what.event or ""),
        "X-Inforce-Interaction": what.interaction,
        "X-Inforce-Deleted-Resource": what.gone,
        "X-Request-Id": what.trace,
    }
    headers |= {name: value for name, value in optional.items() if value}
    if hook.secret:
        signed = f"{timestamp}.{what.uid}.".encode() + what.body
        headers["X-Inforce-Signature"] = "v1=" + _hmac(hook.secret, signed)
        headers["X-Signature"] = _hmac(hook.secret, what.body)
    return headers


def is_taken(hook: Hook, answer: Answer) -> bool:
    """Tell whether the receiver has taken what was sent."""
    status = answer.status
    return status is not None and any(low <= status <= high for low, high in hook.success)


def outcomes(hook: Hook, dues: Sequence[Due], answer: Answer, now: int) -> list[Outcome]:
    """Return what becomes of deliveries after `answer`; `now` is microseconds since 1970."""
    if answer is WITHHELD:
        return _withheld(dues, now)
    attempts = tried(dues) + 1
    limit = hook.attempts_limit or len(RETRY_AFTER_S) + 1
    due_at, reason = now, ""
    if is_taken(hook, answer):
        state = "done"
    elif answer.status in _NEVER_AGAIN:
        state, reason = "dead", "the receiver refused it for good"
    elif attempts >= limit:
        state, reason = "dead", EXHAUSTED
    else:
        state = "due"
        wait_s = RETRY_AFTER_S[min(attempts, len(RETRY_AFTER_S)) - 1]
        due_at += max(wait_s, retry_after_s(answer.retry_after, now)) * 1_000_000
    return [
        Outcome(due.did, state, attempts, due_at, answer.status, reason, dues[0].did)
        for due in dues
    ]


def _withheld(dues: Sequence[Due], now: int) -> list[Outcome]:
    """Return what becomes of deliveries that may not be sent: they wait, and no attempt counts."""
    due_at = now + WITHHELD_S * 1_000_000
    return [
        Outcome(due.did, "due", due.attempts, due_at, due.status, FORBIDDEN, due.head)
        for due in dues
    ]


def retry_after_s(text: str, now: int) -> int:
    """Return the seconds that a Retry-After asks for, at most an hour (RFC 9110 10.2.3)."""
    if text.isdecimal():
        return min(int(text[:DIGITS]), RETRY_AFTER_LIMIT_S)
    try:
        moment = micros(parsedate_to_datetime(text))
    except (ValueError, TypeError, OverflowError):
        return 0
    return max(0, min(-(-(moment - now) // 1_000_000), RETRY_AFTER_LIMIT_S))


def _hmac(secret: str, data: bytes) -> str:
    return hmac.new(secret.encode(), data, hashlib.sha256).hexdigest()
