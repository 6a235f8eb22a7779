"""One attempt at one delivery: sign it, POST it, and say what should follow.

Signed: HMAC-SHA256 over "timestamp.delivery id.body" in X-Inforce-Signature, and over the body
alone in X-Signature, which older receivers know. Redirects are not followed.
"""

import hashlib
import hmac
from dataclasses import dataclass
from http import HTTPStatus

import urllib3

from server.store.deliveries import Due, Outcome
from server.subscriptions import endpoints
from server.subscriptions.criteria import Hook

CONNECT_TIMEOUT_S, READ_TIMEOUT_S = 5.0, 75.0
# Waits between attempts: twelve attempts over a little more than 28 hours.
RETRY_AFTER_S = (1, 5, 25, 120, 300, 900, 3600, 7200, 14400, 28800, 43200)
RETRY_AFTER_LIMIT_S = 3600
# The receiver says that the event itself is wrong for it: the same bytes will never be right.
_NEVER_AGAIN = frozenset({HTTPStatus.BAD_REQUEST, HTTPStatus.GONE, HTTPStatus.UNPROCESSABLE_ENTITY})
_INTERACTIONS = {"POST": "create", "PUT": "update", "DELETE": "delete"}


@dataclass(frozen=True, slots=True)
class Answer:
    """What the receiver said: an HTTP status or None (no answer), and its Retry-After, if any."""

    status: int | None
    retry_after_s: int | None = None


class Sender:
    """Sends deliveries over kept connections."""

    def __init__(self, *, connections: int, allow_private: bool) -> None:
        """Keep up to `connections` open per endpoint."""
        timeout = urllib3.Timeout(connect=CONNECT_TIMEOUT_S, read=READ_TIMEOUT_S)
        self._pool = urllib3.PoolManager(maxsize=connections, retries=False, timeout=timeout)
        self._allow_private = allow_private

    def send(self, hook: Hook, due: Due, timestamp: int) -> Answer:
        """POST one delivery; `timestamp` is seconds since 1970. Never raises on the network."""
        body = due.body if hook.payload and due.body else b""
        headers = headers_of(hook, due, timestamp, body)
        try:
            if not self._allow_private and endpoints.resolves_to_private(hook.endpoint):
                return Answer(None)
            answer = self._pool.request(
                "POST", hook.endpoint, body=body, headers=headers, redirect=False
            )
        except (urllib3.exceptions.HTTPError, OSError):
            return Answer(None)
        wait = answer.headers.get("Retry-After", "")
        return Answer(answer.status, int(wait) if wait.isdecimal() else None)


def headers_of(hook: Hook, due: Due, timestamp: int, body: bytes) -> dict[str, str]:
    """Return the headers of one attempt, the Subscription's own ones included."""
    headers = {
        "Content-Type": hook.payload or "application/fhir+json",
        "X-Inforce-Subscription": hook.id,
        "X-Inforce-Interaction": _INTERACTIONS[due.method],
        "X-Inforce-Delivery": due.uid,
        "X-Inforce-Attempt": str(due.attempts + 1),
        "X-Inforce-Timestamp": str(timestamp),
        "X-Request-Id": due.trace,
        **dict(hook.headers),
    }
    if hook.secret:
        signed = f"{timestamp}.{due.uid}.".encode() + body
        headers["X-Inforce-Signature"] = "v1=" + _hmac(hook.secret, signed)
        headers["X-Signature"] = _hmac(hook.secret, body)
    return headers


def outcome(due: Due, answer: Answer, now: int) -> Outcome:
    """Return what becomes of a delivery after `answer`; `now` is microseconds since 1970."""
    attempts = due.attempts + 1
    if answer.status is not None and HTTPStatus.OK <= answer.status < HTTPStatus.MULTIPLE_CHOICES:
        return Outcome(due.did, "done", attempts, now, answer.status)
    if answer.status in _NEVER_AGAIN or attempts > len(RETRY_AFTER_S):
        return Outcome(due.did, "dead", attempts, now, answer.status)
    wait_s = RETRY_AFTER_S[attempts - 1]
    if answer.retry_after_s is not None:
        wait_s = max(wait_s, min(answer.retry_after_s, RETRY_AFTER_LIMIT_S))
    return Outcome(due.did, "due", attempts, now + wait_s * 1_000_000, answer.status)


def _hmac(secret: str, data: bytes) -> str:
    return hmac.new(secret.encode(), data, hashlib.sha256).hexdigest()
