"""Calls with a bearer token by client credentials, asked for once however many need it.

Source: RFC 6749 section 4.4, RFC 6750.
"""

import threading
import time
from collections.abc import Mapping
from dataclasses import dataclass, replace
from http import HTTPStatus
from typing import Any

from bots.connectors import wire
from bots.connectors.access import Access
from bots.connectors.wire import Reply, Wire
from bots.ports import Failure, Finding

RENEW_AT = 0.8  # of a token's life


@dataclass(frozen=True, slots=True)
class Grant:
    """Where a vendor gives tokens, and for what."""

    path: str
    scope: str = ""


class Bearer:
    """One client at one vendor."""

    def __init__(self, access: Access, grant: Grant, calls: Wire) -> None:
        """Fetch nothing yet."""
        self._access = access
        self._grant = grant
        self._wire = calls
        self._lock = threading.Lock()
        self._token, self._renew_at = "", 0.0

    def call(
        self, method: str, path: str, limit: float, *, headers: Mapping[str, str], data: Any = None
    ) -> Reply | Failure:
        """Call with a token; one that is refused is renewed once."""
        for is_last in (False, True):
            token = self._given(limit, renew=is_last)
            if isinstance(token, Failure):
                return token
            told = {**headers, "Authorization": f"Bearer {token}"}
            url = self._access.url + path
            reply = self._wire.call(method, url, limit=limit, headers=told, data=data)
            is_refused = isinstance(reply, Reply) and reply.status == HTTPStatus.UNAUTHORIZED
            if is_last or not is_refused:
                return reply
        raise AssertionError("the second call is the last")

    def probe(self, *, timeout_s: float) -> list[Finding]:
        """Fetch a token, which asks no payer."""
        token = self._given(time.monotonic() + timeout_s, renew=True)
        if isinstance(token, str):
            return [Finding("reached", works=True), Finding("key taken", works=True)]
        if token.code != "credentials":
            return wire.findings(token, key_told=False)
        text = "The client is refused: check its id, its secret and its subscription."
        return [Finding("reached", works=True), Finding("key taken", works=False, text=text)]

    def _given(self, limit: float, *, renew: bool) -> str | Failure:
        with self._lock:
            if self._token and not renew and time.monotonic() < self._renew_at:
                return self._token
            form = {
                "grant_type": "client_credentials",
                "client_id": self._access.client_id,
                "client_secret": self._access.key,
            }
            form |= {"scope": self._grant.scope} if self._grant.scope else {}
            url = self._access.url + self._grant.path
            reply = self._wire.call("POST", url, limit=limit, headers={}, data=form)
            if isinstance(reply, Failure):
                return replace(wire.UNREACHED, text=reply.text)  # the question did not go out
            body: Mapping[str, object] = wire.payload(reply.content) or {}
            token, life_s = body.get("access_token"), body.get("expires_in", 0)
            if reply.status >= HTTPStatus.BAD_REQUEST or not isinstance(token, str):
                return _no_token(reply)
            life_s = life_s if isinstance(life_s, int | float) else 0
            self._token, self._renew_at = token, time.monotonic() + RENEW_AT * life_s
            return token


def _no_token(reply: Reply) -> Failure:
    """Return why there is no token: a client that is refused is one of credentials (RFC 6749)."""
    if reply.status == HTTPStatus.BAD_REQUEST:
        reply = replace(reply, status=HTTPStatus.UNAUTHORIZED)
    return wire.refused(reply)
