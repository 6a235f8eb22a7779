"""POSTs over kept connections, each within its time, to no address that is not allowed.

What a receiver does is contained: a silence, a drip of bytes, gigabytes of answer, a redirect.
"""

import re
import threading
import time
from collections.abc import Callable
from contextlib import suppress
from typing import Any

import urllib3
from urllib3.connection import HTTPConnection, HTTPSConnection
from urllib3.exceptions import HTTPError, NewConnectionError

from fhir_profiles import codec
from server.subscriptions.delivery import WROTE, Answer, Sent, headers_of
from server.subscriptions.endpoints import Policy
from server.subscriptions.hook import Hook

CONNECT_TIMEOUT_S = 5.0
WATCH_S = 0.25
ANSWER_LIMIT = 64 * 1024  # bytes of an answer that are read
TOLD_LIMIT, WROTE_LIMIT = 300, 20
_REFUSED = "the endpoint is not allowed"
_ADDRESS = re.compile(r"[A-Z][A-Za-z]{2,40}/[A-Za-z0-9.\-]{1,64}(/_history/[0-9]{1,9})?")


class Sender:
    """Sends to the endpoints of Subscriptions, from many threads."""

    def __init__(self, *, connections: int, policy: Policy) -> None:
        """Keep up to `connections` open per host."""
        self._policy = policy
        self._under_way: dict[int, tuple[float, Any]] = {}  # thread -> when to end it, its socket
        self._limit = threading.local()
        self._pool = urllib3.PoolManager(num_pools=256, maxsize=connections, retries=False)
        self._pool.pool_classes_by_scheme = _pools(policy, self._begun)
        self._stop = threading.Event()
        self._watch = threading.Thread(target=self._end_overdue, name="sender", daemon=True)
        self._watch.start()

    def close(self) -> None:
        """Close the connections that are not in use."""
        self._stop.set()
        self._watch.join()
        self._pool.clear()

    def send(self, hook: Hook, what: Sent, timestamp: int) -> Answer:
        """POST once; `timestamp` is seconds since 1970. Never raises on the network."""
        wrong = self._policy.problem(hook.endpoint)
        if not wrong and hook.content in ("", "full-resource") and what.body:
            wrong = _REFUSED if self._policy.is_too_open(hook.endpoint) else ""
        if wrong:
            return Answer(None, fault=_REFUSED)
        began = time.monotonic()
        try:
            if not self._policy.resolves_well(hook.endpoint):
                return Answer(None, fault=_REFUSED)
            answer = self._post(hook, what, timestamp)
        except NewConnectionError as error:
            answer = Answer(None, fault=_REFUSED if _REFUSED in str(error) else "no connection")
        except (HTTPError, OSError, ValueError) as error:
            answer = Answer(None, fault=_fault(error))
        finally:
            self._under_way.pop(threading.get_ident(), None)
        took_ms = int((time.monotonic() - began) * 1000)
        return Answer(
            answer.status, answer.retry_after, answer.told, answer.wrote, answer.fault, took_ms
        )

    def _post(self, hook: Hook, what: Sent, timestamp: int) -> Answer:
        self._limit.at = time.monotonic() + hook.timeout_s + WATCH_S  # a timeout comes first
        reply = self._pool.request(
            "POST",
            hook.endpoint,
            body=what.body,
            headers=headers_of(hook, what, timestamp),
            redirect=False,
            preload_content=False,
            decode_content=False,
            timeout=urllib3.Timeout(connect=CONNECT_TIMEOUT_S, read=hook.timeout_s),
        )
        try:
            content = reply.read(ANSWER_LIMIT + 1, cache_content=False)
        except (HTTPError, OSError):  # it has said its status, and that is what counts
            content = b""
        if len(content) > ANSWER_LIMIT:
            reply.close()
        reply.release_conn()
        wrote = reply.headers.get(WROTE, "").replace(" ", "").split(",")
        return Answer(
            reply.status,
            reply.headers.get("Retry-After", ""),
            _told(reply.headers.get("Content-Type", ""), content),
            tuple(address for address in wrote if _ADDRESS.fullmatch(address))[:WROTE_LIMIT],
        )

    def _begun(self, socket: Any) -> None:
        """Note the socket that this thread's request goes over."""
        self._under_way[threading.get_ident()] = (self._limit.at, socket)

    def _end_overdue(self) -> None:
        """End what is beyond its time: a timeout of the socket begins anew at each byte."""
        while not self._stop.wait(WATCH_S):
            now = time.monotonic()
            for limit, socket in list(self._under_way.values()):
                if limit < now:
                    with suppress(OSError):
                        socket.shutdown(2)


def _pools(policy: Policy, begun: Callable[[Any], None]) -> dict[str, Any]:
    """Return connection pools that look at the peer, and tell of the socket of each request."""

    class Guarded:
        sock: Any

        def _new_conn(self) -> Any:
            socket = super()._new_conn()  # type: ignore[misc]
            if not policy.allows_peer(socket.getpeername()[0]):
                socket.close()
                raise NewConnectionError(self, _REFUSED)  # type: ignore[arg-type]
            return socket

        def request(self, *given: Any, **named: Any) -> None:
            if self.sock is None:
                self.connect()  # type: ignore[attr-defined]
            begun(self.sock)
            super().request(*given, **named)  # type: ignore[misc]

    class Plain(Guarded, HTTPConnection):
        pass

    class Secure(Guarded, HTTPSConnection):
        pass

    class PlainPool(urllib3.HTTPConnectionPool):
        ConnectionCls = Plain

    class SecurePool(urllib3.HTTPSConnectionPool):
        ConnectionCls = Secure

    return {"http": PlainPool, "https": SecurePool}


def _fault(error: Exception) -> str:
    names = {"ReadTimeoutError": "no answer in time", "ConnectTimeoutError": "no connection"}
    return names.get(type(error).__name__, "the connection broke")


def _told(content_type: str, content: bytes) -> str:
    """Return the words of an OperationOutcome, "" where the answer is none."""
    if "json" not in content_type:
        return ""
    try:
        issues = codec.decode(content)["issue"]
        words = (str(one.get("diagnostics", one.get("code", ""))) for one in issues)
        text = "; ".join(word for word in words if word)
        return "".join(char for char in text if char.isprintable())[:TOLD_LIMIT]
    except (ValueError, KeyError, TypeError, AttributeError):
        return ""
